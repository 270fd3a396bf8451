"""Opening what a document names: below the project's root, following no link, regular files of bounded size only.

A pull request's author is untrusted: a path in a file must not make CI read anything else of the machine.
"""

from __future__ import annotations

import os
import posixpath
import stat
from pathlib import Path

PROJECT_FILE = "pipec.yaml"


class UnreadableError(Exception):
    """A named file cannot be used; the message is one line for the user."""


class TooLargeError(UnreadableError):
    """A named file is there, and larger than it may be."""


def folder_of(path: Path) -> Path:
    """Return the whole path of a named file's folder, without `..`, so that its parents are those on the disk."""
    folder = path.parent.absolute()
    return folder.resolve() if ".." in folder.parts else folder


def project_root(folder: Path) -> Path:
    """Return the nearest folder from `folder` upward that holds `pipec.yaml`, else `folder`.

    Whatever has that name counts, a link or a pipe too: passed over, it would make a folder further up the root.
    """
    return next((candidate for candidate in (folder, *folder.parents) if has_project_file(candidate)), folder)


def has_project_file(folder: Path) -> bool:
    """Say whether something in a folder is called as a project's file."""
    return has_file(folder, PROJECT_FILE)


def has_file(folder: Path, name: str) -> bool:
    """Say whether something in a folder has a name, whatever it is: what is no file is told when it is read."""
    return os.path.lexists(folder / name)


def read_below(root: Path, folder: str, name: str, limit: int) -> str:
    """Return the text of file `name`, relative to `folder` (itself relative to `root`).

    limit: bytes. Raises UnreadableError: outside of the root, a link on the way, not a regular file, too large, not
    UTF-8, or absent.
    """
    if name.startswith("/") or "\\" in name or "\0" in name or "://" in name:
        raise UnreadableError(f"`{name}` is not a relative path")
    path = posixpath.normpath(posixpath.join(folder, name))
    if path == ".." or path.startswith("../"):
        raise UnreadableError(f"`{name}` lies outside of the project")
    return decoded(_bytes_at(root, path.split("/"), name, limit), name)


def read_named(root: Path, folder: Path, path: Path, limit: int) -> str:
    """Return the text of a file that the user named on the command line. Raises UnreadableError.

    folder: the file's, in which `root` is on the way. The user chose the root, and a stranger what lies below it: CI
    names `pipelines/*.yaml`, and one of them may be a link.
    """
    parts = [*folder.relative_to(root).parts, path.name]
    return decoded(_bytes_at(root, parts, str(path), limit), str(path))


def _bytes_at(root: Path, parts: list[str], name: str, limit: int) -> bytes:
    """Open component by component, so that no link on the way can lead elsewhere between check and use."""
    try:
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as fault:
        raise UnreadableError(f"cannot read `{name}`: {(fault.strerror or 'unknown').lower()}") from None
    try:
        for part in parts[:-1]:
            below = _open(part, os.O_DIRECTORY, folder, name)
            os.close(folder)
            folder = below
        return _content(_open(parts[-1], 0, folder, name), name, limit)
    finally:
        os.close(folder)


def _open(part: str, flags: int, folder: int, name: str) -> int:
    try:
        return os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | flags, dir_fd=folder)
    except FileNotFoundError:
        raise UnreadableError(f"there is no file `{name}`") from None
    except OSError as fault:
        linked = fault.errno in (getattr(os, "ELOOP", 40), 40)
        why = "a link is on the way, and none is followed" if linked else (fault.strerror or "unknown").lower()
        raise UnreadableError(f"cannot read `{name}`: {why}") from None


def _content(handle: int, name: str, limit: int) -> bytes:
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise UnreadableError(f"`{name}` is not a regular file")
    with os.fdopen(handle, "rb") as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise TooLargeError(f"`{name}` is larger than {limit // 1024} KiB")
    return content


def decoded(content: bytes, name: str) -> str:
    """Return bytes as UTF-8 text. Raises UnreadableError with the line of the first byte that is not."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as fault:
        line = content[: fault.start].count(b"\n") + 1
        raise UnreadableError(f"`{name}` is not UTF-8 text (line {line})") from None
