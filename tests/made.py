"""Wheels made by hand, so that no test of their handling needs an index."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path


def wheel(
    folder: Path, name: str, version: str = "1.0", *, requires: Sequence[str] = (), extras: Sequence[str] = (),
    files: Mapping[str, bytes] | None = None, tag: str = "py3-none-any", head: str = "",
) -> Path:  # fmt: skip
    """Write a wheel and return its path. files: beside a module of the wheel's name. head: more lines of METADATA."""
    normal = name.replace("-", "_")
    info = f"{normal}-{version}.dist-info"
    told = [f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}", *(f"Provides-Extra: {each}" for each in extras)]
    told += [f"Requires-Dist: {each}" for each in requires]
    lines = "\n".join(told) + f"\n{head}\n"
    given = {f"{normal}.py": f"NAME = {name!r}\n".encode(), **(files or {})}
    given[f"{info}/METADATA"] = lines.encode()
    given[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n".encode()
    record = "".join(f"{path},sha256={_hash(content)},{len(content)}\n" for path, content in given.items())
    given[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{normal}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for place, content in given.items():
            archive.writestr(zipfile.ZipInfo(place), content)
    return path


def _hash(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
