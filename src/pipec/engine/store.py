"""Artifacts by content: what has the same bytes is one object, written once and never changed.

`<root>/sha256/<2>/<hex>` is a file or a folder. Knows no run: any number of engines may put at once.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from pipec import digest
from pipec.engine import files

_ADDRESS = re.compile(r"sha256:([0-9a-f]{2})([0-9a-f]{62})")


class StoreError(Exception):
    """What was to be stored is not what was said, or cannot be stored. One line."""


class Store:
    """The artifacts below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root / "sha256"
        self._verified: dict[str, object] = {}  # address -> signature at which the bytes were last found right

    def locate(self, address: str) -> Path:
        """Return where the artifact with digest `address` lies or would lie. Raises StoreError at another text."""
        match = _ADDRESS.fullmatch(address)
        if not match:
            raise StoreError(f"`{address}` is not a digest")
        return self.root / match[1] / (match[1] + match[2])

    def holds(self, address: str) -> bool:
        """Say whether the artifact is here with the bytes that its name promises.

        Reads all of it, unless nothing was written to it since this store last did.
        """
        place = self.locate(address)
        try:
            seen = files.signature(place)
            if self._verified.get(address) == seen:
                return True
            if digest.of_path(place) != address:
                return False
        except (OSError, ValueError):
            return False
        self._verified[address] = seen
        return True

    def put(self, path: Path, claimed: str | None = None) -> str:
        """Move the artifact at `path` into the store and return its digest.

        claimed: the digest it must have. Afterwards nothing is at `path`. Raises StoreError if it holds anything but
        plain files and folders or has another digest, OSError if the disk says no; then the store is as before.
        """
        try:
            files.seal(path)
            address = digest.of_path(path)
        except ValueError as fault:
            raise StoreError(str(fault)) from fault
        if claimed is not None and claimed != address:
            raise StoreError(f"`{path.name}` has digest {address}, but its step reported {claimed}")
        if self.holds(address):
            files.remove(path)
            return address
        place = self.locate(address)
        files.make_folder(place.parent)
        temporary = place.with_name(f".{place.name}.{secrets.token_hex(4)}.part")
        try:
            self._bring(path, temporary, address)
            with self._alone():
                if not self.holds(address):  # or another run was quicker with the same content
                    self._set_aside(place)
                    temporary.rename(place)
                    place.chmod(files.FOLDER_MODE if place.is_dir() else files.FILE_MODE)
                    files.sync(place.parent)
        finally:
            files.remove(temporary)
        return address

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other writers, of any process, from putting an object or taking one away meanwhile."""
        handle = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            with contextlib.suppress(OSError):  # a file system without locks: renaming is whole there too
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _set_aside(self, place: Path) -> None:
        """Take a damaged object out of the way in one step, so that no reader sees two mixed."""
        if place.exists():
            aside = place.with_name(f".{place.name}.{secrets.token_hex(4)}.damaged")
            place.rename(aside)
            files.remove(aside)

    def _bring(self, path: Path, temporary: Path, address: str) -> None:
        """Move a sealed artifact to the store's device."""
        try:
            path.rename(temporary)
        except OSError as fault:
            if fault.errno != errno.EXDEV:
                raise
            copy = shutil.copytree if path.is_dir() else shutil.copyfile
            copy(path, temporary)
            temporary.chmod(0o700)
            files.seal(temporary)
            if digest.of_path(temporary) != address:
                raise StoreError(f"`{path.name}` changed while it was copied into the store") from fault
            files.remove(path)
