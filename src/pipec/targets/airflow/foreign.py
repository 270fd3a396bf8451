"""A step of the user's own image: a task that prepares, one that is that image's container, and one that keeps.

No pipec is in such an image. The first task leaves what is read in a folder that all three mount, and the command as an
XCom; the last one publishes what was written there, and is called as the step, since others follow it. Knows no rule.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping
from dataclasses import replace

from pipec.compiler.plan import Plan, Task
from pipec.record import frozen
from pipec.steps.command import INPUTS_HALF, RUN_HALF, guarded
from pipec.steps.interface import Resources, Role
from pipec.targets.airflow.docker import bind, folder, is_docker
from pipec.targets.airflow.flow import Flow
from pipec.targets.airflow.operators import arguments, is_found, placed, retried, ruled, told, xcom_place
from pipec.targets.airflow.source import Call, Keywords, Source, jinja, templated
from pipec.targets.base import Feature, Options, Refusal, Use
from pipec.targets.cluster import library_image
from pipec.values import ImageFile, encode

PLACE = "/pipec-workspace"  # where the workspace is mounted
FINAL = [2, 3]  # design.md 3.1.7: any other code of such an image may heal
SMALL = Resources(cpu=0.5, memory_mib=1024)  # of a task that carries files
ATTEMPT = "attempt"  # the XCom by which the container's task says which of its attempts this is


@frozen
class Workspace:
    """What the three tasks share. place: where they see it. volume: of the environment; empty: below the root."""

    place: str
    volume: str = ""


def is_foreign(task: Task) -> bool:
    """Say whether a task is in an image of the user's own."""
    return task.interface.container is not None


def inputs_id(task: Task) -> str:
    """Return the id of the task that prepares."""
    return task.name + INPUTS_HALF


def run_id(task: Task) -> str:
    """Return the id of the task that is the user's container."""
    return task.name + RUN_HALF


def workspace(options: Options) -> Workspace | None:
    """Return what the environment says is shared, else a folder below a root on the worker's machine, or None."""
    named = options.settings.get("workspace")
    if isinstance(named, str):
        return Workspace(PLACE, named)
    root = (options.artifacts or "").rstrip("/")
    return Workspace(f"{root}/workspace") if is_docker(options) and root.startswith("/") else None


def foreign(plan: Plan, task: Task, options: Options, moves: Flow) -> Iterator[tuple[str, Call]]:
    """Yield the three operators that a step of the user's own image becomes, each with the id of its task."""
    shared = workspace(options)
    assert shared, f"foreign got `{task.name}`, and no workspace (refuse_foreign should have stopped it)"
    yield inputs_id(task), _inputs(plan, task, options, moves, shared)
    yield run_id(task), _run(task, options, moves, shared)
    yield task.name, _keep(plan, task, options, moves, shared)


def _inputs(plan: Plan, task: Task, options: Options, moves: Flow, shared: Workspace) -> Call:
    ours = _ours(plan, task, options, shared)
    called = ["--prepare", *arguments(plan, ours, inputs_id(task)), "--workspace", templated(shared.place)]
    if ours.env:
        called += ["--variables", guarded(json.dumps({name: encode(value) for name, value in ours.env}))]
    called += ["--attempts", str(task.retry.attempts), *xcom_place(options)]
    place = placed(replace(ours, name=inputs_id(task)), options, moves, called)
    return Call("Step", (*place, ("do_xcom_push", True), *retried(task), *ruled(task, options, moves)))


def _run(task: Task, options: Options, moves: Flow, shared: Workspace) -> Call:
    """Return the operator of the user's container; its command is known in a run."""
    seen = replace(task, name=run_id(task), volumes=_volumes(task, shared))
    place = placed(seen, options, moves, [])
    if is_docker(options):
        source = folder(options, shared.volume) if shared.volume else shared.place
        binds: list[Source] = [bind(source, shared.place)]  # of the artifact root, nothing else
        binds += [bind(folder(options, name), where) for where, name in task.volumes]
        place = (*(given for given in place if given[0] != "mounts"), ("mounts", binds))
    own = tuple(given for given in _with_found(task, place, options) if given[0] not in ("arguments", "command"))
    prepared: Keywords = (("prepared", inputs_id(task)), ("skip_on_exit_code", FINAL))
    return Call("Step", (*own, *prepared, *retried(task), *_behind(task, inputs_id(task))))


def _with_found(task: Task, place: Keywords, options: Options) -> Keywords:
    """Return the keywords with the variables that only a run knows, as templates over what was prepared.

    Where nothing was, the container does not start: a template must not fail before that is said.
    """
    found = [name for name, value in task.env if is_found(task, value)]
    if not found:
        return place
    key, ending = ("environment", "") if is_docker(options) else ("env_vars", ' | replace("$", "$$")')
    prepared = f'((ti.xcom_pull(task_ids={jinja(inputs_id(task))}) or {{}}).get("env") or {{}})'
    known = next((value for name, value in place if name == key), {})
    assert isinstance(known, Mapping), f"variables of `{task.name}` are no mapping: {known}"
    filled = {name: f'{{{{ {prepared}.get({jinja(name)}, ""){ending} }}}}' for name in found}
    return (*(given for given in place if given[0] != key), (key, {**known, **filled}))


