"""Estimators that a function of the team returns: made in a training, and looked over wherever they are loaded.

What is made of scikit-learn's own parts needs none of the team's code once it is fitted, so that evaluation and serving
import nothing of it. The parts are those whose answers are numpy's, or whose arrays can be checked: compiled code such
as libsvm's believes what a file says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any

import joblib
import numpy as np
from sklearn.base import BaseEstimator, clone, is_classifier, is_regressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.ensemble._forest import BaseForest
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.tree import BaseDecisionTree
from sklearn.tree._tree import Tree

from pipec.steps.ml import sealed
from pipec.steps.ml.estimator import CLASSIFICATION
from pipec.steps.ml.fault import AskFault, DataFault

# By package of scikit-learn. Not there: what asks compiled code that trusts its arrays (libsvm, neighbours, the plain
# gradient boosting), what keeps times (searches), what skops would not load, and what is no part of a prediction.
PARTS: Mapping[str, tuple[str, ...]] = {
    "calibration": ("CalibratedClassifierCV", "_SigmoidCalibration"),
    "compose": ("ColumnTransformer", "TransformedTargetRegressor"),
    "decomposition": ("PCA", "TruncatedSVD"),
    "discriminant_analysis": ("LinearDiscriminantAnalysis", "QuadraticDiscriminantAnalysis"),
    "dummy": ("DummyClassifier", "DummyRegressor"),
    "ensemble": (
        "AdaBoostClassifier", "AdaBoostRegressor", "BaggingClassifier", "BaggingRegressor", "ExtraTreesClassifier",
        "ExtraTreesRegressor", "HistGradientBoostingClassifier", "HistGradientBoostingRegressor", "_BinMapper",
        "RandomForestClassifier", "RandomForestRegressor", "StackingClassifier", "StackingRegressor",
        "VotingClassifier", "VotingRegressor",
    ),
    "feature_selection": ("VarianceThreshold",),
    "impute": ("SimpleImputer",),
    "kernel_approximation": ("Nystroem", "RBFSampler"),
    "kernel_ridge": ("KernelRidge",),
    "linear_model": (
        "ARDRegression", "BayesianRidge", "ElasticNet", "ElasticNetCV", "GammaRegressor", "HuberRegressor", "Lars",
        "Lasso", "LassoCV", "LinearRegression", "LogisticRegression", "LogisticRegressionCV", "PoissonRegressor",
        "QuantileRegressor", "Ridge", "RidgeCV", "TheilSenRegressor",
    ),
    "multiclass": ("OneVsOneClassifier", "OneVsRestClassifier"),
    "naive_bayes": ("BernoulliNB", "ComplementNB", "GaussianNB", "MultinomialNB"),
    "neural_network": ("MLPClassifier", "MLPRegressor"),
    "pipeline": ("FeatureUnion", "Pipeline"),
    "preprocessing": (
        "Binarizer", "FunctionTransformer", "KBinsDiscretizer", "LabelBinarizer", "LabelEncoder", "MaxAbsScaler",
        "MinMaxScaler", "Normalizer", "OneHotEncoder", "OrdinalEncoder", "PolynomialFeatures", "PowerTransformer",
        "QuantileTransformer", "RobustScaler", "StandardScaler",
    ),
    "svm": ("LinearSVC", "LinearSVR"),
    "tree": ("DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor"),
}  # fmt: skip
# What of them skops does not trust by itself: plain holders of numbers, in which nothing is called while loading.
TRUSTED = (
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.utils._bunch.Bunch",
)
_BOOSTED = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)


def make(name: str, settings: Mapping[str, object], task: str, seed: int) -> Any:
    """Return the unfitted estimator that the function `package.module:function` makes for a task. Raises AskFault.

    Whatever in it is called `random_state` is set from `seed`, and nothing says how many workers it has.
    """
    made = _called(name, settings)
    if isinstance(made, type) or not isinstance(made, BaseEstimator):
        raise AskFault(f"`{name}` returns no estimator of scikit-learn: return an object such as `Ridge()`")
    try:
        estimator = clone(made)
        _check_parts(estimator)
        _check_task(estimator, task, type(estimator))
    except (DataFault, TypeError, RuntimeError) as fault:
        raise AskFault(f"what `{name}` returns cannot be trained: {_one_line(fault)}") from fault
    parameters = estimator.get_params()
    estimator.set_params(**{key: seed for key in parameters if _last(key) == "random_state"})
    estimator.set_params(**{key: None for key in parameters if _last(key) == "n_jobs"})
    return estimator


def working(threads: int) -> AbstractContextManager[object]:
    """Return a context in which an estimator that does not say how many workers it has uses `threads`.

    Said there and not in the estimator, because the copies that an ensemble makes would keep it, and the machine's
    width is no part of a model. Threads, because no step leaves a process behind.
    """
    context: AbstractContextManager[object] = joblib.parallel_config(backend="threading", n_jobs=threads)
    return context


def check(pipeline: Any, task: str) -> None:
    """Raise DataFault unless a fitted pipeline is made of known parts that compiled code can walk safely."""
    _check_parts(pipeline)
    _check_task(pipeline[-1], task, pipeline[-1])
    _check_trees(pipeline)


def _called(name: str, settings: Mapping[str, object]) -> object:
    place, _, attribute = name.partition(":")
    function = getattr(_module(place), attribute, None)
    if not callable(function):
        raise AskFault(f"`{place}` has no function `{attribute}`: mend `factory`, or add the function")
    try:
        return function(**settings)
    except Exception as fault:  # the team's own code may raise anything
        raise AskFault(
            f"`{name}` stopped when it was called with {', '.join(sorted(settings)) or 'nothing'} "
            f"({type(fault).__name__}: {_one_line(fault)}): mend it, or `hyperparameters`"
        ) from fault


def _module(place: str) -> object:
    try:
        return import_module(place)
    except Exception as fault:  # as above
        if isinstance(fault, ModuleNotFoundError) and fault.name and f"{place}.".startswith(f"{fault.name}."):
            raise AskFault(
                f"there is no module `{place}` here: build the image with it (`pipec image build --with`), or in a "
                "plain run name its folder in PYTHONPATH"
            ) from fault
        raise AskFault(
            f"`{place}` cannot be imported ({type(fault).__name__}: {_one_line(fault)}): mend it, or build the image "
            "with what it needs"
        ) from fault


def _check_task(estimator: Any, task: str, able: object) -> None:
    """Raise DataFault at an estimator of another kind. able: has what it can do; before a fit, only its class says."""
    kind = type(estimator).__name__
    if task != CLASSIFICATION:
        if not is_regressor(estimator):
            raise DataFault(f"`{kind}` predicts no quantities: return a regressor, or say `task: classification`")
    elif not is_classifier(estimator):
        raise DataFault(f"`{kind}` predicts no classes: return a classifier, or say `task: regression`")
    elif not hasattr(able, "predict_proba"):
        raise DataFault(f"`{kind}` gives no probabilities: put it into a `CalibratedClassifierCV`")


def _check_parts(estimator: Any) -> None:
    """Raise DataFault at an estimator inside that is not one of `PARTS`."""
    for part in _inside(estimator):
        if not isinstance(part, BaseEstimator):
            continue
        library, _, below = type(part).__module__.partition(".")
        if library != "sklearn" or type(part).__name__ not in PARTS.get(below.partition(".")[0], ()):
            raise DataFault(
                f"it holds `{type(part).__module__}.{type(part).__name__}`, which is none of the parts that a model "
                "may have: take others of scikit-learn"
            )


def _check_trees(pipeline: Any) -> None:
    """Raise DataFault at a tree that compiled code could not walk safely, wherever in the pipeline.

    An ensemble also keeps what it was made of, which is not fitted and has no trees.
    """
    parts = list(_inside(pipeline))
    known: set[int] = set()
    for part in parts:
        if isinstance(part, BaseDecisionTree) and isinstance(getattr(part, "tree_", None), Tree):
            sealed.check_tree(part.tree_, int(part.n_features_in_))
            known.add(id(part.tree_))
        elif isinstance(part, BaseForest):  # it hands its rows to the trees of its members, asking none of them
            if any(
                member.n_features_in_ != part.n_features_in_ for member in np.ravel(getattr(part, "estimators_", []))
            ):
                raise DataFault("a forest in the weights has trees of another width: it is not loaded")
        elif isinstance(part, _BOOSTED):
            for tree in (tree for trees in getattr(part, "_predictors", []) for tree in trees):
                sealed.check_boosted(tree.nodes, int(part.n_features_in_))
                known.add(id(tree))
    if any(isinstance(part, (Tree, TreePredictor)) and id(part) not in known for part in parts):
        raise DataFault("the weights hold a tree that belongs to no estimator: it is not loaded")


def _inside(value: object) -> Iterator[object]:
    """Yield an object and all that it is made of, each once."""
    todo, seen = [value], set[int]()
    while todo:
        here = todo.pop()
        if id(here) in seen or isinstance(here, (str, bytes, int, float, type, type(None))):
            continue
        seen.add(id(here))
        yield here
        if isinstance(here, Mapping):
            todo += [*here.keys(), *here.values()]
        elif isinstance(here, (list, tuple, set, frozenset)):
            todo += here
        elif isinstance(here, np.ndarray):
            todo += here.ravel().tolist() if here.dtype == object else []
        elif not callable(here) or isinstance(here, BaseEstimator):
            todo += vars(here).values() if hasattr(here, "__dict__") else []


def _last(parameter: str) -> str:
    return parameter.rpartition("__")[2]


def _one_line(fault: Exception) -> str:
    return str(fault).strip().split("\n", 1)[0].rstrip(".")
