from __future__ import annotations

import dataclasses
import io
import json
import pickle
import pickletools
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from sklearn import datasets

from pipec import digest
from pipec.steps.ml import card as cards
from pipec.steps.ml import model
from pipec.steps.ml.estimator import ESTIMATORS
from pipec.steps.ml.fault import AskFault, DataFault
from pipec.steps.ml.recipe import Recipe

EVERY = [(name, task) for name, row in ESTIMATORS.items() for task in row.tasks]
SETTINGS = {"random-forest": {"n_estimators": 10}, "extra-trees": {"n_estimators": 10}}


def fitted(name: str, frame: pd.DataFrame, target: str, *, log=lambda line: None, features=(), **asked) -> model.Model:
    recipe = Recipe(**{"estimator": name, "settings": SETTINGS.get(name, {}), "epochs": 5, "seed": 3, **asked})
    return model.fit(frame, target, features, recipe, 2, log)[0]


@pytest.mark.parametrize(("name", "task"), EVERY)
def test_equal_rows_and_seed_give_equal_bytes(name, task, wine, diabetes, tmp_path: Path):
    frame, target = (wine, "cultivar") if task == "classification" else (diabetes, "target")
    model.save(fitted(name, frame, target), tmp_path / "a")
    model.save(fitted(name, frame.copy(), target), tmp_path / "b")
    assert digest.of_path(tmp_path / "a") == digest.of_path(tmp_path / "b")


@pytest.mark.parametrize(("name", "task"), EVERY)
def test_a_model_answers_the_same_after_a_round_trip(name, task, wine, diabetes, tmp_path: Path):
    frame, target = (wine, "cultivar") if task == "classification" else (diabetes, "target")
    made = fitted(name, frame, target)
    model.save(made, tmp_path / "m")
    loaded = model.load(tmp_path / "m")
    assert loaded.card == made.card
    assert np.array_equal(model.scores(loaded, frame), model.scores(made, frame))


@pytest.mark.parametrize("name", ["random-forest", "mlp"])
def test_another_seed_gives_other_weights(name, wine, tmp_path: Path):
    model.save(fitted(name, wine, "cultivar"), tmp_path / "a")
    model.save(fitted(name, wine, "cultivar", seed=4), tmp_path / "b")
    weights = model.WEIGHTS[ESTIMATORS[name].framework]
    assert (tmp_path / "a" / weights).read_bytes() != (tmp_path / "b" / weights).read_bytes()


def test_a_classifier_learns_wine(wine):
    for name in ("logistic-regression", "mlp"):
        made = fitted(name, wine, "cultivar", epochs=40, learning_rate=0.01, batch_size=32)
        answers = model.predict(made, wine)
        assert np.mean(np.array(answers.labels) == wine["cultivar"]) > 0.97, name  # three well-separated classes
        assert np.allclose(answers.probabilities.sum(axis=1), 1, atol=1e-12)  # a sum of three float64


def test_an_mlp_learns_pixels_and_a_quantity(diabetes):
    digits = datasets.load_digits(as_frame=True).frame
    made = fitted("mlp", digits, "target", epochs=8, learning_rate=0.005, batch_size=64)
    assert made.card.classes == tuple(range(10))
    assert np.mean(np.array(model.predict(made, digits).labels) == digits["target"]) > 0.95
    made = fitted("mlp", diabetes, "target", epochs=40, learning_rate=0.01, batch_size=32)
    said = np.array(model.predict(made, diabetes).labels)
    assert 1 - np.var(diabetes["target"] - said) / np.var(diabetes["target"]) > 0.45  # least squares reaches 0.52


def test_bfloat16_is_float32_weights_and_nearly_the_same_answers(wine):
    asked = {"epochs": 20, "learning_rate": 0.01, "batch_size": 32}
    exact, short = (fitted("mlp", wine, "cultivar", precision=p, **asked) for p in ("float32", "bfloat16"))
    assert {str(t.dtype) for t in short.body.network.parameters()} == {"torch.float32"}
    same = np.array(model.predict(exact, wine).labels) == np.array(model.predict(short, wine).labels)
    assert same.mean() > 0.97  # 8 bits of mantissa move few rows over a border


