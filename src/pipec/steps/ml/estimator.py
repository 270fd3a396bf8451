"""What can be asked of the model code: the closed table of estimators. Light: it imports no library.

A name that is not in the table cannot be trained, and a setting that is not in its row cannot be given. The exception
is a function of the team, `package.module:function`: what it returns is looked over in `factory.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipec.steps.ml.fault import AskFault

CLASSIFICATION, REGRESSION = "classification", "regression"


@dataclass(frozen=True, slots=True)
class Estimator:
    """One row. framework: `sklearn` or `torch`. tasks: what it can learn. settings: names for `hyperparameters`."""

    framework: str
    tasks: tuple[str, ...]
    settings: tuple[str, ...]


_BOTH = (CLASSIFICATION, REGRESSION)
_FOREST = ("bootstrap", "max_depth", "max_features", "min_samples_leaf", "min_samples_split", "n_estimators")
_BOOSTING = ("l2_regularization", "learning_rate", "max_depth", "max_leaf_nodes", "min_samples_leaf")

ESTIMATORS: Mapping[str, Estimator] = {
    "logistic-regression": Estimator("sklearn", (CLASSIFICATION,), ("C", "class_weight", "fit_intercept", "tol")),
    "ridge": Estimator("sklearn", (REGRESSION,), ("alpha", "fit_intercept")),
    "random-forest": Estimator("sklearn", _BOTH, _FOREST),
    "extra-trees": Estimator("sklearn", _BOTH, _FOREST),
    "hist-gradient-boosting": Estimator("sklearn", _BOTH, _BOOSTING),
    "mlp": Estimator("torch", _BOTH, ("activation", "weight_decay")),
}


_FACTORY = Estimator("sklearn", _BOTH, ())


def is_factory(name: str) -> bool:
    """Say whether a name is that of a function which makes an estimator."""
    return ":" in name


def known(name: str) -> Estimator | None:
    """Return the row of `name`, or the one that all functions share; None at any other name."""
    return _FACTORY if is_factory(name) else ESTIMATORS.get(name)


def find(name: str) -> Estimator:
    """Return the row of `name`. Raises AskFault with the list at a name that is not known."""
    row = known(name)
    if row is None:
        raise AskFault(f"there is no estimator `{name}`: choose one of {', '.join(sorted(ESTIMATORS))}")
    return row


def check_settings(name: str, settings: Mapping[str, object]) -> None:
    """Raise AskFault, with what is allowed, at the first setting that `name` does not take; a function tells."""
    if is_factory(name):
        return
    allowed = find(name).settings
    for setting, value in settings.items():
        if setting not in allowed:
            raise AskFault(f"`{name}` has no hyperparameter `{setting}`: it takes {', '.join(sorted(allowed))}")
        if not isinstance(value, (str, int, float, bool, type(None))):
            raise AskFault(
                f"hyperparameter `{setting}` needs a number, a text, a boolean or null, not a list or object"
            )
