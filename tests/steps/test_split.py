"""The split step: files in, files out, and columns that cannot stratify."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import runtime_probe as probes

from pipec.steps import runtime
from pipec.steps.command import Location
from pipec.steps.data import table
from pipec.steps.split import Split

FRAME = pd.DataFrame({"n": range(20), "kind": ["a"] * 12 + ["b"] * 7 + [None]})


def split(folder: Path, frame: pd.DataFrame, **parameters: Any) -> int:
    table.write(frame, folder / "data")
    place = {"data": (Location(str(folder / "data")),)}
    return runtime.execute(probes.call(Split.interface, folder, parameters=parameters, inputs=place))  # type: ignore[attr-defined]


def test_both_sides_hold_the_rows_in_their_order(tmp_path: Path) -> None:
    assert split(tmp_path, FRAME, test_size=0.25, stratify="kind", seed=3) == 0
    train, test = table.read(tmp_path / "t" / "train"), table.read(tmp_path / "t" / "test")
    assert sorted([*train["n"], *test["n"]]) == list(range(20))
    assert train["n"].is_monotonic_increasing
    assert test["n"].is_monotonic_increasing
    assert test["kind"].value_counts().to_dict() == {"a": 3, "b": 2}


def test_the_same_seed_writes_the_same_files(tmp_path: Path) -> None:
    digests = []
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        assert split(tmp_path / place, FRAME, seed=3) == 0
        digests.append(probes.result(tmp_path / place)["artifacts"])
    assert digests[0] == digests[1]


def test_small_strata_are_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame = FRAME.assign(kind=["a"] * 17 + ["b"] * 2 + ["c"])
    assert split(tmp_path, frame, stratify="kind") == 0
    assert capfd.readouterr().err.splitlines()[:2] == [
        "[t] only 2 rows have `kind` = b: one is kept for the test",
        "[t] only 1 rows have `kind` = c: it is learned from only",
    ]
    assert "c" not in set(table.read(tmp_path / "t" / "test")["kind"])


@pytest.mark.parametrize(
    ("n_rows", "parameters", "code", "message"),
    [
        (20, {"stratify": "sort"}, 2, "`stratify` is `sort`, but the columns are n, kind"),
        (20, {"stratify": "n"}, 2, "`stratify` is `n`, which has 20 values in 20 rows: name a column of classes"),
        (1, {}, 3, "1 rows cannot be cut in two: bring more data"),
        (20, {"test_size": 1}, 2, "`test_size` is 1.0, but must be below 1"),
        (20, {"seed": -1}, 2, "`seed` is -1, but must be at least 0"),
    ],
    ids=["unknown", "continuous", "one-row", "all", "negative"],
)
def test_a_cut_that_cannot_be_made_is_told(
    n_rows: int, parameters: dict[str, Any], code: int, message: str, tmp_path: Path
) -> None:
    assert split(tmp_path, FRAME.iloc[:n_rows], **parameters) == code
    assert probes.result(tmp_path)["message"] == message