def test_a_model_says_nothing_of_where_and_when_it_was_made(wine, tmp_path: Path):
    model.save(fitted("mlp", wine, "cultivar", hidden=(4,)), tmp_path / "m")
    body = json.loads((tmp_path / "m" / "model.json").read_text())
    assert sorted(body) == [
        "classes", "estimator", "format_version", "framework", "hyperparameters", "seed", "signature", "target", "task",
    ]  # fmt: skip
    assert body["signature"][0] == {"categories": [], "dtype": "float64", "name": "alcohol"}
    assert body["signature"][-1] == {"categories": ["east", "north", "south"], "dtype": "string", "name": "region"}
    assert body["classes"] == ["barbera", "barolo", "grignolino"]
    assert body["hyperparameters"]["hidden"] == [4]


@pytest.mark.parametrize("name", ["logistic-regression", "mlp"])
def test_a_missing_or_unseen_text_is_no_category(name, wine):
    made = fitted(name, wine, "cultivar")
    rows = wine.head(2).assign(region=["atlantis", None])
    scores = model.scores(made, rows)
    assert np.array_equal(scores, model.scores(made, rows.assign(region=[None, "atlantis"])))


@pytest.mark.parametrize("name", ["logistic-regression", "mlp"])
def test_a_missing_number_counts_as_the_training_median(name, wine):
    made = fitted(name, wine, "cultivar")
    rows = wine.head(3)
    empty, filled = rows.assign(ash=np.nan), rows.assign(ash=wine["ash"].median())
    assert np.array_equal(model.scores(made, empty), model.scores(made, filled))


def test_the_log_tells_the_gaps(wine):
    log: list[str] = []
    fitted("logistic-regression", wine, "cultivar", log=log.append, epochs=100)
    assert log == [
        "classification of `cultivar` by logistic-regression: 178 rows, 14 columns",
        "column `ash`: 14 of 178 values are missing, filled with the median",
        "column `region`: 17 of 178 values are missing, taken as no category",
    ]


def test_booleans_and_whole_numbers_keep_their_types_as_classes():
    frame = pd.DataFrame({"x": [0.0, 1.0, 0.1, 0.9], "odd": [False, True, False, True], "n": [3, 5, 3, 5]})
    answers = model.predict(fitted("random-forest", frame, "odd", features=["x"]), frame)
    assert answers.labels == [False, True, False, True]
    answers = model.predict(fitted("random-forest", frame, "n", features=["x"]), frame)
    assert answers.labels == [3, 5, 3, 5]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"name": "svm"},
            "there is no estimator `svm`: choose one of extra-trees, hist-gradient-boosting, logistic-regression, "
            "mlp, random-forest, ridge",
        ),
        (
            {"settings": {"penalty": "l1"}},
            "`logistic-regression` has no hyperparameter `penalty`: it takes C, class_weight, fit_intercept, tol",
        ),
        (
            {"settings": {"C": [1]}},
            "hyperparameter `C` needs a number, a text, a boolean or null, not a list or object",
        ),
        (
            {"settings": {"C": -1}},
            "`logistic-regression` cannot take a hyperparameter: The 'C' parameter of LogisticRegression "
            "must be a float in the range (0.0, inf]. Got -1 instead",
        ),
        ({"name": "mlp", "settings": {"activation": "sin"}}, "`activation` is one of gelu, relu, tanh, not `sin`"),
        (
            {"name": "ridge", "task": "classification"},
            "`ridge` does regression only, not classification: "
            "choose one of extra-trees, hist-gradient-boosting, logistic-regression, mlp, random-forest",
        ),
        ({"features": ["alcohol", "colour"]}, "`features` names `colour`, which is no column of the data"),
        (
            {"features": ["cultivar"]},
            "`features` names the target, or a column twice: the model would learn from its own answer",
        ),
    ],
)
def test_a_request_that_no_rows_can_meet_is_told(asked, message, wine):
    asked = {"name": "logistic-regression", **asked}
    with pytest.raises(AskFault) as told:
        fitted(asked.pop("name"), wine, "cultivar", **asked)
    assert str(told.value) == message


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: f.head(0), "the data set has no rows: look at the step that made it"),
        (lambda f: f.assign(cultivar="barolo"), "target `cultivar` has one value only: there is nothing to tell apart"),
        (
            lambda f: f.assign(cultivar=f["cultivar"].mask(f.index < 2)),
            "2 of 178 rows have no `cultivar`: drop them before this step",
        ),
        (
            lambda f: f.assign(cultivar=f["alcohol"] + 0.5),
            "target `cultivar` holds fractions, which are no classes: "
            "set `task: regression`, with an estimator such as `ridge`",
        ),
        (lambda f: f.assign(ash=np.inf), "column `ash` holds an infinite number: remove it or cap it first"),
        (lambda f: f.assign(ash=np.nan), "column `ash` has no values: leave it out with `features`"),
        (
            lambda f: f.assign(day=pd.Timestamp("2026-01-01")),
            "column `day` holds neither numbers nor text: turn it into one of them first",
        ),
        (lambda f: f[["cultivar"]], "there is no column to learn from: the data set holds only the target"),
    ],
)
def test_rows_that_cannot_be_learned_from_are_told(spoil, message, wine):
    with pytest.raises(DataFault) as told:
        fitted("logistic-regression", spoil(wine), "cultivar")
    assert str(told.value) == message


