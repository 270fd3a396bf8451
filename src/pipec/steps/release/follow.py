"""What a server serves: follows a release store, loads aside, switches in one assignment, says how it is.

A generation that cannot be loaded changes nothing: what was served before goes on, and the status tells why.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from pipec.steps.ml import model as models
from pipec.steps.ml.fault import AskFault, DataFault
from pipec.steps.ml.model import Model
from pipec.steps.release.place import Unreachable
from pipec.steps.release.store import Release, Status, Store

FALL_BACK = 5  # how many generations a fresh server goes back to find one that it can load


@dataclass(frozen=True, slots=True)
class Served:
    """One generation, ready to answer."""

    release: Release
    model: Model


class Follower:
    """The models of a store, or of one name in it. One thread calls `turn` and `close`; any may read `served`."""

    def __init__(self, store: Store, name: str | None, server: str, url: str, log: Callable[[str], None]) -> None:
        self.served: Mapping[str, Served] = MappingProxyType({})
        self.store, self.log = store, log
        self._name, self._server = name, server
        self._statuses: dict[str, Status] = {}
        self._new = Status(url=url)

    @property
    def names(self) -> frozenset[str]:
        """The names that the store is known to hold."""
        return frozenset(self._statuses)

    @property
    def is_ready(self) -> bool:
        """Whether every name that has a release is served, and there is one."""
        return bool(self._statuses) and self.names <= set(self.served)

    def turn(self) -> None:
        """Look at the store once: load what is new, switch, and say how it is. Never raises what a store raises."""
        try:
            for name in [self._name] if self._name else self.store.names():
                self._follow(name)
                self._say(name)
        except (Unreachable, AskFault, DataFault) as fault:
            self.log(f"still serving what was loaded: {fault}")
        except Exception as fault:  # the thread that follows must not end before the server does
            self.log(f"still serving what was loaded: following ended by {type(fault).__name__}, and goes on")

    def close(self) -> None:
        """Take back what was said."""
        for name in self._statuses:
            try:
                self.store.forget(name, self._server)
            except (Unreachable, AskFault) as fault:
                self.log(f"the status of this server stays behind: {fault}")

    def _follow(self, name: str) -> None:
        generations = self.store.generations(name)
        status = self._statuses.setdefault(name, self._new)
        if not generations or generations[0] in (status.generation, status.failed_generation):
            return
        # A fresh server has nothing to go on with, so it looks for the newest that works.
        tried = generations[:1] if name in self.served else generations[:FALL_BACK]
        for generation in tried:
            if self._switch(name, generation):
                return

    def _switch(self, name: str, generation: int) -> bool:
        """Serve a generation, if it can be loaded; else note why."""
        try:
            release = self.store.release_at(name, generation)
            model = self._model(name, release)
        except Unreachable:
            raise
        except Exception as fault:  # whatever a library raises at a bad model must not end the server
            reason = (
                str(fault) if isinstance(fault, (DataFault, AskFault)) else f"loading ended by {type(fault).__name__}"
            )
            self.log(f"`{name}` generation {generation} cannot be served: {reason}")
            failed = max(generation, self._statuses[name].failed_generation)
            if failed == generation:
                self._note(name, failed_generation=generation, failed_reason=reason)
            return False
        self.served = MappingProxyType({**self.served, name: Served(release, model)})
        self._note(name, generation=generation, model_digest=release.model_digest, healthy=True)
        self.log(f"`{name}` generation {generation} is served: {release.model_digest}")
        return True

    def _model(self, name: str, release: Release) -> Model:
        known = self.served.get(name)
        if known is not None and known.release.model_digest == release.model_digest:
            return known.model
        with tempfile.TemporaryDirectory(prefix="pipec-serve-") as folder:
            model = models.load(self.store.fetch(release.model_digest, Path(folder)))
        # One row of gaps: a model that cannot answer it would fail its first caller instead.
        models.predict(model, pd.DataFrame({column.name: [None] for column in model.card.columns}))
        return model

    def _note(self, name: str, **changes: object) -> None:
        self._statuses[name] = replace(self._statuses[name], **changes)  # type: ignore[arg-type]  # named by the callers above

    def _say(self, name: str) -> None:
        status = self._statuses[name]
        self._note(name, beat=status.beat + 1, heartbeat=datetime.now(UTC).isoformat(timespec="seconds"))
        self.store.say(name, self._server, self._statuses[name])
