"""The step that makes a model the current release of a name, and waits until servers serve it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipec import digest
from pipec.steps.declare import CallerError, Context, Refused, TryAgain, param, reads, step, writes
from pipec.steps.interface import Approval, Endpoint, Model, Profile, Role

if TYPE_CHECKING:
    from pipec.steps.release.store import Release


@step("deploy", version="1", role=Role.DEPLOY)
class Deploy:
    """Release an approved model and wait until servers serve it."""

    model: Path = reads(Model, help="The model to release.")
    approval: Path | None = reads(Approval, optional=True, help="What an approve step wrote about this model.")
    profile: Path | None = reads(
        Profile, optional=True, help="What `train` kept of the rows; it is released with the model, for `fetch-model`."
    )
    endpoint: Path = writes(Endpoint, help="Name, generation, digest, columns and URLs, as JSON.")
    generation: int = writes(help="The generation that is current now.")
    released: str = writes(help="The digest of the model that is current now.")
    name: str = param(default="", help="What to release under; empty: the pipeline's name.")
    alias: str = param(
        default="champion",
        help="`champion`: the release of the name; any other, such as `canary`: a release as `<name>-<alias>`.",
    )
    servers: int = param(
        default=1, ge=0, le=1000, help="How many servers must serve the model; 0: write the record and return."
    )
    timeout_s: int = param(default=60, ge=0, le=86400, unit="seconds", help="How long to wait for the servers.")

    def run(self, context: Context) -> None:
        """Raises Refused at an approval that does not cover this model here and now, or a server that cannot load it.

        Raises TryAgain where servers or the store may still come, and after losing a race with another deploy.
        """
        from pipec.steps.ml import model
        from pipec.steps.ml.fault import told_as
        from pipec.steps.release import endpoint

        with told_as(CallerError, Refused):
            columns = [column.name for column in model.load_card(self.model).columns]
            model_digest = digest.of_path(self.model)
            made, urls = self._roll_out(model_digest, self._approved(model_digest, context), context)
        self.generation, self.released = made.generation, made.model_digest
        self.endpoint.write_text(endpoint.write(made, columns, urls), encoding="utf-8")

    def _approved(self, model_digest: str, context: Context) -> dict[str, Any] | None:
        from pipec.steps.release import approval

        if self.approval is None:
            context.log("no approval was given: whether one is needed was judged when the pipeline was checked")
            return None
        text = self.approval.read_text(encoding="utf-8", errors="replace")
        return approval.verify(text, model_digest, context.environment, datetime.now(UTC))

    def _roll_out(
        self, model_digest: str, approval: dict[str, Any] | None, context: Context
    ) -> tuple[Release, list[str]]:
        from pipec.steps.release import rollout
        from pipec.steps.release.place import Unreachable
        from pipec.steps.release.store import Lost, Release, Store, line

        wanted = Release(
            name=line(self.name or context.pipeline, self.alias), model_digest=model_digest, approval=approval,
            environment=context.environment, pipeline=context.pipeline, run_id=context.run_id,
            profile_digest=digest.of_path(self.profile) if self.profile else "",
        )  # fmt: skip
        try:
            store = Store(context.releases)
            return rollout.roll_out(store, self.model, self.profile, wanted, self.servers, self.timeout_s, context.log)
        except (Lost, Unreachable, rollout.NotServed) as fault:
            raise TryAgain(str(fault)) from fault
