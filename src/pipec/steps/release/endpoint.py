"""What a deploy hands on: which release is current, what it reads, and where it is served. Knows no step."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pipec.steps.ml.fault import AskFault
from pipec.steps.release.store import Release

FORMAT_VERSION = "1.0"


def write(release: Release, columns: Sequence[str], urls: Sequence[str]) -> str:
    """Return the endpoint of a release as JSON. urls: of the servers that serve it."""
    body = {
        "format_version": FORMAT_VERSION, "name": release.name, "generation": release.generation,
        "model_digest": release.model_digest, "columns": list(columns), "protocol": "open-inference-v2",
        "urls": [f"{url}/v2/models/{release.name}" for url in urls],
    }  # fmt: skip
    return json.dumps(body, indent=2, sort_keys=True) + "\n"


def read(text: str) -> tuple[str, int]:
    """Return the name and the generation in what `write` wrote. Raises AskFault at any other text."""
    try:
        body = json.loads(text)
        name, generation = body["name"], body["generation"]
    except (ValueError, KeyError, TypeError) as fault:
        raise AskFault("`endpoint` is not what a deploy step writes: it names no release") from fault
    if not isinstance(name, str) or not isinstance(generation, int) or isinstance(generation, bool):
        raise AskFault("`endpoint` is not what a deploy step writes: it names no release")
    return name, generation
