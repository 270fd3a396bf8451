"""A long walk through documents that are well-formed, and mostly right, by check and by both compiles."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from fuzz import Walk
from mutate import EXAMPLES
from strategies import count, walk


@pytest.mark.parametrize(("form", "families"), [("values", "01"), ("documents", "012356")])
def test_every_drawn_document_is_answered(form: str, families: str, tmp_path: Path) -> None:
    taken = Walk(Path(shutil.copytree(EXAMPLES, tmp_path / "project")))
    walk(form, count(form), taken.judge)
    assert taken.n_inputs >= count(form)
    assert taken.told["compiled"] >= count(form) // 400, "a walk over refusals alone never meets the printers"
    assert {code[:5] for code in taken.told} >= {f"PIPE{family}" for family in families}
