"""What is said of documents that are wrong in many ways: every word, with its place and its help.

Each folder of `tests/told` is a project; `prod.yaml` is asked about in that environment. `bad.yaml` beside a rule shows
the rule alone; here its other forms stand.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pipec import api, report

FOLDER = Path(__file__).parents[1] / "told"
CASES = sorted(path.with_suffix(".yaml") for path in FOLDER.glob("*/*.out"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.stem}")
def test_all_that_is_wrong_is_told_in_full(case: Path, golden, monkeypatch) -> None:
    monkeypatch.chdir(case.parent)
    environment = "prod" if case.stem == "prod" else ""
    found = api.check(api.Request(path=Path(case.name), environment=environment))
    golden(case.with_suffix(".out"), report.render(found.report, "text"))


def test_every_document_is_a_case_or_a_part_of_one() -> None:
    others = {path.name for path in FOLDER.glob("*/*.yaml")} - {case.name for case in CASES}
    assert others <= {"pipec.yaml", "mix.yaml", "inner.yaml", "fits.yaml", "hold.yaml"}
