"""Small documents that stand for enormous plans: refused with one finding, before anything is made of them."""

from __future__ import annotations

from pathlib import Path

from pipec import api

HEAD = "apiVersion: pipec/v1alpha1\nkind: Pipeline\nmetadata: {name: p}\nsteps:\n"


def told(folder: Path) -> list[str]:
    found = api.check(api.Request(path=folder / "p.yaml")).report.findings
    return [f"{finding.rule.code} {finding.message}" for finding in found]


def test_pipelines_that_use_each_other_ten_times_at_each_level(tmp_path: Path) -> None:
    for level in range(7):
        below = f"./l{level + 1}.yaml" if level < 6 else "ingest, with: {source: a.csv}"
        uses = "".join(f"  s{n}: {{uses: {below}}}\n" for n in range(10))
        (tmp_path / ("p.yaml" if level == 0 else f"l{level}.yaml")).write_text(HEAD + uses)
    assert told(tmp_path) == ["PIPE003 `./l2.yaml` stands for more than 20,000 steps"]


def test_matrices_of_a_thousand_cells_that_wait_for_each_other(tmp_path: Path) -> None:
    cells = ", ".join(map(str, range(1000)))
    row = f"uses: ingest, matrix: {{axes: {{seed: [{cells}]}}}}, with: {{source: a.csv}}"
    (tmp_path / "p.yaml").write_text(HEAD + f"  a: {{{row}}}\n  b: {{{row}, needs: [a]}}\n  c: {{{row}, needs: [b]}}\n")
    assert told(tmp_path) == ["PIPE003 with `c` the tasks wait for each other in more than 1,000,000 ways"]


def test_many_matrices_of_a_thousand_cells(tmp_path: Path) -> None:
    cells = ", ".join(map(str, range(1000)))
    row = f"uses: ingest, matrix: {{axes: {{seed: [{cells}]}}}}, with: {{source: a.csv}}"
    (tmp_path / "p.yaml").write_text(HEAD + "".join(f"  s{n}: {{{row}}}\n" for n in range(51)))
    assert told(tmp_path) == ["PIPE003 with `s50` the pipeline has more than 50,000 tasks"]
