"""A team's code for an image: which files travel, their digests, and the names their modules define.

Nothing of theirs is imported or run: modules are parsed. Only plain files go in; what could point out of the folder, or
was not meant to leave the machine, does not.
"""

from __future__ import annotations

import ast
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from pipec import digest
from pipec.image.fault import ImageFault
from pipec.record import frozen

MOST_FILES = 10_000
MOST_BYTES = 256 << 20  # a layer of code; larger files are artifacts, or belong in a base of the team's own
_MIB = 1 << 20
LEFT_OUT = frozenset({"__pycache__", "node_modules", "venv"})  # beside all that is hidden, such as `.git` and `.venv`


@frozen
class Team:
    """A team's files, by their path below the folder. functions: the names at the top of each module."""

    contents: Mapping[str, bytes]
    functions: Mapping[str, tuple[str, ...]]

    @property
    def files(self) -> dict[str, str]:
        """The digest of each file."""
        return {path: digest.of_bytes(content) for path, content in self.contents.items()}


def of(folder: Path) -> Team:
    """Return what of a folder goes into an image. Raises ImageFault."""
    if not folder.is_dir():
        raise ImageFault(f"`{folder}` is no folder: name the one that holds your modules with --with")
    contents: dict[str, bytes] = {}
    size = 0
    for path in _plain(folder):
        contents[path.relative_to(folder).as_posix()] = content = _read(path)
        size += len(content)
        if len(contents) > MOST_FILES or size > MOST_BYTES:
            raise ImageFault(
                f"`{folder}` holds more than {MOST_FILES:,} files or {MOST_BYTES // _MIB} MiB: name the folder of your "
                "code alone, and hand data to steps as inputs"
            )
    if not contents:
        raise ImageFault(f"`{folder}` holds no file that would go into an image: name the folder of your modules")
    modules = {_dotted(path): (path, content) for path, content in contents.items() if _is_module(path)}
    return Team(contents, {name: _names(folder / path, content) for name, (path, content) in sorted(modules.items())})


def _plain(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, in order. Raises ImageFault at a link, a device and the like."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as fault:
        raise _unreadable(folder, fault) from fault
    for entry in entries:
        path = Path(entry.path)
        if entry.name.startswith(".") or entry.name in LEFT_OUT or entry.name.endswith((".pyc", ".egg-info")):
            continue
        if not entry.name.isprintable():
            raise ImageFault(f"`{folder}` holds a file of a name that cannot be shown: rename it")
        if entry.is_symlink() or not (entry.is_dir() or entry.is_file()):
            raise ImageFault(f"`{path}` is a link or a device, and only plain files go into an image: put a file there")
        if entry.is_dir():
            yield from _plain(path)
        else:
            yield path


def _read(path: Path) -> bytes:
    """Return a file's content, through a handle that follows no link: it may have changed since it was looked at."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as stream:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise ImageFault(f"`{path}` is no plain file any more: build again when nobody writes to it")
            return stream.read(MOST_BYTES + 1)
    except OSError as fault:
        raise _unreadable(path, fault) from fault


def _unreadable(path: Path, fault: OSError) -> ImageFault:
    return ImageFault(f"`{path}` cannot be read: {(fault.strerror or str(fault)).lower()}; mend its rights")


def _is_module(path: str) -> bool:
    parts = PurePosixPath(path).with_suffix("").parts
    return path.endswith(".py") and all(part.isidentifier() for part in parts)


def _dotted(path: str) -> str:
    parts = PurePosixPath(path).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def _names(path: Path, content: bytes) -> tuple[str, ...]:
    """Return the names at the top of a module that may be called. Raises ImageFault if it is no Python."""
    try:
        tree = ast.parse(content, filename=path.name)
    except SyntaxError as fault:
        raise ImageFault(f"{path}:{fault.lineno or 1}: this is no Python ({fault.msg.lower()}): mend it") from fault
    except ValueError as fault:  # a NUL byte
        raise ImageFault(f"{path}:1: this is no Python ({str(fault).lower()}): mend it") from fault
    return tuple(sorted(set(_defined(tree.body))))


def _defined(body: Iterable[ast.stmt]) -> Iterator[str]:
    """Yield the names of functions and classes, and those that imports and assignments may give to one."""
    for statement in body:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.ImportFrom(names=names):
                yield from (each.asname or each.name for each in names if each.name != "*")
            case ast.Assign(targets=targets, value=value) if not isinstance(value, ast.Constant):
                yield from (target.id for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name), value=value) if value and not isinstance(value, ast.Constant):
                yield name
            case ast.If() | ast.Try() | ast.With():
                yield from _defined(_inside(statement))
            case _:
                pass


def _inside(statement: ast.If | ast.Try | ast.With) -> list[ast.stmt]:
    """Return the statements of all branches: which one runs is not known here."""
    handlers = [each for handler in getattr(statement, "handlers", ()) for each in handler.body]
    others = [each for field in ("orelse", "finalbody") for each in getattr(statement, field, ())]
    return [*statement.body, *handlers, *others]
