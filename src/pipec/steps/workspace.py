"""A step of another image that the orchestrator itself starts: what is done before that container, and after it.

No pipec is in that image. `--prepare` puts what it reads into a folder that both see, and finds out the whole command;
`--keep` judges what it wrote there, and publishes it. Knows a call, and nothing of who starts containers.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipec import digest
from pipec.record import frozen
from pipec.steps import delivery, foreign, inputs, runtime, store, xcom
from pipec.steps.attempt import Attempt, Fetched
from pipec.steps.command import RESULT, Call, run_folder
from pipec.steps.declare import CallerError, Context, StepError
from pipec.steps.given import Given
from pipec.steps.interface import Interface
from pipec.values import Json, as_text
from pipec.verdict import SUCCEEDED

PREPARED = "prepared.json"  # beside the result: {"folder", "inputs"}, which the other image does not see
_LONGEST_NAME = 200  # of a folder, before what makes it one of its kind; file systems take 255 bytes
_OUTPUTS, _VALUES = "outputs", "values"
# The other image's user is not this one's: it reads what is here, and writes where all may.
_READ, _READ_FOLDER, _WRITTEN_FOLDER = 0o644, 0o755, 0o777


def prepare(attempt: Attempt) -> None:
    """Leave in a new folder of the workspace all that the step reads, and hand over its command.

    Handed over is `{"command": [[text, ...], ...], "attempts": n, "env": {name: text}}`: each word in parts, which the
    number of the attempt joins, from 1 to n. So every attempt writes to a place in which no other has left anything.
    """
    call = attempt.call
    interface = _declared(call)
    if before := _prepared(call):
        shutil.rmtree(before["folder"], ignore_errors=True)
    place = attempt.work = _folder(call)
    attempt.names[str(place)] = "the workspace"
    try:
        words = _words(attempt, interface)
        attempt.handed = _handed({"command": words, "attempts": call.tries, "env": _variables(call)})
        inside = {name: [_told(one, place) for one in found] for name, found in attempt.inputs.items()}
        body = json.dumps({"folder": str(place), "inputs": inside}, sort_keys=True)
        store.write_text(_beside(call), f"{body}\n", call.base)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def keep(attempt: Attempt) -> None:
    """Publish what the image left in the workspace, with a result as the engine's; then remove it there.

    What stays where this fails is looked at by people, and gone when the step is prepared again.
    """
    call = attempt.call
    interface, prepared = _declared(call), _prepared(call)
    place = Path(prepared["folder"]) if prepared else None
    written = place / str(call.attempt) if place else None
    if prepared is None or place is None or written is None or not written.is_dir():
        attempt.handed = _kept_before(call)
        return
    attempt.names[str(place)] = "the workspace"
    attempt.inputs = {name: [_fetched(one, place) for one in found] for name, found in prepared["inputs"].items()}
    given = Given(inputs={}, parameters={}, outputs={}, work=attempt.work)
    runtime.do(attempt, Left(interface, written), given, written=written / _OUTPUTS)
    gone = place.rename(f"{place}.done")  # in one move: who looks again finds all of it or nothing
    shutil.rmtree(gone, ignore_errors=True)
    if gone.exists():
        attempt.log("some files in the workspace are not ours to remove: let all steps be one user (`run_as_user`)")


@frozen
class Left:
    """A step that another image has done. folder: in which it left its outputs."""

    interface: Interface
    folder: Path

    def run(self, given: Given, context: Context) -> Mapping[str, Json]:
        """Return the small outputs, and copy artifacts to where they are wanted on this machine. Raises StepError."""
        values = foreign.values(self.interface, self.folder / _VALUES)
        found = self.folder / _OUTPUTS
        passed = [output.name for output in self.interface.artifacts if output.same_as]
        for name in passed:  # an attempt of ours that was not finished may have begun with it
            _remove(found / name)
        if given.outputs or passed:
            delivery.check_declared(found, given.outputs)
        for name, target in given.outputs.items():
            if target != found / name and os.path.lexists(found / name):
                _copy(found / name, target)
        return values


def _declared(call: Call) -> Interface:
    assert call.foreign is not None, "the command line lets only calls pass that bring their step"
    interface = foreign.declared(call.foreign, call)
    if interface.container is None or call.workspace is None:
        raise CallerError("`--workspace` and the step's own command must be told: compile the pipeline again")
    return interface


def _folder(call: Call) -> Path:
    """Return a new folder of the workspace. No attempt finds what another may still be writing."""
    root = Path(call.workspace or "")
    if not root.is_dir():
        root.mkdir(parents=True, exist_ok=True)
        root.chmod(_WRITTEN_FOLDER)  # the next pipeline's image may have another user
    name = run_folder("", call.pipeline, call.run_id).removeprefix("/runs/").replace("/", ".")
    made = Path(tempfile.mkdtemp(prefix=f"{name}.{call.task}"[:_LONGEST_NAME] + ".", dir=root))
    made.chmod(_READ_FOLDER)
    return made


def _words(attempt: Attempt, interface: Interface) -> list[Json]:
    """Bring the step's inputs, make room for its outputs, and return the words of its command, in parts."""
    place, container = attempt.work, interface.container
    assert container is not None, "_declared asked for it"
    inputs.inputs(attempt, interface)
    parameters = inputs.parameters(attempt, interface)
    taken = {name: [_brought(one, place, f"{name}-{n}") for n, one in enumerate(found)]
             for name, found in attempt.inputs.items()}  # fmt: skip
    inputs.check_unchanged(attempt)
    attempt.inputs = taken
    rooms = [place / str(number) for number in range(1, attempt.call.tries + 1)]
    for made in (room / part for room in rooms for part in (_OUTPUTS, _VALUES)):
        made.mkdir(parents=True)
    _let_read(place)
    for made in (room / part for room in rooms for part in (_OUTPUTS, _VALUES)):
        made.chmod(_WRITTEN_FOLDER)
    mark = secrets.token_hex(16)  # stands in no word by itself
    written = {o.name: place / mark / _OUTPUTS / o.name for o in interface.artifacts if not o.same_as}
    files = {output.name: place / mark / _VALUES / output.name for output in interface.small_outputs}
    given = Given(inputs=_paths(attempt, interface), parameters=parameters, outputs=written, work=place)
    return [list(_text(word).split(mark)) for word in foreign.command_line(container, given, files)]


