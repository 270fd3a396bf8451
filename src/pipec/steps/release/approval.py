"""Approval v0: a statement, by a person or by the gates, over the digests of what it covers. Unsigned.

Knows no step and no clock: the time is an argument.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pipec.steps.ml.fault import AskFault, DataFault

FORMAT_VERSION = "0.1"
KIND = "Approval"
APPROVE, REJECT = "approve", "reject"
EXPIRED = "expired"  # nobody answered in time; said by whoever asked, so `by` is then empty
SKEW = timedelta(minutes=10)  # how far the clocks of the machines that decide and deploy may differ


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided. by: as the project's roles name people. at: with its time zone.

    subject: the digests, by name, that the person was shown; None where whoever wrote the decision did not say.
    """

    decision: str
    by: str
    at: datetime
    reason: str = ""
    subject: Mapping[str, str | None] | None = None


def parse_decision(text: str) -> Decision:
    """Return the decision in a decision document. Raises AskFault at any other text."""
    try:
        body = json.loads(text)
        version, said, by = (str(body[field]) for field in ("format_version", "decision", "by"))
        at, reason = datetime.fromisoformat(body["at"]), str(body.get("reason", ""))
        subject = dict(body["subject"]) if body.get("subject") is not None else None
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise AskFault(
            f"the decision is not one that `pipec approve` writes ({_short(fault)}): decide again"
        ) from fault
    if version.split(".")[0] != "1":
        raise AskFault(f"the decision has format {version}, this version reads 1.0: decide again")
    is_said = said == EXPIRED or (said in (APPROVE, REJECT) and by.strip())
    if not is_said or at.tzinfo is None:
        raise AskFault(
            "a decision needs `decision: approve` or `reject`, who by, and a time with its zone: decide again"
        )
    return Decision(said, by, at, reason, subject)


def check_decision(
    decision: Decision, approvers: Sequence[str], subject: Mapping[str, str | None], now: datetime
) -> None:
    """Raise DataFault unless the decision says yes, by one of `approvers` (empty: anyone), and not in the future.

    subject: what it must be about, where it says so.
    """
    if decision.subject is not None and decision.subject != dict(subject):
        raise DataFault("the decision is about another model or other evidence: run the pipeline again, and decide")
    if decision.decision == EXPIRED:
        raise DataFault("nobody answered in time, so nothing is approved: run the pipeline again, and decide")
    if approvers and decision.by not in approvers:
        raise DataFault(f"`{decision.by}` may not decide here: ask one of {', '.join(sorted(approvers))}")
    if decision.decision == REJECT:
        because = f" ({decision.reason})" if decision.reason else ""
        raise DataFault(f"`{decision.by}` rejected the model{because}: change it and run the pipeline again")
    if decision.at > now + SKEW:
        raise DataFault(f"the decision is dated {decision.at.isoformat()}, which is yet to come: check the clocks")


def check_evidence(evidence: Mapping[str, Any], model_digest: str, *, automatic: bool) -> None:
    """Raise DataFault at evidence on another model; if it decides alone, also unless every gate of it holds."""
    named = evidence.get("model")
    if named != model_digest and (automatic or named is not None):
        raise DataFault("the evidence is about another model: approve what was evaluated")
    if automatic and not evidence.get("gates"):
        raise DataFault(
            "the evidence has no gate, so it cannot approve by itself: give `evaluate` gates, or ask a person"
        )
    if automatic and (
        evidence.get("verdict") != "passed" or not all(g.get("passed") is True for g in evidence["gates"])
    ):
        raise DataFault("a gate of the evidence failed, so it approves nothing: look at the evaluation's report")


def statement(
    decision: Decision, subject: Mapping[str, str | None], facts: Mapping[str, str], valid_hours: int
) -> dict[str, Any]:
    """Return the approval. subject: digests by name. facts: environment, pipeline and run_id."""
    return {
        "format_version": FORMAT_VERSION, "kind": KIND, "subject": dict(subject), **facts,
        "decision": decision.decision, "by": decision.by, "at": _text(decision.at),
        "until": _text(decision.at + timedelta(hours=valid_hours)), "reason": decision.reason, "signature": None,
    }  # fmt: skip


def verify(text: str, model_digest: str, environment: str, now: datetime) -> dict[str, Any]:
    """Return the approval in `text` if it lets this model into this environment now. Raises DataFault if not."""
    try:
        body = json.loads(text)
        version, kind, subject = str(body["format_version"]), body["kind"], body["subject"]["model"]
        at, until = datetime.fromisoformat(body["at"]), datetime.fromisoformat(body["until"])
        said, where = body["decision"], body["environment"]
        late, early = now > until + SKEW, now < at - SKEW
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise DataFault(f"the approval is not one that an approve step writes ({_short(fault)})") from fault
    if kind != KIND or version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
        raise DataFault(f"the approval has format {version}, this version reads {FORMAT_VERSION}: approve again")
    if said != APPROVE:
        raise DataFault("the approval says no: this model may not be deployed")
    if subject != model_digest:
        raise DataFault("the approval covers another model: approve the one that is deployed")
    if where != environment:
        raise DataFault(f"the approval is for environment `{where}`, not `{environment}`: approve it here")
    if late or early:
        raise DataFault(f"the approval held from {_text(at)} until {_text(until)}: approve again")
    approval: dict[str, Any] = body
    return approval


def automatic(now: datetime) -> Decision:
    """Return the decision that gates make alone."""
    return Decision(APPROVE, "automatic", now, "every gate of the evidence passed")


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def _short(fault: Exception) -> str:
    return f"`{fault.args[0]}` is missing" if isinstance(fault, KeyError) else str(fault).split("\n", 1)[0]
