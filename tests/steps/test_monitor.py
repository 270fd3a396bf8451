"""The monitor's verdicts on real rows, on rows that moved, and on rows that are too few."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import runtime_probe as probes

from pipec.steps import runtime
from pipec.steps.command import Location
from pipec.steps.data import profile, table
from pipec.steps.data.partition import partition
from pipec.steps.monitor import Monitor

EXAMPLES = Path(__file__).parents[2] / "examples" / "pipelines"
WINE = pd.read_csv(EXAMPLES / "data" / "wine.csv")
NEW = pd.read_csv(EXAMPLES / "data" / "wine-new.csv")
INTERFACE = Monitor.interface  # type: ignore[attr-defined]
FEATURES = [str(name) for name in NEW.columns]


def training() -> pd.DataFrame:
    strata = np.unique(WINE["cultivar"].astype(str), return_inverse=True)[1]
    return WINE.iloc[partition(len(WINE), 0.2, 7, strata)[0]]


def run(folder: Path, **parameters: Any) -> Any:
    """Run the step on the files in `folder`, those in `reads` of them; return its result."""
    names = {"endpoint": "endpoint", "reference": "reference", "profile": "profile", "batch": "batch.csv"}
    reads = parameters.pop("reads", ("endpoint", "reference", "batch"))
    inputs = {name: (Location(names[name]),) for name in reads}
    runtime.execute(probes.call(INTERFACE, folder, parameters=parameters, inputs=inputs, base=str(folder)))
    return probes.result(folder)


def monitor(
    folder: Path, reference: pd.DataFrame, batch: pd.DataFrame, features: list[str] | None = None, **parameters: Any
) -> Any:
    """Run the step on two tables and an endpoint that names `features` as its columns."""
    endpoint = {"format_version": "1", "name": "wine", "generation": 3, "model_digest": "sha256:m", "columns": features}
    (folder / "endpoint").write_text(json.dumps(endpoint))
    table.write(reference, folder / "reference")
    (folder / "profile").write_text(profile.write(profile.of_table(reference)))
    batch.to_csv(folder / "batch.csv", index=False)
    return run(folder, **parameters)


def report(folder: Path) -> Any:
    return json.loads((folder / "t" / "report").read_text())


def test_the_held_out_wines_have_not_drifted(tmp_path: Path) -> None:
    told = monitor(tmp_path, training(), NEW, FEATURES)
    assert told["values"] == {"verdict": "no-drift", "drifted": []}
    assert report(tmp_path)["summary"] == "none of 13 columns has drifted"
    assert report(tmp_path)["endpoint"] == {"name": "wine", "generation": 3, "model_digest": "sha256:m"}
    assert report(tmp_path)["left_out"] == []


@pytest.mark.parametrize("column", ["alcohol", "ash", "proline"])
def test_a_column_that_moved_has_drifted(column: str, tmp_path: Path) -> None:
    moved = NEW.assign(**{column: NEW[column] + 2 * NEW[column].std()})
    told = monitor(tmp_path, training(), moved)
    assert told["values"] == {"verdict": "drift", "drifted": [column]}
    assert report(tmp_path)["summary"] == f"1 of 13 columns have drifted: {column}"


def test_what_cannot_be_compared_is_left_out_and_told(tmp_path: Path) -> None:
    reference = training().assign(
        day=pd.Timestamp("2026-01-01"), label=[f"bottle {number}" for number in range(len(training()))]
    )
    batch = NEW.assign(day=pd.Timestamp("2026-02-01"), label="bottle")
    monitor(tmp_path, reference, batch, ["alcohol", "sugar", "cultivar", "day", "label"])
    assert report(tmp_path)["left_out"] == [
        {"column": "sugar", "why": "reference does not have it"},
        {"column": "cultivar", "why": "batch does not have it"},
        {"column": "day", "why": "it holds times, which always move on"},
        {"column": "label", "why": "nearly every row has a value of its own"},
    ]
    assert [one["column"] for one in report(tmp_path)["columns"]] == ["alcohol"]


def test_a_category_is_compared_by_psi_alone(tmp_path: Path) -> None:
    batch = WINE[WINE["cultivar"] == "cultivar_1"]
    told = monitor(tmp_path, WINE, batch, ["cultivar"])
    assert told["values"]["drifted"] == ["cultivar"]
    (column,) = report(tmp_path)["columns"]
    assert (column["kind"], column["ks"]) == ("category", None)


def test_numbers_that_became_text_have_drifted(tmp_path: Path) -> None:
    told = monitor(tmp_path, training(), NEW.assign(hue="high"), FEATURES)
    assert told["values"]["drifted"] == ["hue"]


def test_a_column_that_went_missing_has_drifted(tmp_path: Path) -> None:
    told = monitor(tmp_path, training(), NEW.assign(hue=np.nan), FEATURES)
    assert told["values"]["drifted"] == ["hue"]


@pytest.mark.parametrize(("n_rows", "parameters"), [(29, {}), (0, {}), (40, {"minimum_rows": 41})])
def test_few_rows_give_no_verdict(n_rows: int, parameters: dict[str, Any], tmp_path: Path) -> None:
    moved = (NEW + 1000).iloc[:n_rows]
    told = monitor(tmp_path, training(), moved, **parameters)
    assert told["values"] == {"verdict": "not-enough-data", "drifted": []}
    assert report(tmp_path)["columns"] == []
    assert report(tmp_path)["summary"].startswith(f"110 and {n_rows} rows are too few for a verdict")


def test_thresholds_decide(tmp_path: Path) -> None:
    moved = NEW.assign(ash=NEW["ash"] + 2 * NEW["ash"].std())
    told = monitor(tmp_path, training(), moved, psi=9.0, ks=0.9)
    assert told["values"]["verdict"] == "no-drift"


def test_only_the_columns_asked_for_are_compared(tmp_path: Path) -> None:
    moved = NEW.assign(ash=NEW["ash"] + 2 * NEW["ash"].std())
    assert monitor(tmp_path, training(), moved, FEATURES, columns=["hue"])["values"]["verdict"] == "no-drift"
    told = monitor(tmp_path, training(), moved, FEATURES, columns=["hue", "sugar"])
    assert told["message"] == "`columns` names `sugar`, which `reference` does not have"


def test_drift_can_be_a_refusal(tmp_path: Path) -> None:
    moved = NEW.assign(ash=NEW["ash"] + 2 * NEW["ash"].std())
    told = monitor(tmp_path, training(), moved, fail_on_drift=True)
    assert (told["outcome"], told["artifacts"]) == ("refused", {})
    assert told["message"].startswith("1 of 13 columns have drifted: ash")


def test_equal_rows_give_equal_reports(tmp_path: Path) -> None:
    digests = []
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        digests.append(monitor(tmp_path / place, training(), NEW)["artifacts"])
    assert digests[0] == digests[1]


def test_nothing_to_compare_is_the_callers_fault(tmp_path: Path) -> None:
    told = monitor(tmp_path, training(), NEW, ["sugar"])
    assert told["message"] == "no column can be compared: `sugar` reference does not have it"


@pytest.mark.parametrize("content", ["not json", "[1]"])
def test_an_endpoint_that_is_none_is_told(content: str, tmp_path: Path) -> None:
    monitor(tmp_path, training(), NEW)
    (tmp_path / "endpoint").write_text(content)
    assert run(tmp_path)["message"].startswith("`endpoint` is not what a deploy step writes: it is no JSON")


@pytest.mark.parametrize("against", ["reference", "profile"])
def test_a_profile_does_for_the_rows_and_an_endpoint_is_not_needed(against: str, tmp_path: Path) -> None:
    moved = NEW.assign(ash=NEW["ash"] + 2 * NEW["ash"].std())
    told = monitor(tmp_path, training(), moved, reads=(against, "batch"))
    assert told["values"] == {"verdict": "drift", "drifted": ["ash"]}
    body = report(tmp_path)
    assert (body["endpoint"], body["left_out"]) == ({}, [{"column": "cultivar", "why": "batch does not have it"}])
    assert body["compared_with"] == {"reference": "rows", "profile": "profile"}[against]
    assert (body["ks_short_by"] > 0) is (against == "profile")


def test_the_endpoint_says_which_columns_of_a_profile_are_compared(tmp_path: Path) -> None:
    monitor(tmp_path, training(), NEW, ["hue"], reads=("endpoint", "profile", "batch"))
    assert [one["column"] for one in report(tmp_path)["columns"]] == ["hue"]


@pytest.mark.parametrize("reads", [("batch",), ("reference", "profile", "batch")])
def test_reference_or_profile_must_be_given(reads: tuple[str, ...], tmp_path: Path) -> None:
    told = monitor(tmp_path, training(), NEW, reads=reads)
    assert told["message"] == "`monitor` compares with `reference` or with `profile`: give it one of the two"


@pytest.mark.parametrize(
    ("content", "why"),
    [("{}", "it is not one that pipec wrote, or was changed since"), ("\udcff", "it is no text file")],
)
def test_a_profile_that_is_none_is_told(content: str, why: str, tmp_path: Path) -> None:
    monitor(tmp_path, training(), NEW)
    (tmp_path / "profile").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert run(tmp_path, reads=("profile", "batch"))["message"] == f"`profile` is not what a train step writes: {why}"


def test_a_column_that_a_profile_lacks_is_told(tmp_path: Path) -> None:
    told = monitor(tmp_path, training(), NEW, columns=["sugar"], reads=("profile", "batch"))
    assert told["message"] == "`columns` names `sugar`, which `profile` does not have"


def test_which_table_is_damaged_is_told(tmp_path: Path) -> None:
    monitor(tmp_path, training(), NEW)
    (tmp_path / "batch.csv").write_text("a,b\n1,2,3\n")
    told = run(tmp_path)
    assert told["outcome"] == "refused"
    assert told["message"].startswith("`batch`: a row of the CSV file has another number of fields")
