"""References: whether what a document names is there, and whether something waits for itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipec.targets.kubeflow.findings import REFERENCE
from pipec.targets.kubeflow.verify.document import Dag, Document, awaited, declared, given
from pipec.targets.kubeflow.verify.fault import PIPELINE, Fault, Path, Spec, unknown

_KINDS = (("parameters", "Parameter", "parameter"), ("artifacts", "Artifact", "artifact"))


def references(document: Document) -> Iterator[Fault]:
    """Yield what names something that is not there."""
    yield from _components(document)
    for dag in document.dags:
        for name, task in dag.tasks.items():
            yield from _component_of(document, dag, name, task)
            for number, other in enumerate(task.get("dependentTasks", ())):
                if other not in dag.tasks:
                    at = dag.at(name, "dependentTasks", number)
                    yield unknown(
                        REFERENCE, at, f"`{name}` waits for `{other}`, which is no task beside it", other, {*dag.tasks}
                    )
            for kind, suffix, word in _KINDS:
                for port, source in given(task, kind).items():
                    yield from _source(
                        document, dag, source, (suffix, word), dag.at(name, "inputs", kind, port), (name, port)
                    )
        yield from _outputs(document, dag)


def _components(document: Document) -> Iterator[Fault]:
    for name, component in document.components.items():
        path = (*PIPELINE, "components", name)
        label = component.get("executorLabel")
        if label is not None and label not in document.executors:
            at = (*path, "executorLabel")
            yield unknown(REFERENCE, at, f"there is no executor `{label}`", label, {*document.executors})
        if label is None and "dag" not in component:
            yield Fault(
                REFERENCE, path, f"`{name}` has neither an executor nor tasks", "give it an `executorLabel` or a `dag`"
            )


def _component_of(document: Document, dag: Dag, name: str, task: Spec) -> Iterator[Fault]:
    wanted = task.get("componentRef", {}).get("name", "")
    if not wanted:
        yield Fault(REFERENCE, dag.at(name), f"`{name}` names no component", "componentRef: {name: comp-...}")
    elif wanted not in document.components:
        at = dag.at(name, "componentRef", "name")
        yield unknown(REFERENCE, at, f"there is no component `{wanted}`", wanted, {*document.components})


def _source(
    document: Document, dag: Dag, source: Spec, words: tuple[str, str], path: Path, reader: tuple[str, str]
) -> Iterator[Fault]:
    """Yield what is wrong with where one input comes from. words: of the kind, in keys and in messages."""
    suffix, word = words
    name, port = reader
    if (output := source.get(f"taskOutput{suffix}")) is not None:
        at = (*path, f"taskOutput{suffix}")
        producer, key = output.get("producerTask", ""), output.get(f"output{suffix}Key", "")
        yield from _output(document, dag, (producer, key), word, at, ("producerTask", f"output{suffix}Key"))
    elif (wanted := source.get(f"componentInput{suffix}")) is not None:
        known = declared(dag.component, "input", f"{word}s")
        if wanted not in known:
            at = (*path, f"componentInput{suffix}")
            yield unknown(REFERENCE, at, f"{dag.title} has no input {word} `{wanted}`", wanted, {*known})
    elif (status := source.get("taskFinalStatus")) is not None:
        producer = status.get("producerTask", "")
        if producer not in dag.tasks:
            at = (*path, "taskFinalStatus", "producerTask")
            yield unknown(REFERENCE, at, _no_task(producer), producer, {*dag.tasks})
    elif "runtimeValue" not in source:
        yield Fault(REFERENCE, path, f"`{port}` of `{name}` comes from nowhere", "give it a value or an output")
    elif "runtimeParameter" in source["runtimeValue"]:
        at = (*path, "runtimeValue", "runtimeParameter")
        yield Fault(REFERENCE, at, "a task's input takes no `runtimeParameter`", "use `componentInputParameter`")


def _output(
    document: Document, dag: Dag, wanted: tuple[str, str], word: str, path: Path, keys: tuple[str, str]
) -> Iterator[Fault]:
    """Yield what is wrong with a reference to an output of a task. keys: of task and output in the reference."""
    producer, key = wanted
    if producer not in dag.tasks:
        yield unknown(REFERENCE, (*path, keys[0]), _no_task(producer), producer, {*dag.tasks})
        return
    component = document.component_of(dag.tasks[producer])
    known = declared(component, "output", f"{word}s")
    if component and key not in known:
        yield unknown(REFERENCE, (*path, keys[1]), f"`{producer}` has no output {word} `{key}`", key, {*known})


def _no_task(name: str) -> str:
    return f"there is no task `{name}` beside this one" if name else "an output is read of no task"


def _outputs(document: Document, dag: Dag) -> Iterator[Fault]:
    """Yield what is wrong with what a graph gives out, against its declaration and against its tasks."""
    outputs = dag.component["dag"].get("outputs", {})
    for kind, suffix, word in _KINDS:
        known = declared(dag.component, "output", kind)
        for name in known.keys() - outputs.get(kind, {}).keys():
            at = (*dag.path, "outputDefinitions", kind, name)
            yield Fault(
                REFERENCE, at, f"no task of {dag.title} makes its output `{name}`", "select it in `dag.outputs`"
            )
        for name, output in outputs.get(kind, {}).items():
            path = (*dag.path, "dag", "outputs", kind, name)
            if name not in known:
                yield unknown(REFERENCE, path, f"{dag.title} declares no output {word} `{name}`", name, {*known})
            for selector, below in selectors(output):
                wanted = selector.get("producerSubtask", ""), selector.get(f"output{suffix}Key", "")
                keys = ("producerSubtask", f"output{suffix}Key")
                yield from _output(document, dag, wanted, word, (*path, *below), keys)


def selectors(output: Spec) -> Iterator[tuple[Spec, Path]]:
    """Yield the outputs of tasks that an output of a graph is taken from, each with the path to it."""
    for number, selector in enumerate(output.get("artifactSelectors", ())):
        yield selector, ("artifactSelectors", number)
    if "valueFromParameter" in output:
        yield output["valueFromParameter"], ("valueFromParameter",)
    for number, selector in enumerate(output.get("valueFromOneof", {}).get("parameterSelectors", ())):
        yield selector, ("valueFromOneof", "parameterSelectors", number)


def cycles(document: Document) -> Iterator[Fault]:
    """Yield one cycle of each graph, and one of the components that hold each other."""
    for dag in document.dags:
        edges = {name: sorted(awaited(task) & dag.tasks.keys()) for name, task in dag.tasks.items()}
        if cycle := _cycle(edges):
            message = f"tasks wait for each other: {' -> '.join([*cycle, cycle[0]])}"
            yield Fault(REFERENCE, dag.at(cycle[0]), message, "remove one of the edges")
    held = {
        dag.name: sorted({task.get("componentRef", {}).get("name", "") for task in dag.tasks.values()})
        for dag in document.dags
    }
    if cycle := _cycle({name: [each for each in below if each in held] for name, below in held.items()}):
        message = f"components hold each other: {' -> '.join([*cycle, cycle[0]])}"
        yield Fault(REFERENCE, (*PIPELINE, "components", cycle[0]), message, "remove one of the tasks")


def _cycle(edges: Mapping[str, list[str]]) -> list[str]:
    """Return the names of one cycle, from a walk depth first; empty if there is none. Linear."""
    done: set[str] = set()
    for start in edges:
        trail = [] if start in done else [(start, iter(edges[start]))]
        on_trail = {start}
        while trail:
            name, below = trail[-1]
            following = next(below, None)
            if following is None:
                done.add(name)
                on_trail.discard(name)
                trail.pop()
            elif following in on_trail:
                walked = [each for each, _ in trail]
                return walked[walked.index(following) :]
            elif following not in done:
                on_trail.add(following)
                trail.append((following, iter(edges[following])))
    return []
