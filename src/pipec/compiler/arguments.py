"""What each step is given, against its own interface: names, values, and the files that parameters name.

A pass of its own beside the rules, because it judges one argument at a time by the schema of that very parameter.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import TypeAlias

from pipec.compiler.flatten import Flat
from pipec.compiler.graph import Graph
from pipec.contents import Contents
from pipec.diagnostics import Finding, Loc, Note, bounded, guess
from pipec.schema import check, secret
from pipec.schema import findings as kinds
from pipec.schema.files import TooLargeError, UnreadableError
from pipec.schema.model import Argument, Pipeline, StepUse
from pipec.steps.interface import Interface, Parameter
from pipec.values import Attachment, ImageFile, Literal

MAX_FILE_BYTES = 64 << 10  # travels inside the plan; Linux takes at most 128 KiB in one argument
MAX_FILES_BYTES = 512 << 10
Attachments: TypeAlias = Mapping[tuple[str, str], Attachment | ImageFile]
Reader: TypeAlias = Callable[[str, str, int], str]
Holder: TypeAlias = Callable[[StepUse], Contents | None]


def judge(pipeline: Pipeline, graph: Graph) -> Iterator[Finding]:
    """Find arguments that their step does not take, or not with that value."""
    yield from bounded(_judged(pipeline, graph))


def _judged(pipeline: Pipeline, graph: Graph) -> Iterator[Finding]:
    given = [(use.name, use.arguments) for use in pipeline.steps]
    others = [(other.step, other.arguments) for other in pipeline.overlaid if other.field == "with"]
    for step, arguments in (*given, *others):
        interface = graph.interfaces.get(step)
        if interface is None:
            continue
        for argument in arguments:
            parameter = interface.parameter(argument.name)
            if parameter is not None:
                yield from _value(argument, parameter)
            elif interface.input(argument.name) is None:
                yield _unknown(step, argument, interface)
        yield from _doubled(step, arguments, interface)


def _doubled(step: str, arguments: tuple[Argument, ...], interface: Interface) -> Iterator[Finding]:
    """Find parameters of which each takes the place of the other."""
    given = {argument.name: argument for argument in arguments}
    for argument in arguments:
        parameter = interface.parameter(argument.name)
        if parameter and parameter.instead_of in given:
            message = f"`{argument.name}` of `{step}` takes the place of `{parameter.instead_of}`, and both are given"
            note = Note(f"`{parameter.instead_of}` is given here", given[parameter.instead_of].loc)
            yield kinds.WRONG_VALUE.at(argument.loc, message, help="remove one of the two", notes=[note])


def _value(argument: Argument, parameter: Parameter) -> Iterator[Finding]:
    if parameter.secret and isinstance(argument.value, Literal):
        if isinstance(argument.value.value, str) and secret.is_told(("with", argument.name), argument.value.value):
            return  # told with the text
        message = f"`{argument.name}` takes a secret, and its value stands here for all to read"
        yield kinds.INLINED_SECRET.at(argument.node.loc, message, help="write `${{ secrets.NAME }}`")
        return
    yield from check.value_problems(argument.name, argument.node, parameter.schema)


def _unknown(step: str, argument: Argument, interface: Interface) -> Finding:
    known = sorted([*(i.name for i in interface.inputs), *(p.name for p in interface.parameters)])
    close = guess(argument.name, known)
    hint = f"did you mean `{close}`? " if close else ""
    return kinds.UNKNOWN_PARAMETER.at(
        argument.loc,
        f"step `{step}` has no parameter `{argument.name}`",
        help=f"{hint}`{interface.name}` takes: {', '.join(known)}",
    )


def attach(flat: Flat, read: Reader, held: Holder) -> tuple[Attachments, tuple[Finding, ...]]:
    """Return the files that `path` parameters name, by flat step and parameter: by content, or as the image has them.

    read: returns the text of a file by the folder it is named from and its name, at most so many bytes of it; raises
    UnreadableError. held: what the image of a step holds, if that is known.
    """
    attached: dict[tuple[str, str], Attachment | ImageFile] = {}
    found: list[Finding] = [*_unknown_files(flat)]
    total = 0
    for use, parameter, folder, name, loc in _named_files(flat):
        in_image = _in_image(held(use), folder, name)
        try:
            text = read(folder, name, MAX_FILE_BYTES)
        except UnreadableError as fault:
            if in_image is None:
                found.append(_unread(fault, loc, is_locked=held(use) is not None))
            else:
                attached[use.name, parameter.name] = in_image
            continue
        if in_image and total + len(text.encode()) > MAX_FILES_BYTES:
            attached[use.name, parameter.name] = in_image
            continue
        total += len(text.encode())
        if total > MAX_FILES_BYTES:
            message = f"the files of this pipeline are together larger than {MAX_FILES_BYTES >> 10} KiB"
            found.append(kinds.TOO_LARGE.at(loc, message, help="make large ones artifacts, or put them in the image"))
            break
        attached[use.name, parameter.name] = Attachment(PurePosixPath(name).name, text)
    return attached, tuple(found)


def _in_image(contents: Contents | None, folder: str, name: str) -> ImageFile | None:
    """Return a file as the image has it: called as it is written, or by its place in the project."""
    for path in (posixpath.normpath(name), posixpath.normpath(posixpath.join(folder, name))) if contents else ():
        if contents and path in contents.files:
            return ImageFile(path, contents.files[path])
    return None


def _unread(fault: UnreadableError, loc: Loc, *, is_locked: bool) -> Finding:
    if isinstance(fault, TooLargeError):
        advice = "make it an artifact, or put it into the image: `pipec image build --with`, then `pipec image lock`"
    elif is_locked:
        advice = "paths are relative to the file that says them; by pipec.lock the image does not have it either"
    else:
        advice = "paths are relative to the file that says them; files of the image are known from `pipec image lock`"
    return kinds.NOT_TEXT.at(loc, str(fault), help=advice)


def _unknown_files(flat: Flat) -> Iterator[Finding]:
    """Find names of files and functions that only a run would know: nobody could say whether it has them."""
    for use in flat.pipeline.steps:
        interface = flat.interfaces.get(use.name)
        for parameter in interface.parameters if interface else ():
            argument = use.argument(parameter.name) if parameter.path or parameter.factory else None
            if argument and not isinstance(argument.value, Literal):
                what, form = ("a file", "its path") if parameter.path else ("a function", "its name")
                message = f"`{parameter.name}` names {what}, which must be known when the pipeline is compiled"
                yield kinds.NOT_CONSTANT.at(
                    argument.node.loc, message, help=f"write {form}, or name a `const` parameter"
                )


def _named_files(flat: Flat) -> Iterator[tuple[StepUse, Parameter, str, str, Loc]]:
    """Yield each parameter that names a file: the step, the folder it is named from, its name, and who says so."""
    for use in flat.pipeline.steps:
        interface = flat.interfaces.get(use.name)
        for parameter in interface.parameters if interface else ():
            argument = use.argument(parameter.name) if parameter.path else None
            if argument and isinstance(argument.value, Literal) and isinstance(argument.value.value, str):
                folder = flat.folders[use.name] if argument.folder is None else argument.folder
                yield use, parameter, folder, argument.value.value, argument.node.loc
            elif parameter.path and argument is None and isinstance(parameter.default, str) and parameter.default:
                yield use, parameter, flat.homes[use.name], parameter.default, use.uses_loc
