"""A step in any language: what its command is given, and what becomes of what it writes and of how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import runtime_probe as probes

import pipec
from pipec import digest
from pipec.steps import __main__ as command_line
from pipec.steps import runtime
from pipec.steps.carried import interface_as_json
from pipec.steps.command import Call, Location
from pipec.steps.interface import (
    Container,
    Dataset,
    Directory,
    Input,
    Interface,
    Kind,
    Output,
    Parameter,
    Slot,
    Word,
    Words,
)

OUT = Slot("outputs", "out")
SHOW = 'for word; do printf "[%s]" "$word"; done > "$0"'  # every argument but the first, which is where to write


@pytest.fixture(autouse=True)
def _scratch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PIPEC_DEBUG", raising=False)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))


def shell(script: str, *args: Words | Word | Slot | str, **fields: Any) -> Interface:
    """A step that runs a shell script; a slot or text alone is a word, and a word an argument."""
    made = [
        each if isinstance(each, Words) else Words((each if isinstance(each, tuple) else (each,),)) for each in args
    ]
    given = {"outputs": (Output(name="out", type=Dataset),), **fields}
    return Interface(
        name="score",
        version="1",
        summary="",
        container=Container(command=("sh", "-c", script), args=tuple(made)),
        **given,
    )


def group(*words: Slot | str) -> Words:
    return Words(tuple((word,) for word in words), is_group=True)


def call(interface: Interface, root: Path, **fields: Any) -> Call:
    return probes.call(interface, root, foreign=json.loads(json.dumps(interface_as_json(interface))), **fields)


def run(root: Path, interface: Interface, **fields: Any) -> int:
    return runtime.execute(call(interface, root, **fields))


def parameter(name: str, kind: Kind, **fields: Any) -> Parameter:
    schema = {"type": kind.json_type, **fields.pop("schema", {})}
    return Parameter(name=name, kind=kind, schema=schema, **fields)


def told(root: Path) -> tuple[str, str]:
    result = probes.result(root)
    return result["outcome"], result["message"]


def test_what_a_command_writes_becomes_the_steps_result(tmp_path: Path) -> None:
    (tmp_path / "rows").write_text("rows")
    script = 'cat "$1" > "$2"; mkdir "$3"; echo in > "$3/file"; printf 0.5 > "$4"'
    interface = shell(
        script, "sh", Slot("inputs", "data"), OUT, Slot("outputs", "folder"), Slot("outputs", "mean"),
        inputs=(Input(name="data", type=Dataset),),
        outputs=(Output(name="out", type=Dataset), Output(name="folder", type=Directory),
                 Output(name="mean", type=Kind.NUMBER), Output(name="data", type=Dataset, same_as="data")),
    )  # fmt: skip
    assert run(tmp_path, interface, inputs={"data": (Location(str(tmp_path / "rows")),)}) == 0
    assert probes.visible(tmp_path) == ["rows", "t/data", "t/folder/file", "t/out", "t/result.json"]
    rows = digest.of_path(tmp_path / "rows")
    assert probes.result(tmp_path) == {
        "format": "1",
        "outcome": "succeeded",
        "message": "",
        "values": {"mean": 0.5},
        "artifacts": {
            "out": {"type": "Dataset", "digest": rows},
            "folder": {"type": "Directory", "digest": digest.of_path(tmp_path / "t" / "folder")},
            "data": {"type": "Dataset", "digest": rows},
        },
        "inputs": {"data": [rows]},
    }


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Kind.STRING, "two words\n", "two words"), (Kind.STRING, "two\n\n", "two\n"), (Kind.STRING, "", ""),
        (Kind.STRING, "3", "3"), (Kind.INTEGER, "3\n", 3), (Kind.INTEGER, " 3.0 ", 3), (Kind.NUMBER, "1e-3", 0.001),
        (Kind.BOOLEAN, "true\n", True), (Kind.LIST, '[1, "a"]', [1, "a"]), (Kind.OBJECT, '{"a": 1}', {"a": 1}),
    ],
    ids=str,
)  # fmt: skip
def test_a_small_output_is_what_its_text_says(tmp_path: Path, kind: Kind, text: str, value: object) -> None:
    script = f"printf '{text}' > \"$0\""
    assert run(tmp_path, shell(script, OUT, outputs=(Output(name="out", type=kind),))) == 0
    found = probes.result(tmp_path)["values"]["out"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "script", "message"),
    [
        (Kind.NUMBER, ":", "the step ended without giving output `out`: mend the step"),
        (Kind.NUMBER, 'echo much > "$0"', "output `out` needs a number, but got `much`, which is text: mend the step"),
        (Kind.NUMBER, 'echo NaN > "$0"', "output `out` needs a number, but got `NaN`, which is text: mend the step"),
        (Kind.NUMBER, 'echo 1e999 > "$0"', "output `out` must be a finite number: mend the step"),
        (Kind.INTEGER, 'echo 1.5 > "$0"', "output `out` needs a whole number, but got 1.5: mend the step"),
        (Kind.BOOLEAN, 'echo True > "$0"',
         "output `out` needs true or false, but got `True`, which is text: mend the step"),
        (Kind.LIST, 'echo {} > "$0"', "output `out` needs a list, but got an object: mend the step"),
        (Kind.STRING, 'printf "\\377" > "$0"', "output `out` is not UTF-8 text: mend the step"),
        (Kind.STRING, 'mkdir "$0"', "output `out` is not a plain file: mend the step"),
        (Kind.STRING, 'mkfifo "$0"', "output `out` is not a plain file: mend the step"),
        (Kind.STRING, 'ln -s /etc/hostname "$0"', "output `out` is not a plain file: mend the step"),
        (Kind.STRING, 'head -c 1048577 /dev/zero > "$0"',
         "output `out` is larger than 1 MiB: declare it as an artifact"),
    ],
    ids=str,
)  # fmt: skip
def test_a_small_output_that_is_none_is_told(tmp_path: Path, kind: Kind, script: str, message: str) -> None:
    assert run(tmp_path, shell(script, OUT, outputs=(Output(name="out", type=kind),))) == 1
    assert told(tmp_path) == ("failed", message)


WEIRD = [
    "",
    " ",
    "two words",
    "$(id)",
    "`id`",
    "a;b&c|d",
    "'\"\\",
    "*",
    "-n",
    "${{ x }}",
    "{{ y }}",
    "tab\tline\n\n",
    "é☃𐍈",
]


@pytest.mark.parametrize("text", WEIRD, ids=repr)
def test_a_text_arrives_as_it_is(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    word = ("--text=", Slot("parameters", "text"))
    interface = shell(SHOW, OUT, Slot("parameters", "text"), word, parameters=(parameter("text", Kind.STRING),))
    assert run(tmp_path, interface, parameters={"text": text}) == 0
    assert (tmp_path / "t" / "out").read_bytes() == f"[{text}][--text={text}]".encode()


@pytest.mark.parametrize("text", ["a\0b", "\ud800"], ids=repr)
def test_a_character_that_no_argument_can_carry_is_the_callers_fault(tmp_path: Path, text: str) -> None:
    interface = shell(SHOW, OUT, Slot("parameters", "text"), parameters=(parameter("text", Kind.STRING),))
    assert run(tmp_path, interface, parameters={"text": text}) == 2
    assert told(tmp_path) == ("failed", "parameter `text` holds a character that no argument can carry")


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (Kind.INTEGER, 3.0, "3"), (Kind.NUMBER, 3, "3"), (Kind.NUMBER, 0.001, "0.001"), (Kind.BOOLEAN, True, "true"),
        (Kind.LIST, [1, "é", None], '[1, "é", null]'), (Kind.OBJECT, {"b": 1, "a": [True]}, '{"a": [true], "b": 1}'),
    ],
    ids=str,
)  # fmt: skip
def test_a_value_is_written_as_its_text(tmp_path: Path, kind: Kind, value: Any, text: str) -> None:
    interface = shell(SHOW, OUT, Slot("parameters", "value"), parameters=(parameter("value", kind),))
    assert run(tmp_path, interface, parameters={"value": value}) == 0
    assert (tmp_path / "t" / "out").read_text() == f"[{text}]"


def places(root: Path, *names: str) -> tuple[Location, ...]:
    for name in names:
        (root / name).write_text(name)
    return tuple(Location(str(root / name)) for name in names)


READS = (Input(name="parts", type=Dataset, many=True, optional=True), Input(name="extra", type=Dataset, optional=True))


@pytest.mark.parametrize(
    ("inputs", "shown"),
    [
        ({}, "[-z]"),
        ({"parts": ["a"]}, "[--parts][a][-z]"),
        ({"parts": ["b", "a"], "extra": ["c"]}, "[--parts][b][a][--extra][c][--both][b][a][c][-z]"),
        ({"extra": ["c"]}, "[--extra][c][-z]"),
    ],
    ids=str,
)
def test_a_group_is_dropped_with_an_absent_input_and_a_list_becomes_many(
    tmp_path: Path, inputs: Mapping[str, list[str]], shown: str
) -> None:
    parts, extra = Slot("inputs", "parts"), Slot("inputs", "extra")
    args = (OUT, group("--parts", parts), group("--extra", extra), group("--both", parts, extra), "-z")
    given = {name: places(tmp_path, *names) for name, names in inputs.items()}
    assert run(tmp_path, shell(SHOW, *args, inputs=READS), inputs=given) == 0
    assert (tmp_path / "t" / "out").read_text().replace(f"{tmp_path}/", "") == shown


def test_a_file_that_travels_is_given_by_its_path(tmp_path: Path) -> None:
    interface = shell(
        'cat "$1" > "$0"; basename "$1" >> "$0"', OUT, Slot("parameters", "rules"),
        parameters=(parameter("rules", Kind.STRING, path=True),),
    )  # fmt: skip
    assert run(tmp_path, interface, parameters={"rules": {"name": "rules.yaml", "text": "a: 1\n"}}) == 0
    assert (tmp_path / "t" / "out").read_text() == "a: 1\nrules.yaml\n"


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        ({"maximum": 1}, 2, "`level` is 2, but must be at most 1"),
        ({}, "much", "`level` needs a whole number, but got `much`, which is text"),
    ],
    ids=str,
)
def test_a_parameter_is_held_to_its_schema(tmp_path: Path, schema: Any, value: Any, message: str) -> None:
    interface = shell("exit 9", parameters=(parameter("level", Kind.INTEGER, schema=schema),))
    assert run(tmp_path, interface, parameters={"level": value}) == 2
    assert told(tmp_path) == ("failed", message)


@pytest.mark.parametrize(
    ("script", "code", "outcome", "message"),
    [
        ("echo so it is >&2; exit 3", 3, "refused", "so it is"),
        ("echo nobody is there >&2; exit 75", 75, "failed", "nobody is there"),
        ("exit 2", 2, "failed", "it ended with exit code 2 and said nothing"),
        ("echo out; exit 7", 7, "failed", "it ended with exit code 7 and said nothing"),
        ("printf 'one\\n  \\033[31mtwo\\033[0m\\tthree\\n\\n' >&2; exit 1", 1, "failed", "two three"),
        ("kill -9 $$", 137, "failed", "it was ended by SIGKILL"),
        ("echo oh >&2; kill -SEGV $$", 139, "failed", "it was ended by SIGSEGV: oh"),
        (":", 1, "failed", "the step ended without writing output `out`: mend the step"),
        ('touch "$0" "$0.more"', 1, "failed", "the step wrote `out.more`, which it does not declare: mend the step"),
        ('echo "no room at $0" >&2; exit 1', 1, "failed", "no room at `out`"),
        ('head -c 9999 /dev/zero | tr "\\0" x >&2; exit 1', 1, "failed", "x" * 497 + "..."),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 60 else "",
)
def test_an_end_gives_its_code_and_the_last_line(
    tmp_path: Path, script: str, code: int, outcome: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, shell(script, OUT)) == code
    assert told(tmp_path) == (outcome, message)
    assert probes.visible(tmp_path) == ["t/result.json"]
    assert capfd.readouterr().err.splitlines()[-1].startswith("t (score@1): ")


def test_all_that_a_command_says_is_passed_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script = 'echo out; i=0; while [ $i -lt 20000 ]; do echo "line $i"; i=$((i+1)); done >&2; printf end >&2; : > "$0"'
    assert run(tmp_path, shell(script, OUT)) == 0
    said = capfd.readouterr()
    assert said.out == "out\n"
    assert said.err == "".join(f"line {n}\n" for n in range(20000)) + "end\n"


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    interface = shell("", OUT)
    missing = replace(interface, container=Container(command=("no-such-program",)))
    assert run(tmp_path, missing) == 1
    remedy = "install it, or run where the step's image has it"
    assert told(tmp_path) == ("failed", f"`no-such-program` is not installed here: {remedy}")


def test_a_program_that_cannot_be_started_is_told(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("no program")
    plain = replace(shell("", OUT), container=Container(command=(str(tmp_path / "plain"),)))
    assert run(tmp_path, plain) == 1
    assert "cannot be started: permission denied: mend the file or its rights" in told(tmp_path)[1]


def test_a_command_reads_nothing_and_has_its_share_of_cores(tmp_path: Path) -> None:
    script = 'wc -c > "$0"; echo "$OMP_NUM_THREADS" >> "$0"; pwd >> "$0"'
    assert run(tmp_path, shell(script, OUT), threads=3) == 0
    assert (tmp_path / "t" / "out").read_text().split() == ["0", "3", str(Path.cwd())]


def test_a_step_leaves_no_process_behind(tmp_path: Path) -> None:
    script = 'sleep 600 & echo $! > "$0"'
    assert run(tmp_path, shell(script, OUT)) == 0
    pid = int((tmp_path / "t" / "out").read_text())
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        time.sleep(0.01)


@pytest.mark.parametrize("change", ["foreign", "interface", "step"])
def test_a_call_that_carries_another_step_is_refused(tmp_path: Path, change: str) -> None:
    interface = shell(': > "$0"', OUT)
    other = interface_as_json(shell("exit 9", OUT))
    changed = {"foreign": {"foreign": other}, "interface": {"interface": "sha256:0"}, "step": {"step": "train@1"}}[
        change
    ]
    given = replace(call(interface, tmp_path), **changed)  # type: ignore[arg-type]
    assert runtime.execute(given) == 2
    assert told(tmp_path)[1].startswith("the call carries another step than `")


def test_a_call_that_carries_no_step_is_refused(tmp_path: Path) -> None:
    given = replace(call(shell("", OUT), tmp_path), foreign={"name": "score"})
    assert runtime.execute(given) == 2
    assert told(tmp_path)[1].startswith("the call does not say how `score@1` is started: ")


def test_the_command_line_takes_a_call_that_brings_its_step(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    interface = shell(': > "$0"', OUT)
    (tmp_path / "call.json").write_text(call(interface, tmp_path).as_json())
    assert command_line.main(["--foreign", "--call", str(tmp_path / "call.json")]) == 0
    assert command_line.main(["train", "--call", str(tmp_path / "call.json")]) == 2
    (tmp_path / "call.json").write_text(probes.call(interface, tmp_path).as_json())
    assert command_line.main(["--foreign", "--call", str(tmp_path / "call.json")]) == 2
    assert [line.partition(": compile")[0] for line in capfd.readouterr().err.splitlines()] == [
        "train: the call is for score@1, not for train",
        "pipec-step: the call is for score@1, not for pipec-step",
    ]


def test_sigterm_reaches_the_command_once_and_leaves_nothing(tmp_path: Path) -> None:
    script = 'trap "echo term >> $1; exit 0" TERM; echo $$ > "$2"; while :; do sleep 0.01; done'
    interface = shell(script, OUT, str(tmp_path / "heard"), str(tmp_path / "pid"))
    (tmp_path / "call.json").write_text(call(interface, tmp_path).as_json())
    environ = {**os.environ, "PYTHONPATH": str(Path(pipec.__file__).parents[1]), "TMPDIR": str(tmp_path / "scratch")}
    argv = [sys.executable, "-m", "pipec.steps", "--foreign", "--call", str(tmp_path / "call.json")]
    process = subprocess.Popen(argv, env=environ, stderr=subprocess.PIPE, start_new_session=True)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143
    assert said.decode().splitlines()[-1] == "pipec-step: stopped before it was done: run it again"
    assert (tmp_path / "heard").read_text() == "term\n"
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()
    assert probes.visible(tmp_path) == ["call.json", "heard", "pid", "t/result.json"]
    assert told(tmp_path) == ("failed", "it was stopped before it was done: run it again")


def test_a_signal_that_comes_while_a_command_starts_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Signalled(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            signal.raise_signal(signal.SIGTERM)
            started.append(self.pid)

    started: list[int] = []
    monkeypatch.setattr(subprocess, "Popen", Signalled)
    (tmp_path / "call.json").write_text(call(shell("sleep 600", OUT), tmp_path).as_json())
    assert command_line.main(["--foreign", "--call", str(tmp_path / "call.json")]) == 128 + signal.SIGTERM
    assert not Path(f"/proc/{started[0]}").exists()
