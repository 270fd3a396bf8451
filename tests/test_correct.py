"""Pipelines as teams write them, in `correct/`: each is right, so any finding about one, or any warning, is a fault.

They were written from the page of the language, and not from the rules.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipec import api

FOLDER = Path(__file__).parent / "correct"
ENVIRONMENTS = {"": ("", "dev", "staging", "prod"), "clinic": ("", "ward", "live")}  # by project
FILES = sorted(path.relative_to(FOLDER) for where in ENVIRONMENTS for path in (FOLDER / where).glob("*.yaml"))
PIPELINES = [path for path in FILES if path.name != "pipec.yaml"]
CASES = [(path, name) for path in PIPELINES for name in ENVIRONMENTS["" if path.parent == Path() else path.parent.name]]
IDS = [f"{path.as_posix()}-{name or 'none'}" for path, name in CASES]
TARGETS = [(path, name, target) for path, name in CASES for target in api.TARGETS]

# Checks every file in every environment, and prints all that comes out.
_PRINTED = """
import sys
from pathlib import Path
from pipec import api

for said in sys.argv[1:]:
    path, _, environment = said.partition("@")
    checked = api.check(api.Request(path=Path(path), environment=environment))
    print(path, environment, checked.report.findings, [unit.plan for unit in checked.units])
"""


@pytest.fixture(autouse=True)
def _in_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)


@pytest.mark.parametrize(("path", "environment"), CASES, ids=IDS)
def test_nothing_is_found_and_everything_is_planned(path: Path, environment: str) -> None:
    checked = api.check(api.Request(path=path, environment=environment))
    assert [(finding.loc, finding.message) for finding in checked.report.findings] == []
    assert checked.units and all(unit.plan for unit in checked.units)


@pytest.mark.parametrize(
    ("path", "environment", "target"), TARGETS, ids=[f"{path}-{name or 'none'}-{to}" for path, name, to in TARGETS]
)
def test_a_target_writes_it_or_says_that_it_cannot(path: Path, environment: str, target: str) -> None:
    checked, files = api.compile_(api.Request(path=path, environment=environment, target=target))
    assert {finding.rule.code for finding in checked.report.findings} == (set() if files else {"PIPE601"})


@pytest.mark.parametrize("target", sorted(api.TARGETS))
@pytest.mark.parametrize("name", ["audit", "hello", "houses"])
def test_the_plain_ones_are_written_for_production_by_every_target(name: str, target: str) -> None:
    _, files = api.compile_(api.Request(path=Path(f"{name}.yaml"), environment="prod", target=target))
    assert files


def test_findings_and_plans_do_not_depend_on_the_seed_of_hashes() -> None:
    said = [f"{path}@{name}" for path, name in CASES]
    printed = [
        subprocess.run(
            [sys.executable, "-c", _PRINTED, *said],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(api.__file__).parents[1])},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "4711")
    ]
    assert printed[0].count("\n") == len(CASES)
    assert printed[0] == printed[1] == printed[2]


def test_every_part_is_used_by_a_pipeline() -> None:
    texts = "".join(path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.yaml"))
    parts = [path.relative_to(FOLDER) for path in FOLDER.rglob("*") if path.is_file()]
    unused = [path for path in parts if path not in FILES and path.name not in texts]
    assert unused == []
