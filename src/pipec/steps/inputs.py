"""What a step is given: inputs on this machine, whole and as they were made, and parameters as they are declared.

Apart from `runtime.py`, which says in which order things happen.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pipec import digest
from pipec.steps import argument, store, team
from pipec.steps.attempt import Attempt, Fetched
from pipec.steps.command import Call, Location
from pipec.steps.declare import CallerError, Refused
from pipec.steps.interface import Interface
from pipec.values import Json


def told(call: Call, interface: Interface) -> dict[str, list[str]] | None:
    """Return the digests of all inputs as the caller tells them, or None where one is known only once it was read."""
    found: dict[str, list[str]] = {}
    for declared in interface.inputs:
        digests = [place.digest for place in call.inputs.get(declared.name, ())]
        found[declared.name] = [known for known in digests if known is not None]
        if len(found[declared.name]) < len(digests):
            return None
    given = argument.arguments(interface, call.parameters)
    is_read = any(parameter.location and given[parameter.name] is not None for parameter in interface.parameters)
    return None if is_read else found


def inputs(attempt: Attempt, interface: Interface) -> dict[str, Path | list[Path] | None]:
    """Return the inputs as the step is given them: a path, a list of paths, or None."""
    fields: dict[str, Path | list[Path] | None] = {}
    for name in attempt.call.inputs:
        if interface.input(name) is None:
            raise CallerError(f"there is no input `{name}`; there are: {', '.join(i.name for i in interface.inputs)}")
    for declared in interface.inputs:
        places = attempt.call.inputs.get(declared.name, ())
        if not places and not declared.optional:
            raise CallerError(f"input `{declared.name}` is missing: nothing made it, or the caller left it out")
        if len(places) > 1 and not declared.many:
            raise CallerError(f"input `{declared.name}` takes one artifact, but got {len(places)}")
        found = [fetched(attempt, declared.name, place, number) for number, place in enumerate(places)]
        attempt.inputs[declared.name] = found
        paths = [one.path for one in found]
        fields[declared.name] = paths if declared.many else paths[0] if paths else None
    return fields


def fetched(attempt: Attempt, name: str, place: Location, number: int = 0) -> Fetched:
    """Return an input on this machine, its digest known and, where the caller knows it, the one expected."""
    path = _local(attempt, name, place, number)
    attempt.names[str(path)] = f"`{name}`"
    found = _digest(name, path)
    if place.digest not in (None, found) and store.is_remote(place.uri):
        attempt.log(f"`{name}` is not what was made: fetching it once more")  # it may have been spoilt on its way
        path = _local(attempt, name, place, number)
        found = _digest(name, path)
    if place.digest not in (None, found):
        raise Refused(f"`{name}` is not what was made: it should be {place.digest}, but is {found}: run its step again")
    return Fetched(path, found, is_kept=place.digest is not None, stamp=stamp(path))


def _local(attempt: Attempt, name: str, place: Location, number: int) -> Path:
    """Return where an input is on this machine, bringing it here where it is not."""
    if store.is_remote(place.uri):
        folder = attempt.work / "inputs" / f"{name}-{number}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        attempt.log(f"fetching `{name}` from {store.shown(place.uri)}")
        return store.fetch(place.uri, folder, attempt.log)
    path = store.local(place.uri, attempt.call.base)
    if not os.path.lexists(path):
        attempt.names[str(path)] = "its place"
        raise CallerError(f"`{name}` is not at `{place.uri}`: check the path, and the task that makes it")
    return path


def _digest(name: str, path: Path) -> str:
    try:
        return digest.of_path(path)
    except ValueError as fault:
        raise Refused(f"`{name}` cannot be read: {fault}") from fault


def stamp(path: Path) -> tuple[int, ...]:
    """Return numbers that change when a file is written to, so that a second hash is rarely needed."""
    stat = path.stat()
    return (stat.st_ino, stat.st_size, stat.st_mtime_ns) if path.is_file() else ()


def check_unchanged(attempt: Attempt) -> None:
    for name, found in attempt.inputs.items():
        for one in found:
            if one.stamp and stamp(one.path) != one.stamp and digest.of_path(one.path) != one.digest:
                raise Refused(f"`{name}` was changed while the step read it: run again when nobody writes to it")


def parameters(attempt: Attempt, interface: Interface) -> dict[str, Json | Path]:
    """Return the parameters as the step is given them; attachments become files, locations local paths."""
    fields: dict[str, Json | Path] = {}
    for name, value in argument.arguments(interface, attempt.call.parameters).items():
        declared = interface.parameter(name)
        assert declared is not None, f"arguments returned `{name}`, which the interface does not declare"
        fields[name] = value
        if declared.path and value is not None:
            fields[name] = _attached(attempt, name, value)
        elif declared.location and isinstance(value, str):
            found = fetched(attempt, name, Location(value))
            attempt.inputs[name] = [found]
            fields[name] = str(found.path)
    return fields


def _attached(attempt: Attempt, name: str, value: Json) -> Path:
    """Return the file that an attachment or a file of the image becomes. It keeps its name, whose ending may matter."""
    folder = attempt.work / "attachments" / name
    match value:
        case {"path": str(place), "digest": str(wanted)}:
            folder.mkdir(parents=True)
            path = team.take(place, wanted, folder)
            attempt.names[str(path)] = f"`{place}`"
            return path
        case {"name": str(title), "text": str(text)}:
            folder.mkdir(parents=True)
            path = folder / (Path(title).name or name)
            path.write_text(text, encoding="utf-8")
            attempt.names[str(path)] = f"`{title}`"
            return path
    raise CallerError(f"`{name}` must be a file beside the pipeline, which travels with it: compile the pipeline again")
