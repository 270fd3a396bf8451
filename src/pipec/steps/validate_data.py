"""Judge rows before anything learns from them."""

from __future__ import annotations

import json
from pathlib import Path

from pipec.steps.declare import CallerError, Context, Refused, param, reads, step, writes
from pipec.steps.interface import Dataset, Report, Role


@step("validate-data", version="1", role=Role.VALIDATE)
class ValidateData:
    """Check rows against great-expectations expectations and pass them on only if every one holds."""

    data: Path = reads(Dataset, help="The rows to judge.")
    expectations: Path = param(path=True, help="A YAML or JSON file: `expectations`, and `n_rows` with its bounds.")
    passed: Path = writes(Dataset, same_as="data", name="data", help="The same rows, which met every expectation.")
    report: Path = writes(Report, help="What was asked of each column, and what was counted.")

    def run(self, context: Context) -> None:
        from pipec.steps.data import document, expectation, table  # heavy: great-expectations

        try:
            asked = expectation.parse(document.read(self.expectations))
        except (document.DocumentError, expectation.UnknownExpectation) as fault:
            raise CallerError(f"`{self.expectations.name}`: {fault}") from fault
        frame = table.read(self.data)
        try:
            findings = expectation.check(frame, asked)
        except expectation.UnknownExpectation as fault:
            raise CallerError(f"`{self.expectations.name}`: {fault}") from fault
        failed = [finding for finding in findings if not finding.holds]
        for finding in findings:
            context.log(f"{'ok    ' if finding.holds else 'FAILED'} {finding.sentence}")
        if failed:
            told = "; ".join(finding.sentence for finding in failed)
            raise Refused(f"mend the data: {len(failed)} of {len(findings)} expectations failed: {told}")
        body = {
            "format": "1",
            "summary": f"all {len(findings)} expectations hold for {len(frame)} rows",
            "n_rows": len(frame),
            "columns": [str(name) for name in frame.columns],
            "expectations": [finding.describe() for finding in findings],
        }
        self.report.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")
