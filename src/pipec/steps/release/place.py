"""Where a release store lies: a folder of this machine, or any fsspec URL, behind five verbs.

The one that matters is `create`: it succeeds for exactly one caller, and a reader sees all of the content or none.
Names are relative, with `/`. Raises AskFault at a place that cannot be used, Unreachable where trying again may help.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from pipec.steps.data.answer import is_absent, is_denied, is_stale
from pipec.steps.data.remote import OBJECT_STORES, create, is_remote, shown, system_of
from pipec.steps.ml.fault import AskFault

# Drivers whose `mode="create"` was read to be one conditional request (or one locked step). fsspec's own fallback asks
# first and writes then, which two deploys can both pass.
CREATES = ("memory", *OBJECT_STORES)


class Unreachable(Exception):
    """A store did not answer. The message is one line."""


class Place(Protocol):
    def read(self, name: str) -> bytes | None:
        """Return what is at `name`, or None."""

    def create(self, name: str, content: bytes) -> bool:
        """Write a new file, whole or not at all; False if there is one already."""

    def replace(self, name: str, content: bytes) -> None:
        """Write a file, in place of what is there."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    def names(self, folder: str) -> list[str]:
        """Return the names of what lies directly in `folder`, sorted; none if it is not there."""

    def keep(self, source: Path, folder: str) -> None:
        """Copy the files of `source` to `folder`; a folder that is there already is left alone."""

    def drop(self, folder: str) -> None:
        """Remove a folder, if it is there."""


def at(root: str | None) -> Place:
    """Return the place that `root` names. Raises AskFault at a relative path."""
    if not root:
        raise AskFault("this environment has no release store: give it an `artifacts` root")
    if is_remote(root):
        return _remote(root)
    path = Path(unquote(urlsplit(root).path) if root.startswith("file://") else root)
    if not path.is_absolute():
        raise AskFault(f"the release store `{root}` is a relative path: give a full path or a URL")
    return Folder(path)


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of this machine."""

    root: Path

    def read(self, name: str) -> bytes | None:
        with _told(str(self.root)):
            try:
                return (self.root / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def create(self, name: str, content: bytes) -> bool:
        with _told(str(self.root)):
            temporary = self._written(name, content)
            try:
                # A hard link fails if the name is taken, and shows the whole file at once: no other call does both.
                os.link(temporary, self.root / name)
            except FileExistsError:
                return False
            finally:
                temporary.unlink()
        return True

    def replace(self, name: str, content: bytes) -> None:
        with _told(str(self.root)):
            self._written(name, content).replace(self.root / name)

    def remove(self, name: str) -> None:
        with _told(str(self.root)):
            (self.root / name).unlink(missing_ok=True)

    def names(self, folder: str) -> list[str]:
        with _told(str(self.root)):
            try:
                found = [below.name for below in (self.root / folder).iterdir()]
            except (FileNotFoundError, NotADirectoryError):
                return []
        return sorted(name for name in found if not name.startswith("."))

    def keep(self, source: Path, folder: str) -> None:
        target = self.root / folder
        if target.exists():
            return
        with _told(str(self.root)):
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.parent / f".new-{uuid.uuid4().hex}"
            try:
                shutil.copytree(source, temporary, copy_function=shutil.copyfile)
                temporary.rename(target)
            except OSError:
                if not target.exists():  # else another deploy of the same model came first, with the same content
                    raise
            finally:
                shutil.rmtree(temporary, ignore_errors=True)

    def drop(self, folder: str) -> None:
        with _told(str(self.root)):
            shutil.rmtree(self.root / folder, ignore_errors=True)

    def _written(self, name: str, content: bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f".new-{uuid.uuid4().hex}"
        with temporary.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        return temporary


@dataclass(frozen=True, slots=True)
class Remote:
    """A folder behind fsspec. shown: the URL without user, password and query, for messages."""

    system: Any
    root: str
    scheme: str
    shown: str

    def read(self, name: str) -> bytes | None:
        with _told(self.shown):
            try:
                content: bytes = self.system.cat_file(self._path(name))
            except Exception as fault:
                if is_absent(fault):
                    return None
                raise
            return content

    def create(self, name: str, content: bytes) -> bool:
        with _told(self.shown):
            return create(self.system, self.scheme, self._path(name), content)

    def replace(self, name: str, content: bytes) -> None:
        with _told(self.shown):
            self.system.pipe_file(self._path(name), content)

    def remove(self, name: str) -> None:
        with _told(self.shown):
            try:
                self.system.rm_file(self._path(name))
            except Exception as fault:
                if not is_absent(fault):
                    raise

    def names(self, folder: str) -> list[str]:
        with _told(self.shown):
            self.system.invalidate_cache()
            try:
                found = self.system.ls(self._path(folder), detail=False)
            except Exception as fault:
                if is_absent(fault):
                    return []
                raise
        return sorted({str(path).rstrip("/").rpartition("/")[2] for path in found})

    def keep(self, source: Path, folder: str) -> None:
        # No store moves a folder at once: whoever reads it checks its digest, and the record is written after it.
        for file in sorted(below for below in source.rglob("*") if below.is_file()):
            self.replace(f"{folder}/{file.relative_to(source).as_posix()}", file.read_bytes())

    def drop(self, folder: str) -> None:
        for name in self.names(folder):
            self.remove(f"{folder}/{name}")

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"


def _remote(root: str) -> Remote:
    scheme = root.partition("://")[0]
    if scheme not in CREATES:
        raise AskFault(
            f"`{shown(root)}` cannot hold a release store: only {', '.join(CREATES)} create a file exactly once"
        )
    try:
        system, path = system_of(root)
    except ImportError as fault:
        raise AskFault(f"`{shown(root)}` needs a driver that is not here: install pipec[steps,s3]") from fault
    return Remote(system, path.rstrip("/"), scheme, shown(root))


@contextmanager
def _told(place: str) -> Iterator[None]:
    """Turn what a file system raises into one line. Its own text may hold credentials, so only its kind is told."""
    try:
        yield
    except (Unreachable, AskFault):
        raise
    except Exception as fault:
        if is_denied(fault) or is_stale(fault):
            raise AskFault(f"the release store `{place}` may not be used with these rights: check it") from fault
        why = fault.strerror if isinstance(fault, OSError) and fault.strerror else type(fault).__name__
        raise Unreachable(f"the release store `{place}` did not answer ({why}): check it and try again") from fault
