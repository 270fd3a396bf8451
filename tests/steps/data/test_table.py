"""Rows that come back as they went in, and files that are told apart from tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from pipec.steps.data import table


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"n": [1, 2, 3], "x": [0.5, None, 2.0], "word": ["a", None, "ü"], "yes": [True, False, True]})


def test_what_is_written_reads_back_equal(frame: pd.DataFrame, tmp_path: Path) -> None:
    table.write(frame, tmp_path / "data")
    pd.testing.assert_frame_equal(table.read(tmp_path / "data"), frame)


def test_equal_rows_give_equal_bytes_whatever_their_index(frame: pd.DataFrame, tmp_path: Path) -> None:
    table.write(frame, tmp_path / "one")
    table.write(frame.set_axis([7, 8, 9]), tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_text_and_categories_give_the_same_file(tmp_path: Path) -> None:
    table.write(pd.DataFrame({"c": ["a", "b", "a"]}), tmp_path / "text")
    table.write(pd.DataFrame({"c": pd.Categorical(["a", "b", "a"])}), tmp_path / "categories")
    assert (tmp_path / "text").read_bytes() == (tmp_path / "categories").read_bytes()


def test_the_file_says_nothing_of_pandas(frame: pd.DataFrame, tmp_path: Path) -> None:
    table.write(frame, tmp_path / "data")
    assert b"pandas" not in (tmp_path / "data").read_bytes()


@pytest.mark.parametrize("separator", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
def test_a_csv_file_reads_whatever_separates_it(separator: str, tmp_path: Path) -> None:
    lines = [["a", "b"], ["1", "x"], ["2", ""]]
    (tmp_path / "rows.csv").write_text("\ufeff" + "\n".join(separator.join(line) for line in lines))
    read = table.read(tmp_path / "rows.csv")
    assert read["a"].tolist() == [1, 2]
    assert read["b"].isna().tolist() == [False, True]


def test_a_header_alone_is_a_table_of_no_rows(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n")
    assert table.read(tmp_path / "rows.csv").shape == (0, 2)


@pytest.mark.parametrize(
    ("content", "format_", "message"),
    [
        (b"", "auto", "the file is empty: a CSV file begins with a line of column names"),
        (b"a,a\n1,2\n", "auto", "column `a` stands there more than once: columns need different names"),
        (b",a\n0,2\n", "auto", "column 1 has no name: give every column one"),
        (b"a,b\n1,2,3\n", "auto", "a row of the CSV file has another number of fields than its header"),
        (b"a,b\n1,2\n1,2,3\n", "auto", "a row of the CSV file has another number of fields than its header"),
        (b"a,b\n1,\xff\n", "auto", "the CSV file is not UTF-8"),
        (b"\xff\xfe\n", "auto", "the file is neither Parquet nor UTF-8 text (byte 0)"),
        (b"\0\0\0\n", "auto", "the file is neither Parquet nor text"),
        (b"PAR1 and then nothing", "auto", "the Parquet file is damaged"),
        (b"PAR1", "csv", "the file is Parquet, not CSV"),
        (b"a,b\n1,2\n", "parquet", "the file is not Parquet: it does not begin with PAR1"),
    ],
    ids=[
        "empty",
        "repeated",
        "nameless",
        "long-first",
        "long-later",
        "latin1",
        "utf16",
        "zeros",
        "torn",
        "csv",
        "parquet",
    ],
)
def test_what_is_no_table_is_told_in_one_line(content: bytes, format_: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(content)
    with pytest.raises(table.TableError) as fault:
        table.read(tmp_path / "rows", format_)
    assert str(fault.value).startswith(message)
    assert "\n" not in str(fault.value)


def test_a_folder_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(table.TableError, match="a data set is one file, and there is none"):
        table.read(tmp_path)


def test_a_column_of_mixed_types_is_refused(tmp_path: Path) -> None:
    with pytest.raises(table.TableError, match="a column holds values of more than one type"):
        table.write(pd.DataFrame({"a": [1, "x"]}), tmp_path / "data")
