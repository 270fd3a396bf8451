"""An end for good, noted in the run's folder, for an orchestrator that repeats whatever ended badly.

Kubeflow's retry policy knows no exit codes: it is there for machines that are lost and services that do not answer, but
would ask a gate again, too. A repeated attempt finds the note and ends at once as the one before did. The note counts
them: once the policy's own are used up, a further one is a person's, who has mended something, and runs.
"""

from __future__ import annotations

import json

from pipec.steps import store
from pipec.steps.command import Call
from pipec.steps.declare import CallerError, Refused, StepError
from pipec.steps.lines import say

_FOR_GOOD = (StepError.exit_code, CallerError.exit_code, Refused.exit_code)  # design.md 3.1.7: all others may heal


def found(call: Call) -> int:
    """Return the exit code of the attempt that ended for good, or 0. Where nobody can say, the step runs again."""
    try:
        text = store.read_text(str(call.mark), call.base)
        body = json.loads(text) if text else {"code": 0, "left": 0}
        code, left = int(body["code"]), int(body["left"])
    except (StepError, OSError, ValueError, KeyError, TypeError) as fault:
        say(f"[{call.task}] whether it has ended before cannot be read: {fault}")
        return 0
    if left <= 0:
        return 0
    _note(call, code, left - 1)
    say(f"{call.task} ({call.step}): it has ended before, and no attempt after that would end otherwise")
    return code


def leave(call: Call, code: int) -> None:
    """Note an end that no further attempt would change."""
    if code in _FOR_GOOD:
        _note(call, code, call.marks)


def _note(call: Call, code: int, left: int) -> None:
    """Write the note. left: how many more attempts the orchestrator makes by itself."""
    try:
        store.write_text(str(call.mark), json.dumps({"code": code, "left": left}) + "\n", call.base)
    except (StepError, OSError) as fault:
        say(f"[{call.task}] that it has ended could not be noted: {fault}")