def test_a_text_column_of_identifiers_is_refused():
    frame = pd.DataFrame({"id": [f"row {n}" for n in range(1200)], "y": [0.5] * 1200})
    with pytest.raises(DataFault, match=r"column `id` holds 1200 different texts, more than 1000: group them"):
        fitted("ridge", frame, "y")


def test_a_loss_that_diverges_stops_at_once(diabetes):
    log: list[str] = []
    with pytest.raises(DataFault, match=r"the loss became (nan|inf) in epoch \d+: lower `learning_rate`"):
        fitted("mlp", diabetes, "target", learning_rate=1e30, epochs=1000, log=log.append)
    assert len(log) < 5


def test_rows_must_fit_the_signature(wine):
    made = fitted("logistic-regression", wine, "cultivar")
    with pytest.raises(DataFault, match="the rows lack `ash`, which the model was trained on"):
        model.predict(made, wine.drop(columns="ash"))
    with pytest.raises(DataFault, match="column `ash` holds text where the model was trained on numbers"):
        model.predict(made, wine.assign(ash="much"))
    with pytest.raises(DataFault, match="column `region` holds float64 where the model was trained on text"):
        model.predict(made, wine.assign(region=1.5))


def test_columns_are_found_by_name_in_any_order(wine):
    made = fitted("mlp", wine, "cultivar")
    turned = wine[list(reversed(wine.columns))].assign(extra=1)
    assert np.array_equal(model.scores(made, turned), model.scores(made, wine))


# What a folder may hold, and what is refused.


@pytest.fixture(params=["hist-gradient-boosting", "mlp", "random-forest"])
def folder(request, wine, tmp_path: Path) -> Path:
    model.save(fitted(request.param, wine, "cultivar"), tmp_path / "m")
    return tmp_path / "m"


def test_a_stranger_in_the_folder_is_refused(folder: Path):
    (folder / "run.py").write_text("print('hello')")
    with pytest.raises(DataFault, match=r"the model folder holds a stranger, `run.py`: not loaded"):
        model.load(folder)


def test_a_folder_without_weights_or_card_is_refused(folder: Path):
    weights = next(path for path in folder.iterdir() if path.name != "model.json")
    weights.unlink()
    with pytest.raises(DataFault, match=rf"the model folder lacks `{weights.name}`"):
        model.load(folder)
    (folder / "model.json").unlink()
    with pytest.raises(DataFault, match=r"m is no model: it holds no model.json"):
        model.load(folder)


def test_weights_behind_a_link_are_refused(folder: Path, tmp_path: Path):
    weights = next(path for path in folder.iterdir() if path.name != "model.json")
    weights.rename(tmp_path / "elsewhere")
    weights.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataFault, match="is not a plain file"):
        model.load(folder)


def test_damaged_weights_are_refused(folder: Path):
    weights = next(path for path in folder.iterdir() if path.name != "model.json")
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    with pytest.raises(DataFault):
        model.load(folder)


