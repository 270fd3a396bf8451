"""The step that tells people or programs how a run went."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pipec.steps.declare import CallerError, Context, Refused, TryAgain, param, reads, step, writes
from pipec.steps.interface import Report, Role

FORMAT_VERSION = "1.0"
MAX_REPORT_BYTES = 64 << 10  # receivers of webhooks take little more


@step("notify", version="1", role=Role.EXPORT, world=True)
class Notify:
    """Say something in the log, and to a webhook where one is given."""

    report: Path | None = reads(Report, optional=True, help="What to attach, as its JSON, if it has at most 64 KiB.")
    sent: bool = writes(help="Whether it went to a webhook.")
    channel: str = param(min_length=1, help="Whom it is for, in the receiver's words.")
    message: str = param(min_length=1, help="What to say.")
    level: Literal["info", "warning", "error"] = param(default="info", help="How bad it is.")
    webhook: str = param(default="", secret=True, help="An http or https URL that takes JSON; empty: the log alone.")
    timeout_s: int = param(default=10, ge=1, le=300, unit="seconds", help="How long to wait for the webhook.")

    def run(self, context: Context) -> None:
        """Raises CallerError where the webhook says no, TryAgain where it does not answer. Never prints its URL."""
        context.log(f"{self.level} for {self.channel}: {self.message}")
        self.sent = bool(self.webhook.strip())
        if not self.sent:
            return
        from pipec.steps.ml.fault import told_as
        from pipec.steps.release.place import Unreachable
        from pipec.steps.release.webhook import post

        body = {
            "format_version": FORMAT_VERSION, "channel": self.channel, "level": self.level, "message": self.message,
            "pipeline": context.pipeline, "run_id": context.run_id, "environment": context.environment,
            "outcome": context.outcome, **self._attached(context),
        }  # fmt: skip
        try:
            with told_as(CallerError, Refused):
                post(self.webhook, body, self.timeout_s)
        except Unreachable as fault:
            raise TryAgain(str(fault)) from None

    def _attached(self, context: Context) -> dict[str, Any]:
        """Return the report as a field, or nothing where it cannot be one: that is no reason to say nothing."""
        if self.report is None:
            return {}
        if not self.report.is_file() or self.report.stat().st_size > MAX_REPORT_BYTES:
            context.log("the report is too large to be attached")
            return {}
        try:
            return {"report": json.loads(self.report.read_text(encoding="utf-8"), parse_constant=_refuse)}
        except (ValueError, RecursionError):
            context.log("the report is not JSON, so it is not attached")
            return {}


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
