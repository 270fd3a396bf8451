"""Requests to run a pipeline, from one pipeline to another: written once, taken once.

    <pipeline>/<id>.json           a request; never changed or removed, so that a retry asks nothing new
    <pipeline>/_taken/<id>.json    the word of whoever took it; creating it is the taking

Knows no step and no engine: whoever runs pipelines asks `pending` and then `take`s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipec import digest
from pipec.steps.ml.fault import AskFault, DataFault
from pipec.steps.release.place import Place

FORMAT_VERSION = "1.0"
NAME = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")  # as the language has it
_FILE = re.compile(r"([0-9a-f]{64})\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for. asker, task: the pipeline and the task that ask. id: equal for equal askers of equal runs."""

    id: str
    pipeline: str
    parameters: Mapping[str, Any]
    asker: str
    task: str
    reason: str = ""


def identity(asker: str, run_id: str, task: str) -> str:
    """Return the id of what a task of a run asks; with its pipeline, for run ids may be a schedule's moment alone."""
    return digest.of_value([asker, run_id, task]).removeprefix("sha256:")


def write(place: Place, request: Request) -> bool:
    """Ask; False if this was asked before, whether or not it was taken since. Raises AskFault and Unreachable."""
    body = {
        "format_version": FORMAT_VERSION, "pipeline": request.pipeline, "parameters": dict(request.parameters),
        "from": {"pipeline": request.asker, "task": request.task}, "reason": request.reason,
    }  # fmt: skip
    text = json.dumps(body, indent=2, sort_keys=True, allow_nan=False) + "\n"
    return place.create(f"{_checked(request.pipeline)}/{request.id}.json", text.encode())


def pending(place: Place, pipeline: str) -> list[Request]:
    """Return what was asked of a pipeline and nobody took, by id. Raises DataFault at a file that is no request."""
    taken = set(place.names(f"{_checked(pipeline)}/_taken"))
    names = [name for name in place.names(pipeline) if _FILE.fullmatch(name) and name not in taken]
    return [_read(place, pipeline, name) for name in names]


def take(place: Place, request: Request, by: str) -> bool:
    """Take a request; exactly one of any number of callers gets True. by: the run that answers it, for people."""
    word = json.dumps({"format_version": FORMAT_VERSION, "by": by}) + "\n"
    return place.create(f"{_checked(request.pipeline)}/_taken/{request.id}.json", word.encode())


def _read(place: Place, pipeline: str, name: str) -> Request:
    try:
        body = json.loads(place.read(f"{pipeline}/{name}") or b"")
        version, asked, parameters = str(body["format_version"]), body["pipeline"], body["parameters"]
        asker, task, reason = body["from"]["pipeline"], body["from"]["task"], body["reason"]
    except (ValueError, KeyError, TypeError) as fault:
        raise DataFault(f"request {name} to `{pipeline}` is not one that pipec wrote: remove it") from fault
    if version.split(".")[0] != FORMAT_VERSION.split(".")[0] or asked != pipeline or not isinstance(parameters, dict):
        raise DataFault(f"request {name} to `{pipeline}` is of another format or pipeline: remove it")
    return Request(
        id=name.removesuffix(".json"), pipeline=pipeline, parameters=parameters, asker=str(asker), task=str(task),
        reason=str(reason),
    )  # fmt: skip


def _checked(pipeline: str) -> str:
    if not NAME.fullmatch(pipeline):
        raise AskFault(f"`{pipeline}` cannot name a pipeline: it takes up to 40 of a-z, 0-9 and -, a letter first")
    return pipeline
