"""The result file of a task: how it ended, its small outputs, and digests of what it read and wrote.

Written last of all, by the runtime, or by who looks after it where it could not. No time, host or path may enter: what
engines did is compared by these bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipec.steps import catalog, store
from pipec.steps.command import FORMAT, PLACES, REASON, RESULT, STATE, Call
from pipec.steps.interface import Artifact, Kind
from pipec.values import Json
from pipec.verdict import FAILED, SUCCEEDED

# What a small output is of a task that made none: Kubeflow's launcher wants a file of the right type for each.
_BLANK: Mapping[Kind, Json] = {
    Kind.STRING: "", Kind.INTEGER: 0, Kind.NUMBER: 0.0, Kind.BOOLEAN: False, Kind.LIST: [], Kind.OBJECT: {},
}  # fmt: skip


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


def keep(call: Call, told: str) -> None:
    """Write the result of a task where its caller wants it, last of all. Raises StepError or OSError.

    A ledger of bad ends is of tasks that share a place there: no success is written, and nothing over a failure.
    """
    if call.result is None:
        return
    body = json.loads(told)
    if call.ledger == "bad" and (body["outcome"] == SUCCEEDED or _says_failed(call.result, call.base)):
        return
    if call.ledger:
        places = {name: call.uris[name] for name in body["artifacts"]}
        beside = f"{call.result.removesuffix(RESULT)}{PLACES}"
        store.write_text(beside, json.dumps(places, sort_keys=True) + "\n", call.base)
    write(call.result, told, call.base)


def _says_failed(place: str, base: str | None) -> bool:
    before = store.read_text(place, base)
    return before is not None and json.loads(before)["outcome"] == FAILED


def tell_end(call: Call, state: str, reason: str) -> None:
    """Write what Kubeflow reads of a task that did not succeed: its state and placeholders. Raises OSError."""
    interface = catalog.find(call.step.partition("@")[0])
    kinds = {output.name: output.type for output in interface.small_outputs} if interface else {}
    blank = {name: _BLANK[Kind(kinds.get(name, Kind.STRING))] for name in call.small_outputs}
    _tell(call, blank | _told(call, state, reason), {})


def _told(call: Call, state: str, reason: str) -> dict[str, Json]:
    """Return the two small outputs in which a task tells its end, if it does."""
    return {name: told for name, told in ((STATE, state), (REASON, reason)) if name in call.small_outputs}


def tell_kubeflow(call: Call, values: Mapping[str, Json], artifacts: Mapping[str, str]) -> None:
    """Write what Kubeflow's launcher and its local runner read (pipeline_spec.proto, ExecutorOutput).

    Without it the local runner finds no artifact; with it the launcher still wants the small outputs' own files.
    """
    _tell(call, {**values, **_told(call, SUCCEEDED, "")}, artifacts)


def _tell(call: Call, values: Mapping[str, Json], artifacts: Mapping[str, str]) -> None:
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
