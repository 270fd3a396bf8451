"""The result file of a task: how it ended, its small outputs, and digests of what it read and wrote.

Written last of all, by the runtime, or by who looks after it where it could not. No time, host or path may enter: what
engines did is compared by these bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipec.steps import store
from pipec.steps.command import FORMAT, Call
from pipec.steps.interface import Artifact, Kind
from pipec.values import Json


def text(
    outcome: str,
    message: str = "",
    *,
    values: Mapping[str, Json] | None = None,
    artifacts: Mapping[str, tuple[Artifact | Kind, str]] | None = None,
    inputs: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Return the text of a result. artifacts: type and digest by name. inputs: digests, in order, by name."""
    body = {
        "format": FORMAT,
        "outcome": outcome,
        "message": message,
        "values": dict(values or {}),
        "artifacts": {name: {"type": kind, "digest": found} for name, (kind, found) in (artifacts or {}).items()},
        "inputs": {name: list(found) for name, found in (inputs or {}).items()},
    }
    return json.dumps(body, sort_keys=True) + "\n"


def write(place: str | None, told: str, base: str | None) -> None:
    """Write a result, whole or not at all, if the caller wants one. Raises StepError or OSError."""
    if place is not None:
        store.write_text(place, told, base)


def tell_kubeflow(call: Call, values: Mapping[str, Json], artifacts: Mapping[str, str]) -> None:
    """Write what Kubeflow's launcher and its local runner read (pipeline_spec.proto, ExecutorOutput).

    Without it the local runner finds no artifact; with it the launcher still wants the small outputs' own files.
    """
    for name, place in call.small_outputs.items():
        value = values[name]
        store.replace_text(Path(place), value if isinstance(value, str) else json.dumps(value))
    if call.kubeflow_output is None:
        return
    listed = {
        name: {
            "artifacts": [{"name": name, "uri": call.uris.get(name, place), "metadata": {"digest": artifacts[name]}}]
        }
        for name, place in call.outputs.items()
        if name in artifacts
    }
    body = {"parameterValues": dict(values), "artifacts": listed}
    store.replace_text(Path(call.kubeflow_output), json.dumps(body, sort_keys=True))
