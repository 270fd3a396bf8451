"""Content addresses: one way to name bytes, files and folders by what they hold.

Beside the design's L0 because the step runtime, the engine's store and the compiler must all name a thing alike.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

CHUNK = 1 << 20  # bytes read at a time: large enough to be quick, small enough for any machine


def canonical(value: object) -> str:
    """Return `value` as the one JSON text that equal values share: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def shortened(address: str) -> str:
    """Return as much of a digest as people compare."""
    return address[: len("sha256:") + 12]


def of_text(text: str) -> str:
    """Return `sha256:...` of the text in UTF-8."""
    return of_bytes(text.encode())


def of_bytes(content: bytes) -> str:
    """Return `sha256:...` of the bytes: what `of_path` returns of a file that holds them."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def of_value(value: object) -> str:
    """Return the digest of a JSON value, the same for every order of its keys."""
    return of_text(canonical(value))


def of_path(path: Path) -> str:
    """Return the digest of a file's bytes, or of a folder's files by relative name and content.

    Modes, times and empty folders do not count. Raises ValueError at anything that is neither file nor folder, links
    included: what a link points at is not part of the artifact.
    """
    if path.is_symlink():
        raise ValueError(f"{path.name} is a link; an artifact holds plain files and folders only")
    if path.is_file():
        return _of_file(path)
    if not path.is_dir():
        raise ValueError(f"{path.name} is neither a file nor a folder")
    listing: list[list[str]] = []
    for below in sorted(path.rglob("*"), key=lambda p: p.relative_to(path).as_posix()):
        if below.is_symlink() or not (below.is_file() or below.is_dir()):
            raise ValueError(f"{below.relative_to(path)} is a link or a device; an artifact holds plain files only")
        if below.is_file():
            listing.append([below.relative_to(path).as_posix(), _of_file(below)])
    return of_value({"tree": listing})


def of_code(package: Path) -> str:
    """Return the digest of the step library in the package's folder: coarse, so that no change of code can hide."""
    shared = [package / f"{name}.py" for name in ("values", "digest", "tail", "redact")]
    sources = [*sorted((package / "steps").rglob("*.py")), *shared]
    return of_value([[path.relative_to(package).as_posix(), of_path(path)] for path in sources])


def _of_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return "sha256:" + digest.hexdigest()
