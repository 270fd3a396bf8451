"""What a person is shown of an approval before the step seals the answer: a real process, as Airflow starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from needs import ROOT

from pipec import digest
from pipec.steps import catalog
from pipec.steps.command import ATTEMPT, Order, order_text
from pipec.values import Literal, OutputRef

FOLDER = "runs/p/r"
FIGURES = {"f1_macro": 0.91234, "rows": 12, "none": None}


def order(step: str = "approve", **fields: Any) -> Order:
    found = catalog.find(step)
    assert found is not None
    inputs = {"model": OutputRef("train", "model"), "evidence": OutputRef("evaluate", "report")}
    given = {"parameters": (("approvers", Literal([])),), "inputs": tuple((n, (v,)) for n, v in inputs.items())}
    return Order(pipeline="p", task="ask", step=f"{step}@1", interface=found.digest, **(given | fields))


def leave(root: Path, *, about: str | None = None) -> dict[str, str]:
    """Leave a model and the evidence on it as their steps do; return both digests. about: what the evidence names."""
    places = {"model": root / FOLDER / "train/model", "evidence": root / FOLDER / "evaluate/report"}
    for place in places.values():
        place.parent.mkdir(parents=True)
    places["model"].mkdir()
    (places["model"] / "model.json").write_text("{}")
    report = {"model": about or digest.of_path(places["model"]), "metrics": FIGURES}
    places["evidence"].write_text(json.dumps(report))
    found = {name: digest.of_path(place) for name, place in places.items()}
    for name, place in places.items():
        told = {"outcome": "succeeded", "values": {}, "artifacts": {place.name: {"digest": found[name]}}}
        (place.parent / "result.json").write_text(json.dumps(told))
    return found


def shown(root: Path, *words: str, called: Order | None = None) -> subprocess.CompletedProcess[str]:
    what = called or order()
    name = what.step.partition("@")[0]
    given = [*words, name, "--order", order_text(what), "--root", str(root), "--run", "r"]
    environ = {name: value for name, value in os.environ.items() if name != ATTEMPT} | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(
        [sys.executable, "-m", "pipec.steps", *given, *(["--xcom", "-"] if words else [])], env=environ,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def left(root: Path) -> Any:
    return json.loads((root / FOLDER / "ask/result.json").read_text())


def test_digests_and_figures_are_handed_over_and_nothing_is_sealed(tmp_path: Path) -> None:
    found = leave(tmp_path)
    done = shown(tmp_path, "--subject")
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "subject": found,
        "shown": f"- model (model): `{found['model']}`\n- evidence (report): `{found['evidence']}`\n"
        "  - f1_macro: 0.9123\n  - rows: 12",
    }
    assert not (tmp_path / FOLDER / "ask").exists()


def test_a_model_is_not_read_where_its_step_said_its_digest(tmp_path: Path) -> None:
    found = leave(tmp_path)
    (tmp_path / FOLDER / "train/model/model.json").unlink()
    assert json.loads(shown(tmp_path, "--subject").stdout.splitlines()[-1])["subject"] == found


def test_a_model_at_a_location_is_read_for_its_digest(tmp_path: Path) -> None:
    found = leave(tmp_path)
    place = Literal(str(tmp_path / FOLDER / "train/model"))
    done = shown(tmp_path, "--subject", called=order(inputs=(("model", (place,)),)))
    assert json.loads(done.stdout.splitlines()[-1])["subject"] == {"model": found["model"], "evidence": None}


def test_nobody_is_asked_about_evidence_on_another_model(tmp_path: Path) -> None:
    leave(tmp_path, about="sha256:other")
    done = shown(tmp_path, "--subject")
    message = "the evidence is about another model: approve what was evaluated"
    assert (done.returncode, done.stdout.splitlines()[-1]) == (3, f"ask (approve@1): {message}")
    assert (left(tmp_path)["outcome"], left(tmp_path)["message"]) == ("refused", message)


@pytest.mark.parametrize(
    ("called", "told"),
    [
        (order(inputs=()), "ask (approve@1): input `model` is missing: nothing made it, or the caller left it out"),
        (order("ingest", inputs=(), parameters=(("source", Literal("x")),)),
         "ask (ingest@1): `ingest` approves nothing, so it has no subject: compile the pipeline again"),
    ],
    ids=["no model", "no approval"],
)  # fmt: skip
def test_what_has_no_subject_is_the_caller_s_fault(called: Order, told: str, tmp_path: Path) -> None:
    done = shown(tmp_path, "--subject", called=called)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (2, told)
