"""Cut a data set into rows to learn from and rows to be judged by."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipec.steps.declare import CallerError, Context, Refused, param, reads, step, writes
from pipec.steps.interface import Dataset

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


@step("split", version="1")
class Split:
    """Cut rows into a training and a test set, at random but always alike."""

    data: Path = reads(Dataset, help="The rows to cut.")
    test_size: float = param(default=0.2, gt=0, lt=1, help="Share of the rows that are kept for the test.")
    stratify: str | None = param(default=None, help="Column whose values keep their shares on both sides.")
    seed: int = param(default=0, ge=0, help="The same seed cuts the same rows the same way.")
    train: Path = writes(Dataset, split="train", help="Rows to learn from, in their order.")
    test: Path = writes(Dataset, split="test", help="Rows that nothing is learned from, in their order.")

    def run(self, context: Context) -> None:
        from pipec.steps.data import table  # heavy: pandas and pyarrow
        from pipec.steps.data.partition import partition

        frame = table.read(self.data)
        if len(frame) < 2:
            raise Refused(f"{len(frame)} rows cannot be cut in two: bring more data")
        strata = None if self.stratify is None else self._strata(frame, self.stratify, context)
        train_rows, test_rows = partition(len(frame), self.test_size, self.seed, strata)
        table.write(frame.iloc[train_rows], self.train)
        table.write(frame.iloc[test_rows], self.test)
        context.log(f"{len(train_rows)} rows to learn from, {len(test_rows)} to test on")

    def _strata(self, frame: pd.DataFrame, column: str, context: Context) -> NDArray[np.intp]:
        """Return the number of each row's stratum, by sorted value; missing values are one stratum, the last."""
        if column not in frame.columns:
            raise CallerError(f"`stratify` is `{column}`, but the columns are {', '.join(map(str, frame.columns))}")
        numbers, values = frame[column].factorize(sort=True, use_na_sentinel=True)
        numbers[numbers == -1] = len(values)
        sizes = {str(value): int((numbers == place).sum()) for place, value in enumerate(values)}
        if len(sizes) > len(frame) / 2:
            crowd = f"{len(sizes)} values in {len(frame)} rows"
            raise CallerError(f"`stratify` is `{column}`, which has {crowd}: name a column of classes")
        for value, size in sizes.items():
            if size * self.test_size < 1:
                fate = "it is learned from only" if size == 1 else "one is kept for the test"
                context.log(f"only {size} rows have `{column}` = {value}: {fate}")
        strata: NDArray[np.intp] = numbers.astype("intp")
        return strata