def test_a_signature_that_the_weights_do_not_have_is_refused(folder: Path):
    card = cards.read((folder / "model.json").read_text())
    for columns in (card.columns[1:], (*card.columns[:-1], dataclasses.replace(card.columns[-1], categories=("a",)))):
        (folder / "model.json").write_text(cards.write(dataclasses.replace(card, columns=columns)))
        with pytest.raises(DataFault, match=r"do not fit model\.json"):
            model.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": "2.0"}, "the model has format 2.0, this version reads 1.0: train it again"),
        ({"estimator": "svm"}, "model.json names `svm` for classification, which this version does not know"),
        ({"classes": []}, "model.json lists classes that do not fit its task: train the model again"),
        ({"signature": []}, "model.json lists no columns, or something twice: train the model again"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(change, message, folder: Path):
    body = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(body | change))
    with pytest.raises(DataFault) as told:
        model.load(folder)
    assert str(told.value) == message


@pytest.mark.parametrize("folder", ["hist-gradient-boosting", "random-forest"], indirect=True)
def test_a_type_outside_the_list_is_never_loaded(folder: Path):
    weights = folder / "weights.skops"
    with zipfile.ZipFile(weights) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(entries["schema.json"])
    schema["content"]["content"]["evil"] = {
        "__class__": "system", "__module__": "os", "__loader__": "FunctionNode",
        "content": {"function": "system", "module_path": "os"},
    }  # fmt: skip
    entries["schema.json"] = json.dumps(schema).encode()
    with zipfile.ZipFile(weights, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    with pytest.raises(DataFault, match=r"the weights hold `(os|posix).system`, which no model of pipec needs"):
        model.load(folder)


@pytest.mark.parametrize("folder", ["hist-gradient-boosting", "random-forest"], indirect=True)
def test_a_tree_that_points_outside_itself_is_never_loaded(folder: Path):
    weights = folder / "weights.skops"
    with zipfile.ZipFile(weights) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    for name, content in entries.items():
        array = None if name == "schema.json" else np.load(io.BytesIO(content))
        field = next((f for f in ("left", "left_child") if array is not None and f in (array.dtype.names or ())), None)
        if field:
            array[field][0] = 10**6
            buffer = io.BytesIO()
            np.save(buffer, array)
            entries[name] = buffer.getvalue()
    with zipfile.ZipFile(weights, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    with pytest.raises(DataFault, match="a tree in the weights points outside itself: it is not loaded"):
        model.load(folder)


def test_weights_that_are_not_numbers_are_refused(wine, tmp_path: Path):
    model.save(fitted("mlp", wine, "cultivar"), tmp_path / "m")
    weights = tmp_path / "m" / "weights.safetensors"
    tensors = safetensors.torch.load(weights.read_bytes())
    tensors["layers.0.bias"][0] = torch.nan
    weights.write_bytes(safetensors.torch.save(tensors))
    with pytest.raises(DataFault, match="the weights hold NaN or an infinite number: train the model again"):
        model.load(tmp_path / "m")


@pytest.mark.filterwarnings("ignore::DeprecationWarning:pickletools")  # it is fed bytes that are no pickle
def test_no_file_of_a_model_is_a_pickle_and_none_is_read_as_one(folder: Path, wine, monkeypatch):
    def forbidden(*args, **kwargs):
        raise AssertionError("a pickle was read")

    for name in ("load", "loads", "Unpickler", "_load", "_loads", "_Unpickler"):
        monkeypatch.setattr(pickle, name, forbidden)
    monkeypatch.setattr(torch, "load", forbidden)
    model.predict(model.load(folder), wine)
    for path in folder.iterdir():
        contents = [path.read_bytes()]
        if path.suffix == ".skops":
            with zipfile.ZipFile(path) as archive:
                contents += [archive.read(name) for name in archive.namelist()]
        for content in contents:
            with pytest.raises(ValueError):
                pickletools.dis(content, out=io.StringIO())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_mlp_trains_on_the_gpu_and_answers_on_the_cpu(precision, wine, tmp_path: Path):
    log: list[str] = []
    asked = {"epochs": 40, "learning_rate": 0.01, "batch_size": 32, "precision": precision}
    made = fitted("mlp", wine, "cultivar", log=log.append, **asked)
    assert any(line.startswith("training on GPU 0, ") for line in log)
    assert np.mean(np.array(model.predict(made, wine).labels) == wine["cultivar"]) > 0.97
    model.save(made, tmp_path / "a")
    model.save(fitted("mlp", wine, "cultivar", **asked), tmp_path / "b")
    assert digest.of_path(tmp_path / "a") == digest.of_path(tmp_path / "b")
