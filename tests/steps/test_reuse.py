"""Work taken from an earlier run: when, what of it, and what is made of an entry that cannot be believed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import runtime_probe as probes

from pipec import digest
from pipec.steps import runtime, store
from pipec.steps.command import Location
from pipec.steps.declare import interface_of


@pytest.fixture(autouse=True)
def _probe(monkeypatch: pytest.MonkeyPatch) -> None:
    probes.register(monkeypatch)


def run(root: Path, run_id: str, where: str = "", **fields: Any) -> list[str]:
    """Run the probe in a run of its own, with a cache below `where`; return the lines of its log."""
    place = where or str(root)
    (root / "data").exists() or (root / "data").write_text("rows")
    known = digest.of_path(root / "data")
    given = {
        "parameters": {"act": "spare"}, "inputs": {"data": (Location(str(root / "data"), known),)},
        "outputs": {"*": f"{place}/runs/{run_id}/t"}, "result": f"{place}/runs/{run_id}/t/result.json",
        "cache": f"{place}/cache", "run_id": run_id, **fields,
    }  # fmt: skip
    lines: list[str] = []
    assert runtime.execute(probes.call(interface_of(probes.Probe), root, **given), lines.append) == 0
    return [line for line in lines if not line.startswith(("fetching", "publishing"))]


NEW = ["not taken from an earlier run: this work has not been done before"]
FROM_ONE = ["taken from run one: nothing that it is made of has changed"]


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_work_is_taken_with_its_result_to_the_byte(tmp_path: Path) -> None:
    assert run(tmp_path, "one") == NEW
    assert run(tmp_path, "two") == FROM_ONE
    assert tree(tmp_path / "runs/one") == tree(tmp_path / "runs/two")
    assert not list(tmp_path.rglob(".pipec-*"))


def test_a_folder_and_files_of_a_store_are_taken_too(tmp_path: Path) -> None:
    where = f"memory://{tmp_path.name}"
    assert run(tmp_path, "one", where) == NEW
    assert run(tmp_path, "two", where) == FROM_ONE
    for name in ("note", "folder/in", "same", "spare", "result.json"):
        one = store.read_text(f"{where}/runs/one/t/{name}")
        assert one == store.read_text(f"{where}/runs/two/t/{name}")
        assert one is not None


def test_a_run_may_take_what_it_made_itself(tmp_path: Path) -> None:
    run(tmp_path, "one")
    before = tree(tmp_path / "runs/one")
    assert run(tmp_path, "one") == FROM_ONE
    assert tree(tmp_path / "runs/one") == before


OTHER: dict[str, dict[str, Any]] = {
    "parameter": {"parameters": {"act": "spare", "number": 2.0}},
    "default-said-aloud-is-the-same": {"parameters": {"act": "spare", "number": 1}},
    "variables": {"env": "sha256:1"},
    "who-runs-it-is-not-the-work": {"environment": "prod", "pipeline": "q"},
}


@pytest.mark.parametrize("name", OTHER)
def test_other_work_is_done(name: str, tmp_path: Path) -> None:
    run(tmp_path, "one")
    assert run(tmp_path, "two", **OTHER[name]) == (FROM_ONE if "same" in name or "not-the-work" in name else NEW)


def test_other_inputs_are_other_work(tmp_path: Path) -> None:
    run(tmp_path, "one")
    (tmp_path / "data").write_text("other rows")
    assert run(tmp_path, "two") == NEW


def test_the_order_of_many_inputs_counts(tmp_path: Path) -> None:
    places = []
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
        places.append(Location(str(tmp_path / name), digest.of_text(name)))
    rows = {"data": (places[0],)}
    run(tmp_path, "one", inputs={**rows, "many": tuple(places)})
    assert run(tmp_path, "two", inputs={**rows, "many": tuple(places)}) == FROM_ONE
    assert run(tmp_path, "three", inputs={**rows, "many": tuple(reversed(places))}) == NEW


def test_what_lies_at_a_location_counts_once_it_was_read(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("one")
    fields = {"parameters": {"act": "spare", "source": str(tmp_path / "source")}}
    run(tmp_path, "one", **fields)
    assert run(tmp_path, "two", **fields) == FROM_ONE
    (tmp_path / "source").write_text("two")
    assert run(tmp_path, "three", **fields) == NEW


def test_inputs_of_work_that_is_taken_are_not_read(tmp_path: Path) -> None:
    run(tmp_path, "one")
    gone = Location(str(tmp_path / "gone"), digest.of_path(tmp_path / "data"))
    assert run(tmp_path, "two", inputs={"data": (gone,)}) == FROM_ONE
    assert tree(tmp_path / "runs/one") == tree(tmp_path / "runs/two")


def entry(root: Path) -> Path:
    (path,) = (root / "cache").glob("*.json")
    return path


def rewrite(path: Path, **fields: Any) -> None:
    """Change an entry as one who knows its form would."""
    body = {key: value for key, value in json.loads(path.read_text()).items() if key != "check"} | fields
    path.write_text(json.dumps({**body, "check": digest.of_value(body)}))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "half-written": (lambda root: entry(root).write_text(entry(root).read_text()[:80]), "cannot be read ("),
    "empty": (lambda root: entry(root).write_text(""), "cannot be read ("),
    "not-text": (lambda root: entry(root).write_bytes(b"\xff\xfe"), "cannot be read ("),
    "not-ours": (lambda root: entry(root).write_text('["x"]'), "cannot be read ("),
    "changed": (lambda root: entry(root).write_text(entry(root).read_text().replace('"one"', '"two"')), "is damaged"),
    "of-another-form": (lambda root: rewrite(entry(root), format="9"), "is damaged"),
    "of-other-work": (lambda root: rewrite(entry(root), key="sha256:0"), "is damaged"),
    "artifact-gone": (lambda root: (root / "runs/one/t/note").unlink(), "what run one made cannot be had any more ("),
    "artifact-spoilt": (lambda root: (root / "runs/one/t/note").write_text("nope"),
                        "its output `note` of run one is damaged"),
    "folder-grown": (lambda root: (root / "runs/one/t/folder/more").write_text("x"),
                     "its output `folder` of run one is damaged"),
    "all-gone": (lambda root: shutil.rmtree(root / "runs"), "what run one made cannot be had any more ("),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_an_entry_that_cannot_be_believed_costs_a_run_and_no_more(name: str, tmp_path: Path) -> None:
    damage, why = DAMAGE[name]
    run(tmp_path, "one")
    before = tree(tmp_path / "runs/one")
    damage(tmp_path)
    (line,) = run(tmp_path, "two")
    assert line.startswith("not taken from an earlier run: ")
    assert why in line
    assert tree(tmp_path / "runs/two") == before
    assert run(tmp_path, "three") == [FROM_ONE[0].replace("one", "two")]


def test_a_cache_that_cannot_be_written_fails_nothing(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    first, last = run(tmp_path, "one")
    assert first.startswith("not taken from an earlier run: what is kept of this work cannot be read (")
    assert last.startswith("the work could not be kept for later runs (")
    assert probes.visible(tmp_path / "runs") == [
        f"one/t/{name}" for name in ("folder/in", "note", "result.json", "same", "spare")
    ]


def test_only_success_is_kept(tmp_path: Path) -> None:
    for run_id in ("one", "two"):
        call = probes.call(
            interface_of(probes.Probe), tmp_path, parameters={"act": "refuse"}, inputs={}, cache=f"{tmp_path}/cache",
            run_id=run_id,
        )  # fmt: skip
        assert runtime.execute(replace(call), lambda line: None) == 3
    assert not (tmp_path / "cache").exists()


def test_an_engine_that_caches_itself_finds_none_here(tmp_path: Path) -> None:
    assert run(tmp_path, "one", cache=None) == []
    assert run(tmp_path, "two", cache=None) == []
    assert not (tmp_path / "cache").exists()
