"""From a task and what the run knows to one attempt's call, environment and *parts*.

Parts are what the work is made of, as flat texts: equal parts, equal work. The cache is keyed by them, `--resume` keeps
a finished step while they stay the same, and a difference names what changed.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pipec import digest
from pipec.compiler.plan import Plan, Task, order, uncacheable
from pipec.engine import files
from pipec.engine.state import Facts
from pipec.engine.store import Store
from pipec.record import frozen
from pipec.steps.carried import interface_as_json
from pipec.steps.command import Call, Location, secret_variable
from pipec.steps.interface import Container, Role
from pipec.values import Json, OutputRef, SecretRef, Value, as_text
from pipec.verdict import Fault, resolved

SHORT = 80  # characters: a longer part is kept by its digest, which still tells that it changed
# Not part of what makes a finished step of the same run stale: the run goes on with the data it began with, and a newer
# pipec continues an older run.
OF_THE_MOMENT = ("code", "locations.")


@frozen(kw_only=True)
class Prepared:
    """What an attempt needs. call: without the places of its outputs. secrets: environment variable -> value.

    uncacheable: why the work must be done anew each time, or empty. watched: local data whose digest is among the
    parts, as a path and its signature when it was read.
    """

    call: Call
    environ: Mapping[str, str]
    secrets: Mapping[str, str]
    parts: Mapping[str, str]
    uncacheable: str
    watched: tuple[tuple[Path, object], ...] = ()


@frozen(kw_only=True)
class Place:
    """Where a run happens. base: the folder that relative locations start from. root: which they must stay below.

    triggers: where requests to other pipelines lie, or None.
    wait_s: how long a step may wait for a server; a person is never waited for.
    """

    base: Path
    root: Path
    releases: str
    secrets: Mapping[str, str]
    wait_s: float
    triggers: str | None = None

    def below_root(self, location: str) -> str:
        """Return a location as steps are told it: a relative one starts from the root, which it may not leave."""
        if "://" in location or not location or location.startswith("/"):
            return location
        return posixpath.normpath(posixpath.join(self.base.relative_to(self.root).as_posix(), location))


def prepare(plan: Plan, task: Task, facts: Facts, place: Place, store: Store, code: str) -> Prepared:
    """Return what one attempt of `task` needs; reads the artifacts and local data that it is given.

    code: a digest of what the step's process runs. Raises Fault if something it must have is absent or damaged.
    """
    inputs = {name: _locations(name, values, facts, store) for name, values in task.inputs}
    parameters, secrets = _parameters(task, facts)
    environ, environ_secrets = _environ(task, facts, place)
    seconds = 0.0 if task.interface.role is Role.APPROVE else min(place.wait_s, task.timeout_s or place.wait_s)
    static = order(plan, task)
    call = Call(
        pipeline=static.pipeline, task=static.task, step=static.step, interface=static.interface, run_id=facts.run_id,
        parameters=parameters, secrets=secrets, inputs=inputs, environment=static.environment,
        scheduled_at=facts.scheduled_at, outcome=facts.outcome, threads=static.threads, wait_s=seconds,
        releases=place.releases, triggers=place.triggers, base=str(place.root),
        foreign=interface_as_json(task.interface) if task.interface.container else None,
        hidden=static.hidden, devices=static.devices,
    )  # fmt: skip
    wanted = {secret_variable(name): place.secrets[name] for name in secrets.values()}
    data = _local_data(task, call, place)
    parts = _parts(task, call, environ, data, code)
    told = replace(call, inputs=_pinned(inputs, data, place), parameters=_placed(task, parameters, place))
    return Prepared(
        call=told, environ=environ, secrets={**wanted, **environ_secrets},
        parts=parts, uncacheable=_uncacheable(task, data),
        watched=tuple((each.path, each.signature) for each in data.values() if each.path),
    )  # fmt: skip


def difference(before: Mapping[str, str], now: Mapping[str, str], ignore: tuple[str, ...] = ()) -> list[str]:
    """Return, sorted, what of two works' parts is not the same, in words. ignore: beginnings of names."""
    names = sorted(name for name in {*before, *now} if not name.startswith(ignore) or not ignore)
    return [_told(name, before.get(name), now.get(name)) for name in names if before.get(name) != now.get(name)]


def _told(name: str, before: str | None, now: str | None) -> str:
    if before is None:
        return f"`{name}` is new"
    if now is None:
        return f"`{name}` is gone"
    if "sha256:" in before + now:
        return f"`{name}` changed"
    return f"`{name}` is {now}, was {before}"


def _locations(name: str, values: tuple[Value, ...], facts: Facts, store: Store) -> tuple[Location, ...]:
    """Return where an input's artifacts lie; what is not there is left out (`judge` let it pass)."""
    found = []
    for value in (there for given in values for there in facts.present(given)):
        if not isinstance(value, OutputRef):
            found.append(Location(str(_resolved(value, facts, f"input `{name}`"))))
            continue
        address = facts.endings[value.task].artifacts[value.output].digest
        if not store.holds(address):
            raise Fault(
                f"`steps.{value.task}.{value.output}` is damaged or gone from {store.root}: "
                f"resume the run, and `{value.task}` makes it again"
            )
        found.append(Location(str(store.locate(address)), address))
    return tuple(found)


