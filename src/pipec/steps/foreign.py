"""Steps in any language, as the runtime runs them: a command, its arguments made of one call, and the files it writes.

What such a step declares travels in its call (`carried.py`): neither a catalogue nor a file of the user is asked.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from pipec.record import frozen
from pipec.steps import child
from pipec.steps.argument import as_argument
from pipec.steps.carried import interface_of_json
from pipec.steps.command import Call
from pipec.steps.declare import CallerError, Context, StepError
from pipec.steps.given import Given
from pipec.steps.interface import Container, Interface, Kind, Output, Slot, Word, Words
from pipec.values import Json

VALUE_LIMIT = 1 << 20  # bytes of a small output: they travel through journals and records, data through artifacts
_REMEDY = "engine and step runtime differ in version, or the call was changed"
INIT = "[FATAL tini"  # how a container's first process says that it could not start the command


class Ended(StepError):
    """The command ended with an exit code that is not success, which becomes that of the step."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@frozen
class ForeignStep:
    """What a manifest declares, run by starting its command; with a prefix, as `Call` has it, in a container."""

    interface: Interface
    container: Container
    prefix: tuple[str, ...] = ()

    def run(self, given: Given, context: Context) -> Mapping[str, Json]:
        """Run the command, and return the small outputs that it wrote. Raises StepError."""
        folder = given.work / "values"
        folder.mkdir()
        files = {output.name: folder / output.name for output in self.interface.small_outputs}
        own = command_line(self.container, given, files)
        argv = [*(os.fsencode(word) for word in self.prefix), *own[1:]] if self.prefix else own
        _run(self.container.command[0], argv, is_contained=bool(self.prefix))
        return values(self.interface, folder)


def values(interface: Interface, folder: Path) -> Mapping[str, Json]:
    """Return the small outputs that a command wrote, each into a file of its name in `folder`. Raises StepError."""
    written = [output for output in interface.small_outputs if os.path.lexists(folder / output.name)]
    return {output.name: _value(output, folder / output.name) for output in written}


def declared(carried: Mapping[str, Json], call: Call) -> Interface:
    """Return what the call's step declares. Raises CallerError if what the call carries is not what was compiled."""
    interface = brought(carried, f"`{call.step}`")
    if call.step != f"{interface.name}@{interface.version}" or call.interface != interface.digest:
        raise CallerError(f"the call carries another step than `{call.step}`: {_REMEDY}")
    return interface


def brought(carried: Mapping[str, Json], name: str = "its step") -> Interface:
    """Return what a call says that a step declares. Raises CallerError if it says none."""
    try:
        return interface_of_json(carried)
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        raise CallerError(f"the call does not say how {name} is started: {_REMEDY}") from fault


def command_line(container: Container, given: Given, files: Mapping[str, Path]) -> list[bytes]:
    """Return the command and its arguments. files: where each small output is to be written. Raises CallerError.

    As bytes: texts are UTF-8 whatever this machine's locale says, and paths are what the machine says they are.
    """
    values: dict[str, Mapping[str, Json | Path | list[Path]]] = {
        "inputs": given.inputs, "outputs": {**given.outputs, **files}, "parameters": given.parameters,
    }  # fmt: skip
    argv = [text.encode() for text in container.command]
    for argument in container.args:
        if not _is_dropped(argument, given):
            for word in argument.words:
                argv += _expanded(word, values)
    return argv


def _is_dropped(argument: Words, given: Given) -> bool:
    absent = (slot for slot in argument.slots if slot.root == "inputs" and not given.inputs.get(slot.name))
    return argument.is_group and any(absent)


def _expanded(word: Word, values: Mapping[str, Mapping[str, Json | Path | list[Path]]]) -> Iterator[bytes]:
    """Yield the arguments that a word becomes: one, but for a list of paths one for each."""
    match word:
        case (Slot("inputs", name),) if isinstance(paths := values["inputs"][name], list):
            yield from (os.fsencode(str(path)) for path in paths)
        case _:
            yield b"".join(
                part.encode() if isinstance(part, str) else _bytes(part, values[part.root][part.name]) for part in word
            )


def _bytes(slot: Slot, value: Json | Path | list[Path]) -> bytes:
    if isinstance(value, Path):
        return os.fsencode(value)
    return as_argument(cast(Json, value), slot.name).encode()  # a list of paths stands alone, where its manifest passed


def _run(program: str, argv: list[bytes], *, is_contained: bool) -> None:
    try:
        end = child.run(argv)
    except FileNotFoundError as fault:
        raise StepError(
            f"`{program}` is not installed here: install it, or run where the step's image has it"
        ) from fault
    except OSError as fault:
        if fault.errno == errno.E2BIG:
            raise CallerError("the arguments are too long for this machine: hand large values over as files") from fault
        why = (fault.strerror or str(fault)).lower()
        raise StepError(f"`{program}` cannot be started: {why}: mend the file or its rights") from fault
    if is_contained and end.code in (126, 127) and end.last_line.startswith(INIT):
        raise StepError(
            f"`{program}` is not in the step's image, or may not be started there: mend the command or image"
        )
    if end.signal:
        raise Ended(f"it was ended by {end.signal}" + (end.last_line and f": {end.last_line}"), end.code)
    if end.code:
        raise Ended(end.last_line or f"it ended with exit code {end.code} and said nothing", end.code)


def _value(output: Output, path: Path) -> Json:
    """Return the value that a command wrote as text; a text that is none is returned as it is, for others to judge."""
    if path.is_symlink() or not path.is_file():
        raise StepError(f"output `{output.name}` is not a plain file: mend the step")
    with path.open("rb") as stream:
        data = stream.read(VALUE_LIMIT + 1)
    if len(data) > VALUE_LIMIT:
        raise StepError(f"output `{output.name}` is larger than {VALUE_LIMIT >> 20} MiB: declare it as an artifact")
    try:
        text = data.decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError as fault:
        raise StepError(f"output `{output.name}` is not UTF-8 text: mend the step") from fault
    if output.type is Kind.STRING:
        return text
    try:
        found: Json = json.loads(text, parse_constant=_refuse)
        return found
    except (ValueError, RecursionError):
        return text


def _refuse(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")
