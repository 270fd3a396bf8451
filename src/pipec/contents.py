"""What a step image holds, as far as a compiler, an engine and the step runtime must agree on it.

Below all of them: an image is built with it inside (`FILE`), `pipec image lock` copies it into `pipec.lock`, compile
reads it there, and the runtime finds a team's files by it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from pipec.record import frozen

FORMAT = "1"
ROOT = "/opt/pipec"  # where an image keeps what is ours
FILE = f"{ROOT}/contents.json"
SBOM = f"{ROOT}/sbom.cdx.json"
TEAM = f"{ROOT}/team"  # a team's own code and files; on PYTHONPATH
TEAM_VARIABLE = "PIPEC_TEAM"  # says where the team's files are, in a place other than `TEAM`


@frozen
class Version:
    """A step as an image has it. interface: the digest of its contract."""

    version: str
    interface: str


@frozen(kw_only=True)
class Contents:
    """What one image holds.

    variant: `core`, `light` or `gpu`. python: the minor version its packages are for. steps: of the library, by name;
    those that this variant can run. files: the team's, by path below `TEAM`, with their digests. functions: the names
    that each module of theirs defines at its top, by dotted module.
    """

    pipec: str
    variant: str
    python: str
    steps: Mapping[str, Version] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    functions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the contents as JSON, the same for equal contents."""
        return {
            "format": FORMAT,
            "pipec": self.pipec,
            "variant": self.variant,
            "python": self.python,
            "steps": {n: {"version": s.version, "interface": s.interface} for n, s in sorted(self.steps.items())},
            "files": dict(sorted(self.files.items())),
            "functions": {name: sorted(found) for name, found in sorted(self.functions.items())},
        }

    def text(self) -> str:
        """Return the text of `FILE`."""
        return json.dumps(self.as_json(), indent=1) + "\n"


def of_json(body: Any) -> Contents:
    """Return the contents that `as_json` wrote. Raises ValueError at any other value."""
    try:
        if body["format"] != FORMAT:
            raise ValueError(f"the contents have format {body['format']}, and this pipec reads {FORMAT}")
        return Contents(
            pipec=_text(body["pipec"]),
            variant=_text(body["variant"]),
            python=_text(body["python"]),
            steps={
                _text(name): Version(_text(each["version"]), _text(each["interface"]))
                for name, each in body["steps"].items()
            },
            files={_text(path): _text(digest) for path, digest in body["files"].items()},
            functions={_text(name): tuple(map(_text, found)) for name, found in body["functions"].items()},
        )
    except (KeyError, TypeError, AttributeError) as fault:
        raise ValueError(f"these are not the contents of an image as pipec writes them ({fault})") from fault


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
