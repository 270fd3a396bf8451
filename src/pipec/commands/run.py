"""The commands that run pipelines and look after runs: `run`, `runs`, `approve`, `why`, `serve`."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pipec import api
from pipec.api import Checked, UsageError
from pipec.commands import chain
from pipec.commands.request import only, pairs, request, tell
from pipec.compiler.plan import Plan
from pipec.engine import history, progress
from pipec.engine import run as engine
from pipec.engine.history import RunSummary
from pipec.engine.options import RunOptions
from pipec.engine.outcome import RunOutcome
from pipec.engine.run import Ended
from pipec.engine.trigger import Start
from pipec.schema.files import project_root
from pipec.values import Json, SecretRef


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a call asks to run: a pipeline of a file, and those that may follow it."""

    options: argparse.Namespace
    checked: Checked
    plan: Plan
    others: tuple[Plan, ...]

    @property
    def home(self) -> Path:
        return _home(self.options, self.checked.root)


def run(options: argparse.Namespace) -> int:
    """Check a file, run its pipeline here, then the pipelines of the file that this triggers.

    Returns the exit code of the run, or of one that followed it and went worse: it waits, was refused, failed, could
    not start or was interrupted, each worse than those before.
    """
    asked = _asked(options)
    if asked is None:
        return 1
    _tell_place(asked.checked, asked.home)
    own = replace(_run_options(asked, asked.plan), parameters=_given(options, asked.plan), resume=options.resume)

    def begin(plan: Plan, by: Mapping[str, str], start: Start) -> Ended:
        more = replace(_run_options(asked, plan), parameters=start.parameters, triggered_by=by)
        return _concluded(asked, plan, more)

    ended = _concluded(asked, asked.plan, own)
    return chain.gravest(chain.follow(ended, asked.others, asked.home, begin, _note))


def _asked(options: argparse.Namespace) -> _Asked | None:
    """Return what is to run, or None where findings were told. Raises UsageError where it is not clear which pipeline.

    `--set` is about the pipeline that is chosen: those that follow it are given their parameters by their triggers.
    """
    asked = request(options, options.file)
    whole = api.check(replace(asked, pipeline=None, sets={}))
    has_choice, was_told = len(whole.units) > 1, False
    if has_choice and asked.pipeline is None:
        tell(whole)
        was_told = True
        if whole.has_error:
            return None
        by_hand = chain.first(_plans(whole)) or only(whole, "run").plan
        asked = replace(asked, pipeline=by_hand.pipeline if by_hand else None)
    checked = api.check(asked) if asked.sets or asked.pipeline is not None else whole
    if checked.has_error or not was_told:
        tell(checked)
    if checked.has_error:
        return None
    plan = only(checked, "run").plan
    assert plan is not None, "commands.run got a unit without a plan though nothing was wrong"
    if has_choice and whole.has_error:
        _note(f"no other pipeline is started after `{plan.pipeline}`: the file has errors; `pipec check` tells them")
    return _Asked(options, checked, plan, (plan,) if whole.has_error or not has_choice else _plans(whole))


def _plans(checked: Checked) -> tuple[Plan, ...]:
    return tuple(unit.plan for unit in checked.units if unit.plan)


def _run_options(asked: _Asked, plan: Plan) -> RunOptions:
    """Return how any run of this call is run: the same place, people and machine."""
    options, home = asked.options, asked.home
    return RunOptions(
        home=home,
        base=asked.checked.folder,
        releases=str(home / "releases"),
        secrets=_secrets(plan, asked.checked),
        jobs=options.jobs if options.jobs is not None else os.cpu_count() or 1,
        approve_as=options.approve_as,
        file=_again(options, plan.pipeline if len(asked.others) > 1 else options.pipeline),
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
    return shlex.join([options.file, *(word for name, value in flags if value for word in (name, value))])


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


def _home(options: argparse.Namespace, root: Path) -> Path:
    return Path(options.home).absolute() if options.home else root / ".pipec"


def _secrets(plan: Plan, checked: Checked) -> dict[str, str]:
    """Return the secrets that the plan uses, from the environment variables that the project names for them."""
    names = sorted({r.name for task in plan.tasks for r in task.references if isinstance(r, SecretRef)})
    known = checked.project.secrets_in(checked.environment)
    values: dict[str, str] = {}
    for name in names:
        variable = known.get(name, {}).get("env")
        if not isinstance(variable, str):
            raise UsageError(
                f"secret `{name}` has no `env` here: choose an environment that says `{name}: {{env: VAR}}`"
            )
        if variable not in os.environ:
            raise UsageError(f"secret `{name}` is not set: export {variable}")
        values[name] = os.environ[variable]
    return values


def runs(options: argparse.Namespace) -> int:
    """List runs, newest first, or show one."""
    home = _home(options, project_root(Path().absolute()))
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


def approve(options: argparse.Namespace) -> int:
    """Write a person's decision about a waiting step."""
    home = _home(options, project_root(Path().absolute()))
    history.decide(home, options.run, options.step, by=options.name, approve=not options.reject, reason=options.reason)
    said = "no" if options.reject else "yes"
    print(f"{options.step}: {options.name} says {said}; go on with `pipec run FILE --resume {options.run}`")
    return 0


def why(options: argparse.Namespace) -> int:
    """Tell what became of a step, and why."""
    print(history.why(_home(options, project_root(Path().absolute())), options.run, options.step))
    return 0


def serve(options: argparse.Namespace) -> int:
    """Follow a release store and answer requests until a signal ends it."""
    from pipec.steps.release.server import serve as follow

    store = options.store or str(project_root(Path().absolute()) / ".pipec" / "releases")
    if "://" not in store:
        store = str(Path(store).absolute())
    follow(store, options.name, options.host, options.port, lambda line: print(line, file=sys.stderr, flush=True))
    return 0
