"""Kubeflow's backend in small: runs a compiled pipeline with Docker, and knows nothing but the text of its file.

As the compiler to Argo has it (argocompiler/dag.go):
- A task starts when all its `dependentTasks` have succeeded; nothing else gives order. Where one was skipped, omitted
  or failed, it is omitted. A DAG none of whose tasks failed has succeeded, whatever was skipped in it.
- After a failure nothing more is started in that DAG (Argo's failFast); what runs goes on to its end.
- An exit task leaves its DAG and runs when the task that it depends on has ended, unless that was skipped or omitted;
  if it fails, its DAG fails. A loop has none: the compiler forgets it there, which is a fault here.
- A loop whose condition is false counts as a success for what follows, other than a DAG or a container.
Left out: caching, waiting between attempts, what Argo's own templates would make of `{{` in values.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from ir_container import Cluster, Exit, Pod, collected, pod_of, prepare, provisioned, run, with_defaults
from ir_inputs import Ended, Facts, Inputs, Scope, Status, conformed, inputs, output_artifacts, output_parameter
from ir_values import Fault, Spec, Value, carried, fit, holds, items

EXIT = "ALL_UPSTREAM_TASKS_COMPLETED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What became of a task. path: from the root, with the numbers of iterations: `root/for-loop-1/2/score`.

    executor: the label of what it ran, empty for a DAG. why: why it is no success. attempts: containers started.
    given: its input parameters. log: what its last container printed.
    """

    path: str
    status: Status
    executor: str = ""
    why: str = ""
    attempts: int = 0
    exit_code: int | None = None
    given: Mapping[str, Value] = field(default_factory=dict)
    parameters: Mapping[str, Value] = field(default_factory=dict)
    artifacts: Mapping[str, list[Spec]] = field(default_factory=dict)
    log: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that ended. ran: all tasks of which anything became something, by path. parameters, artifacts: its own."""

    status: Status
    ran: Mapping[str, Ran]
    parameters: Mapping[str, Value]
    artifacts: Mapping[str, list[Spec]]
    run_id: str

    def told(self) -> dict[str, str]:
        """Return the status of every task but the root, by its path below the root."""
        return {path.removeprefix("root/"): str(one.status) for path, one in self.ran.items() if path != "root"}


def run_ir(
    text: str, cluster: Cluster, parameters: Mapping[str, Any] | None = None, run_id: str = "0b5e",
    start: Callable[[Pod], Exit] = run,
) -> Finished:  # fmt: skip
    """Run a compiled pipeline to its end. parameters: of the run. Raises Fault where the API server would refuse it.

    start: runs a container to its end; with Docker, if nothing else is said.
    """
    spec, *rest = (one for one in yaml.load_all(text, yaml.CSafeLoader) if one)
    settings = rest[0]["platforms"]["kubernetes"]["deploymentSpec"]["executors"] if rest else {}
    facts = Facts(run_id, spec["pipelineInfo"]["name"])
    backend = _Backend(spec=spec, settings=settings, cluster=cluster, facts=facts, start=start)
    root = Scope("root", spec["root"]["dag"], _root_parameters(spec["root"], carried(dict(parameters or {}))), {})
    status = backend.dag(root)
    ended = Ended(status, scope=root)
    declared = spec["root"].get("outputDefinitions", {})
    found = backend.ran | {"root": Ran(path="root", status=status)}
    return Finished(
        status, dict(sorted(found.items())),
        _left(declared.get("parameters", {}), lambda key: output_parameter(ended, key)),
        _left(declared.get("artifacts", {}), lambda key: output_artifacts(ended, key)), run_id,
    )  # fmt: skip


def _left(declared: Spec, look: Callable[[str], Any]) -> dict[str, Any]:
    found = {}
    for key in declared:
        try:
            found[key] = look(key)
        except Fault:
            continue
    return found


def _root_parameters(root: Spec, given: Mapping[str, Value]) -> dict[str, Value]:
    declared = root.get("inputDefinitions", {}).get("parameters", {})
    if unknown := given.keys() - declared.keys():
        raise Fault(f"the pipeline has no parameter {min(unknown)}")
    found: dict[str, Value] = {}
    for key, one in declared.items():
        if key not in given and "defaultValue" not in one:
            if not one.get("isOptional"):
                raise Fault(f"parameter {key} is required")
            found[key] = None
            continue
        value = given.get(key, carried(one.get("defaultValue")))
        if one["parameterType"] == "STRING" and not isinstance(value, str):
            raise Fault(f"parameter {key} is of type STRING")  # the API server converts nothing
        found[key] = fit(value, one["parameterType"], key)
    return found


@dataclass(slots=True, kw_only=True)
class _Backend:
    """A run that goes on, in threads: one for every task that has been started."""

    spec: Spec
    settings: Spec
    cluster: Cluster
    facts: Facts
    start: Callable[[Pod], Exit]
    ran: dict[str, Ran] = field(default_factory=dict)
    room: threading.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self.room = threading.Semaphore(self.cluster.n_parallel)

    def dag(self, scope: Scope) -> Status:
        """Run a DAG; return how it ended."""
        tasks = scope.dag["tasks"]
        hooks = {on: name for name, task in tasks.items() if _is_exit(task) for on in task.get("dependentTasks", [])}
        todo = sorted(name for name, task in tasks.items() if not _is_exit(task))
        with ThreadPoolExecutor(max(1, len(todo))) as pool:
            going: dict[Future[Ended], str] = {}
            while todo or going:
                todo = self._started(scope, todo, hooks, pool, going)
                assert going or not todo, f"tasks of {scope.path} wait for each other: {todo}"
                for future in wait(going, return_when=FIRST_COMPLETED).done if going else ():
                    scope.ended[going.pop(future)] = future.result()
        is_bad = any(one.status is Status.FAILED for one in scope.ended.values())
        return Status.FAILED if is_bad else Status.SUCCEEDED

    def _started(
        self, scope: Scope, todo: list[str], hooks: Spec, pool: ThreadPoolExecutor, going: dict[Future[Ended], str]
    ) -> list[str]:
        """Start what may start, omit what never will; return what still waits."""
        left = list(todo)
        for name in _in_order(todo, scope.dag["tasks"]):
            needs = scope.dag["tasks"][name].get("dependentTasks", [])
            if why := _hopeless(scope, needs):
                scope.ended[name] = self._tell(Ran(path=f"{scope.path}/{name}", status=Status.OMITTED, why=why))
            elif all(need in scope.ended for need in needs):
                going[pool.submit(self._guarded, scope, name, hooks.get(name))] = name
            else:
                continue
            left.remove(name)
        return left

    def _guarded(self, scope: Scope, name: str, hook: str | None) -> Ended:
        """Run a task, and then the exit task that it has."""
        ended = self._task(scope, name)
        if hook is None or ended.status in (Status.SKIPPED, Status.OMITTED):
            return ended
        assert ended.iterations is None, f"{scope.path}/{hook} never runs: what it is to follow is a loop"
        scope.ended[name] = ended
        scope.ended[hook] = self._task(scope, hook)
        return ended

    def _task(self, scope: Scope, name: str) -> Ended:
        path, task = f"{scope.path}/{name}", scope.dag["tasks"][name]
        component = self.spec["components"][task["componentRef"]["name"]]
        try:
            values, artifacts = inputs(name, task, component, scope, self.facts)
            if "parameterIterator" in task:
                return self._loop(path, task, component, (values, artifacts))
            return self._one(path, task, component, (values, artifacts))
        except Fault as fault:
            return self._tell(Ran(path=path, status=Status.FAILED, why=str(fault)))

    def _loop(self, path: str, task: Spec, component: Spec, given: Inputs) -> Ended:
        iterator = task["parameterIterator"]
        item, source = iterator["itemInput"], iterator["items"].get("inputParameter")
        values = conformed(given[0], task, component, item)
        if not _triggers(task, values):
            self._tell(Ran(path=path, status=Status.SKIPPED, why="its condition is false", given=values))
            return Ended(Status.SUCCEEDED, iterations=())
        listed = items(values[source] if source else iterator["items"]["raw"])
        around = {key: value for key, value in values.items() if key != source}
        ended = self._iterations(path, task, component, [(around | {item: one}, given[1]) for one in listed])
        is_bad = any(one.status is Status.FAILED for one in ended)
        status = Status.FAILED if is_bad else Status.SUCCEEDED
        self._tell(Ran(path=path, status=status, given=values))
        return Ended(status, iterations=ended)

    def _iterations(self, path: str, task: Spec, component: Spec, given: list[Inputs]) -> tuple[Ended, ...]:
        """Run the iterations of a loop, at most as many at once as it says; none is begun after a failure."""
        stop = threading.Event()
        source = task["parameterIterator"]["items"].get("inputParameter", "")

        def iteration(number: int) -> Ended:
            place = f"{path}/{number}"
            if stop.is_set():
                return self._tell(Ran(path=place, status=Status.OMITTED, why="another iteration failed"))
            try:
                ended = self._one(place, task, component, given[number], source)
            except Fault as fault:
                ended = self._tell(Ran(path=place, status=Status.FAILED, why=str(fault)))
            if ended.status is Status.FAILED:
                stop.set()
            return ended

        limit = int(task.get("iteratorPolicy", {}).get("parallelismLimit", 0)) or len(given)
        with ThreadPoolExecutor(max(1, limit)) as pool:
            return tuple(pool.map(iteration, range(len(given))))

    def _one(self, path: str, task: Spec, component: Spec, given: Inputs, ignored: str = "") -> Ended:
        """Run a task that is no loop, or an iteration of one. ignored: the input that its loop went over."""
        values = conformed(given[0], task, component, ignored)
        label = component.get("executorLabel", "")
        executor = self.spec["deploymentSpec"]["executors"][label] if label else {}
        if "importer" in executor:
            return self._imported(path, label, executor["importer"], component, values)
        if not _triggers(task, values):
            why = "its condition is false"
            return self._tell(Ran(path=path, status=Status.SKIPPED, executor=label, why=why, given=values))
        if not label:
            inner = Scope(path, component["dag"], values, given[1])
            status = self.dag(inner)
            self._tell(Ran(path=path, status=status, given=values))
            return Ended(status, scope=inner)
        return self._attempts(path, label, task, component, (values, given[1]))

    def _attempts(self, path: str, label: str, task: Spec, component: Spec, given: Inputs) -> Ended:
        folder = self.cluster.root / self.facts.name / self.facts.run_id / Path(path)
        listed = {key: {"artifacts": artifacts} for key, artifacts in given[1].items()}
        told = {"inputs": {"parameterValues": given[0], "artifacts": listed}, "outputs": provisioned(component, folder)}
        pod = pod_of(
            self.spec["deploymentSpec"]["executors"][label]["container"], self.settings.get(label, {}),
            with_defaults(told, component), self.cluster, self.facts.run_id, path,
        )  # fmt: skip
        most = 1 + int(task.get("retryPolicy", {}).get("maxRetryCount", 0))
        ending, attempt, logs = Exit(1), 0, []
        while attempt < most:
            attempt += 1
            prepare(told["outputs"], folder)
            with self.room:
                ending = self.start(pod)
            logs.append(ending.log)
            left: tuple[dict[str, Value], dict[str, list[Spec]]] = ({}, {})
            if not ending.code:
                try:
                    left = collected(told["outputs"], component)
                except Fault as fault:
                    ending = Exit(ending.code, str(fault), ending.log)
            if not ending.why:
                break
        return self._tell(Ran(
            path=path, status=Status.FAILED if ending.why else Status.SUCCEEDED, executor=label, why=ending.why,
            attempts=attempt, exit_code=ending.code, given=given[0], parameters=left[0], artifacts=left[1],
            log="".join(logs),
        ))  # fmt: skip

    def _imported(self, path: str, label: str, importer: Spec, component: Spec, values: Mapping[str, Value]) -> Ended:
        match importer["artifactUri"]:
            case {"constant": uri}:
                pass
            case {"runtimeParameter": name}:
                uri = values.get(name)
        if not uri:
            raise Fault("an importer has no place to import from")
        (output,) = component["outputDefinitions"]["artifacts"]
        found = {"name": output, "uri": uri, "type": importer["typeSchema"]}
        found |= {"metadata": carried(importer["metadata"])} if "metadata" in importer else {}
        return self._tell(Ran(path=path, status=Status.SUCCEEDED, executor=label, artifacts={output: [found]}))

    def _tell(self, ran: Ran) -> Ended:
        self.ran[ran.path] = ran
        return Ended(ran.status, ran.parameters, ran.artifacts)


def _is_exit(task: Spec) -> bool:
    return bool(task.get("triggerPolicy", {}).get("strategy") == EXIT)


def _triggers(task: Spec, values: Mapping[str, Value]) -> bool:
    condition = task.get("triggerPolicy", {}).get("condition")
    return condition is None or holds(condition, values)


def _hopeless(scope: Scope, needs: list[str]) -> str:
    """Return why a task will never run, or nothing."""
    for need in sorted(needs):
        if need in scope.ended and scope.ended[need].status is not Status.SUCCEEDED:
            return f"{need} {scope.ended[need].status}"
    bad = sorted(name for name, one in list(scope.ended.items()) if one.status is Status.FAILED)
    return f"{bad[0]} failed before" if bad else ""


def _in_order(names: list[str], tasks: Spec) -> list[str]:
    """Return tasks with those that others wait for first, so that one pass omits a whole chain."""
    order: list[str] = []

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in order or name not in names or name in above:
            return
        for need in sorted(tasks[name].get("dependentTasks", [])):
            visit(need, (*above, name))
        order.append(name)

    for name in names:
        visit(name, ())
    return order
