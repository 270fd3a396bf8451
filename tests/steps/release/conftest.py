"""Two models of the same rows that answer differently, trained once."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from sklearn import datasets

from pipec.steps.ml import model
from pipec.steps.ml.recipe import Recipe


@pytest.fixture(scope="session")
def rows() -> pd.DataFrame:
    """178 rows of wine: `alcohol`, `hue` and a text, `region`; the target is `cultivar`, a text."""
    frame = datasets.load_wine(as_frame=True).frame
    frame["region"] = ["north" if n % 2 else "south" for n in range(len(frame))]
    frame["cultivar"] = frame["target"].map({0: "barolo", 1: "grignolino", 2: "barbera"})
    return frame[["alcohol", "hue", "region", "cultivar"]]


@pytest.fixture(scope="session")
def shelf(tmp_path_factory, rows: pd.DataFrame) -> Path:
    """Model folders `first`, `second` (three classes), `plain` (numbers only) and `quantity` (a regression)."""
    folder = tmp_path_factory.mktemp("shelf")
    for name, recipe, target, features in (
        ("first", Recipe(estimator="logistic-regression", epochs=100), "cultivar", []),
        ("second", Recipe(estimator="mlp", epochs=1, seed=5), "cultivar", []),
        ("plain", Recipe(estimator="random-forest", settings={"n_estimators": 5}), "cultivar", ["alcohol", "hue"]),
        ("quantity", Recipe(estimator="ridge"), "alcohol", ["hue"]),
    ):
        model.save(model.fit(rows, target, features, recipe, 1, lambda line: None)[0], folder / name)
    return folder
