"""What the backend's compiler to Argo refuses, or gets wrong, of how tasks are put together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Set

from pipec.targets.kubeflow.findings import DOUBTFUL, FLOW, PLACEHOLDER, REFERENCE, WIRING
from pipec.targets.kubeflow.verify import expression, placeholder
from pipec.targets.kubeflow.verify.document import (
    Dag,
    Document,
    awaited,
    declared,
    given,
    is_exit,
    item_input,
    type_of,
)
from pipec.targets.kubeflow.verify.fault import PIPELINE, Fault, Path, Spec, shown, unknown
from pipec.targets.kubeflow.verify.graph import selectors
from pipec.targets.kubeflow.verify.quantity import parallelism, retry
from pipec.targets.kubeflow.verify.value import misfit


def flow(document: Document) -> Iterator[Fault]:
    """Yield what is wrong with conditions, loops, exit tasks, retries, caches and constants."""
    for dag in document.dags:
        yield from _exits(dag)
        for name, task in dag.tasks.items():
            component = document.component_of(task)
            yield from _condition(document, dag, name, component)
            yield from _loop(dag, name, component)
            yield from _status(dag, name)
            yield from _texts(dag, name)
            yield from parallelism(task, dag.at(name))
            yield from retry(task.get("retryPolicy", {}), dag.at(name, "retryPolicy"))
            caching = task.get("cachingOptions", {})
            if caching.get("cacheKey") and not caching.get("enableCache"):
                at = dag.at(name, "cachingOptions", "cacheKey")
                yield Fault(FLOW, at, f"`{name}` has a key for the cache, and its cache is off", "enableCache: true")
    yield from _shared_loops(document)
    yield from _twins(document)


def _exits(dag: Dag) -> Iterator[Fault]:
    exits = {name: task for name, task in dag.tasks.items() if is_exit(task)}
    if not exits:
        if not dag.tasks:
            yield Fault(FLOW, (*dag.path, "dag"), f"{dag.title} has no task", "add one")
        return
    if len(exits) == len(dag.tasks):
        message = f"{dag.title} has no task but those that run on its end"
        yield Fault(FLOW, (*dag.path, "dag", "tasks"), message, "add what they are to follow")
    guards: dict[str, str] = {}
    for name, task in exits.items():
        if not awaited(task):
            yield Fault(FLOW, dag.at(name), f"`{name}` follows no task, so it never runs", "name one in dependentTasks")
        for guarded in sorted(awaited(task)):
            if (first := guards.setdefault(guarded, name)) != name:
                message = f"`{guarded}` ends with `{name}`, and with `{first}`: only one of them runs"
                yield Fault(FLOW, dag.at(name), message, "put both into one pipeline that is the exit task")
    yield from _after_exits(dag, exits.keys())


def _after_exits(dag: Dag, exits: Set[str]) -> Iterator[Fault]:
    """Yield what waits for an exit task, or takes an output of one."""
    for name, task in dag.tasks.items():
        for other in sorted(awaited(task) & exits):
            message = f"`{name}` waits for `{other}`, which runs on the end of others and is in no order"
            yield Fault(FLOW, dag.at(name), message, "wait for what the exit task follows")
    for kind in ("parameters", "artifacts"):
        for name, output in dag.component["dag"].get("outputs", {}).get(kind, {}).items():
            for selector, below in selectors(output):
                if (other := selector.get("producerSubtask", "")) in exits:
                    at = (*dag.path, "dag", "outputs", kind, name, *below)
                    yield Fault(
                        FLOW, at, f"the output `{name}` comes from the exit task `{other}`", "take it elsewhere"
                    )


def _condition(document: Document, dag: Dag, name: str, component: Spec) -> Iterator[Fault]:
    task = dag.tasks[name]
    condition = task.get("triggerPolicy", {}).get("condition", "")
    if not condition:
        return
    path = dag.at(name, "triggerPolicy", "condition")
    if "importer" in document.executor_of(component):
        message = f"`{name}` is an importer, which can have no condition"
        yield Fault(FLOW, path, message, "put it into a graph of its own, with the condition on that")
    read = expression.read(condition, expression.CONDITION)
    if read.message:
        yield Fault(
            PLACEHOLDER,
            path,
            f"the condition of `{name}` {read.message}",
            "such as `inputs.parameter_values['x'] == 'a'`",
        )
    elif read.type not in ("", "truth"):
        yield Fault(PLACEHOLDER, path, f"the condition of `{name}` is a {read.type}, not true or false", "compare it")
    for field, port in read.inputs:
        known = {**declared(component, "input", "parameters"), **given(task, "parameters")}
        if field == "artifacts":
            known = {**declared(component, "input", "artifacts"), **given(task, "artifacts")}
        if field not in ("parameter_values", "artifacts"):
            message = f"the condition of `{name}` reads `inputs.{field}`, which the driver does not fill"
            yield Fault(PLACEHOLDER, path, message, "use `inputs.parameter_values`")
        elif port not in known:
            message = f"the condition of `{name}` names `{port}`, which it is not given"
            yield unknown(PLACEHOLDER, path, message, port, {*known})


def _loop(dag: Dag, name: str, component: Spec) -> Iterator[Fault]:
    task = dag.tasks[name]
    key = next((key for key in ("parameterIterator", "artifactIterator") if key in task), "")
    if not key:
        return
    kind = "parameters" if key == "parameterIterator" else "artifacts"
    loop, path = task[key], dag.at(name, key)
    if key == "artifactIterator":
        yield Fault(DOUBTFUL, path, f"`{name}` goes over artifacts, which the backend of 2.17 refuses",
                    "go over a list of parameters")  # fmt: skip
    item = item_input(task)
    known = declared(component, "input", kind)
    if item not in known:
        message = (
            f"the component of `{name}` has no input `{item}` for an item"
            if item
            else f"`{name}` has no input for an item"
        )
        yield unknown(REFERENCE, (*path, "itemInput") if item else path, message, item, {*known})
    elif item in given(task, kind):
        message = f"`{item}` of `{name}` takes the items, and is given a value too"
        yield Fault(FLOW, dag.at(name, "inputs", kind, item), message, "remove one of them")
    yield from _items(dag, name, (loop.get("items", {}), known.get(item, {})), (*path, "items"))


def _items(dag: Dag, name: str, loop: tuple[Spec, Spec], path: Path) -> Iterator[Fault]:
    """Yield what is wrong with where the items of a loop come from. loop: the items, and the input that takes each."""
    items, port = loop
    given_inputs = {**given(dag.tasks[name], "parameters"), **given(dag.tasks[name], "artifacts")}
    source = items.get("inputParameter", items.get("inputArtifact"))
    if source is not None:
        if source not in given_inputs:
            key = "inputParameter" if "inputParameter" in items else "inputArtifact"
            message = f"`{name}` goes over `{source}`, which it is not given"
            yield unknown(REFERENCE, (*path, key), message, source, {*given_inputs})
        return
    if "raw" not in items:
        yield Fault(FLOW, path if items else path[:-1], f"`{name}` goes over nothing", "items: {raw: '[1, 2]'}")
        return
    try:
        listed = json.loads(items["raw"])
    except (ValueError, RecursionError):
        listed = None
    if not isinstance(listed, list):
        yield Fault(FLOW, (*path, "raw"), f"`{name}` goes over `{shown(items['raw'])}`, which is no list in JSON",
                    "such as `[1, 2]`")  # fmt: skip
        return
    wrong = next((message for item in listed if (message := misfit(item, type_of(port)))), "")
    if wrong:
        yield Fault(WIRING, (*path, "raw"), f"an item of `{name}` {wrong}")


def _status(dag: Dag, name: str) -> Iterator[Fault]:
    """Yield where a final status is asked for and there is none: only what follows a task to its end has one."""
    task = dag.tasks[name]
    for port, source in given(task, "parameters").items():
        if "taskFinalStatus" not in source:
            continue
        path = dag.at(name, "inputs", "parameters", port, "taskFinalStatus")
        producer = source["taskFinalStatus"].get("producerTask", "")
        if not is_exit(task):
            yield Fault(FLOW, path, f"`{name}` asks how `{producer}` ended, and does not run on its end",
                        "triggerPolicy: {strategy: ALL_UPSTREAM_TASKS_COMPLETED}")  # fmt: skip
        elif producer in dag.tasks and producer not in awaited(task):
            yield Fault(FLOW, path, f"`{name}` asks how `{producer}` ended, and does not follow it",
                        f"dependentTasks: [{producer}]")  # fmt: skip


def _texts(dag: Dag, name: str) -> Iterator[Fault]:
    """Yield what is wrong in constants and selectors."""
    parameters = given(dag.tasks[name], "parameters")
    for port, source in parameters.items():
        path = dag.at(name, "inputs", "parameters", port)
        if "constant" in source.get("runtimeValue", {}):
            at = (*path, "runtimeValue", "constant")
            yield from placeholder.constant(source["runtimeValue"]["constant"], frozenset(parameters), at)
        if selector := source.get("parameterExpressionSelector"):
            read = expression.read(selector, expression.SELECTOR)
            if read.message:
                at = (*path, "parameterExpressionSelector")
                yield Fault(
                    PLACEHOLDER,
                    at,
                    f"the selector of `{port}` {read.message}",
                    'such as `parseJson(string_value)["k"]`',
                )


def _shared_loops(document: Document) -> Iterator[Fault]:
    """Yield components that two tasks loop over: the backend names the template of an iteration after the component."""
    for component, users in document.users.items():
        loops = [(dag, name) for dag, name in users if item_input(dag.tasks[name])]
        for dag, name in loops[1:]:
            message = f"`{name}` and `{loops[0][1]}` both loop over `{component}`, and the backend keeps one of them"
            yield Fault(FLOW, dag.at(name, "componentRef", "name"), message, "give each loop a component of its own")


def _twins(document: Document) -> Iterator[Fault]:
    """Yield components that the backend takes for one: it stores them by a digest of the container alone."""
    seen: dict[str, tuple[str, str]] = {}
    for name, component in document.components.items():
        container = document.executor_of(component).get("container")
        if container is None or name not in document.users:
            continue
        ports = json.dumps([component.get("inputDefinitions"), component.get("outputDefinitions")], sort_keys=True)
        first, known = seen.setdefault(json.dumps(container, sort_keys=True), (name, ports))
        if known != ports:
            message = f"`{name}` has the same container as `{first}` and other inputs or outputs: the backend keeps one"
            yield Fault(FLOW, (*PIPELINE, "components", name), message, "make a difference in `args`, such as a name")
