"""The commands that run pipelines and look after runs: `run`, `runs`, `approve`, `why`, `serve`."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from dataclasses import asdict
from pathlib import Path

from pipec import api
from pipec.api import Checked, UsageError
from pipec.commands.request import only, pairs, request, tell
from pipec.compiler.plan import Plan
from pipec.engine import history, progress
from pipec.engine import run as engine
from pipec.engine.history import RunSummary
from pipec.engine.options import RunOptions
from pipec.engine.outcome import RunOutcome
from pipec.schema.files import project_root
from pipec.schema.model import Places
from pipec.values import Json, SecretRef


def run(options: argparse.Namespace) -> int:
    """Check a file and run its pipeline here."""
    checked = api.check(request(options, options.file))
    tell(checked)
    if checked.has_error:
        return 1
    unit = only(checked, "run")
    plan = unit.plan
    assert plan is not None, "commands.run got a unit without a plan though nothing was wrong"
    home = _home(options, checked.root)
    _tell_place(checked, home)
    outcome = engine.run(
        plan,
        RunOptions(
            home=home,
            base=checked.folder,
            releases=str(home / "releases"),
            triggers=str(home / "triggers"),
            parameters=_given(options, plan),
            secrets=_secrets(plan, unit.subject.secrets),
            jobs=options.jobs if options.jobs is not None else os.cpu_count() or 1,
            approve_as=options.approve_as,
            resume=options.resume,
            file=_again(options),
            flags=_home_flag(home),
        ),
        progress.choose(sys.stderr, os.environ),
    )
    print("\n".join(_ending(outcome, home)))
    return outcome.exit_code


def _again(options: argparse.Namespace) -> str:
    """Return the file with what a later `pipec run` of it must say again."""
    flags = [("--pipeline", options.pipeline), ("--env", options.env), ("--home", options.home)]
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
    """Return what a run came to: its message, its outputs and where it is kept."""
    lines = [f"run {outcome.run_id}: {outcome.status}", *([outcome.message] if outcome.message else [])]
    for name, value in outcome.outputs.items():
        lines.append(f"  output {name}: {value['path'] if isinstance(value, dict) and 'path' in value else value}")
    return [*lines, f"  kept in {home / 'runs' / outcome.run_id}"]


def _home(options: argparse.Namespace, root: Path) -> Path:
    return Path(options.home).absolute() if options.home else root / ".pipec"


def _secrets(plan: Plan, known: Places) -> dict[str, str]:
    """Return the secrets that the plan uses, from the environment variables that are named for them."""
    names = sorted({r.name for task in plan.tasks for r in task.references if isinstance(r, SecretRef)})
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
