"""Writing files whole or not at all: temporary sibling, fsync, rename. A reader never sees half of one.

Where anything fails, all files are again what they were. A kill between two renames is all that can leave new files
beside old ones, each of them whole: `compile --check` tells them, and compiling again mends it and sweeps up.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipec.record import mutable
from pipec.targets.base import File

_NEW, _OLD = ".pipec-new", ".pipec-old"


class OutputError(Exception):
    """Nothing was changed; the message is one line: cause and next action."""


@mutable
class _Draft:
    """A file on its way. has_old: what it replaces is kept beside it. is_first: it replaces nothing.

    is_placed: it has taken its place.
    """

    path: Path
    has_old: bool = False
    is_first: bool = False
    is_placed: bool = False

    @property
    def new(self) -> Path:
        return self.path.with_name(f".{self.path.name}{_NEW}")

    @property
    def old(self) -> Path:
        return self.path.with_name(f".{self.path.name}{_OLD}")


AGAIN = "compile again, or choose another folder with -o"


def write(folder: Path, files: Iterable[File], again: str = AGAIN) -> tuple[Path, ...]:
    """Write all files below `folder`, and return where they are. Raises OutputError.

    Every file is complete on disk under a temporary name before the first one takes its place. Something else than a
    file in that place is refused; a link there is replaced, never followed. again: what to do once a fault is mended.
    """
    texts = {folder / file.path: file.text for file in files}
    drafts = [_Draft(path) for path in texts]
    made: list[Path] = []
    try:
        for parent in dict.fromkeys(path.parent for path in texts):
            _make(parent, made)
        with _alone(folder):
            _exchange(drafts, texts)
    except OSError as fault:
        for each in reversed(made):
            with contextlib.suppress(OSError):
                each.rmdir()
        cause = (fault.strerror or str(fault)).lower()
        told = f"cannot write `{fault.filename or folder}`: {cause}; nothing is changed: mend that and {again}"
        raise OutputError(told) from None
    return tuple(texts)


def stale(folder: Path, files: Iterable[File]) -> tuple[str, ...]:
    """Return the paths of the files that are missing below `folder` or differ there."""
    return tuple(file.path for file in files if _content(folder / file.path) != file.text)


def _content(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _make(folder: Path, made: list[Path]) -> None:
    """Make a folder with those above it, and add the new ones to `made`."""
    if folder.is_dir():
        return
    if folder != folder.parent:
        _make(folder.parent, made)
    folder.mkdir(exist_ok=True)
    made.append(folder)
    _sync(folder.parent)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep others from writing into a folder, so that what lies about in it is what a killed one left."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # some file systems have no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        with contextlib.suppress(OSError):
            os.close(handle)


def _exchange(drafts: list[_Draft], texts: dict[Path, str]) -> None:
    parents = dict.fromkeys(draft.path.parent for draft in drafts)
    try:
        for parent in parents:
            _sweep(parent)
        for draft in drafts:
            _refuse_other(draft.path)
            _stage(draft.new, texts[draft.path])
        for draft in drafts:
            _keep(draft)
        for draft in drafts:
            draft.new.replace(draft.path)
            draft.is_placed = True
        for parent in parents:
            _sync(parent)
    except OSError:
        for draft in drafts:
            _undo(draft)
        raise
    for draft in drafts:
        with contextlib.suppress(OSError):  # all is written; what is left is swept the next time
            draft.old.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name.startswith(".") and path.name.endswith((_NEW, _OLD)):
            path.unlink()


def _refuse_other(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        mode = path.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
            raise OSError(0, "something else than a file has that name", str(path))


def _stage(path: Path, text: str) -> None:
    with path.open("xb") as stream:
        stream.write(text.encode("utf-8"))
        stream.flush()
        os.fsync(stream.fileno())


def _keep(draft: _Draft) -> None:
    """Keep what a draft replaces beside it."""
    try:
        _double(draft.path, draft.old)
    except FileNotFoundError:
        draft.is_first = True
    else:
        draft.has_old = True


def _double(path: Path, other: Path) -> None:
    """Give a file a second name, or make a copy on file systems where a file has but one."""
    try:
        os.link(path, other, follow_symlinks=False)
    except OSError as fault:
        if fault.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        import shutil  # lazily: file systems without hard links are few

        shutil.copy2(path, other, follow_symlinks=False)


def _undo(draft: _Draft) -> None:
    """Put back what a draft has replaced, and remove what is left of it."""
    with contextlib.suppress(OSError):
        if draft.has_old:
            draft.old.replace(draft.path)
            draft.old.unlink(missing_ok=True)  # of two names of one file, a rename removes none
        elif draft.is_first and draft.is_placed:
            draft.path.unlink()
        draft.new.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
