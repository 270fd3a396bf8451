"""The release store: models by content, one record per generation of a name, and what its servers say.

    _models/sha256-<hex>/        a model folder, whole, checked whenever it is read
    _profiles/sha256-<hex>.json  the profile of a model's rows, checked likewise
    <name>/<generation>.json     a release record; created once, never changed: creating it is the compare-and-swap
    <name>/_servers/<id>.json    what one server serves, rewritten at every beat

The highest generation is current. Nothing is ever removed but the servers' files.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pipec import digest
from pipec.steps.data.remote import shown
from pipec.steps.ml.fault import AskFault, DataFault
from pipec.steps.release import place

FORMAT_VERSION = "1.0"
NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
CHAMPION, PREVIOUS = "champion", "previous"
_RECORD = re.compile(r"([1-9][0-9]{0,11})\.json")


class Lost(Exception):
    """Another deploy created the generation first. The message is one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One generation of a name. approval: the statement that covers the model, or None. reason: of a restored one.

    profile_digest: of what is kept of the rows that the model learned from, or empty. restores: the generation that a
    restored one makes current again; 0 for one that is new.
    """

    name: str
    model_digest: str
    generation: int = 0
    environment: str = ""
    pipeline: str = ""
    run_id: str = ""
    approval: Mapping[str, Any] | None = None
    reason: str = ""
    profile_digest: str = ""
    restores: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What one server says. beat: grows while it lives. failed: the generation it could not load, and why."""

    url: str
    generation: int = 0
    model_digest: str = ""
    healthy: bool = False
    beat: int = 0
    heartbeat: str = ""
    failed_generation: int = 0
    failed_reason: str = ""


class Store:
    """A release store. root: a full path or an fsspec URL. Every method raises AskFault, DataFault or Unreachable."""

    def __init__(self, root: str | None) -> None:
        self._place = place.at(root)
        self.shown = shown(root or "")

    def names(self) -> list[str]:
        """Return the names that have releases."""
        return [name for name in self._place.names("") if NAME.fullmatch(name) and self.generations(name)]

    def generations(self, name: str) -> list[int]:
        """Return the generations of a name, newest first."""
        found = [match for entry in self._place.names(checked(name)) if (match := _RECORD.fullmatch(entry))]
        return sorted((int(match[1]) for match in found), reverse=True)

    def current(self, name: str) -> Release | None:
        """Return the newest release of a name, or None."""
        newest = next(iter(self.generations(name)), None)
        return None if newest is None else self.release_at(name, newest)

    def before(self, current: Release) -> Release | None:
        """Return the newest release before `current` that has another model, or None.

        What lies between a restored release and the one it restores was given up, so it is passed over: going back
        twice leads further back, not to the model that was gone back from.
        """
        at = current
        while True:
            first = at.restores or at.generation
            earlier = next((each for each in self.generations(current.name) if each < first), None)
            if earlier is None:
                return None
            at = self.release_at(current.name, earlier)
            if at.model_digest != current.model_digest:
                return at

    def find(self, name: str, alias: str) -> Release | None:
        """Return what `alias` of a name stands for, or None: `champion`, `previous`, or a line of its own."""
        if alias != PREVIOUS:
            return self.current(line(name, alias))
        current = self.current(name)
        return None if current is None else self.before(current)

    def release_at(self, name: str, generation: int) -> Release:
        content = self._place.read(f"{checked(name)}/{generation}.json")
        body = _object(content, f"release {generation} of `{name}`")
        version = str(body.pop("format_version", ""))
        if version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
            raise DataFault(
                f"release {generation} of `{name}` has format {version}: this version reads {FORMAT_VERSION}"
            )
        known = {field: body[field] for field in Release.__dataclass_fields__ if field in body}
        try:
            release = Release(**known)
        except TypeError as fault:
            raise DataFault(f"release {generation} of `{name}` is not a record that pipec wrote") from fault
        if (release.name, release.generation) != (name, generation):
            raise DataFault(
                f"release {generation} of `{name}` speaks of another release: the store was changed by hand"
            )
        return release

    def release(self, wanted: Release, *, after: int) -> Release:
        """Make `wanted` the generation that follows `after`, if nobody was faster. Raises Lost.

        Its model must be kept before. Exactly one of any number of racing calls returns.
        """
        made = replace(wanted, generation=after + 1)
        body = json.dumps({"format_version": FORMAT_VERSION, **asdict(made)}, indent=2, sort_keys=True) + "\n"
        if self.generations(made.name)[:1] > [after] or not self._place.create(_record(made), body.encode()):
            raise Lost(
                f"another deploy of `{made.name}` made generation {made.generation} first: look at it, then try again"
            )
        return made

    def keep(self, folder: Path, model_digest: str) -> None:
        """Copy a model in under its digest, whole or not at all; a damaged copy is replaced."""
        if digest.of_path(folder) != model_digest:
            raise DataFault("the model changed while it was deployed: run the deploy again")
        target = _folder(model_digest)
        if self._place.names(target) and not self._is_whole(model_digest):
            self._place.drop(target)
        self._place.keep(folder, target)

    def _is_whole(self, model_digest: str) -> bool:
        with tempfile.TemporaryDirectory(prefix="pipec-store-") as aside:
            try:
                self.fetch(model_digest, Path(aside))
            except DataFault:
                return False
        return True

    def fetch(self, model_digest: str, into: Path) -> Path:
        """Return a private copy of a model below `into`, whose digest was checked."""
        source, target = _folder(model_digest), into / "model"
        target.mkdir()
        for name in self._place.names(source):
            content = self._place.read(f"{source}/{name}")
            if content is not None:
                (target / name).write_bytes(content)
        if digest.of_path(target) != model_digest:
            raise DataFault(f"the store's copy of {model_digest[:19]}... is damaged: deploy the model again")
        return target

    def keep_profile(self, path: Path, profile_digest: str) -> None:
        """Copy a profile in under its digest."""
        content = path.read_bytes()
        if digest.of_bytes(content) != profile_digest:
            raise DataFault("the profile changed while it was deployed: run the deploy again")
        if self._place.read(_profile(profile_digest)) != content:
            self._place.replace(_profile(profile_digest), content)

    def fetch_profile(self, profile_digest: str) -> bytes:
        """Return a profile, whose digest was checked."""
        content = self._place.read(_profile(profile_digest))
        if content is None or digest.of_bytes(content) != profile_digest:
            raise DataFault(f"the store's copy of {profile_digest[:19]}... is damaged: deploy the model again")
        return content

    def statuses(self, name: str) -> dict[str, Status]:
        """Return what the servers of a name say, by server; a file that is no status is left out."""
        found = {}
        for entry in self._place.names(f"{checked(name)}/_servers"):
            content = self._place.read(f"{name}/_servers/{entry}")
            try:
                body = json.loads(content or b"")
                found[entry] = Status(**{field: body[field] for field in Status.__dataclass_fields__})
            except (ValueError, KeyError, TypeError):
                continue
        return found

    def say(self, name: str, server: str, status: Status) -> None:
        """Write what a server says of a name."""
        body = {"format_version": FORMAT_VERSION, **asdict(status)}
        self._place.replace(f"{checked(name)}/_servers/{server}.json", json.dumps(body, sort_keys=True).encode())

    def forget(self, name: str, server: str) -> None:
        """Remove what a server said."""
        self._place.remove(f"{checked(name)}/_servers/{server}.json")


