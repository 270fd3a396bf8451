"""What a few lines could stand for: tasks without number are told, and not made; and how large files may be."""

from __future__ import annotations

from pathlib import Path

import pytest
from documents import MIX, PROJECT, STEP, asked, pipeline, planned, told

from pipec.compiler import spread
from pipec.compiler.nested import MAX_DEPTH, MAX_TASKS

LIST = list(range(1000))


def doubling(uses: int) -> dict[str, str]:
    """Return files of which each uses the next so many times, as deep as they may."""
    names = [f"n{level}" for level in range(MAX_DEPTH)]
    files = {"p.yaml": pipeline("steps: {s: {uses: ./n0.yaml}}")}
    for name, below in zip(names, [*names[1:], "mix"], strict=True):
        steps = ", ".join(f"s{n}: {{uses: ./{below}.yaml}}" for n in range(uses))
        files[f"{name}.yaml"] = pipeline(f"steps: {{{steps}}}", name)
    return files


def test_pipelines_that_use_each_other_many_times_are_counted_and_not_made(tmp_path: Path) -> None:
    checked = asked(tmp_path, doubling(50))
    assert told(checked) == [
        f"p.yaml:4 PIPE003 with `s` the pipeline has {50**MAX_DEPTH:,} tasks, more than {MAX_TASKS:,}"
    ]
    assert checked.units[0].plan is None


def test_what_is_below_the_limit_is_made(tmp_path: Path) -> None:
    assert len(planned(tmp_path, doubling(2)).tasks) == 2**MAX_DEPTH


def test_cells_are_counted_over_all_steps(tmp_path: Path) -> None:
    steps = "".join(f"  s{n}: {{uses: ./mix.yaml, matrix: {{axes: {{x: {LIST}}}}}}}\n" for n in range(51))
    assert told(asked(tmp_path, f"steps:\n{steps}")) == [
        "p.yaml:55 PIPE003 with `s50` the pipeline has 51,000 tasks, more than 50,000"
    ]


def test_the_tasks_of_a_loop_count_once(tmp_path: Path) -> None:
    files = {**doubling(2), "p.yaml": pipeline(f"steps: {{s: {{uses: ./n0.yaml, matrix: {{axes: {{x: {LIST}}}}}}}}}")}
    plan = planned(tmp_path, files)
    assert len(plan.task("s").loop.body) == 2**MAX_DEPTH  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "reader", ["needs: [m]", 'with: {list: "${{ steps.m[*].n }}"}', "when: failed(m)"], ids=["needs", "with", "when"]
)
def test_cells_that_wait_for_too_many_cells_are_told(reader: str, tmp_path: Path) -> None:
    body = f"""steps:
  m: {{uses: ./mix.yaml, matrix: {{axes: {{x: {LIST}}}}}}}
  r: {{uses: ./mix.yaml, matrix: {{axes: {{x: {LIST}}}}}, {reader}}}
"""
    (found,) = told(asked(tmp_path, body))
    assert found == "p.yaml:6 PIPE003 `r` waits 1,000,000 times for `m`, and with all others more than 300,000"
    between = body.replace(reader, "needs: [all]") + "  all: {uses: ./mix.yaml, needs: [m]}\n"
    assert len(planned(tmp_path, between).task("all").needs) == 1000


# A step whose parameter names a file.
ASK = (
    STEP % "ask"
    + """parameters: {query: {type: string, path: true}}
outputs: {n: {type: integer}}
command: [ask]
args: ["${{ parameters.query }}", "${{ outputs.n }}"]
"""
)
MOST = 64 << 10


def asking(*sizes: int) -> dict[str, str]:
    """Return files of which a pipeline's steps name one each, of so many bytes and fewer characters."""
    files = {f"f{n}.sql": "\u00e4" * (size // 2) + "-" * (size % 2) for n, size in enumerate(sizes)}
    steps = "".join(f"  s{n}: {{uses: ./ask.yaml, with: {{query: {name}}}}}\n" for n, name in enumerate(files))
    return {**files, "ask.yaml": ASK, "p.yaml": pipeline(f"steps:\n{steps}")}


@pytest.mark.parametrize("more", [0, 1])
def test_a_file_that_a_step_names_has_64_kib_at_most(more: int, tmp_path: Path) -> None:
    found = told(asked(tmp_path, asking(MOST + more)))
    assert found == ["p.yaml:5 PIPE002 `f0.sql` is larger than 64 KiB"] * more


@pytest.mark.parametrize("more", [0, 1])
def test_all_files_of_a_pipeline_have_512_kib_at_most_together(more: int, tmp_path: Path) -> None:
    found = asked(tmp_path, asking(*[MOST] * 7, MOST - 1, 1 + more)).report.findings
    message = "the files of this pipeline are together larger than 512 KiB"
    advice = "make large ones artifacts, or put them in the image"
    assert [(one.loc.span.line, one.rule.code, one.message, one.help) for one in found] == [
        (13, "PIPE003", message, advice)
    ] * more


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize(
    ("name", "text", "most", "place"),
    [
        ("pipec.yaml", PROJECT, 8 << 20, "pipec.yaml:1"),
        ("p.yaml", pipeline("steps: {a: {uses: ./mix.yaml}}\n"), 8 << 20, "p.yaml:1"),
        ("mix.yaml", MIX, 1 << 20, "p.yaml:4"),
    ],
    ids=["the project", "the pipeline", "a step's"],
)
def test_a_document_is_read_up_to_its_last_byte(
    name: str, text: str, most: int, place: str, more: int, tmp_path: Path
) -> None:
    files = {"p.yaml": pipeline("steps: {a: {uses: ./mix.yaml}}\n"), name: text + "#" * (most - len(text) + more)}
    found = told(asked(tmp_path, files))
    assert [line.partition(" ")[0] for line in found] == [place] * more
    assert all(line.endswith(f"{name}` is larger than {most >> 10} KiB") for line in found)


@pytest.mark.parametrize(("most", "n_told"), [(3, 0), (2, 1)])
def test_a_step_waits_once_for_a_step_that_is_one_task(most: int, n_told: int, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(spread, "MAX_WAITS", most)
    body = "steps: {a: {uses: ./mix.yaml}, b: {uses: ./mix.yaml, needs: [a]}, c: {uses: ./mix.yaml, needs: [a, b]}}"
    assert len(told(asked(tmp_path, body))) == n_told
