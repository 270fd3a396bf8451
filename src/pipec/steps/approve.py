"""The step that waits for a decision and writes the Approval."""

from __future__ import annotations

import json
import shlex
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipec import digest
from pipec.steps import store
from pipec.steps.command import run_folder
from pipec.steps.declare import CallerError, Context, Refused, TryAgain, param, reads, step, writes
from pipec.steps.interface import Approval, Model, Report, Role

if TYPE_CHECKING:
    from pipec.steps.release.approval import Decision

PAUSE_S = (0.2, 5.0)  # the first and the longest wait between two looks for a decision
# What a person leaves where nobody writes it for them, as on Kubeflow.
FORM = '{"format_version": "1.0", "decision": "approve", "by": "NAME", "at": "TIME"}'
INLINE = "json:"  # a decision that the caller hands over as text


@step("approve", version="1", role=Role.APPROVE)
class Approve:
    """Ask a person whether a model may be deployed, and write down who allowed it until when."""

    model: Path = reads(Model, help="The model to approve.")
    evidence: Path | None = reads(Report, optional=True, help="What `evaluate` reported of it.")
    passed: Path = writes(Model, same_as="model", name="model", help="The model, unchanged.")
    approval: Path = writes(Approval, help="The statement that a deploy asks for: subjects, by whom, until when.")
    decision: str = writes(help="`approve`; a rejection ends the step instead.")
    approved_by: str = writes(help="Who approved, or `automatic`.")
    approvers: list[str] = param(
        default=[], items={"type": "string"}, people=True, help="Who may decide: people and roles; empty: anyone."
    )
    mode: Literal["person", "automatic"] = param(
        default="person", help="`automatic`: the gates of the evidence decide alone."
    )
    valid_hours: int = param(default=168, ge=1, le=8760, unit="hours", help="How long the approval holds.")
    message: str = param(default="", help="What the person is asked, in the log.")

    def run(self, context: Context) -> None:
        """Raises TryAgain while there is no decision, Refused at a rejection, CallerError at a broken decision."""
        from pipec.steps.ml.fault import told_as
        from pipec.steps.release import approval

        with told_as(CallerError, Refused):
            now = datetime.now(UTC)
            subject = {"model": digest.of_path(self.model), "evidence": self._check_evidence()}
            decided = approval.automatic(now) if self.mode == "automatic" else self._wait(subject, context)
            if self.mode == "person":
                approval.check_decision(decided, self.approvers, subject, datetime.now(UTC))
            facts = {"environment": context.environment, "pipeline": context.pipeline, "run_id": context.run_id}
            body = approval.statement(decided, subject, facts, self.valid_hours)
        self.approval.write_text(json.dumps(body, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        self.decision, self.approved_by = decided.decision, decided.by
        context.log(f"approved by {decided.by} until {body['until']}")

    def _check_evidence(self) -> str | None:
        """Return the digest of the evidence, after a look at what it is about."""
        from pipec.steps.release import approval

        if self.evidence is None:
            if self.mode == "automatic":
                raise CallerError("`mode: automatic` needs `evidence`: give it the report of an evaluate step")
            return None
        report = _report(self.evidence)
        approval.check_evidence(report, digest.of_path(self.model), automatic=self.mode == "automatic")
        return digest.of_path(self.evidence)

    def _wait(self, subject: dict[str, str | None], context: Context) -> Decision:
        from pipec.steps.release import approval

        if self.message:
            context.log(self.message)
        if context.wait_s and context.decision and not context.decision.startswith(INLINE):
            self._ask(subject, context.decision, context)
        deadline, pause = time.monotonic() + context.wait_s, PAUSE_S[0]
        while (text := _decision_text(context)) is None:
            if time.monotonic() >= deadline:
                raise TryAgain(
                    f"nobody has decided about `{context.task}` of run {context.run_id} yet: decide, then go on with it"
                )
            time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(pause * 1.5, PAUSE_S[1])
        return approval.parse_decision(text)

    def _ask(self, subject: dict[str, str | None], decision: str, context: Context) -> None:
        """Say what waits, beside where the decision will be, and in the log how to decide."""
        from pipec.steps.release import gate

        request = gate.Request(
            pipeline=context.pipeline, run_id=context.run_id, task=context.task, environment=context.environment,
            subject=subject, approvers=tuple(self.approvers), message=self.message,
        )  # fmt: skip
        place = f"/{context.task}/{gate.DECISION}"
        root = decision.removesuffix(run_folder("", context.pipeline, context.run_id) + place)
        if root == decision:
            context.log(f"waiting for {FORM} at {store.shown(decision)}")
            return
        store.write_text(f"{decision.removesuffix(gate.DECISION)}{gate.REQUEST}", request.text(), context.base)
        words = ["pipec", "approve", context.run_id, context.task, "--as", "NAME", "--store", store.shown(root)]
        context.log(f"waiting for `{shlex.join(words)}`, or for {FORM} at {store.shown(decision)}")


def _decision_text(context: Context) -> str | None:
    if context.decision is None:
        raise CallerError("nobody can decide here: the caller named no place for a decision")
    if context.decision.startswith(INLINE):
        return context.decision.removeprefix(INLINE)
    return store.read_text(context.decision, context.base)


def _report(path: Path) -> dict[str, Any]:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as fault:
        raise CallerError("`evidence` is not what an evaluate step reports: it is no JSON file") from fault
    if not isinstance(body, dict):
        raise CallerError("`evidence` is not what an evaluate step reports: it is no JSON object")
    return body
