"""What is done before and after the container of another image: its command, its places, and what becomes of both."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from test_foreign import OUT, WEIRD, group, parameter, shell

from pipec import digest
from pipec.steps import __main__ as command_line
from pipec.steps import xcom
from pipec.steps.carried import interface_as_json
from pipec.steps.command import Order, order_text
from pipec.steps.interface import Dataset, Directory, File, Input, Interface, Kind, Output, Slot
from pipec.values import Json, Literal, Value

RUN = "runs/p/r/t"
ROWS = (Input(name="data", type=Dataset),)
PASSED = (Output(name="out", type=Dataset), Output(name="same", type=Dataset, same_as="data"))


@pytest.fixture(autouse=True)
def _scratch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PIPEC_DEBUG", raising=False)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))


class Site:
    """A run of one step. Its containers share `folder/space`, and the other image's sees nothing else of the run."""

    def __init__(self, folder: Path, interface: Interface, tries: int = 2) -> None:
        self.folder, self.interface, self.tries = folder, interface, tries
        self.parameters: dict[str, Value] = {}
        self.inputs: dict[str, tuple[Value, ...]] = {}

    @property
    def space(self) -> Path:
        return self.folder / "space"

    def call(self, what: str, *more: str) -> int:
        made = Order(
            pipeline="p", task="t", step="score@1", interface=self.interface.digest,
            parameters=tuple(self.parameters.items()), inputs=tuple(self.inputs.items()),
            foreign=interface_as_json(self.interface),
        )  # fmt: skip
        words = ["--order", order_text(made), "--root", str(self.folder), "--run", "r", "--workspace", str(self.space)]
        return command_line.main([what, "score", *words, "--xcom", str(self.folder / "xcom"), *more])

    def prepare(self) -> int:
        return self.call("--prepare", "--attempts", str(self.tries))

    def command(self, attempt: int) -> list[str]:
        """Return the command as the worker makes it."""
        told = json.loads((self.folder / "xcom").read_text())
        assert told["attempts"] == self.tries
        return [str(attempt).join(parts) for parts in told["command"]]

    def run(self, attempt: int = 1) -> int:
        return subprocess.run(self.command(attempt), check=False).returncode

    def keep(self, attempt: int = 1) -> int:
        return self.call("--keep", "--attempt", str(attempt))

    def result(self) -> Any:
        return json.loads((self.folder / RUN / "result.json").read_text())

    def end(self, attempt: int = 1) -> tuple[int, str]:
        """Run all three; return the exit code of the last, and the result's message."""
        assert (self.prepare(), self.run(attempt)) == (0, 0)
        return self.keep(attempt), self.result()["message"]


def rows(folder: Path, text: str = "rows") -> tuple[Literal, ...]:
    (folder / "rows.csv").write_text(text)
    return (Literal(str(folder / "rows.csv")),)


def test_what_an_image_writes_becomes_the_step_s_result(tmp_path: Path) -> None:
    script = 'cat "$1" > "$2"; mkdir "$3"; echo in > "$3/file"; printf 0.5 > "$4"'
    site = Site(tmp_path, shell(
        script, "sh", Slot("inputs", "data"), OUT, Slot("outputs", "folder"), Slot("outputs", "mean"), inputs=ROWS,
        outputs=(*PASSED, Output(name="folder", type=Directory), Output(name="mean", type=Kind.NUMBER)),
    ))  # fmt: skip
    site.inputs["data"] = rows(tmp_path)
    assert site.end() == (0, "")
    found = digest.of_text("rows")
    assert site.result() == {
        "format": "1", "outcome": "succeeded", "message": "", "values": {"mean": 0.5},
        "artifacts": {
            "out": {"type": "Dataset", "digest": found}, "same": {"type": "Dataset", "digest": found},
            "folder": {"type": "Directory", "digest": digest.of_path(tmp_path / RUN / "folder")},
        },
        "inputs": {"data": [found]},
    }  # fmt: skip
    assert [(tmp_path / RUN / name).read_text() for name in ("out", "same", "folder/file")] == ["rows", "rows", "in\n"]
    assert json.loads((tmp_path / "xcom").read_text()) == {"mean": 0.5}
    assert list(site.space.iterdir()) == []


