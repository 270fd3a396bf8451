"""The step that makes an earlier release current again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pipec.steps.declare import CallerError, Context, Refused, TryAgain, param, reads, step, writes
from pipec.steps.interface import Endpoint

if TYPE_CHECKING:
    from pipec.steps.release.store import Release, Store


@step("rollback", version="1", world=True, rooted=True)
class Rollback:
    """Make the release before the current one current again, and wait until servers serve it."""

    endpoint: Path | None = reads(
        Endpoint, optional=True, hard=True,
        help="What to go back from: nothing is done unless it is current. Without: whatever is current.",
    )  # fmt: skip
    now: Path = writes(
        Endpoint, name="endpoint", help="Name, generation, digest, columns and URLs of what is current, as JSON."
    )
    generation: int = writes(help="The generation that is current now.")
    released: str = writes(help="The digest of the model that is current now.")
    rolled_back: bool = writes(help="Whether this step went back; not, where somebody else released since.")
    name: str = param(
        default="", help="Which release to go back in; empty: that of the endpoint, or the pipeline's name."
    )
    alias: str = param(default="champion", help="As in `deploy`: `champion`, or a release as `<name>-<alias>`.")
    to: int = param(
        default=0, ge=0, help="The generation to go back to; 0: the newest before the current one with another model."
    )
    servers: int = param(
        default=1, ge=0, le=1000, help="How many servers must serve the model; 0: write the record and return."
    )
    timeout_s: int = param(default=60, ge=0, le=86400, unit="seconds", help="How long to wait for the servers.")
    reason: str = param(default="", help="Why, for the release record; empty: from which generation it went back.")

    def run(self, context: Context) -> None:
        """Raises Refused where there is nothing to go back to, or a server cannot load it.

        Raises TryAgain where servers or the store may still come, and after losing a race with a deploy.
        """
        from pipec.steps.ml.fault import told_as
        from pipec.steps.release import rollout
        from pipec.steps.release.place import Unreachable
        from pipec.steps.release.store import Lost, Store

        try:
            with told_as(CallerError, Refused):
                self._roll_back(Store(context.releases), context)
        except (Lost, Unreachable, rollout.NotServed) as fault:
            raise TryAgain(str(fault)) from fault

    def _roll_back(self, store: Store, context: Context) -> None:
        from pipec.steps.release import endpoint, rollout

        name, since = self._subject(context)
        current = store.current(name)
        if current is None:
            raise Refused(f"`{name}` has no release, so there is nothing to go back from")
        made, urls = current, list[str]()
        if _is_done(current, context):
            self.rolled_back = True
            urls = rollout.wait_for(store, current, self.servers, self.timeout_s)
        elif since not in (None, current.generation):
            self.rolled_back = False
            context.log(f"generation {current.generation} is current, not {since}: released since, so nothing is done")
        else:
            target = self._target(store, current)
            self.rolled_back = target.model_digest != current.model_digest
            if self.rolled_back:
                _columns(store, target)  # a model that cannot be read must not be made current
                wanted = self._again(target, current, context)
                made, urls = rollout.make(store, wanted, current, self.servers, self.timeout_s, context.log)
            else:
                context.log(f"generation {current.generation} has the model of {self.to} already: nothing is done")
        self.generation, self.released = made.generation, made.model_digest
        self.now.write_text(endpoint.write(made, _columns(store, made), urls), encoding="utf-8")

    def _subject(self, context: Context) -> tuple[str, int | None]:
        """Return the name to go back in, and the generation to go back from, if that is told."""
        from pipec.steps.release import endpoint
        from pipec.steps.release.store import CHAMPION, checked, line

        asked = line(self.name or context.pipeline, self.alias)
        if self.endpoint is None:
            return asked, None
        name, generation = endpoint.read(self.endpoint.read_text(encoding="utf-8", errors="replace"))
        if (self.name or self.alias != CHAMPION) and name != asked:
            raise CallerError(f"`endpoint` is of `{name}`, not of `{asked}`: leave `name` and `alias` out")
        return checked(name), generation

    def _target(self, store: Store, current: Release) -> Release:
        if self.to:
            if self.to not in store.generations(current.name):
                raise Refused(f"`{current.name}` has no generation {self.to}: it has up to {current.generation}")
            return store.release_at(current.name, self.to)
        before = store.before(current)
        if before is None:
            raise Refused(f"`{current.name}` has nothing to go back to: no other model was released before")
        return before

    def _again(self, target: Release, current: Release, context: Context) -> Release:
        """Return an earlier release as it becomes current again: with the approval that it had."""
        return replace(
            target, reason=self.reason or f"rolled back from generation {current.generation}",
            restores=target.restores or target.generation, pipeline=context.pipeline, run_id=context.run_id,
        )  # fmt: skip


def _is_done(current: Release, context: Context) -> bool:
    """Say whether an earlier attempt of this step went back already: it must not go back twice."""
    return bool(current.restores) and (current.pipeline, current.run_id) == (context.pipeline, context.run_id)


def _columns(store: Store, release: Release) -> list[str]:
    from pipec.steps.ml import model

    with TemporaryDirectory(prefix="pipec-rollback-") as folder:
        return [column.name for column in model.load_card(store.fetch(release.model_digest, Path(folder))).columns]
