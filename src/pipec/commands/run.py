"""The commands that run pipelines and look after runs: `run`, `runs`, `why`, `serve`."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from pipec import api
from pipec.api import Checked, UsageError
from pipec.commands import chain
from pipec.commands.request import only, pairs, request, tell
from pipec.compiler.plan import Plan
from pipec.engine import history, progress
from pipec.engine import run as engine
from pipec.engine.container import ContainerLauncher
from pipec.engine.history import RunSummary
from pipec.engine.launcher import ProcessLauncher
from pipec.engine.options import RunOptions
from pipec.engine.outcome import RunOutcome
from pipec.engine.run import Ended
from pipec.engine.trigger import Request, Start
from pipec.record import frozen
from pipec.schema.files import project_root
from pipec.schema.model import Places
from pipec.stages import Unit
from pipec.values import ConfigRef, Json, SecretRef

TRIGGERS = "triggers"  # below the home: what steps asked of other pipelines


@frozen
class _Asked:
    """What a call asks to run: a pipeline of a file, and those that may follow it, in the file's order."""

    options: argparse.Namespace
    checked: Checked
    unit: Unit
    units: tuple[Unit, ...]

    @property
    def home(self) -> Path:
        return home_of(self.options, self.checked.root)

    @property
    def plans(self) -> tuple[Plan, ...]:
        return tuple(unit.plan for unit in self.units if unit.plan)


def run(options: argparse.Namespace) -> int:
    """Check a file, run its pipeline here, then the pipelines of the file that this triggers.

    Returns the exit code of the run, or of one that followed it and went worse: it waits, was refused, failed, could
    not start or was interrupted, each worse than those before.
    """
    asked = _asked(options)
    if asked is None:
        return 1
    plan = asked.unit.plan
    assert plan is not None, "commands.run got a unit without a plan though nothing was wrong"
    _tell_place(asked.checked, asked.home)
    own = replace(_run_options(asked, asked.unit), parameters=_given(options, plan), resume=options.resume)
    by_name = {unit.pipeline.name: unit for unit in asked.units}

    def begin(plan: Plan, by: Mapping[str, str], start: Start) -> Ended:
        more = _run_options(asked, by_name[plan.pipeline])
        return _concluded(asked, plan, replace(more, parameters=start.parameters, triggered_by=by))

    def requests(_: Ended) -> Iterator[Request]:
        return chain.requested(asked.home / TRIGGERS, asked.plans)

    ended = _concluded(asked, plan, own)
    return chain.gravest(chain.follow(ended, asked.plans, asked.home, begin, _note, requests))


def _asked(options: argparse.Namespace) -> _Asked | None:
    """Return what is to run, or None where findings were told. Raises UsageError where it is not clear which pipeline.

    `--set` is about the pipeline that is chosen: those that follow it are given their parameters by their triggers.
    """
    asked = request(options, options.file)
    whole = api.check(replace(asked, pipeline=None, sets={}))
    if asked.pipeline is None and len(whole.units) > 1 and not whole.has_error:
        by_hand = chain.first(tuple(unit.plan for unit in whole.units if unit.plan))
        asked = replace(asked, pipeline=by_hand.pipeline if by_hand else None)
    checked = api.check(asked) if asked.sets or asked.pipeline is not None else whole
    tell(checked, options)
    if checked.has_error:
        return None
    unit = only(checked, "run", asked.pipeline)
    if whole.has_error:
        _note(f"no pipeline is started after `{unit.pipeline.name}`: the file has errors; `pipec check` tells them")
    followers = () if whole.has_error else whole.units
    units = tuple(unit if each.pipeline.name == unit.pipeline.name else each for each in followers)
    return _Asked(options, checked, unit, units or (unit,))


def _run_options(asked: _Asked, unit: Unit) -> RunOptions:
    """Return how any run of this call is run: the same place, people and machine."""
    options, home = asked.options, asked.home
    plan = unit.plan
    assert plan is not None, "commands.run got a unit without a plan though nothing was wrong"
    references = {reference for task in plan.tasks for reference in (*task.references, *task.asked)}
    secrets = sorted(reference.name for reference in references if isinstance(reference, SecretRef))
    configs = sorted(reference.name for reference in references if isinstance(reference, ConfigRef))
    volumes = asked.checked.environment.volumes if asked.checked.environment else {}
    return RunOptions(
        home=home,
        base=asked.checked.folder,
        root=asked.checked.root,
        releases=str(home / "releases"),
        triggers=str(home / TRIGGERS),
        secrets=_told("secret", secrets, unit.subject.secrets),
        configs=_told("config", configs, unit.subject.configs),
        volumes={name: str(said["path"]) for name, said in volumes.items() if "path" in said},
        jobs=options.jobs if options.jobs is not None else os.cpu_count() or 1,
        approve_as=options.approve_as,
        launcher=ContainerLauncher(_note) if options.containers else ProcessLauncher(),
        file=_again(options, plan.pipeline if len(asked.units) > 1 else options.pipeline),
        flags=_home_flag(home),
    )


