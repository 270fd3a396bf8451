"""Compare what a model meets now with what it learned from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipec.steps.declare import CallerError, Context, Refused, param, reads, step, writes
from pipec.steps.interface import Dataset, Endpoint, Profile, Report

if TYPE_CHECKING:
    import pandas as pd

    from pipec.steps.data.comparison import Comparison
    from pipec.steps.data.profile import Profile as Kept


@step("monitor", version="1")
class Monitor:
    """Say whether new rows have drifted away from the rows a deployed model learned from."""

    endpoint: Path | None = reads(
        Endpoint, optional=True, hard=True, help="The deployed model; its columns are the ones compared, else all."
    )
    reference: Path | None = reads(
        Dataset, optional=True, hard=True, help="Rows that the model learned from; or else their `profile`."
    )
    profile: Path | None = reads(
        Profile,
        optional=True,
        hard=True,
        help="What `train` kept of them; KS is then at most 0.025 below that of the rows.",
    )
    batch: Path = reads(Dataset, help="Rows that it meets now.")
    psi: float = param(default=0.25, gt=0, unit="nats", help="Population stability index that counts as drift.")
    ks: float = param(default=0.2, gt=0, lt=1, help="Kolmogorov-Smirnov distance that counts as drift.")
    minimum_rows: int = param(default=30, ge=2, unit="rows", help="Fewer rows on either side give no verdict.")
    columns: list[str] | None = param(default=None, items={"type": "string"}, help="Columns to compare, if not all.")
    fail_on_drift: bool = param(default=False, help="Refuse when there is drift, so that what follows stops.")
    report: Path = writes(Report, help="Distances, thresholds and verdict, for each column.")
    verdict: str = writes(help="`drift`, `no-drift` or `not-enough-data`.")
    drifted: list[str] = writes(help="The columns that have drifted.")

    def run(self, context: Context) -> None:
        from pipec.steps.data import comparison  # heavy: numpy and pandas

        if (self.reference is None) is (self.profile is None):
            raise CallerError("`monitor` compares with `reference` or with `profile`: give it one of the two")
        endpoint = self._endpoint()
        told = self._compared(endpoint)
        if not told.columns and told.verdict != comparison.NOT_ENOUGH_DATA:
            raise CallerError(f"no column can be compared: {'; '.join(f'`{n}` {why}' for n, why in told.left_out)}")
        self.verdict, self.drifted = told.verdict, list(told.drifted)
        known = {key: endpoint[key] for key in ("name", "generation", "model_digest") if key in endpoint}
        self.report.write_text(json.dumps({"endpoint": known, **told.describe()}, indent=2) + "\n", encoding="utf-8")
        for line in told.lines():
            context.log(line)
        if self.fail_on_drift and told.verdict == comparison.DRIFT:
            raise Refused(f"{told.summary}: look at the columns, then train again or accept them")

    def _compared(self, endpoint: dict[str, Any]) -> Comparison:
        from pipec.steps.data import comparison

        limits = {"psi": self.psi, "ks": self.ks}
        if self.profile is not None:
            kept, batch = _kept(self.profile), self._rows("batch", self.batch)
            wanted = self._wanted(endpoint, "profile", list(kept.columns))
            return comparison.compare_with_profile(kept, batch, wanted, **limits, minimum_rows=self.minimum_rows)
        assert self.reference is not None, "run asks for one of the two"
        reference, batch = self._rows("reference", self.reference), self._rows("batch", self.batch)
        wanted = self._wanted(endpoint, "reference", [str(name) for name in reference.columns])
        return comparison.compare(reference, batch, wanted, **limits, minimum_rows=self.minimum_rows)

    def _endpoint(self) -> dict[str, Any]:
        if self.endpoint is None:
            return {}
        try:
            endpoint = json.loads(self.endpoint.read_text(encoding="utf-8"))
        except (OSError, ValueError) as fault:
            raise CallerError("`endpoint` is not what a deploy step writes: it is no JSON file") from fault
        if not isinstance(endpoint, dict):
            raise CallerError("`endpoint` is not what a deploy step writes: it is no JSON object")
        return endpoint

    def _rows(self, name: str, path: Path) -> pd.DataFrame:
        from pipec.steps.data import table

        try:
            return table.read(path)
        except table.TableError as fault:
            raise Refused(f"`{name}`: {fault}") from fault

    def _wanted(self, endpoint: dict[str, Any], title: str, known: list[str]) -> list[str]:
        """Return the columns to compare: those asked for, else the model's own, else all that are known."""
        if self.columns is not None:
            absent = [name for name in self.columns if name not in known]
            if absent:
                raise CallerError(f"`columns` names `{absent[0]}`, which `{title}` does not have")
            return self.columns
        listed = endpoint.get("columns")
        return [str(name) for name in listed] if isinstance(listed, list) and listed else known


def _kept(path: Path) -> Kept:
    from pipec.steps.data import profile

    try:
        return profile.read(path.read_text(encoding="utf-8"))
    except (profile.ProfileError, UnicodeDecodeError, OSError) as fault:
        why = str(fault) if isinstance(fault, profile.ProfileError) else "it is no text file"
        raise CallerError(f"`profile` is not what a train step writes: {why}") from fault
