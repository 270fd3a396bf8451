"""The examples' data: real rows, derived as their page says, and passing their own expectations."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd
import pytest
from sklearn.datasets import load_digits, load_wine

from pipec.steps.data import document, expectation, table

EXAMPLES = Path(__file__).parents[2] / "examples" / "pipelines"
DATA = EXAMPLES / "data"


def test_the_files_are_what_the_script_derives(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("derive", DATA / "derive.py")
    assert spec is not None
    assert spec.loader is not None
    derive = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(derive)
    derive.derive(tmp_path)
    for name in ("wine.csv", "wine-new.csv"):
        assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes()
    # Rows, not bytes: another pyarrow may compress otherwise.
    pd.testing.assert_frame_equal(table.read(tmp_path / "digits.parquet"), table.read(DATA / "digits.parquet"))


def test_the_wines_are_the_real_ones_each_once() -> None:
    source = load_wine()
    rows = pd.concat([pd.read_csv(DATA / "wine.csv").drop(columns="cultivar"), pd.read_csv(DATA / "wine-new.csv")])
    assert sorted(map(tuple, rows.to_numpy())) == sorted(map(tuple, source.data))
    assert len(pd.read_csv(DATA / "wine-new.csv")) == 40


def test_the_wines_keep_their_cultivars() -> None:
    source = load_wine()
    known = {tuple(row): f"cultivar_{number + 1}" for row, number in zip(source.data, source.target, strict=True)}
    rows = pd.read_csv(DATA / "wine.csv")
    assert [known[tuple(row)] for row in rows.drop(columns="cultivar").to_numpy()] == rows["cultivar"].tolist()


def test_the_digits_are_the_real_ones() -> None:
    source, rows = load_digits(), table.read(DATA / "digits.parquet")
    assert (rows.drop(columns="digit").to_numpy() == source.data).all()
    assert (rows["digit"] == source.target).all()
    assert (rows.columns[0], rows.columns[63]) == ("p00", "p77")


@pytest.mark.parametrize(("data", "asked"), [("wine.csv", "wine.yaml"), ("digits.parquet", "digits.yaml")])
def test_the_data_meets_its_expectations(data: str, asked: str) -> None:
    questions = expectation.parse(document.read(EXAMPLES / "expectations" / asked))
    findings = expectation.check(table.read(DATA / data), questions)
    assert [finding.sentence for finding in findings if not finding.holds] == []


def test_the_page_names_source_and_licence() -> None:
    page = (DATA / "README.md").read_text(encoding="utf-8")
    assert page.count("(CC BY 4.0)") == 2
    assert "<https://doi.org/10.24432/C5PC7J>" in page
    assert "<https://doi.org/10.24432/C50P49>" in page
