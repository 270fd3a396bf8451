"""`pipec-step --subject NAME`: what an approval is about, found out before a person is asked where that needs a task.

The person sees it, and so does the step that seals the answer: it refuses if what it would seal is something else.
Reads no more than it must: digests are in the results of those who made the artifacts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipec.steps import inputs, library, xcom
from pipec.steps.attempt import Attempt
from pipec.steps.command import Location
from pipec.steps.declare import CallerError, Refused
from pipec.steps.interface import Artifact, Input, Role
from pipec.values import Json

MOST_FIGURES = 20  # of the evidence: a person reads them in a form; the report holds all


def show(attempt: Attempt) -> None:
    """Leave digests by input and the lines for the person. Raises StepError, Refused if the evidence fits no model."""
    call, interface = attempt.call, library.identify(attempt.call).interface
    if interface.role is not Role.APPROVE:
        raise CallerError(f"`{interface.name}` approves nothing, so it has no subject: compile the pipeline again")
    found: dict[str, str | None] = {}
    lines: list[str] = []
    for declared in interface.inputs:
        places = call.inputs.get(declared.name, ())
        if not places and not declared.optional:
            raise CallerError(f"input `{declared.name}` is missing: nothing made it, or the caller left it out")
        path, found[declared.name] = _look(attempt, declared, places)
        if found[declared.name]:
            lines.append(f"- {declared.name} ({str(declared.type).lower()}): `{found[declared.name]}`")
        if path:
            lines += _figures(_checked(path, found))
    subject: dict[str, Json] = {**found}
    attempt.handed = xcom.text({"subject": subject, "shown": "\n".join(lines)})


def _look(attempt: Attempt, declared: Input, places: tuple[Location, ...]) -> tuple[Path | None, str | None]:
    """Return the digest of an input, and where it lies here if it is a report, or had to be read for its digest."""
    for place in places:
        is_report = declared.type is Artifact.REPORT
        if place.digest and not is_report:
            return None, place.digest
        fetched = inputs.fetched(attempt, declared.name, place)
        return fetched.path if is_report else None, fetched.digest
    return None, None


def _checked(path: Path, found: Mapping[str, str | None]) -> Mapping[str, Any]:
    """Return a report, once it is about the model that is asked for; nobody is asked about another."""
    from pipec.steps.ml.fault import told_as
    from pipec.steps.release import approval

    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError):
        body = None
    if not isinstance(body, dict):
        raise CallerError("`evidence` is not what an evaluate step reports: it is no JSON object")
    with told_as(CallerError, Refused):
        approval.check_evidence(body, found.get("model") or "", automatic=False)
    return body


def _figures(report: Mapping[str, Any]) -> Iterator[str]:
    figures = report.get("metrics")
    for name, value in list(figures.items() if isinstance(figures, dict) else ())[:MOST_FIGURES]:
        if isinstance(value, int | float):
            yield f"  - {name}: {value:.4g}"
