"""A function of the team makes the estimator: of scikit-learn's own parts, and the model needs none of their code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from given import context, step
from sklearn import datasets
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier

from pipec import digest
from pipec.steps.data import table
from pipec.steps.declare import CallerError
from pipec.steps.evaluate import Evaluate
from pipec.steps.ml import factory, model
from pipec.steps.ml.fault import AskFault, DataFault
from pipec.steps.train import Train

TEAM = """
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier, BaggingClassifier, ExtraTreesClassifier, GradientBoostingClassifier,
    HistGradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor, StackingClassifier, VotingClassifier,
)
from sklearn.linear_model import LogisticRegression, Perceptron, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

def forest(n_estimators=5, **more):
    return RandomForestClassifier(n_estimators=n_estimators, n_jobs=-1, **more)
def regressor():
    return RandomForestRegressor(n_estimators=5)
def ridge(alpha=1.0):
    return Ridge(alpha=alpha)
def voting():
    return VotingClassifier([("a", forest()), ("b", LogisticRegression(max_iter=500))], voting="soft", n_jobs=2)
def stacking():
    return StackingClassifier([("a", DecisionTreeClassifier(max_depth=3)), ("b", GaussianNB())], cv=3)
def bagging():
    return BaggingClassifier(DecisionTreeClassifier(), n_estimators=5, max_features=0.5, n_jobs=2)
def boosted():
    return AdaBoostClassifier(n_estimators=5)
def gradient():
    return make_pipeline(PolynomialFeatures(2), PCA(5), HistGradientBoostingClassifier(max_iter=5))
def extra():
    return make_pipeline(PCA(5), ExtraTreesClassifier(n_estimators=5))
def network():
    return MLPClassifier((8,), max_iter=50)
def calibrated():
    return CalibratedClassifierCV(LinearSVC(), cv=3)
def svc():
    return SVC(probability=True)
def search():
    return GridSearchCV(LogisticRegression(), {"C": [1, 2]})
def plain_gradient():
    return GradientBoostingClassifier()
def hard():
    return VotingClassifier([("b", LogisticRegression(max_iter=500))])
def perceptron():
    return Perceptron()
def of_ours():
    return make_pipeline(FunctionTransformer(_twice), LogisticRegression())
def _twice(x):
    return x * 2
class Own(ClassifierMixin, BaseEstimator):
    pass
def own():
    return Own()
def nothing():
    return None
def kind():
    return LogisticRegression
def stops():
    raise RuntimeError("no luck\\nat all")
