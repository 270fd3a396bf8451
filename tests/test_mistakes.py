"""One file with as many mistakes as can be told together: all are told at once, in the order of the text."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipec import api, report

FOLDER = Path(__file__).parent / "mistakes"
# What cannot stand beside the rest: no pipeline is made of a text of wrong form, files and targets are not in the text,
# and what needs a chosen environment, another file or a step that a person never answers has its own folder.
APART = {
    *(f"PIPE00{n}" for n in range(1, 10)), "PIPE010", "PIPE100", "PIPE101", "PIPE102", "PIPE103", "PIPE104", "PIPE105",
    "PIPE120", "PIPE121", "PIPE122", "PIPE123", "PIPE124", "PIPE130", "PIPE131", "PIPE405", "PIPE407", "PIPE601",
    "PIPE417", "PIPE510",  # a step and an expectation of files of their own
    "PIPE419", "PIPE420", "PIPE421",  # a lock
    *(f"PIPE62{n}" for n in range(10)),  # what others compiled
    "PIPE011",  # told only where every rule has judged every pipeline
}  # fmt: skip


@pytest.fixture(autouse=True)
def _in_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_text(golden) -> None:
    found = api.check(api.Request(path=Path("mistakes.yaml"))).report
    assert {rule.code for rule in api.explained()} - {finding.rule.code for finding in found.findings} == APART
    places = [(finding.loc, finding.rule.code) for finding in found.findings]
    assert places == sorted(places) and len(set(found.findings)) == len(found.findings)
    golden(FOLDER / "mistakes.out", report.render(found, "text"))


@pytest.mark.parametrize("seed", ["0", "1", "4711"])
def test_they_are_the_same_under_every_seed_of_hashes(seed: str) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "pipec", "check", "mistakes.yaml"],
        check=False,
        env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(api.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert told.returncode == 1
    kept = (FOLDER / "mistakes.out").read_text(encoding="utf-8")
    assert told.stdout.startswith(kept)
    assert told.stdout.removeprefix(kept).strip() == "mistakes.yaml: 53 errors, 23 warnings (41 steps)"


def test_a_pipeline_that_is_too_broken_is_not_said_to_be_missing(tmp_path: Path) -> None:
    head = "apiVersion: pipec/v1alpha1\nkind: Pipeline\nmetadata: {name: %s}\n"
    broken = head % "one" + "steps: {a: {use: ingest}}\n"
    other = head % "two" + "triggers: [{after: {pipeline: one}}]\nsteps: {a: {uses: ingest, with: {source: s3://x}}}\n"
    (tmp_path / "p.yaml").write_text(f"{broken}---\n{other}")
    found = api.check(api.Request(path=tmp_path / "p.yaml")).report.findings
    assert [finding.rule.code for finding in found] == ["PIPE102", "PIPE101"]
