from __future__ import annotations

import json
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
from given import context, step
from sklearn import datasets

from pipec import digest
from pipec.steps.data import profile, table
from pipec.steps.declare import CallerError, Refused, interface_of
from pipec.steps.ml import model
from pipec.steps.ml.estimator import ESTIMATORS
from pipec.steps.train import Train


@pytest.fixture(scope="module")
def wine(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "wine"
    frame = datasets.load_wine(as_frame=True).frame
    frame["region"] = np.where(frame["alcohol"] > 13, "north", "south")
    table.write(frame, path)
    return path


def test_the_step_offers_exactly_the_estimators_of_the_table():
    assert set(get_args(get_type_hints(Train)["estimator"])) == set(ESTIMATORS)


def test_the_interface_is_what_the_compiler_reads():
    interface = interface_of(Train)
    assert [(i.name, i.type, i.fits) for i in interface.inputs] == [("data", "Dataset", True)]
    assert [(o.name, o.type) for o in interface.outputs] == [
        ("model", "Model"), ("metrics", "Metrics"), ("profile", "Profile"),
    ]  # fmt: skip
    assert interface.accelerators == ("gpu",)
    assert interface.parameter("target").is_required


@pytest.mark.parametrize("estimator", ["logistic-regression", "mlp"])
def test_training_twice_gives_the_same_artifacts(estimator, wine: Path, tmp_path: Path):
    for name in ("a", "b"):
        step(Train, tmp_path / name, data=wine, target="target", estimator=estimator).run(context(threads=2))
    assert digest.of_path(tmp_path / "a" / "model") == digest.of_path(tmp_path / "b" / "model")
    for name in ("metrics", "profile"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_metrics_tell_the_figures_and_every_loss(wine: Path, tmp_path: Path):
    log: list[str] = []
    step(Train, tmp_path, data=wine, target="target", estimator="mlp", epochs=3, batch_size=32).run(context(log))
    body = json.loads((tmp_path / "metrics").read_text())
    assert (body["format_version"], body["task"], body["rows"], body["columns"]) == ("1.0", "classification", 178, 14)
    assert len(body["losses"]) == 3
    assert body["losses"][2] < body["losses"][0]
    assert log[0] == "classification of `target` by mlp: 178 rows, 14 columns"
    assert log[1].startswith(("training on GPU 0, ", "training on the CPU with 1 threads"))
    assert [line.split(":")[0] for line in log[2:]] == ["epoch 1 of 3", "epoch 2 of 3", "epoch 3 of 3"]


def test_the_profile_tells_of_every_column_of_the_rows(wine: Path, tmp_path: Path):
    step(Train, tmp_path, data=wine, target="target", features=["alcohol"]).run(context())
    kept = profile.read((tmp_path / "profile").read_text())
    assert kept.n_rows == 178
    assert list(kept.columns) == [str(name) for name in table.read(wine).columns]
    assert (kept.columns["region"].kind, kept.columns["alcohol"].kind) == ("category", "number")


def test_the_model_is_the_one_that_was_asked_for(wine: Path, tmp_path: Path):
    asked = {"features": ["alcohol", "region"], "estimator": "random-forest", "hyperparameters": {"max_depth": 2}}
    step(Train, tmp_path, data=wine, target="target", seed=9, **asked).run(context())
    card = model.load(tmp_path / "model").card
    assert [column.name for column in card.columns] == ["alcohol", "region"]
    assert (card.hyperparameters, card.seed, card.classes) == ({"max_depth": 2}, 9, (0, 1, 2))


def test_an_unknown_hyperparameter_is_the_callers_fault(wine: Path, tmp_path: Path):
    asked = {"target": "target", "hyperparameters": {"depth": 2}}
    with pytest.raises(CallerError, match="`logistic-regression` has no hyperparameter `depth`: it takes C, "):
        step(Train, tmp_path, data=wine, **asked).run(context())
    assert not (tmp_path / "model").exists()


def test_an_unknown_target_is_the_callers_fault_and_bad_rows_are_refused(wine: Path, tmp_path: Path):
    with pytest.raises(CallerError, match="there is no column `quality` to predict: the data has `alcohol`, "):
        step(Train, tmp_path, data=wine, target="quality").run(context())
    with pytest.raises(Refused, match="the loss became"):
        step(Train, tmp_path, data=wine, target="target", estimator="mlp", learning_rate=1e30).run(context())


def test_a_missing_torch_is_told_with_what_to_install(wine: Path, tmp_path: Path, monkeypatch):
    monkeypatch.delitem(__import__("sys").modules, "pipec.steps.ml.mlp", raising=False)
    monkeypatch.delattr("pipec.steps.ml.mlp", raising=False)
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(CallerError, match=r"torch is not installed: install pipec\[torch\]"):
        step(Train, tmp_path, data=wine, target="target", estimator="mlp").run(context())