CONSTANT = 3
"""
WORKING = ("forest", "voting", "stacking", "bagging", "boosted", "gradient", "extra", "network", "calibrated")


@pytest.fixture(autouse=True)
def _team(tmp_path_factory, monkeypatch) -> None:
    folder = tmp_path_factory.mktemp("team")
    (folder / "churn_team").mkdir()
    (folder / "churn_team" / "models.py").write_text(TEAM)
    (folder / "churn_team" / "broken.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(str(folder))
    for name in [name for name in sys.modules if name.startswith("churn_team")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def wine(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "wine"
    frame = datasets.load_wine(as_frame=True).frame
    frame["region"] = np.where(frame["alcohol"] > 13, "north", "south")
    table.write(frame, path)
    return path


def train(wine: Path, out: Path, name: str, threads: int = 1, **fields: object) -> Path:
    given = {"data": wine, "target": "target", "factory": f"churn_team.models:{name}", **fields}
    step(Train, out, **given).run(context(threads=threads))
    return out / "model"


@pytest.mark.parametrize("name", WORKING)
def test_equal_rows_settings_and_seeds_give_equal_bytes(name, wine: Path, tmp_path: Path):
    first, second = (train(wine, tmp_path / place, name, threads=2, seed=7) for place in "ab")
    assert digest.of_path(first) == digest.of_path(second)


@pytest.mark.parametrize("name", ["forest", "bagging", "boosted"])
def test_workers_leave_no_trace_in_a_model(name, wine: Path, tmp_path: Path):
    first, second = (train(wine, tmp_path / str(n), name, threads=n, seed=7) for n in (1, 2))
    assert digest.of_path(first) == digest.of_path(second)


def test_the_seed_reaches_every_random_state(wine: Path, tmp_path: Path):
    one, two = (train(wine, tmp_path / str(seed), "voting", seed=seed) for seed in (1, 2))
    assert digest.of_path(one) != digest.of_path(two)


def test_hyperparameters_are_what_the_function_is_called_with(wine: Path, tmp_path: Path):
    folder = train(wine, tmp_path, "forest", hyperparameters={"n_estimators": 3, "max_depth": 2})
    loaded = model.load(folder)
    assert len(loaded.body.pipeline[-1].estimators_) == 3
    assert loaded.card.hyperparameters == {"max_depth": 2, "n_estimators": 3}
    assert loaded.card.estimator == "churn_team.models:forest"


def test_a_regressor_learns_a_quantity(wine: Path, tmp_path: Path):
    folder = train(wine, tmp_path, "ridge", target="alcohol", hyperparameters={"alpha": 2.5})
    assert (model.load_card(folder).task, model.load_card(folder).classes) == ("regression", ())


@pytest.mark.parametrize("name", WORKING)
def test_evaluation_and_serving_need_none_of_the_teams_code(name, wine: Path, tmp_path: Path):
    folder = train(wine, tmp_path, name)
    code = (
        "import sys; from pathlib import Path; from pipec.steps.ml import model; from pipec.steps.data import table;"
        f"loaded = model.load(Path({str(folder)!r})); rows = table.read(Path({str(wine)!r}));"
        "print(len(model.predict(loaded, rows).labels), [m for m in sys.modules if 'churn' in m])"
    )
    environ = os.environ | {"PYTHONPATH": str(Path(model.__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "178 []\n"


def test_a_model_of_a_function_is_evaluated_like_any_other(wine: Path, tmp_path: Path):
    folder = train(wine, tmp_path, "forest")
    judged = step(Evaluate, tmp_path / "judged", model=folder, data=wine)
    judged.run(context())
    report = json.loads((tmp_path / "judged" / "report").read_text())
    assert report["estimator"] == "churn_team.models:forest"
    assert report["metrics"]["f1_macro"] > 0.9


KEPT = "what `churn_team.models:{0}` returns cannot be"
REFUSALS = {
    "svc": "trained: it holds `sklearn.svm._classes.SVC`, which is none of the parts that a model may have",
    "search": "trained: it holds `sklearn.model_selection._search.GridSearchCV`, which is none of the parts",
    "plain_gradient": "trained: it holds `sklearn.ensemble._gb.GradientBoostingClassifier`, which is none of the parts",
    "own": "trained: it holds `churn_team.models.Own`, which is none of the parts that a model may have",
    "perceptron": "trained: it holds `sklearn.linear_model._perceptron.Perceptron`, which is none of the parts",
    "hard": "kept as a model: `VotingClassifier` gives no probabilities: put it into a `CalibratedClassifierCV`",
    "of_ours": "kept as a model: the weights hold `churn_team.models._twice`, which no model of pipec needs",
    "regressor": "trained: `RandomForestRegressor` predicts no classes: return a classifier, or say `task: regression`",
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_no_model_may_hold_is_refused_in_one_line(name: str, wine: Path, tmp_path: Path):
    with pytest.raises(CallerError) as fault:
        train(wine, tmp_path, name)
    assert str(fault.value).startswith(f"{KEPT.format(name)} {REFUSALS[name]}")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("churn_team.models:no", "`churn_team.models` has no function `no`: mend `factory`, or add the function"),
        ("churn_team.models:CONSTANT", "`churn_team.models` has no function `CONSTANT`"),
        ("churn_team.gone:no", "there is no module `churn_team.gone` here: build the image with it"),
        ("nowhere.models:no", "there is no module `nowhere.models` here: build the image with it"),
        ("churn_team.broken:no", "`churn_team.broken` cannot be imported (ModuleNotFoundError: No module named"),
        ("churn_team.models:stops", "`churn_team.models:stops` stopped when it was called with a (TypeError: stops()"),
        ("churn_team.models:nothing", "`churn_team.models:nothing` stopped when it was called with a (TypeError: "),
    ],
)
def test_a_function_that_cannot_be_called_ends_in_one_line(name: str, told: str, wine: Path, tmp_path: Path):
    with pytest.raises(CallerError) as fault:
        train(wine, tmp_path, "", factory=name, hyperparameters={"a": 1})
    assert str(fault.value).startswith(told)
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize("name", ["nothing", "kind"])
def test_what_is_no_estimator_is_refused(name: str) -> None:
    with pytest.raises(AskFault, match="returns no estimator of scikit-learn: return an object"):
        factory.make(f"churn_team.models:{name}", {}, "classification", 0)


def test_a_function_that_raises_is_told_with_its_first_line(wine: Path, tmp_path: Path):
    with pytest.raises(CallerError, match=r"`churn_team.models:stops` stopped .* nothing \(RuntimeError: no luck\)"):
        train(wine, tmp_path, "stops")


def test_an_estimator_and_a_function_are_not_given_together(wine: Path, tmp_path: Path):
    with pytest.raises(CallerError, match="`factory` takes the place of `estimator`, and both are given"):
        train(wine, tmp_path, "forest", estimator="mlp")


X, Y = np.arange(40.0).reshape(20, 2), np.arange(20) % 2


def _narrow_member(pipeline: Pipeline) -> None:
    pipeline[-1].estimators_[1] = DecisionTreeClassifier(max_depth=2).fit(np.hstack([X, X]), Y)


def _stray_tree(pipeline: Pipeline) -> None:
    pipeline[-1].more = [DecisionTreeClassifier(max_depth=2).fit(X, Y).tree_]


def _wide_tree(pipeline: Pipeline) -> None:
    pipeline[-1].estimators_[0].tree_ = DecisionTreeClassifier(max_depth=4).fit(np.hstack([Y[:, None] * 0, X]), Y).tree_


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_narrow_member, "a forest in the weights has trees of another width: it is not loaded"),
        (_stray_tree, "the weights hold a tree that belongs to no estimator: it is not loaded"),
        (_wide_tree, "a tree in the weights looks at a column that is not there: it is not loaded"),
    ],
)
def test_a_tree_that_compiled_code_could_not_walk_is_found_wherever_it_is(spoil, told: str) -> None:
    pipeline = Pipeline([("estimator", RandomForestClassifier(n_estimators=3, random_state=0).fit(X, Y))])
    factory.check(pipeline, "classification")
    spoil(pipeline)
    with pytest.raises(DataFault, match=told):
        factory.check(pipeline, "classification")