def _keep(plan: Plan, task: Task, options: Options, moves: Flow, shared: Workspace) -> Call:
    # It publishes what lies there; whatever the step was given and waited for, has been seen to.
    ours = replace(_ours(plan, task, options, shared), parameters=(), inputs=(), env=(), needs=(), when=None)
    attempt = f"{{{{ ti.xcom_pull(task_ids={jinja(run_id(task))}, key={jinja(ATTEMPT)}) }}}}"
    called = ["--keep", *arguments(plan, ours), "--workspace", templated(shared.place), "--attempt", attempt]
    read: Keywords = (("do_xcom_push", True),) if task.name in moves.read else ()
    called += xcom_place(options) if read else []
    return Call(
        "Step",
        (*told(task), *placed(ours, options, moves, called), *read, *retried(task), *_behind(task, run_id(task))),
    )


def _ours(plan: Plan, task: Task, options: Options, shared: Workspace) -> Task:
    """Return a task as the step library does its part of it: in its own image, with what carrying files takes."""
    image = library_image(plan.tasks) or options.image
    env = tuple((name, value) for name, value in task.env if is_found(task, value))
    return replace(task, image=image, resources=SMALL, env=env, cache=False, volumes=_volumes(task, shared))


def _volumes(task: Task, shared: Workspace) -> tuple[tuple[str, str], ...]:
    return (*task.volumes, *([(shared.place, shared.volume)] if shared.volume else []))


def _behind(task: Task, before: str) -> Keywords:
    """Return what keeps a part of a final step from running where the one before has not gone well.

    Airflow starts a teardown whatever became of other teardowns.
    """
    return (("needs", {before: []}),) if task.is_final else ()


def refuse_foreign(plan: Plan, task: Task, options: Options, taken: Container[str]) -> Iterator[Refusal]:
    """Yield what of a step of the user's own image Airflow cannot do; of other steps nothing. taken: ids of tasks."""
    inner = next((each for each in (task.loop.body if task.loop else ()) if is_foreign(each) or each.loop), None)
    if inner and is_foreign(inner):
        use = Use(Feature.FOREIGN_IMAGE, task.step, ("for_each",))
        message = "airflow cannot map a step of your own image over a list yet"
        yield Refusal(use, message, "write a `matrix`, or loop over a step of the library")
    if not is_foreign(task):
        return
    use = Use(Feature.FOREIGN_IMAGE, task.step, ("uses",))
    if task.interface.role is Role.APPROVE:
        yield Refusal(use, "airflow cannot let a step of your own image approve", "use `approve` of the library")
    for needed, what in ((inputs_id(task), "what prepares its inputs"), (run_id(task), "its container")):
        if needed in taken:
            yield Refusal(use, f"airflow needs the name `{needed}` for {what}", "rename that step")
    if not (library_image(plan.tasks) or options.image):
        message = f"airflow has no image of the step library to prepare `{task.step}` in"
        yield Refusal(use, message, "say `image: <registry>/<name>@sha256:<digest>` in pipec.yaml")
    for name, value in task.parameters:
        if isinstance(value, ImageFile):
            use_ = Use(Feature.FOREIGN_IMAGE, task.step, ("with", name))
            message = f"airflow cannot take `{value.path}` out of the image of `{task.step}`"
            yield Refusal(use_, message, "put the file beside the pipeline")
    for where, _ in task.volumes:
        if where == PLACE or where.startswith(f"{PLACE}/"):
            use_ = Use(Feature.VOLUMES, task.step, ("volumes", where))
            yield Refusal(use_, f"pipec keeps `{where}` for itself", "mount it elsewhere")
    yield from _no_workspace(use, options)


def _no_workspace(use: Use, options: Options) -> Iterator[Refusal]:
    shared, form = workspace(options), "path: /<folder>" if is_docker(options) else "kubernetes: {claim: <claim>}"
    if shared is None:
        message = "airflow has no volume over which a step of your own image could be handed files"
        advice = "say `airflow: {workspace: <volume>}` in the environment, and what volume that is: "
        yield Refusal(use, message, f"{advice}`volumes: {{<volume>: {{{form}}}}}`")
    elif shared.volume and not _is_shared(options.volumes.get(shared.volume, {}), options, shared.volume):
        message = f"the environment's workspace, volume `{shared.volume}`, cannot be mounted and written to"
        yield Refusal(use, message, f"say `volumes: {{{shared.volume}: {{{form}}}}}` in the environment")


def _is_shared(place: Mapping[str, object], options: Options, volume: str) -> bool:
    if is_docker(options):
        return bool(folder(options, volume))
    match place.get("kubernetes"):
        case {"claim": str(), **rest}:
            return not rest.get("read_only")
    return False
