"""Work done once, for orchestrators without a cache: `<artifact root>/cache/<key>.json` says what came of it, where.

An entry is a hint. It is believed if it is whole and what it names is still there; else the step runs. It is written
after a success only, and never makes a step fail.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pipec
from pipec import contents, digest
from pipec.record import frozen
from pipec.steps import delivery, store
from pipec.steps.command import Call
from pipec.steps.interface import Interface
from pipec.values import Json

FORMAT = "1"


@frozen
class Entry:
    """What came of some work. text: of its result file. places: of its artifacts, by name.

    tags: what the store called each of their files, by artifact and path below it: equal tags, equal content. Empty
    where a store gives none.
    """

    run_id: str
    text: str
    places: Mapping[str, str]
    tags: Mapping[str, Mapping[str, str]]

    @property
    def digests(self) -> dict[str, str]:
        return {name: each["digest"] for name, each in json.loads(self.text)["artifacts"].items()}

    @property
    def values(self) -> dict[str, Json]:
        """The small outputs."""
        found: dict[str, Json] = json.loads(self.text)["values"]
        return found


def key(call: Call, interface: Interface, parameters: Mapping[str, Json], inputs: Mapping[str, Sequence[str]]) -> str:
    """Return the digest of all that the work is made of. inputs: digests, in order, by name."""
    return digest.of_value(
        {
            "step": call.step,
            "interface": interface.digest,
            "code": _code(),
            "parameters": dict(parameters),
            "env": call.env,
            "inputs": {name: list(found) for name, found in inputs.items()},
        }
    )


def _code() -> str:
    """Return the digest of what runs here: this library, and what an image says of a team's files and of packages."""
    image = [digest.of_path(path) for path in (Path(contents.FILE), Path(contents.SBOM)) if path.is_file()]
    return digest.of_value([digest.of_code(Path(pipec.__file__).parent), *image])


def find(call: Call, wanted: str) -> tuple[Entry | None, str]:
    """Return what is kept under a key, or None and why there is nothing that can be believed."""
    try:
        text = store.read_text(_place(call, wanted), call.base)
        if text is None:
            return None, "this work has not been done before"
        body = json.loads(text)
        check = body.pop("check")
        if check != digest.of_value(body) or body["format"] != FORMAT or body["key"] != wanted:
            return None, "what is kept of this work is damaged"
        return Entry(body["run"], body["text"], body["places"], body["tags"]), ""
    except Exception as fault:  # whatever lies there, the step can still run
        return None, f"what is kept of this work cannot be read ({_first_line(fault)})"


def take(call: Call, entry: Entry, deliveries: Mapping[str, delivery.Staged], log: Callable[[str], None]) -> str:
    """Put the artifacts of an entry at this run's places; return why that cannot be, or an empty text."""
    try:
        left = {name: place for name, place in entry.places.items() if not _copied(entry, name, deliveries[name])}
        for name, place in left.items():
            _stage(place, deliveries[name].path, call.base)
        sealed = {name: digest.of_path(deliveries[name].path) for name in left}
        changed = sorted(name for name, found in sealed.items() if found != entry.digests[name])
        if changed:
            return f"its output `{changed[0]}` of run {entry.run_id} is damaged"
        delivery.publish({name: deliveries[name] for name in left}, log)
    except Exception as fault:
        return f"what run {entry.run_id} made cannot be had any more ({_first_line(fault)})"
    return ""


def _copied(entry: Entry, name: str, to: delivery.Staged) -> bool:
    """Copy an artifact inside of a store that has not changed it, if that is possible."""
    tags = entry.tags.get(name)
    if not tags or not isinstance(to.place, str):
        return False
    return store.copy(entry.places[name], to.place, tags)


def _stage(place: str, target: Path, base: str | None) -> None:
    if store.is_remote(place):
        into = target.parent / f".{target.name}"
        into.mkdir()
        store.fetch(place, into).rename(target)
        into.rmdir()
        return
    delivery.pass_on(store.local(place, base), target, is_kept=True)


def keep(call: Call, wanted: str, text: str, deliveries: Mapping[str, delivery.Staged]) -> str:
    """Remember a success; return why that cannot be, or an empty text."""
    try:
        names = json.loads(text)["artifacts"]
        places = {name: call.uris.get(name, str(deliveries[name].place)) for name in names}
        # Kubeflow's launcher uploads what is in `uris`, once we have ended: the store has no tags for it yet.
        published = {name: place for name, place in places.items() if name not in call.uris}
        tags = {name: store.tags(place) for name, place in published.items() if store.is_remote(place)}
        body: dict[str, Any] = {
            "format": FORMAT, "key": wanted, "run": call.run_id, "text": text, "places": places, "tags": tags,
        }  # fmt: skip
        kept = json.dumps({**body, "check": digest.of_value(body)}, sort_keys=True)
        store.write_text(_place(call, wanted), kept + "\n", call.base)
    except Exception as fault:
        return f"the work could not be kept for later runs ({_first_line(fault)})"
    return ""


def _place(call: Call, wanted: str) -> str:
    return f"{call.cache}/{wanted.removeprefix('sha256:')}.json"


def _first_line(fault: Exception) -> str:
    return (str(fault).strip() or type(fault).__name__).split("\n", 1)[0]
