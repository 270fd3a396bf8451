"""A team's `requirements.txt`: names and versions only, so that a build fetches wheels and runs nothing of anybody."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pipec.image.fault import ImageFault

LARGEST = 1 << 20  # bytes
_COMMENT = re.compile(r"(^|\s)#.*$")
_HASH = re.compile(r"\s--hash[= ]\S+")


def of(path: Path, there: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return the text of a file of requirements and each requirement in it. there: versions that the image has.

    Raises ImageFault at what is none, and at one that the image contradicts.
    """
    text = _text(path)
    found: list[str] = []
    begun, said = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        begun = begun if said else number
        said += _COMMENT.sub("", line).strip()
        if said.endswith("\\"):
            said = f"{said[:-1].rstrip()} "
            continue
        if said:
            found.append(str(_requirement(said, f"{path}:{begun}", there)))
        said = ""
    if said:
        found.append(str(_requirement(said, f"{path}:{begun}", there)))
    return text, found


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        if len(content) <= LARGEST:
            return content.decode("utf-8")
    except OSError as fault:
        raise ImageFault(f"`{path}` cannot be read: {(fault.strerror or str(fault)).lower()}") from fault
    except UnicodeDecodeError:
        pass
    raise ImageFault(f"`{path}` is no text of at most 1 MiB: name a file of requirements, one on each line")


def _requirement(said: str, place: str, there: Mapping[str, str]) -> Requirement:
    words = _HASH.sub("", f" {said}").strip()
    if words.startswith("-"):
        raise ImageFault(
            f"{place}: `{words.split()[0]}` is an option: only names and versions stand here, and indexes in pip's own "
            "configuration or in --index"
        )
    try:
        found = Requirement(words)
    except InvalidRequirement:
        raise ImageFault(f"{place}: `{words}` is no name with a version: write such as `lightgbm>=4.5`") from None
    if found.url is not None:
        raise ImageFault(f"{place}: `{words}` comes from an address, and only wheels of an index go in: name a version")
    held = there.get(canonicalize_name(found.name))
    if held is not None and not found.specifier.contains(held, prereleases=True):
        raise ImageFault(
            f"{place}: `{words}` is asked for, but the image has {found.name} {held}, and its steps were tested so: "
            "take a version that goes with it"
        )
    return found
