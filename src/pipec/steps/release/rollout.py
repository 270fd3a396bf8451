"""A release: keep the model, make its generation, wait until servers serve it, and go back if one cannot."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pipec.steps.ml.fault import DataFault
from pipec.steps.release.store import Lost, Release, Status, Store

PAUSE_S = 1.0  # the longest wait between two looks; the first is 20 times shorter


class NotServed(Exception):
    """Too few servers serve the release yet. The message is one line."""


def roll_out(
    store: Store,
    model: Path,
    profile: Path | None,
    wanted: Release,
    servers: int,
    timeout_s: float,
    log: Callable[[str], None],
) -> tuple[Release, list[str]]:
    """Return the release and the URLs of the servers that serve it.

    A model that is current already makes no new generation, unless it comes with another profile. servers: how many
    must serve it; 0: do not wait. Raises Lost, NotServed after timeout_s, and DataFault if a server cannot load it;
    then the release before is current again.
    """
    before = store.current(wanted.name)
    if before is not None and _is_current(before, wanted):
        log(f"`{wanted.name}` generation {before.generation} is this model already")
        return before, wait_for(store, before, servers, timeout_s)
    store.keep(model, wanted.model_digest)
    if profile is not None:
        store.keep_profile(profile, wanted.profile_digest)
    return make(store, wanted, before, servers, timeout_s, log)


def make(
    store: Store,
    wanted: Release,
    before: Release | None,
    servers: int,
    timeout_s: float,
    log: Callable[[str], None],
) -> tuple[Release, list[str]]:
    """Make `wanted` the release after `before`; return as `roll_out` does. Its model must be in the store.

    Raises as `roll_out`.
    """
    made = store.release(wanted, after=before.generation if before else 0)
    log(f"`{made.name}` generation {made.generation} is {made.model_digest}")
    try:
        return made, wait_for(store, made, servers, timeout_s)
    except DataFault:
        if before is not None:
            _restore(store, before, made, log)
        raise


def _is_current(before: Release, wanted: Release) -> bool:
    has_profile = wanted.profile_digest in ("", before.profile_digest)
    return has_profile and before.model_digest == wanted.model_digest


def _restore(store: Store, before: Release, failed: Release, log: Callable[[str], None]) -> None:
    reason = f"generation {failed.generation} could not be served"
    again = replace(before, reason=reason, restores=before.restores or before.generation)
    try:
        made = store.release(again, after=failed.generation)
    except Lost:
        return  # whoever was faster has decided what comes after the failed one
    log(f"`{made.name}` generation {made.generation} is {made.model_digest} again: {again.reason}")


def wait_for(store: Store, release: Release, servers: int, timeout_s: float) -> list[str]:
    """Return the URLs of servers that serve `release`, as soon as there are enough."""
    if servers == 0:
        return []
    deadline, pause = time.monotonic() + timeout_s, PAUSE_S / 20
    first: dict[str, int] = {}
    while True:
        live = _live(store.statuses(release.name), first)
        broken = [status for status in live if status.failed_generation == release.generation]
        if broken:
            raise DataFault(f"{broken[0].url} cannot serve the model: {broken[0].failed_reason}")
        serving = [status.url for status in live if _serves(status, release)]
        if len(serving) >= servers:
            return sorted(serving)
        if time.monotonic() >= deadline:
            raise NotServed(_told(store, release, live, len(serving), servers))
        time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
        pause = min(pause * 1.5, PAUSE_S)


def _live(statuses: dict[str, Status], first: dict[str, int]) -> list[Status]:
    """Return the statuses whose beat moved since it was first seen: a dead server's file stands still.

    No clock is compared: those of two machines may differ by minutes. first: beats as first seen; filled here.
    """
    return [status for server, status in statuses.items() if first.setdefault(server, status.beat) != status.beat]


def _serves(status: Status, release: Release) -> bool:
    return status.healthy and (status.generation, status.model_digest) == (release.generation, release.model_digest)


def _told(store: Store, release: Release, live: list[Status], n_serving: int, servers: int) -> str:
    if not live:
        return (
            f"generation {release.generation} of `{release.name}` is written, but no server follows the store: "
            f"start `pipec serve --store {store.shown} --name {release.name}`"
        )
    return (
        f"{n_serving} of {servers} servers serve generation {release.generation} of `{release.name}` so far: "
        "try again, or start more"
    )
