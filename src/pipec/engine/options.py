"""What a run is asked to do, and whether it can be: checked before anything is started or written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path

from pipec.compiler.plan import Plan
from pipec.diagnostics import guess
from pipec.engine.folder import printed
from pipec.engine.kind import is_a
from pipec.engine.launcher import Launcher, ProcessLauncher
from pipec.engine.loop import leaves
from pipec.engine.outcome import EngineError
from pipec.engine.process import GRACE_S
from pipec.record import frozen
from pipec.values import ConfigRef, Json, SecretRef

WAIT_S = 30.0  # for a server to report a release: it is on this machine, so it follows in seconds or is not running


@frozen(kw_only=True)
class RunOptions:
    """How to run a plan.

    home: where runs, artifacts and the cache lie (`.pipec`). base: the folder that relative locations start from.
    root: the folder around it that they stay below; None: base itself. releases: the release store (a location).
    triggers: where requests to other pipelines lie (a location), or empty. parameters: given values; others have the
    plan's defaults. secrets: values by name; they reach the environment of the tasks that use them and nothing else.
    configs: values by name, of those that the plan does not know yet. volumes: absolute folders here, by name. jobs:
    tasks at once. approve_as: who approves whatever asks, or None. scheduled_at: the trigger's moment, or None for now.
    resume: a run id or `latest`. file: the pipeline as messages should name it, flags that a new call needs included.
    flags: what `pipec approve` needs besides, such as ` --home DIR`. wait_s: how long a step may wait for a server.
    grace_s: between asking a task's processes to end and ending them. triggered_by: the run whose end starts this one,
    as `pipeline` and `run`, or None.
    """

    home: Path
    base: Path
    releases: str
    parameters: Mapping[str, Json] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    configs: Mapping[str, str] = field(default_factory=dict)
    volumes: Mapping[str, str] = field(default_factory=dict)
    jobs: int = 1
    approve_as: str | None = None
    scheduled_at: str | None = None
    resume: str | None = None
    launcher: Launcher = field(default_factory=ProcessLauncher)
    file: str = "FILE"
    flags: str = ""
    wait_s: float = WAIT_S
    grace_s: float = GRACE_S
    triggers: str = ""
    root: Path | None = None
    triggered_by: Mapping[str, str] | None = None


def check(plan: Plan, options: RunOptions) -> None:
    """Raise EngineError if the run cannot begin as asked; parameters are checked by `parameters`."""
    if options.jobs < 1:
        raise EngineError(f"`--jobs {options.jobs}` leaves nobody to run a step: give 1 or more")
    if options.approve_as is not None and not options.approve_as.strip():
        raise EngineError("`--approve-as` needs the name of who approves")
    for kind, name in sorted(_missing(plan, options)):
        raise EngineError(f"{kind} `{name}` has no value here: say where it comes from in the environment's `{kind}s`")
    for task in leaves(plan.tasks):
        if why := options.launcher.refuse(task, options.volumes):
            raise EngineError(why)


def _missing(plan: Plan, options: RunOptions) -> Iterator[tuple[str, str]]:
    """Yield the secrets and configs, each as a kind and a name, that the plan uses and nobody gave."""
    for task in plan.tasks:
        for reference in (*task.references, *task.asked):
            match reference:
                case SecretRef(name) if name not in options.secrets:
                    yield "secret", name
                case ConfigRef(name) if name not in options.configs:
                    yield "config", name


def parameters(plan: Plan, given: Mapping[str, Json]) -> dict[str, Json]:
    """Return the value of every parameter of the plan. Raises EngineError at an unknown, a missing or a mistyped one.

    Bounds (`minimum` and the like) are not looked at: the caller has the schema, and steps check their own.
    """
    known = {parameter.name for parameter in plan.parameters}
    for name in given:
        if name not in known:
            near = guess(name, known)
            listed = f"it has {', '.join(f'`{each}`' for each in sorted(known))}" if known else "it has none"
            hint = f"did you mean `{near}`?" if near else listed
            raise EngineError(f"pipeline `{plan.pipeline}` has no parameter `{printed(name)}`: {hint}")
    found: dict[str, Json] = {}
    for parameter in plan.parameters:
        value = given.get(parameter.name, parameter.default)
        if value is None and parameter.is_required:
            raise EngineError(f"parameter `{parameter.name}` has no default: give `--set {parameter.name}=...`")
        if value is not None and not is_a(parameter.kind, value):
            raise EngineError(f"parameter `{parameter.name}` needs a value of kind {parameter.kind}")
        found[parameter.name] = value
    return found