@pytest.mark.parametrize("text", [*WEIRD, "$(HOME) $$", "{{ x }}", "1", "run.sh"], ids=repr)
def test_a_text_reaches_another_image_as_it_is(text: str, tmp_path: Path) -> None:
    interface = shell(
        ":", OUT, Slot("parameters", "text"), ("-", Slot("parameters", "text")),
        parameters=(parameter("text", Kind.STRING),),
    )  # fmt: skip
    site = Site(tmp_path, interface)
    site.parameters["text"] = Literal(text)
    assert site.prepare() == 0
    assert site.command(2)[-2:] == [text, f"-{text}"]


def test_a_group_is_dropped_and_a_list_becomes_many_paths(tmp_path: Path) -> None:
    inputs = (Input(name="parts", type=Dataset, many=True), Input(name="extra", type=File, optional=True))
    site = Site(tmp_path, shell(
        ":", group("--parts", Slot("inputs", "parts")), group("--extra", Slot("inputs", "extra")), inputs=inputs,
    ))  # fmt: skip
    (tmp_path / "b.csv").write_text("b")
    site.inputs["parts"] = (*rows(tmp_path), Literal(str(tmp_path / "b.csv")))
    assert site.prepare() == 0
    word, *paths = site.command(1)[3:]
    assert (word, [Path(path).name for path in paths]) == ("--parts", ["rows.csv", "b.csv"])
    assert [Path(path).read_text() for path in paths] == ["rows", "b"]
    assert all(Path(path).is_relative_to(site.space) for path in paths)


def test_an_attempt_finds_nothing_of_one_before(tmp_path: Path) -> None:
    script = 'test -e "$0" && exit 9; echo > "$0.half"; printf "$1" > "$0"'
    site = Site(tmp_path, shell(script, OUT, "x"), tries=3)
    assert site.prepare() == 0
    assert [site.run(attempt) for attempt in (1, 2)] == [0, 0]
    for attempt in (1, 2):
        left = Path(site.command(attempt)[3] + ".half")
        assert left.exists()
        left.unlink() if attempt == 2 else None
    assert (site.keep(2), site.result()["outcome"]) == (0, "succeeded")


def test_the_image_s_user_may_read_and_write_whoever_prepared(tmp_path: Path) -> None:
    site = Site(tmp_path, shell(":", OUT, Slot("inputs", "data"), inputs=ROWS))
    (tmp_path / "folder").mkdir(mode=0o700)
    (tmp_path / "folder/rows").write_text("rows")
    (tmp_path / "folder/rows").chmod(0o600)
    site.inputs["data"] = (Literal(str(tmp_path / "folder")),)
    before = os.umask(0o077)
    try:
        assert site.prepare() == 0
    finally:
        os.umask(before)
    out, data = map(Path, site.command(1)[3:])
    modes = [path.stat().st_mode & 0o777 for path in (site.space, out.parent, data, data / "rows")]
    assert modes == [0o777, 0o777, 0o755, 0o644]
    above = [path for path in out.parents if path.is_relative_to(site.space)]
    assert all(path.stat().st_mode & 0o005 == 0o005 for path in above)


@pytest.mark.parametrize(
    ("script", "outputs", "message"),
    [
        (":", (), "the step ended without writing output `out`: mend the step"),
        ('touch "$0" "$0.more"', (), "the step wrote `out.more`, which it does not declare: mend the step"),
        ('ln -s /etc/hostname "$0"', (),
         "output `out` cannot be kept: out is a link; an artifact holds plain files and folders only"),
        ('touch "$0"', (Output(name="n", type=Kind.INTEGER),),
         "the step ended without giving output `n`: mend the step"),
        ('touch "$0"; echo many > "$1"', (Output(name="n", type=Kind.INTEGER),),
         "output `n` needs a whole number, but got `many`, which is text: mend the step"),
    ],
    ids=["nothing", "more", "a link", "no number", "another number"],
)  # fmt: skip
def test_what_is_not_as_declared_fails_with_the_engine_s_words(
    script: str, outputs: Sequence[Output], message: str, tmp_path: Path
) -> None:
    names = [Slot("outputs", output.name) for output in outputs]
    site = Site(tmp_path, shell(script, OUT, *names, outputs=(Output(name="out", type=Dataset), *outputs)))
    assert site.end() == (1, message)
    assert site.result()["outcome"] == "failed"
    assert [path.name for path in (tmp_path / RUN).iterdir() if path.name not in ("result.json", "prepared.json")] == []