def _concluded(asked: _Asked, plan: Plan, options: RunOptions) -> Ended:
    ended = engine.conclude(plan, options, progress.choose(sys.stderr, os.environ))
    print("\n".join(_ending(ended.outcome, asked.home)))
    return ended


def _note(text: str) -> None:
    print(text, file=sys.stderr)


def _again(options: argparse.Namespace, pipeline: str | None) -> str:
    """Return the file with what a later `pipec run` of it must say again."""
    flags = [("--pipeline", pipeline), ("--env", options.env), ("--home", options.home)]
    named = [word for name, value in flags if value for word in (name, value)]
    return shlex.join([options.file, *named, *(["--containers"] if options.containers else [])])


def _home_flag(home: Path) -> str:
    """Return what commands about a run need here in order to find it: nothing, if they look there anyway."""
    is_found = home == project_root(Path().absolute()) / ".pipec"
    return "" if is_found else f" --home {shlex.quote(os.path.relpath(home))}"


def _tell_place(checked: Checked, home: Path) -> None:
    """Say so where the environment names another place for artifacts: a run here keeps its own."""
    named = checked.environment.artifacts if checked.environment else None
    if named and ("://" in named or checked.root / named != home / "artifacts"):
        print(f"artifacts of this run are kept in {home / 'artifacts'}, not in {named}", file=sys.stderr)


def _given(options: argparse.Namespace, plan: Plan) -> dict[str, Json]:
    """Return what `--set` gave, by now the plan's defaults: a resumed run must be told it apart from them."""
    named = pairs(options.sets, "--set")
    return {parameter.name: parameter.default for parameter in plan.parameters if parameter.name in named}


def _ending(outcome: RunOutcome, home: Path) -> list[str]:
    """Return what a run came to: its message, its outputs and where it is kept, if it began at all."""
    name = f"run {outcome.run_id}" if outcome.run_id else f"pipeline `{outcome.pipeline}`"
    lines = [f"{name}: {outcome.status}", *([outcome.message] if outcome.message else [])]
    for output, value in outcome.outputs.items():
        lines.append(f"  output {output}: {_shown(value)}")
    return [*lines, f"  kept in {home / 'runs' / outcome.run_id}"] if outcome.run_id else lines


def _shown(value: Json) -> Json:
    """Return an output as a line shows it: an artifact by its path."""
    match value:
        case {"path": path, "digest": _}:
            return path
        case list():
            return [_shown(item) for item in value]
    return value


def home_of(options: argparse.Namespace, root: Path) -> Path:
    """Return where runs are kept: as asked, or at the project's root."""
    return Path(options.home).absolute() if options.home else root / ".pipec"


def _told(kind: str, names: Iterable[str], known: Places) -> dict[str, str]:
    """Return the secrets or configs that a plan uses, from the environment variables that are named for them."""
    values: dict[str, str] = {}
    for name in names:
        variable = known.get(name, {}).get("env")
        if not isinstance(variable, str):
            raise UsageError(
                f"{kind} `{name}` has no `env` here: choose an environment that says `{name}: {{env: VAR}}`"
            )
        if variable not in os.environ:
            raise UsageError(f"{kind} `{name}` is not set: export {variable}")
        values[name] = os.environ[variable]
    return values


def runs(options: argparse.Namespace) -> int:
    """List runs, newest first, or show one."""
    home = home_of(options, project_root(Path().absolute()))
    if options.run is not None:
        outcome = history.show(home, options.run)
        if options.format == "json":
            print(json.dumps({"format_version": "1.0", "run": outcome.run_id, "trace": outcome.trace()}, indent=2))
        else:
            print("\n".join([*(f"{t.name}: {progress.told(t)}" for t in outcome.tasks), *_ending(outcome, home)]))
        return 0
    found = history.runs(home)
    if options.format == "json":
        print(json.dumps({"format_version": "1.0", "runs": [asdict(one) for one in found]}, indent=2))
    else:
        print("\n".join(map(_row, found)) if found else f"no runs in {home}")
    return 0


def _row(one: RunSummary) -> str:
    counts = ", ".join(f"{count} {state}" for state, count in one.counts.items())
    where = f" ({one.environment})" if one.environment else ""
    return f"{one.run_id}  {one.status:<11}  {one.pipeline}{where}: {counts}"


def why(options: argparse.Namespace) -> int:
    """Tell what became of a step, and why."""
    print(history.why(home_of(options, project_root(Path().absolute())), options.run, options.step))
    return 0


def serve(options: argparse.Namespace) -> int:
    """Follow a release store and answer requests until a signal ends it."""
    from pipec.steps.release.server import serve as follow

    store = options.store or str(project_root(Path().absolute()) / ".pipec" / "releases")
    if "://" not in store:
        store = str(Path(store).absolute())
    follow(store, options.name, options.host, options.port, lambda line: print(line, file=sys.stderr, flush=True))
    return 0
