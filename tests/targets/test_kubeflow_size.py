"""How large a compiled pipeline may be: told when it is compiled, before anything is written."""

from __future__ import annotations

import re
from pathlib import Path

import plans
import pytest

from pipec.api import Request, UsageError, compile_
from pipec.cli import main
from pipec.targets.base import File
from pipec.targets.kubeflow import TARGET

PIPELINE = """\
apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: rows}
image: registry.example/steps:1
steps:
  ingest: {uses: ingest, with: {source: "s3://rows/a.csv"}}
"""
ERROR = (
    "rows.yaml:3:18: error: 1,[0-9]{3} bytes are more than the backend can store: about 1,000 [PIPE628 too-large-ir]"
)
HELP = (
    "write what repeats as one loop over a list, or split the pipeline into several that start each other; "
    "for a cluster that was set up for more, say `-O size_limit=none`"
)


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Return a function that compiles a small pipeline, and returns the exit code and what was printed."""
    monkeypatch.chdir(tmp_path)
    Path("rows.yaml").write_text(PIPELINE, encoding="utf-8")

    def run(limit: str, *options: str) -> tuple[int, str, str]:
        code = main(["compile", "rows.yaml", "-t", "kubeflow", "-O", f"size_limit={limit}", *options])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


@pytest.mark.parametrize("options", [("-o", "out"), ("-o", "out", "--check"), ("-o", "-")], ids=" ".join)
def test_what_is_too_large_is_told_where_its_pipeline_is_named_and_not_written(compiled, options) -> None:
    code, out, err = compiled("1000", *options)
    assert (code, out) == (1, "")
    assert re.match(re.escape(ERROR).replace(r"1,\[0\-9\]\{3\}", "1,[0-9]{3}"), err)
    assert f"= help: {HELP}" in err
    assert not Path("out").exists()


def test_what_comes_near_to_a_limit_is_told_and_written(compiled) -> None:
    code, _, err = compiled("2000", "-o", "out")
    assert code == 0
    assert "warning" in err.splitlines()[0]
    assert "PIPE629" in err.splitlines()[0]
    assert Path("out", "rows.yaml").exists()


@pytest.mark.parametrize("limit", ["none", "1200000"])
def test_what_is_small_is_written_without_a_word(compiled, limit: str) -> None:
    assert compiled(limit, "-o", "out") == (0, "", "wrote out/rows.yaml\n")


@pytest.mark.parametrize("limit", ["1MB", "0", "", "-1", "1e6", "None"])
def test_a_limit_is_none_or_a_number_of_bytes(limit: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.yaml"
    path.write_text(PIPELINE, encoding="utf-8")
    message = f"option `size_limit` of kubeflow cannot be `{limit}`; allowed: none, or a number of bytes"
    with pytest.raises(UsageError, match=re.escape(message)):
        compile_(Request(path=path, target="kubeflow", options={"size_limit": limit}))


@pytest.mark.parametrize(
    ("n_bytes", "said", "expected"),
    [
        (499_999, {}, []),
        (500_000, {}, ["PIPE629"]),
        (1_200_001, {}, ["PIPE628"]),
        (1_200_001, {"size_limit": "none"}, ["PIPE629"]),
        (1_200_001, {"size_limit": "3000000"}, []),
    ],
)
def test_only_the_pipeline_s_own_file_is_weighed(n_bytes: int, said: dict[str, str], expected: list[str]) -> None:
    files = (File("a.yaml", "x" * n_bytes), File("a.manifests.yaml", "x" * 2_000_000))
    assert [each.rule.code for each in TARGET.judge_files(files, plans.options(values=said))] == expected
