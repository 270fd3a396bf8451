"""Names of steps that an engine keeps for itself, and names that only look like one."""

from __future__ import annotations

from pathlib import Path

import pytest
from documents import asked, told


@pytest.mark.parametrize(
    "name",
    ["root", "entrypoint", "system", "exit-hook", "pipec", "status", "dag", "class", "import", "a-driver", "a-decision",
     "a-iteration"],
)  # fmt: skip
def test_a_name_that_an_engine_keeps_is_told(name: str, tmp_path: Path) -> None:
    checked = asked(tmp_path, f"steps: {{{name}: {{uses: ./mix.yaml}}}}")
    assert told(checked) == [f"p.yaml:4 PIPE205 the name `{name}` is kept by an engine"]
    assert checked.report.findings[0].help == f"call it `{name}-step`"


@pytest.mark.parametrize(
    "name", ["roots", "root-step", "driver", "decision", "a-driver-step", "classes", "entry-point"]
)
def test_a_name_that_nobody_keeps_is_left_alone(name: str, tmp_path: Path) -> None:
    assert told(asked(tmp_path, f"steps: {{{name}: {{uses: ./mix.yaml}}}}")) == []
