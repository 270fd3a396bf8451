"""A long walk through texts with a few bytes or tokens changed, by check and by both compiles."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from fuzz import Walk
from mutate import EXAMPLES
from strategies import count, walk


@pytest.mark.parametrize("form", ["bytes", "tokens"])
def test_every_changed_text_is_answered(form: str, tmp_path: Path) -> None:
    taken = Walk(Path(shutil.copytree(EXAMPLES, tmp_path / "project")))
    walk(form, count(form), taken.judge)
    assert taken.n_inputs >= count(form)
    assert len(taken.told) > 10, "a walk says little where it always ends in the same place"