def line(name: str, alias: str) -> str:
    """Return the name under which releases as `alias` are kept and served. Raises AskFault at one of no use.

    `champion` is the name itself; any other alias, such as `canary`, is a line of its own, `<name>-<alias>`. What is
    `previous` follows from the champions, so nothing can be released so.
    """
    if alias == PREVIOUS:
        raise AskFault("`previous` is the release before the current one: it is found there, not released to")
    return checked(name) if alias == CHAMPION else checked(f"{checked(name)}-{checked(alias)}")


def checked(name: str) -> str:
    """Return a name that may be released under. Raises AskFault at any other."""
    if not NAME.fullmatch(name):
        raise AskFault(f"`{name}` cannot name a deployment: it takes a small letter, then up to 62 of a-z, 0-9 and -")
    return name


def _record(release: Release) -> str:
    return f"{checked(release.name)}/{release.generation}.json"


def _folder(model_digest: str) -> str:
    return f"_models/{_checked_digest(model_digest)}"


def _profile(profile_digest: str) -> str:
    return f"_profiles/{_checked_digest(profile_digest)}.json"


def _checked_digest(named: str) -> str:
    """Return a digest as it stands in a name; a record is no reason to read any other file."""
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", named):
        raise DataFault("a release names its model by something that is no digest: the store was changed by hand")
    return named.replace(":", "-")


def _object(content: bytes | None, what: str) -> dict[str, Any]:
    try:
        body = json.loads(content or b"")
    except ValueError as fault:
        raise DataFault(f"{what} is not JSON: the store was changed by hand") from fault
    if not isinstance(body, dict):
        raise DataFault(f"{what} is not a JSON object: the store was changed by hand")
    return body
