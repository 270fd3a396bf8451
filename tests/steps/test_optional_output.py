"""What a success left unwritten is an absent input for the step that reads it, whoever calls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import runtime_probe as probes

from pipec.steps import runtime, store
from pipec.steps.command import Order, order_text
from pipec.steps.declare import interface_of
from pipec.steps.decode import decode_arguments
from pipec.steps.interface import File, Interface, Output
from pipec.steps.page import page
from pipec.values import OutputRef

INTERFACE = interface_of(probes.Probe)


@pytest.fixture(autouse=True)
def _probe(monkeypatch: pytest.MonkeyPatch) -> None:
    probes.register(monkeypatch)


def order(name: str) -> Order:
    """Return the order of a probe that reads what `make` may have left unwritten."""
    return Order(
        pipeline="p", task="use", step="probe@1", interface=INTERFACE.digest,
        inputs=((name, (OutputRef("make", "spare"),)),),
    )  # fmt: skip


def made(folder: Path, act: str) -> None:
    """Run the producer where Airflow's consumer looks for it."""
    place = folder / "root" / "runs" / "p" / "1"
    (folder / "data").write_text("rows")
    probes.probe(folder, act, task="make", outputs={"*": str(place / "make")}, result=str(place / "make/result.json"))


@pytest.mark.parametrize(("act", "n_given"), [("well", 0), ("spare", 1)])
def test_airflow_reads_from_the_result_whether_there_is_one(act: str, n_given: int, tmp_path: Path) -> None:
    made(tmp_path, act)
    words = ["--order", order_text(order("data")), "--root", str(tmp_path / "root"), "--run", "1"]
    assert len(decode_arguments(words, {}, store.read_text).inputs["data"]) == n_given


def executor_input(folder: Path, metadata: dict[str, Any]) -> str:
    artifact = {"name": "spare", "uri": str(folder / "spare"), "metadata": metadata}
    return json.dumps({"inputs": {"artifacts": {"output-make-spare": {"artifacts": [artifact]}}}})


@pytest.mark.parametrize("is_there", [False, True])
def test_kubeflow_hands_on_what_is_not_there_and_it_is_absent(is_there: bool, tmp_path: Path) -> None:
    if is_there:
        (tmp_path / "spare").write_text("spare")
    words = ["--order", order_text(order("data")), "--executor-input", executor_input(tmp_path, {})]
    assert len(decode_arguments(words, {}, store.read_text).inputs["data"]) == is_there


def test_what_was_written_and_is_gone_is_not_absent_but_missed(tmp_path: Path) -> None:
    words = ["--order", order_text(order("data")), "--executor-input", executor_input(tmp_path, {"digest": "sha256:0"})]
    (place,) = decode_arguments(words, {}, store.read_text).inputs["data"]
    assert place.uri == str(tmp_path / "spare")


def test_a_required_input_without_its_artifact_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from pipec.steps import catalog

    made(tmp_path, "well")
    split = catalog.find("split")
    assert split is not None
    wanted = Order(
        pipeline="p", task="use", step="split@1", interface=split.digest,
        inputs=(("data", (OutputRef("make", "spare"),)),),
    )  # fmt: skip
    words = ["--order", order_text(wanted), "--root", str(tmp_path / "root"), "--run", "1"]
    assert runtime.execute(decode_arguments(words, {}, store.read_text)) == 2
    told = capfd.readouterr().err.splitlines()[-1]
    assert told == "use (split@1): input `data` is missing: nothing made it, or the caller left it out"


def test_the_page_says_which_output_is_optional() -> None:
    output = Output(name="spare", type=File, optional=True, help="What is left.")
    assert page(Interface(name="a", version="1", summary="b", outputs=(output,))).endswith(
        "  spare: File (optional). What is left."
    )
