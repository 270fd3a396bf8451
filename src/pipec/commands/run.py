"""The commands that run pipelines and look after runs: `run`, `runs`, `approve`, `why`, `serve`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from pipec import api
from pipec.api import Checked, UsageError
from pipec.commands.request import only, request, tell
from pipec.compiler.plan import Plan
from pipec.engine import history, progress
from pipec.engine import run as engine
from pipec.schema.files import project_root
from pipec.values import SecretRef


def run(options: argparse.Namespace) -> int:
    """Check a file and run its pipeline here."""
    checked = api.check(request(options, options.file))
    tell(checked)
    if checked.has_error:
        return 1
    plan = only(checked, "run").plan
    assert plan is not None, "commands.run got a unit without a plan though nothing was wrong"
    home = _home(options, checked.root)
    given = engine.RunOptions(
        home=home,
        base=checked.folder,
        releases=str(home / "releases"),
        parameters={},
        secrets=_secrets(plan, checked),
        jobs=options.jobs or os.cpu_count() or 1,
        approve_as=options.approve_as,
        scheduled_at=None,
        resume=options.resume,
    )
    outcome = engine.run(plan, given, progress.for_stream(sys.stderr))
    print(history.summary(outcome, command=f"pipec run {options.file}"))
    return outcome.exit_code


def _home(options: argparse.Namespace, root: Path) -> Path:
    return Path(options.home).absolute() if options.home else root / ".pipec"


def _secrets(plan: Plan, checked: Checked) -> dict[str, str]:
    """Return the secrets that the plan uses, from the environment variables that the project names for them."""
    names = sorted({r.name for task in plan.tasks for r in task.references if isinstance(r, SecretRef)})
    known = {**checked.project.secrets, **(checked.environment.secrets if checked.environment else {})}
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
    if options.run is None:
        found = history.runs(home)
        print(history.as_json(found) if options.format == "json" else history.as_text(found))
        return 0
    outcome = history.show(home, options.run)
    if options.format == "json":
        print(json.dumps({"format_version": "1.0", "run": outcome.run_id, "trace": outcome.trace()}, indent=2))
    else:
        print(history.summary(outcome, command="pipec run FILE"))
    return 0


def approve(options: argparse.Namespace) -> int:
    """Write a person's decision about a waiting step."""
    home = _home(options, project_root(Path().absolute()))
    history.decide(home, options.run, options.step, by=options.name, approve=not options.reject, reason=options.reason)
    said = "rejected" if options.reject else "approved"
    print(f"{options.step}: {said} by {options.name}; go on with `pipec run FILE --resume {options.run}`")
    return 0


def why(options: argparse.Namespace) -> int:
    """Tell what became of a step, and why."""
    print(history.why(_home(options, project_root(Path().absolute())), options.run, options.step))
    return 0


def serve(options: argparse.Namespace) -> int:
    """Follow a release store and answer requests until a signal ends it."""
    from pipec.steps.release.server import serve as follow

    store = options.store or str(project_root(Path().absolute()) / ".pipec" / "releases")
    follow(store, options.name, options.host, options.port, lambda line: print(line, file=sys.stderr, flush=True))
    return 0
