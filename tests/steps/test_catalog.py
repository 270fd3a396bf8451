"""The catalogue: one table of names, lazily loaded."""

from __future__ import annotations

import pytest

from pipec.steps import catalog
from pipec.steps.interface import Interface


def test_the_names_follow_the_life_of_a_model() -> None:
    assert catalog.names() == (
        "ingest", "validate-data", "split", "train", "evaluate", "select", "fetch-model", "approve", "deploy",
        "predict", "monitor", "rollback", "notify", "trigger",
    )  # fmt: skip


@pytest.mark.parametrize("name", catalog.names())
def test_a_step_is_found_under_its_own_name_and_says_all(name: str) -> None:
    interface = catalog.find(name)
    assert isinstance(interface, Interface)
    assert interface.name == name
    assert interface.summary.endswith(".")
    for part in (*interface.inputs, *interface.outputs, *interface.parameters):
        assert part.help, f"{name}.{part.name} has no help text"


def test_a_major_version_pins() -> None:
    assert catalog.find("split", "1") == catalog.find("split")
    assert catalog.find("split", "2") is None
    assert catalog.find("splt") is None


def test_validate_data_hands_on_what_it_read_under_the_same_name() -> None:
    interface = catalog.find("validate-data")
    assert interface is not None
    output = interface.output("data")
    assert output is not None
    assert (interface.role, output.same_as) == ("validate", "data")


def test_split_marks_its_test_rows() -> None:
    interface = catalog.find("split")
    assert interface is not None
    assert [(output.name, output.split) for output in interface.artifacts] == [("train", "train"), ("test", "test")]
