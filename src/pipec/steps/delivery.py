"""From what a step wrote to what others may see: staged out of sight, checked, then moved in whole.

No reader ever meets half an artifact: a local one is renamed into its place, a remote one is uploaded before the result
file that tells of it. Apart from `runtime.py`, which says in which order things happen.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from pipec import digest
from pipec.record import frozen
from pipec.steps import store
from pipec.steps.command import Call
from pipec.steps.declare import CallerError, StepError
from pipec.steps.interface import Interface, Output


@frozen
class Staged:
    """One artifact on its way. path: where the step writes it. place: where it goes, a local path or a URL."""

    output: Output
    path: Path
    place: Path | str


@contextmanager
def staged(interface: Interface, call: Call, work: Path, written: Path | None = None) -> Iterator[dict[str, Staged]]:
    """Give every artifact a place to be written to, by name; whatever has not been published is gone at the end.

    Local artifacts are staged in a hidden folder beside their place, so that a rename can move them; remote ones below
    `work`, or where they lie already. written: the folder in which another image has left them, which stays.
    Raises CallerError if the call does not say where an artifact goes.
    """
    with ExitStack() as stack:
        folders: dict[Path, Path] = {}
        found = {}
        for output in interface.artifacts:
            place = _place(call, output.name)
            parent = work if isinstance(place, str) else place.parent
            if written and isinstance(place, str):
                folders[parent] = written
            if parent not in folders:
                parent.mkdir(parents=True, exist_ok=True)
                folders[parent] = Path(tempfile.mkdtemp(prefix=".pipec-", dir=parent))
                stack.callback(shutil.rmtree, folders[parent], ignore_errors=True)
            # Two artifacts may have places of one name in different folders, never in the same folder.
            name = output.name if isinstance(place, str) else place.name
            found[output.name] = Staged(output, folders[parent] / name, place)
        yield found


def _place(call: Call, name: str) -> Path | str:
    if name in call.outputs:
        place = call.outputs[name]
    elif "*" in call.outputs:
        place = f"{call.outputs['*'].rstrip('/')}/{name}"
    else:
        raise CallerError(f"the caller does not say where output `{name}` goes: compile and deploy the pipeline again")
    return place if store.is_remote(place) else store.local(place, call.base)


def pass_on(source: Path, target: Path, *, is_kept: bool) -> None:
    """Put the file or folder `source` at `target`, unchanged.

    is_kept: whether `source` is an artifact that nobody changes; it is then linked, not copied, where that is possible.
    A user's own file is copied always: an edit of it must not reach into the artifacts of a run.
    """
    copy = _link if is_kept else shutil.copyfile
    if not source.is_dir():
        copy(source, target)
        return
    # Not copytree: it copies the folders' modes too, and a read-only folder can neither be moved nor be cleaned away.
    target.mkdir()
    for below in sorted(source.rglob("*")):
        place = target / below.relative_to(source)
        place.mkdir() if below.is_dir() else copy(below, place)


def _link(source: Path | str, target: Path | str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


def seal(deliveries: Mapping[str, Staged]) -> dict[str, str]:
    """Return the digest of every artifact that was written, by name.

    Raises StepError if one that is not optional is missing, if one is no plain file or folder, or if the step left
    anything else beside them.
    """
    declared = {delivery.path for delivery in deliveries.values()}
    for folder in {path.parent for path in declared}:
        check_declared(folder, {path.name for path in declared if path.parent == folder})
    return {name: _seal(delivery) for name, delivery in deliveries.items() if not _is_left_out(delivery)}


def check_declared(folder: Path, names: Container[str]) -> None:
    """Raise StepError where anything but `names` lies in a folder that is for what a step declares."""
    for found in sorted(folder.iterdir()):
        if found.name not in names:
            raise StepError(f"the step wrote `{found.name}`, which it does not declare: mend the step")


def _is_left_out(delivery: Staged) -> bool:
    return delivery.output.optional and not os.path.lexists(delivery.path)


def _seal(delivery: Staged) -> str:
    name = delivery.output.name
    if not os.path.lexists(delivery.path):
        raise StepError(f"the step ended without writing output `{name}`: mend the step")
    try:
        found = digest.of_path(delivery.path)
    except ValueError as fault:
        raise StepError(f"output `{name}` cannot be kept: {fault}") from fault
    for file in [delivery.path, *delivery.path.rglob("*")]:
        if file.is_file():
            _flush(file)
    return found


def publish(deliveries: Mapping[str, Staged], log: Callable[[str], None]) -> None:
    """Move every artifact to its place, over what an earlier attempt left there; what was not written goes nowhere.

    What an earlier attempt left at such a place stays: no result names it, so nobody reads it.
    """
    for delivery in deliveries.values():
        if _is_left_out(delivery):
            continue
        if isinstance(delivery.place, str):
            log(f"publishing `{delivery.output.name}` to {store.shown(delivery.place)}")
            store.push(delivery.path, delivery.place, log)
            continue
        if delivery.place.is_dir() and not delivery.place.is_symlink():
            # A folder cannot be replaced in one move; aside, it leaves with the staging folder.
            delivery.place.rename(delivery.path.parent / f"{delivery.path.name}.replaced")
        delivery.path.replace(delivery.place)
        _flush(delivery.place.parent)


def _flush(path: Path) -> None:
    """Make what was written outlast a loss of power; file systems that cannot say so are believed."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
