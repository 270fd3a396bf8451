"""The step that hands a released model to a pipeline: to compare with it, to score with it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from pipec.steps import delivery
from pipec.steps.declare import CallerError, Context, Refused, TryAgain, param, step, writes
from pipec.steps.interface import Model, Profile


@step("fetch-model", version="1", world=True, rooted=True)
class FetchModel:
    """Fetch the model that is released under a name, and the profile of its rows, if there is one."""

    model: Path = writes(
        Model, optional=True, unless="required", help="The released model; unwritten where nothing is released yet."
    )
    profile: Path = writes(
        Profile, optional=True, help="What was kept of its rows; unwritten where it was released without."
    )
    found: bool = writes(help="Whether there is a release.")
    generation: int = writes(help="Its generation; 0 if there is none.")
    digest: str = writes(help="The digest of its model; empty if there is none.")
    name: str = param(default="", help="What it is released under; empty: the pipeline's name.")
    alias: str = param(
        default="champion",
        help="`champion`: the current release; `previous`: the one before it; any other: what `deploy` released so.",
    )
    required: bool = param(default=False, help="Refuse where nothing is released, so that `model` is always written.")

    def run(self, context: Context) -> None:
        """Raises Refused at a damaged copy, and where nothing is found though it is required."""
        from pipec.steps.ml.fault import told_as
        from pipec.steps.release.place import Unreachable

        try:
            with told_as(CallerError, Refused):
                self._fetch(context)
        except Unreachable as fault:
            raise TryAgain(str(fault)) from fault

    def _fetch(self, context: Context) -> None:
        from pipec.steps.release.store import Store

        store, name = Store(context.releases), self.name or context.pipeline
        release = store.find(name, self.alias)
        self.found, self.generation, self.digest = release is not None, 0, ""
        if release is None:
            if self.required:
                raise Refused(f"`{name}` has no release as `{self.alias}`: deploy a model first")
            context.log(f"`{name}` has no release as `{self.alias}` yet")
            return
        self.generation, self.digest = release.generation, release.model_digest
        with TemporaryDirectory(prefix="pipec-fetch-") as folder:
            delivery.pass_on(store.fetch(release.model_digest, Path(folder)), self.model, is_kept=False)
        if release.profile_digest:
            self.profile.write_bytes(store.fetch_profile(release.profile_digest))
        context.log(f"`{release.name}` generation {release.generation} is {release.model_digest}")
