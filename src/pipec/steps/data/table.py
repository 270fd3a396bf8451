"""The door to pandas and pyarrow: rows in, rows out.

A data set is one Parquet file; a CSV file may stand wherever a user names a file of their own. Knows nothing of pipec:
messages speak of the rows, never of where the file lies, so they are the same on every engine.
"""

from __future__ import annotations

import csv
import io
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

MAGIC = b"PAR1"  # the first and the last four bytes of a Parquet file (Apache Parquet format, "File format")
SEPARATORS = ",;\t"  # the comma first: it wins a header in which none of them stands


class TableError(ValueError):
    """Rows that cannot be read or written. The message is one line.

    exit_code: what a process that meets it should end with: the data is at fault, and trying again cannot help.
    """

    exit_code = 3


def read(path: Path, format: str = "auto") -> pd.DataFrame:  # noqa: A002
    """Return the rows of a Parquet or CSV file.

    format: `auto` looks at the first bytes; `csv`, `parquet`. CSV: UTF-8, a header line, separated by commas,
    semicolons or tabs (whichever the header has most of); empty fields and the usual words for them (`NA`, `null`) are
    missing. Column names must be there and differ. Raises TableError.
    """
    if not path.is_file():
        raise TableError("a data set is one file, and there is none")
    is_parquet = _is_parquet(path)
    if format == "parquet" and not is_parquet:
        raise TableError("the file is not Parquet: it does not begin with PAR1")
    if format == "csv" and is_parquet:
        raise TableError("the file is Parquet, not CSV")
    return _read_parquet(path) if is_parquet else _read_csv(path)


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write the rows as one Parquet file: equal rows, equal bytes, under one version of pyarrow.

    Nothing is written but names, types and values: no index, no word of pandas. Categories become their values. Raises
    TableError at a column whose values are of mixed types.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    _check_names([str(name) for name in frame.columns])
    try:
        rows = pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, TypeError) as fault:
        raise TableError(f"a column holds values of more than one type ({_first_line(fault)})") from fault
    plain = pa.schema([(field.name, _plain(field.type)) for field in rows.schema])
    pq.write_table(rows.cast(plain), path, compression="zstd", store_schema=False)


def _plain(kind: object) -> object:
    """Return a type that reads back as itself without pandas' notes; pandas 2 and 3 differ in how they hold text."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)  # type: ignore[attr-defined]
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    return kind


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC


def _read_parquet(path: Path) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as fault:
        raise TableError(f"the Parquet file is damaged ({_first_line(fault)}): write it again") from fault
    _check_names(rows.schema.names)
    return rows.to_pandas(ignore_metadata=True)


def _read_csv(path: Path) -> pd.DataFrame:
    import pandas as pd

    separator = _check_header(path)
    try:
        with warnings.catch_warnings():
            # pandas drops the fields of a row that is too long with no more than this warning.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            # low_memory would guess types block by block, and so give one column several.
            return pd.read_csv(path, sep=separator, index_col=False, low_memory=False, encoding="utf-8-sig")
    except (pd.errors.ParserError, pd.errors.ParserWarning) as fault:
        raise TableError(
            f"a row of the CSV file has another number of fields than its header ({_first_line(fault)})"
        ) from fault
    except UnicodeDecodeError as fault:
        raise TableError(f"the CSV file is not UTF-8 (byte {fault.start}): save it as UTF-8") from fault


def _check_header(path: Path) -> str:
    """Return what separates the fields; TableError at a header that pandas would mend in silence."""
    with path.open("rb") as stream:
        first = stream.readline()
    try:
        line = first.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise TableError(f"the file is neither Parquet nor UTF-8 text (byte {fault.start})") from fault
    if not line.strip():
        raise TableError("the file is empty: a CSV file begins with a line of column names")
    if "\0" in line:
        raise TableError("the file is neither Parquet nor text")
    separator = max(SEPARATORS, key=line.count)
    _check_names(next(csv.reader(io.StringIO(line), delimiter=separator)))
    return separator


def _check_names(names: list[str]) -> None:
    for place, name in enumerate(names, start=1):
        if not name.strip():
            raise TableError(f"column {place} has no name: give every column one")
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise TableError(f"column `{repeated[0]}` stands there more than once: columns need different names")


def _first_line(fault: BaseException) -> str:
    return str(fault).strip().split("\n", 1)[0].rstrip(".")
