"""One wheel as it says itself: its name, what it needs, under which licence, and the digest of its bytes."""

from __future__ import annotations

import zipfile
from email.parser import HeaderParser
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pipec import digest
from pipec.image.fault import ImageFault
from pipec.record import frozen


@frozen
class Wheel:
    """A wheel file. name: in its normal form. licence: an SPDX expression or the words it has; empty: it says none."""

    path: Path
    name: str
    version: str
    licence: str
    requires: tuple[Requirement, ...]
    digest: str


def read(path: Path) -> Wheel:
    """Return what a wheel says. Raises ImageFault if it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            (place,) = (n for n in archive.namelist() if n.count("/") == 1 and n.endswith(".dist-info/METADATA"))
            told = HeaderParser().parsestr(archive.read(place).decode("utf-8"))
        return Wheel(
            path=path,
            name=canonicalize_name(told["Name"]),
            version=told["Version"],
            licence=_licence(told.get("License-Expression"), told.get("License"), told.get_all("Classifier") or []),
            requires=tuple(map(Requirement, told.get_all("Requires-Dist") or [])),
            digest=digest.of_path(path),
        )
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, InvalidRequirement) as fault:
        raise ImageFault(f"`{path.name}` is no wheel that can be read ({fault}): fetch or build it again") from fault


def _licence(expression: str | None, words: str | None, classifiers: list[str]) -> str:
    """Return the licence in the fewest words: some old fields hold whole texts, of which the first line is a name."""
    if expression:
        return expression
    named = [each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License :: ")]
    first = next((line.strip() for line in (words or "").splitlines() if line.strip()), "")
    return first if 0 < len(first) <= 80 and first.upper() != "UNKNOWN" else " AND ".join(named)
