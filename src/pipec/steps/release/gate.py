"""Where a person is asked below an artifact root: what waits, and the answer beside it.

`<root>/runs/<pipeline>/<run>/<task>/request.json` is written by the step that waits, `decision.json`, once, by whoever
decides. Nobody is known here but by name: who may write below the root may decide (an approval is not signed yet).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipec.steps.ml.fault import AskFault, DataFault
from pipec.steps.release.place import Place

FORMAT_VERSION = "1.0"
RUNS, REQUEST, DECISION = "runs", "request.json", "decision.json"
_NO_REQUEST = "what waits there is no request that an approve step wrote: run the step again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What waits for a person. subject: digests by name. approvers: who may decide; empty: anyone."""

    pipeline: str
    run_id: str
    task: str
    environment: str
    subject: Mapping[str, str | None]
    approvers: tuple[str, ...]
    message: str = ""

    def text(self) -> str:
        """Return the content of its file."""
        return json.dumps({"format_version": FORMAT_VERSION, **asdict(self)}, indent=1, sort_keys=True) + "\n"


def parse(text: str) -> Request:
    """Return the request in the content of a file. Raises AskFault at any other text."""
    try:
        body: dict[str, Any] = json.loads(text)
        version = str(body.pop("format_version"))
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise AskFault(_NO_REQUEST) from fault
    if version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
        raise AskFault(f"the request has format {version}, this version reads {FORMAT_VERSION}: use a newer pipec")
    try:
        return Request(**{**body, "approvers": tuple(body["approvers"])})
    except (KeyError, TypeError) as fault:
        raise AskFault(_NO_REQUEST) from fault


def find(place: Place, run: str, task: str, pipeline: str | None = None) -> tuple[str, Request]:
    """Return the folder of a request and the request. run: as folders are called. Raises AskFault if there is none.

    pipeline: where two of them have a run of that name.
    """
    names = [pipeline] if pipeline else place.names(RUNS)
    found = []
    for name in names:
        folder = f"{RUNS}/{name}/{run}/{task}"
        content = place.read(f"{folder}/{REQUEST}")
        if content is not None:
            found.append((folder, parse(content.decode("utf-8", "replace"))))
    if len(found) > 1:
        several = ", ".join(request.pipeline for _, request in found)
        raise AskFault(f"several pipelines have such a run ({several}): say which with --pipeline")
    if not found:
        raise AskFault(f"`{task}` of run {run} waits for nobody there: {_listed(place, names)}")
    return found[0]


def _listed(place: Place, pipelines: list[str]) -> str:
    waiting = [f"`{request.task}` of run {request.run_id}" for request in _waiting(place, pipelines)]
    if not waiting:
        return "nothing does"
    more = f" and {len(waiting) - 3} more" if len(waiting) > 3 else ""
    return f"these do: {', '.join(waiting[:3])}{more}"


def _waiting(place: Place, pipelines: list[str]) -> Iterator[Request]:
    for pipeline in pipelines:
        for run in place.names(f"{RUNS}/{pipeline}"):
            for task in place.names(f"{RUNS}/{pipeline}/{run}"):
                folder = f"{RUNS}/{pipeline}/{run}/{task}"
                content = place.read(f"{folder}/{REQUEST}")
                if content is not None and place.read(f"{folder}/{DECISION}") is None:
                    yield parse(content.decode("utf-8", "replace"))


def decide(place: Place, folder: str, request: Request, *, by: str, approve: bool, at: str, reason: str) -> None:
    """Write down what a person decided, once and for all. at: ISO 8601 with its zone.

    Raises DataFault where that person may not decide, or somebody has.
    """
    if request.approvers and by not in request.approvers:
        raise DataFault(f"`{by}` may not decide here: ask one of {', '.join(sorted(request.approvers))}")
    body = {
        "format_version": FORMAT_VERSION, "decision": "approve" if approve else "reject", "by": by, "at": at,
        "reason": reason, "subject": dict(request.subject),
    }  # fmt: skip
    text = json.dumps(body, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    if place.create(f"{folder}/{DECISION}", text.encode()):
        return
    before = place.read(f"{folder}/{DECISION}") or b"{}"
    if before == text.encode():
        return  # asked again by somebody who did not hear the answer
    raise DataFault(f"{_decided(before)}, and a decision is not changed: start another run")


def _decided(content: bytes) -> str:
    try:
        body = json.loads(content)
        said = "yes" if body["decision"] == "approve" else "no"
        return f"`{body['by']}` has said {said} already"
    except (ValueError, KeyError, TypeError):
        return "something that is no decision lies in its place"
