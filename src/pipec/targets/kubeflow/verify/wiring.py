"""Inputs: whether each task is given what its component declares, and of the right type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipec.targets.kubeflow.findings import DOUBTFUL, WIRING
from pipec.targets.kubeflow.verify.document import (
    Dag,
    Document,
    declared,
    given,
    item_input,
    title_of,
    type_of,
)
from pipec.targets.kubeflow.verify.fault import PIPELINE, Fault, Path, Spec, unknown
from pipec.targets.kubeflow.verify.graph import selectors
from pipec.targets.kubeflow.verify.value import misfit

# What kfp writes beside the declared inputs: values of other tasks that a constant or a resource names.
_CHANNEL = "pipelinechannel--"
_ANY = "system.Artifact"
_TITLES = (
    "system.Artifact", "system.ClassificationMetrics", "system.Dataset", "system.HTML", "system.Markdown",
    "system.Metrics", "system.Model", "system.SlicedClassificationMetrics",
)  # fmt: skip
Items = frozenset[tuple[str, str]]
_FITS = {("NUMBER_INTEGER", "NUMBER_DOUBLE"), ("TASK_FINAL_STATUS", "STRUCT")}


def wiring(document: Document) -> Iterator[Fault]:
    """Yield inputs that are missing, too many, or of another type."""
    grouped, items = _grouped(document), _items(document)
    for dag in document.dags:
        for name, task in dag.tasks.items():
            component = document.component_of(task)
            if not component:
                continue
            yield from _missing(dag, name, task, component)
            yield from _extra(dag, name, task, component)
            yield from _parameters(document, dag, name, (component, items))
            yield from _artifacts(document, dag, name, component)
        yield from _outputs(document, dag, is_grouped=dag.name in grouped)


def _grouped(document: Document) -> set[str]:
    """Return the components of loops and conditions, and what is below them.

    kfp declares what is collected in them a list, wherever on the way it is made one.
    """
    held = {
        dag.name: {task.get("componentRef", {}).get("name", "") for task in dag.tasks.values()} for dag in document.dags
    }
    todo = [name for name, users in document.users.items() if any(_is_group(dag.tasks[task]) for dag, task in users)]
    found: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += held.get(name, ())
    return found


def _items(document: Document) -> Items:
    """Return the inputs that hold an item of a loop, by component: of a list of anything, kfp declares them text."""
    by_name = {dag.name: dag for dag in document.dags}
    todo = [
        (task.get("componentRef", {}).get("name", ""), item)
        for dag in document.dags
        for task in dag.tasks.values()
        if (item := item_input(task))
    ]
    found: set[tuple[str, str]] = set()
    while todo:
        name, item = todo.pop()
        if (name, item) in found or name not in by_name:
            continue
        found.add((name, item))
        for task in by_name[name].tasks.values():
            held = task.get("componentRef", {}).get("name", "")
            ports = given(task, "parameters").items()
            todo += [(held, port) for port, source in ports if source.get("componentInputParameter") == item]
    return frozenset(found)


def _is_group(task: Spec) -> bool:
    return bool(item_input(task) or task.get("triggerPolicy", {}).get("condition"))


def definitions(document: Document) -> Iterator[Fault]:
    """Yield parameters without a type, and defaults and allowed values that are not of theirs."""
    places: list[tuple[Path, Spec]] = [((*PIPELINE, "root"), document.spec["root"])]
    places += [((*PIPELINE, "components", name), body) for name, body in document.components.items()]
    for path, component in places:
        for side in ("input", "output"):
            for name, parameter in declared(component, side, "parameters").items():
                at = (*path, f"{side}Definitions", "parameters", name)
                type_ = type_of(parameter)
                if not type_ or type_.endswith("UNSPECIFIED"):
                    yield Fault(WIRING, at, f"the {side} `{name}` has no type", "parameterType: STRING")
                yield from _default(name, parameter, type_, at)
            yield from _titles(component, side, path)
    for name, parameter in declared(document.spec["root"], "input", "parameters").items():
        if type_of(parameter) == "TASK_FINAL_STATUS":
            at = (*PIPELINE, "root", "inputDefinitions", "parameters", name, "parameterType")
            yield Fault(
                DOUBTFUL,
                at,
                f"nobody can give the pipeline its input `{name}`: it is a final status",
                "take it in an exit task",
            )


def _titles(component: Spec, side: str, path: Path) -> Iterator[Fault]:
    """Yield kinds of artifacts that begin as KFP's own do and are none of them; others are anybody's to make."""
    for name, artifact in declared(component, side, "artifacts").items():
        title = title_of(artifact)
        if title.startswith("system.") and title not in _TITLES:
            at = (*path, f"{side}Definitions", "artifacts", name, "artifactType", "schemaTitle")
            yield unknown(WIRING, at, f"there is no artifact `{title}` of KFP's own", title, _TITLES)


def _default(name: str, parameter: Spec, type_: str, path: Path) -> Iterator[Fault]:
    default, literals = parameter.get("defaultValue"), parameter.get("literals", [])
    for number, literal in enumerate(literals):
        if message := misfit(literal, type_):
            yield Fault(WIRING, (*path, "literals", number), f"a value allowed for `{name}` {message}")
    if default is None:
        return
    if message := misfit(default, type_):
        yield Fault(WIRING, (*path, "defaultValue"), f"the default of `{name}` {message}")
    elif literals and default not in literals:
        yield unknown(
            WIRING, (*path, "defaultValue"), f"the default of `{name}` is none of its allowed values",
            str(default), {*map(str, literals)},
        )  # fmt: skip


def _missing(dag: Dag, name: str, task: Spec, component: Spec) -> Iterator[Fault]:
    loop = next((key for key in ("parameterIterator", "artifactIterator") if key in task), "")
    item = item_input(task)
    if loop and not any(item in declared(component, "input", kind) for kind in ("parameters", "artifacts")):
        return  # `flow` says so: what is missing is what that was to be
    for kind in ("parameters", "artifacts"):
        known = given(task, kind)
        for port, definition in declared(component, "input", kind).items():
            is_needed = not definition.get("isOptional") and "defaultValue" not in definition
            is_made = type_of(definition) in ("TASK_FINAL_STATUS", "TASK_CONFIG") or port == item
            if is_needed and not is_made and port not in known:
                yield Fault(WIRING, dag.at(name), f"`{name}` is not given its input `{port}`", f"inputs.{kind}.{port}")


def _extra(dag: Dag, name: str, task: Spec, component: Spec) -> Iterator[Fault]:
    for kind in ("parameters", "artifacts"):
        known = declared(component, "input", kind)
        for port, source in given(task, kind).items():
            constant = source.get("runtimeValue", {}).get("constant")
            is_carried = isinstance(constant, str) and constant.startswith("{{$.inputs.parameters[")
            if port not in known and not is_carried and not port.startswith(_CHANNEL):
                at = dag.at(name, "inputs", kind, port)
                yield unknown(WIRING, at, f"the component of `{name}` has no input `{port}`", port, {*known})


def _parameters(document: Document, dag: Dag, name: str, ports: tuple[Spec, Items]) -> Iterator[Fault]:
    """Yield inputs of a task that are given what is of another type. ports: its component, and the items of loops."""
    component, items = ports
    known = declared(component, "input", "parameters")
    for port, source in given(dag.tasks[name], "parameters").items():
        wanted = type_of(known.get(port, {}))
        if not wanted or "parameterExpressionSelector" in source:
            continue
        path = dag.at(name, "inputs", "parameters", port)
        if "constant" in source.get("runtimeValue", {}):
            if message := misfit(source["runtimeValue"]["constant"], wanted):
                yield Fault(WIRING, (*path, "runtimeValue", "constant"), f"the input `{port}` of `{name}` {message}")
        elif "taskFinalStatus" in source:
            if wanted != "TASK_FINAL_STATUS":
                at = (*path, "taskFinalStatus")
                yield Fault(WIRING, at, f"the input `{port}` of `{name}` is {wanted}, and a final status is none")
        elif (dag.name, source.get("componentInputParameter", "")) in items:
            continue
        elif (said := _type_at(document, dag, source)) and not _fits(said, wanted):
            yield Fault(WIRING, path, f"the input `{port}` of `{name}` is {wanted}, and it is given {said}")


def _type_at(document: Document, dag: Dag, source: Spec) -> str:
    """Return the type of what a source gives; empty where it gives nothing known."""
    if "componentInputParameter" in source:
        known = declared(dag.component, "input", "parameters")
        return type_of(known.get(source["componentInputParameter"], {}))
    output = source.get("taskOutputParameter", {})
    return _type_of_output(document, dag, output.get("producerTask", ""), output.get("outputParameterKey", ""))


def _type_of_output(document: Document, dag: Dag, producer: str, key: str) -> str:
    component = document.component_of(dag.tasks.get(producer, {}))
    return type_of(declared(component, "output", "parameters").get(key, {}))


def _fits(said: str, wanted: str) -> bool:
    """Say whether a value of one type may go into an input of another: the driver writes anything as text."""
    return said == wanted or wanted == "STRING" or (said, wanted) in _FITS


def _artifacts(document: Document, dag: Dag, name: str, component: Spec) -> Iterator[Fault]:
    known = declared(component, "input", "artifacts")
    for port, source in given(dag.tasks[name], "artifacts").items():
        wanted, said = known.get(port), _artifact_at(document, dag, source)
        if wanted is None or said is None:
            continue
        path = dag.at(name, "inputs", "artifacts", port)
        if not _same_kind(title_of(said), title_of(wanted)):
            message = f"the input `{port}` of `{name}` is a `{title_of(wanted)}`, and it is given a `{title_of(said)}`"
            yield Fault(WIRING, path, message)
        elif bool(said.get("isArtifactList")) and not wanted.get("isArtifactList") and not item_input(dag.tasks[name]):
            yield Fault(WIRING, path, f"the input `{port}` of `{name}` is one artifact, and it is given a list of them")


def _artifact_at(document: Document, dag: Dag, source: Spec) -> Spec | None:
    known: Mapping[str, Spec]
    if "componentInputArtifact" in source:
        known = declared(dag.component, "input", "artifacts")
        return known.get(source["componentInputArtifact"])
    output = source.get("taskOutputArtifact", {})
    producer = document.component_of(dag.tasks.get(output.get("producerTask", ""), {}))
    return declared(producer, "output", "artifacts").get(output.get("outputArtifactKey", ""))


def _same_kind(said: str, wanted: str) -> bool:
    """Say whether artifacts of one kind go where another is wanted: kfp lets the general one pass either way."""
    return said == wanted or _ANY in (said, wanted)


def _outputs(document: Document, dag: Dag, *, is_grouped: bool) -> Iterator[Fault]:
    """Yield outputs of a graph that are of another type than the task's that makes them."""
    outputs = dag.component["dag"].get("outputs", {})
    for name, output in outputs.get("parameters", {}).items():
        wanted = type_of(declared(dag.component, "output", "parameters").get(name, {}))
        for selector, below in selectors(output):
            producer, key = selector.get("producerSubtask", ""), selector.get("outputParameterKey", "")
            said = _type_of_output(document, dag, producer, key)
            if said and wanted and not _fits(said, wanted) and not (is_grouped and wanted == "LIST"):
                at = (*dag.path, "dag", "outputs", "parameters", name, *below)
                yield Fault(
                    WIRING, at, f"the output `{name}` of {dag.title} is {wanted}, and `{producer}` makes {said}"
                )
    for name, output in outputs.get("artifacts", {}).items():
        definition = declared(dag.component, "output", "artifacts").get(name)
        for selector, below in selectors(output):
            source = {"producerTask": selector.get("producerSubtask", ""), **selector}
            made = _artifact_at(document, dag, {"taskOutputArtifact": source})
            if definition and made and not _same_kind(title_of(made), title_of(definition)):
                at = (*dag.path, "dag", "outputs", "artifacts", name, *below)
                message = f"the output `{name}` of {dag.title} is a `{title_of(definition)}`, and not what is selected"
                yield Fault(WIRING, at, message, f"schemaTitle: {title_of(made)}")
