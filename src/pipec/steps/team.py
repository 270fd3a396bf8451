"""A team's own files, as the image of a step holds them: below one folder, over no link, known by their digests.

The compiler took the digests from `pipec.lock`; whether this is the image that was locked shows here.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from pipec.contents import TEAM, TEAM_VARIABLE
from pipec.digest import CHUNK, shortened
from pipec.steps.declare import CallerError

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def take(path: str, digest: str, into: Path) -> Path:
    """Copy the team's file at `path` into a folder, under its own name, and return it. digest: what it must have.

    A copy, because what is checked must be what the step reads. Raises CallerError.
    """
    folder = Path(os.environ.get(TEAM_VARIABLE) or TEAM)
    copy = into / path.rpartition("/")[2]
    with os.fdopen(_opened(folder, path), "rb") as stream, copy.open("xb") as kept:
        hashed = hashlib.sha256()
        while chunk := stream.read(CHUNK):
            hashed.update(chunk)
            kept.write(chunk)
    found = f"sha256:{hashed.hexdigest()}"
    if found != digest:
        raise CallerError(
            f"`{path}` is another file in this image than in pipec.lock ({shortened(found)}, not {shortened(digest)}): "
            "run `pipec image lock`, and compile again"
        )
    return copy


def _opened(folder: Path, path: str) -> int:
    """Open part by part, so that no link on the way can lead elsewhere."""
    parts = path.split("/")
    if not set(parts).isdisjoint(("", ".", "..")):
        raise CallerError(f"`{path}` is not the path of a team's file: run `pipec image lock`, and compile again")
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        raise CallerError(
            f"`{path}` lies in the step's image, and none is here: use `pipec run --containers`, or set "
            f"{TEAM_VARIABLE} to the folder that was built into it"
        ) from None
    for number, part in enumerate(parts, 1):
        try:
            below = os.open(part, _FLAGS | (os.O_DIRECTORY if number < len(parts) else 0), dir_fd=handle)
        except OSError as fault:
            raise CallerError(_refusal(path, fault)) from fault
        finally:
            os.close(handle)
        handle = below
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise CallerError(f"`{path}` in this image is not a file: build the image again, and run `pipec image lock`")
    return handle


def _refusal(path: str, fault: OSError) -> str:
    if isinstance(fault, FileNotFoundError):
        return f"this image lacks `{path}`, which pipec.lock says it has: build it again, and run `pipec image lock`"
    why = (fault.strerror or "unknown").lower()
    return f"`{path}` in this image cannot be read, for a link or its rights ({why}): build it again, and lock it"