def test_an_optional_output_may_stay_unwritten(tmp_path: Path) -> None:
    site = Site(tmp_path, shell(":", OUT, outputs=(Output(name="out", type=Dataset, optional=True),)))
    assert site.end() == (0, "")
    assert site.result()["artifacts"] == {}


def test_an_input_that_the_image_changed_is_not_passed_on(tmp_path: Path) -> None:
    script = 'echo more >> "$1"; touch "$0"'
    site = Site(tmp_path, shell(script, OUT, Slot("inputs", "data"), inputs=ROWS, outputs=PASSED))
    site.inputs["data"] = rows(tmp_path)
    assert site.end() == (3, "`data` was changed while the step read it: run again when nobody writes to it")
    assert (tmp_path / "rows.csv").read_text() == "rows"


def test_a_value_out_of_bounds_ends_before_the_image_starts(tmp_path: Path) -> None:
    site = Site(tmp_path, shell(":", parameters=(parameter("level", Kind.INTEGER, schema={"maximum": 1}),)))
    site.parameters["level"] = Literal(2)
    assert (site.prepare(), site.result()["message"]) == (2, "`level` is 2, but must be at most 1")
    assert (list(site.space.iterdir()), (tmp_path / "xcom").exists()) == ([], False)


def test_a_command_longer_than_airflow_carries_is_the_caller_s_fault(tmp_path: Path) -> None:
    site = Site(tmp_path, shell(":", Slot("parameters", "text"), parameters=(parameter("text", Kind.STRING),)))
    site.parameters["text"] = Literal("x" * xcom.LIMIT)
    assert site.prepare() == 2
    assert site.result()["message"].endswith(f"airflow carries {xcom.LIMIT}: hand large values over as files")


@pytest.mark.parametrize(
    ("value", "end"),
    [(3.0, "3"), (True, "true"), ("{{ x }}", "{{ x }}"),
     ([1], "variable `V` can be text, a number or a boolean only: give it another")],
    ids=str,
)  # fmt: skip
def test_a_variable_is_handed_on_as_text(value: Json, end: str, tmp_path: Path) -> None:
    site = Site(tmp_path, shell(":", OUT))
    code = site.call("--prepare", "--variables", json.dumps({"V": value}))
    found = site.result()["message"] if code else json.loads((tmp_path / "xcom").read_text())["env"]["V"]
    assert (code, found) == (2 if isinstance(value, list) else 0, end)


def test_who_keeps_again_what_was_kept_hands_on_the_same(tmp_path: Path) -> None:
    site = Site(tmp_path, shell('printf 3 > "$0"', OUT, outputs=(Output(name="out", type=Kind.INTEGER),)))
    assert site.end() == (0, "")
    (tmp_path / "xcom").unlink()
    assert (site.keep(), (tmp_path / "xcom").read_text()) == (0, '{"out": 3}')


def test_what_was_never_written_cannot_be_kept(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    site = Site(tmp_path, shell(":", OUT))
    assert site.keep() == 2
    message = "what `t` wrote is not there any more: let its inputs be prepared again"
    assert capfd.readouterr().err == f"t (score@1): {message}\n"


def test_what_stayed_of_a_failure_goes_when_the_step_is_prepared_again(tmp_path: Path) -> None:
    site = Site(tmp_path, shell('exit "$1"', OUT, "7"))
    assert (site.prepare(), site.run(), len(list(site.space.iterdir()))) == (0, 7, 1)
    (left,) = site.space.iterdir()
    assert site.prepare() == 0
    assert [path == left for path in site.space.iterdir()] == [False]


def test_a_call_without_a_workspace_says_so(tmp_path: Path) -> None:
    site = Site(tmp_path, shell(":", OUT))
    made = Order(pipeline="p", task="t", step="score@1", interface=site.interface.digest,
                 foreign=interface_as_json(site.interface))  # fmt: skip
    given = ["--order", order_text(made), "--root", str(tmp_path), "--run", "r"]
    assert command_line.main(["--prepare", "score", *given]) == 2
    message = "`--workspace` and the step's own command must be told: compile the pipeline again"
    assert site.result()["message"] == message