def _resolved(value: Value, facts: Facts, what: str) -> Json:
    try:
        return resolved(value, facts)
    except Fault as fault:
        raise Fault(f"{what}: {fault}") from fault


def _parameters(task: Task, facts: Facts) -> tuple[dict[str, Json], dict[str, str]]:
    """Return the parameters that may be written down, and by parameter the names of secrets, which may not."""
    secrets = {name: value.name for name, value in task.parameters if isinstance(value, SecretRef)}
    known = {
        name: _resolved(value, facts, f"parameter `{name}`") for name, value in task.parameters if name not in secrets
    }
    return known, secrets


def _environ(task: Task, facts: Facts, place: Place) -> tuple[dict[str, str], dict[str, str]]:
    """Return the task's own environment: what may be told, and what is secret."""
    plain: dict[str, str] = {}
    secret: dict[str, str] = {}
    for name, value in task.env:
        if isinstance(value, SecretRef):
            secret[name] = place.secrets[value.name]
        else:
            try:
                plain[name] = as_text(_resolved(value, facts, f"env `{name}`"))
            except TypeError as fault:
                raise Fault(f"env `{name}`: {fault}") from fault
    return plain, secret


@frozen
class _Data:
    """Data outside the store. path, signature: None and empty unless it lies here and its digest is known."""

    digest: str | None
    path: Path | None = None
    signature: object = ()


def _local_data(task: Task, call: Call, place: Place) -> dict[str, _Data]:
    """Return the data outside the store that the task is told to read, by `inputs.<name>.<n>` or parameter."""
    found = {
        f"locations.{name}.{n}": _look(at.uri, place)
        for name, places in call.inputs.items()
        for n, at in enumerate(places)
        if at.digest is None
    }
    for parameter in task.interface.parameters:
        given = call.parameters.get(parameter.name)
        if parameter.location and isinstance(given, str) and given:
            found[f"locations.{parameter.name}"] = _look(given, place)
    return found


def _look(uri: str, place: Place) -> _Data:
    if "://" in uri:
        return _Data(None)  # the step fetches it; the engine reads no network
    below = place.below_root(uri)
    if below == ".." or below.startswith("../"):
        return _Data(None)  # the step refuses it; nothing out there is looked at
    path = place.root / below
    try:
        signature = files.signature(path)
        return _Data(digest.of_path(path), path, signature)
    except (OSError, ValueError):
        return _Data(None)  # the step says what is wrong with it


def _pinned(
    inputs: Mapping[str, tuple[Location, ...]], data: Mapping[str, _Data], place: Place
) -> dict[str, tuple[Location, ...]]:
    """Put the digest of local data beside its place, so that the step notices a change before it reads."""
    return {
        name: tuple(
            at if at.digest else Location(place.below_root(at.uri), data[f"locations.{name}.{n}"].digest)
            for n, at in enumerate(places)
        )
        for name, places in inputs.items()
    }


def _placed(task: Task, parameters: Mapping[str, Json], place: Place) -> dict[str, Json]:
    """Return the parameters, those that are locations as steps are told them."""
    located = {parameter.name for parameter in task.interface.parameters if parameter.location}
    return {
        name: place.below_root(value) if name in located and isinstance(value, str) else value
        for name, value in parameters.items()
    }


def _parts(task: Task, call: Call, environ: Mapping[str, str], data: Mapping[str, _Data], code: str) -> dict[str, str]:
    container = task.interface.container
    image = task.image or (container.image if container else None) or ""
    parts = {"step": call.step, "interface": call.interface, "image": image, "code": code}
    parts |= _started(container) if container else {}
    parts |= {f"parameters.{name}": _short(value) for name, value in call.parameters.items()}
    parts |= {f"parameters.{name}": f"secret {secret}" for name, secret in call.secrets.items()}
    parts |= {f"inputs.{name}": _short([at.digest or at.uri for at in places]) for name, places in call.inputs.items()}
    parts |= {f"env.{name}": _short(value) for name, value in environ.items()}
    parts |= {f"env.{name}": f"secret {value.name}" for name, value in task.env if isinstance(value, SecretRef)}
    return parts | {name: each.digest or "" for name, each in data.items()}


def _started(container: Container) -> dict[str, str]:
    """Return the parts of a foreign step's command: what it says, and the programs that it names in full.

    What those load in their turn, or what the search path finds, is not seen: a step that must not be taken from the
    cache when such a thing changed has another `version` then, or `cache: false`.
    """
    told = container.describe()
    programs = {f"code.{text}": _program(Path(text)) for text in container.command if Path(text).is_absolute()}
    return {"command": _short(told["command"]), "args": _short(told["args"]), **programs}


def _program(path: Path) -> str:
    try:
        return digest.of_path(path.resolve()) if path.is_file() else ""
    except OSError:
        return ""  # it may be run without being read


def _short(value: Json) -> str:
    text = digest.canonical(value)
    return text if len(text) <= SHORT else digest.of_text(text)


def _uncacheable(task: Task, data: Mapping[str, _Data]) -> str:
    """Return why this work cannot be taken from an earlier run, or an empty text."""
    if why := uncacheable(task):
        return why
    blind = next((name for name, each in data.items() if each.digest is None), None)
    return f"what lies at `{blind.removeprefix('locations.')}` is not known before it is read" if blind else ""
