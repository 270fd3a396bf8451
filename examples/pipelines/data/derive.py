"""Write the data files of the examples from the copies that scikit-learn carries: real rows, nothing made up.

python examples/pipelines/data/derive.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_digits, load_wine

from pipec.steps.data import table
from pipec.steps.data.partition import partition

HELD_OUT = 40  # rows of wine-new.csv: enough for the monitor's verdict, few enough to leave rows to learn from
SEED = 0


def wine() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows to learn from, and the rows that the deployed model meets, which nobody has labelled yet."""
    bunch = load_wine(as_frame=True)
    rows = bunch.data.rename(columns={"od280/od315_of_diluted_wines": "od280_od315_of_diluted_wines"})
    rows["cultivar"] = [f"cultivar_{number + 1}" for number in bunch.target]
    kept, held = partition(len(rows), HELD_OUT / len(rows), SEED, bunch.target.to_numpy())
    return rows.iloc[kept], rows.iloc[held].drop(columns="cultivar")


def digits() -> pd.DataFrame:
    """Return 8 by 8 pixels, `p00` to `p77` by row and column, from 0 to 16, and the digit that was written."""
    bunch = load_digits()
    names = [f"p{row}{column}" for row in range(8) for column in range(8)]
    return pd.DataFrame(bunch.data.astype("int8"), columns=names).assign(digit=bunch.target.astype("int8"))


def derive(folder: Path) -> None:
    """Write the three files."""
    known, new = wine()
    known.to_csv(folder / "wine.csv", index=False, lineterminator="\n")
    new.to_csv(folder / "wine-new.csv", index=False, lineterminator="\n")
    table.write(digits(), folder / "digits.parquet")


if __name__ == "__main__":
    derive(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
