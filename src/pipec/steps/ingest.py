"""Bring rows from wherever they lie into the run, as the one form that every later step reads."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pipec.steps.declare import Context, param, step, writes
from pipec.steps.interface import Dataset


@step("ingest", version="1")
class Ingest:
    """Read a CSV or Parquet file from a path or URL and keep its rows as a data set."""

    source: str = param(location=True, help="Where the rows lie: a path below the project root, or a URL.")
    format: Literal["auto", "csv", "parquet"] = param(default="auto", help="How the rows are written.")
    personal: bool = param(
        default=False, help="Whether the rows are about people: a check then follows them to every release and message."
    )
    data: Path = writes(Dataset, personal_if="personal", help="The rows, as Parquet.")
    n_rows: int = writes(help="How many rows there are.")

    def run(self, context: Context) -> None:
        from pipec.steps.data import table  # heavy: pandas and pyarrow

        # The runtime has fetched the location and noted its digest: `source` is a local file by now.
        frame = table.read(Path(self.source), self.format)
        table.write(frame, self.data)
        self.n_rows = len(frame)
        context.log(f"read {len(frame)} rows of {len(frame.columns)} columns")