def _variables(call: Call) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for name, value in call.variables.items():
        try:
            found[name] = as_text(value)
        except TypeError as fault:
            raise CallerError(f"variable `{name}` can be text, a number or a boolean only: give it another") from fault
    return found


def _paths(attempt: Attempt, interface: Interface) -> dict[str, Path | list[Path] | None]:
    found: dict[str, Path | list[Path] | None] = {}
    for declared in interface.inputs:
        paths = [one.path for one in attempt.inputs[declared.name]]
        found[declared.name] = paths if declared.many else paths[0] if paths else None
    return found


def _brought(one: Fetched, place: Path, name: str) -> Fetched:
    """Return an input that lies in the workspace: a copy of a local one, which the other image could change."""
    path = one.path
    if not path.is_relative_to(place):
        path = place / "inputs" / name / one.path.name
        path.parent.mkdir(parents=True)
        delivery.pass_on(one.path, path, is_kept=False)
    return Fetched(path, one.digest, is_kept=True, stamp=one.stamp)


def _let_read(place: Path) -> None:
    for folder, _, files in os.walk(place):
        Path(folder).chmod(_READ_FOLDER)
        for name in files:
            (Path(folder) / name).chmod(_READ)


def _text(word: bytes) -> str:
    try:
        return word.decode()
    except UnicodeDecodeError as fault:
        raise CallerError("the name of an input is not UTF-8, and no container could be told it: rename it") from fault


def _handed(body: Mapping[str, Json]) -> str:
    text = json.dumps(body)
    if len(text) > xcom.LIMIT:
        raise CallerError(
            f"the command and its variables take {len(text)} bytes, and airflow carries {xcom.LIMIT}: "
            "hand large values over as files"
        )
    return text


def _beside(call: Call) -> str:
    return f"{(call.result or '').removesuffix(RESULT)}{PREPARED}"


def _prepared(call: Call) -> Any:
    """Return what the last preparation left, or None. Raises StepError where it cannot be known."""
    text = store.read_text(_beside(call), call.base)
    try:
        return None if text is None else json.loads(text)
    except ValueError as fault:
        raise StepError(f"what was prepared for `{call.task}` is damaged: run the pipeline again") from fault


def _told(one: Fetched, place: Path) -> Json:
    return {
        "path": str(one.path.relative_to(place)), "digest": one.digest, "stamp": list(inputs.stamp(one.path)),
    }  # fmt: skip


def _fetched(told: Any, place: Path) -> Fetched:
    return Fetched(place / told["path"], told["digest"], is_kept=True, stamp=tuple(told["stamp"]))


def _kept_before(call: Call) -> str | None:
    """Return what an attempt handed on that ended before its orchestrator heard of it: the files are gone with it."""
    text = store.read_text(call.result or "", call.base)
    told: Any = json.loads(text) if text else {"outcome": ""}
    if told["outcome"] != SUCCEEDED:
        raise CallerError(f"what `{call.task}` wrote is not there any more: let its inputs be prepared again")
    return xcom.text(told["values"]) if call.xcom else None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    try:
        digest.of_path(source)
    except ValueError as fault:
        raise StepError(f"output `{source.name}` cannot be kept: {fault}") from fault
    delivery.pass_on(source, target, is_kept=False)
