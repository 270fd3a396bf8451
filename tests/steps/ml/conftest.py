"""Tables that tests learn from: small, real, the same everywhere."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets


@pytest.fixture
def wine() -> pd.DataFrame:
    """178 rows: 13 numbers, a text column with gaps, one number with gaps; 3 classes by name in `cultivar`."""
    frame = datasets.load_wine(as_frame=True).frame
    rng = np.random.default_rng(7)
    frame["region"] = np.where(frame["target"] == 0, "north", np.where(rng.random(len(frame)) < 0.5, "south", "east"))
    frame["region"] = frame["region"].mask(frame.index % 11 == 0)
    frame["ash"] = frame["ash"].mask(frame.index % 13 == 0)
    frame["cultivar"] = frame.pop("target").map({0: "barolo", 1: "grignolino", 2: "barbera"})
    return frame


@pytest.fixture
def diabetes() -> pd.DataFrame:
    """442 rows: 10 numbers, and `target`, a quantity from 25 to 346."""
    frame = datasets.load_diabetes(as_frame=True).frame
    frame["sex"] = np.where(frame["sex"] > 0, "f", "m")
    return frame
