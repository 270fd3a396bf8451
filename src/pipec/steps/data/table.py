"""Read and write the one form a Dataset has: a Parquet file."""

from __future__ import annotations

from pathlib import Path

import pandas


def read(path: Path) -> pandas.DataFrame:
    """Return the rows of a Dataset artifact."""
    return pandas.read_parquet(path)


def write(frame: pandas.DataFrame, path: Path) -> None:
    """Write the rows as a Dataset artifact."""
    frame.to_parquet(path, index=False)
