"""A step of the user's own image on Kubeflow: a plain container, told everything by its arguments.

No pipec is in it. What the runtime does for steps of the library is done here when the pipeline is compiled, as far as
it is known, and by KFP's placeholders beyond. What neither can do as the engine does it is refused, in `unfit.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pipec import digest
from pipec.compiler.plan import Task
from pipec.record import frozen
from pipec.steps.argument import as_argument, taken
from pipec.steps.command import input_name
from pipec.steps.interface import Artifact, Container, Interface, Output, Parameter, Slot, Word, Words
from pipec.values import Literal, OutputRef, ParameterRef, Reference, RunRef, Text, Value, as_text, encode

Spec = dict[str, Any]
IDENTITY = "pipec-step"  # an input of the component that nothing reads: KFP's cache keys by it
TASK = "PIPEC_TASK"  # a variable: the backend keeps what a component declares by its container, so no two may be equal
_IMPORTED, _URI = "artifact", "uri"


@frozen
class Import:
    """Data at a location, brought to a task by an importer. name: the importer's. input: that of the task."""

    name: str
    input: str
    location: Value
    type: Artifact

    def source(self) -> Spec:
        """Return what the task that reads it says of it."""
        return {"taskOutputArtifact": {"producerTask": self.name, "outputArtifactKey": _IMPORTED}}

    def task(self, location: Spec) -> Spec:
        """Return its task. location: how it is given a location that only a run knows."""
        spec: Spec = {
            "taskInfo": {"name": self.name},
            "componentRef": {"name": f"comp-{self.name}"},
            "cachingOptions": {},
        }
        return spec | ({"inputs": {"parameters": {_URI: location}}} if location else {})

    def component(self, schema: Spec) -> Spec:
        """Return its component. schema: what IR calls the artifact's type."""
        spec: Spec = {"executorLabel": f"exec-{self.name}"}
        if isinstance(self.location, ParameterRef):
            spec["inputDefinitions"] = {"parameters": {_URI: {"parameterType": "STRING"}}}
        return spec | {"outputDefinitions": {"artifacts": {_IMPORTED: {"artifactType": schema}}}}

    def executor(self, schema: Spec) -> Spec:
        uri = {"constant": self.location.value} if isinstance(self.location, Literal) else {"runtimeParameter": _URI}
        # Anew in each run: what was registered for this place before may say the digest of other content.
        return {"importer": {"artifactUri": uri, "typeSchema": schema, "reimport": True}}


def imports(task: Task, label: str) -> tuple[Import, ...]:
    """Return the importers that a task needs: one for each location among the inputs of a step of the user's image.

    label: the task's, which no other has.
    """
    if not task.interface.container:
        return ()
    found: list[Import] = []
    for name, values in task.inputs:
        declared = task.interface.input(name)
        assert declared is not None, f"task {task.name} is given `{name}`, which its step does not declare"
        for number, value in enumerate(values):
            if not isinstance(value, OutputRef):
                place = f"{label}-import-{len(found)}"
                found.append(Import(place, _location(name, number), value, declared.type))
    return tuple(found)


def written(interface: Interface) -> tuple[Output, ...]:
    """Return the outputs that a task's component declares: a foreign program writes nothing that passes through."""
    return tuple(output for output in interface.outputs if not (interface.container and output.same_as))


def identity(task: Task) -> str:
    """Return what a result hangs on and KFP's cache does not see: which step it is, and its variables."""
    said = {"interface": task.interface.digest, "env": {name: encode(value) for name, value in task.env}}
    return f"{task.interface.name}@{task.interface.version} {digest.of_value(said)}"


def foreign_arguments(task: Task, container: Container, fill: Callable[[str], str] = lambda hole: hole) -> list[str]:
    """Return the arguments of a step of the user's own image. fill: what becomes of each placeholder."""
    argv: list[str] = []
    for argument in arguments_kept(task, container):
        for word in argument.words:
            argv += _expanded(task, word, fill)
    return argv


def arguments_kept(task: Task, container: Container) -> Iterator[Words]:
    """Yield the elements of a container's arguments without the groups that name an absent input."""
    given = {name for name, values in task.inputs if values}
    for argument in container.args:
        read = {slot.name for slot in argument.slots if slot.root == "inputs"}
        if not argument.is_group or read <= given:
            yield argument


def parameters_named(task: Task, container: Container) -> tuple[Parameter, ...]:
    """Return the parameters that a container's arguments name, each once."""
    slots = (slot for argument in arguments_kept(task, container) for slot in argument.slots)
    names = dict.fromkeys(slot.name for slot in slots if slot.root == "parameters")
    return tuple(_declared(task, name) for name in names)


def _declared(task: Task, name: str) -> Parameter:
    found = task.interface.parameter(name)
    assert found is not None, f"an argument names parameter `{name}` (manifest should have stopped it)"
    return found


def _expanded(task: Task, word: Word, fill: Callable[[str], str]) -> Iterator[str]:
    """Yield the arguments that a word becomes: one, but for a list of artifacts one for each."""
    match word:
        case (Slot("inputs", name),):
            yield from (fill(hole) for hole in _paths(task, name))
        case _:
            yield "".join(part if isinstance(part, str) else _filled(task, part, fill) for part in word)


def _filled(task: Task, slot: Slot, fill: Callable[[str], str]) -> str:
    match slot.root:
        case "inputs":
            (hole,) = _paths(task, slot.name)
            return fill(hole)
        case "outputs":
            output = task.interface.output(slot.name)
            is_artifact = output is not None and isinstance(output.type, Artifact)
            kind, tail = ("artifacts", ".path") if is_artifact else ("parameters", ".output_file")
            return fill(f"{{{{$.outputs.{kind}['{slot.name}']{tail}}}}}")
    declared = _declared(task, slot.name)
    parts = pieces(declared, dict(task.parameters)[slot.name])
    holes = _folder if declared.path else _hole
    return "".join(part if isinstance(part, str) else fill(holes(part)) for part in parts)


def pieces(parameter: Parameter, value: Value) -> tuple[str | Reference, ...]:
    """Return what stands in an argument for a parameter: texts that are known, and references for what is not.

    Raises CallerError where no argument can carry it. Assumes that `unfit.py` passed its references.
    """
    match value:
        case Literal(known):
            return (as_argument(taken(parameter, known), parameter.name),)
        case Text(parts):
            return tuple(as_text(part.value) if isinstance(part, Literal) else _reference(part) for part in parts)
        case _:
            return (_reference(value),)


def _reference(value: Value) -> Reference:
    assert isinstance(value, ParameterRef | OutputRef | RunRef), f"{value} is in an argument (unfit.py should stop it)"
    return value


def _hole(reference: Reference) -> str:
    return f"{{{{$.inputs.parameters['{input_name(reference)}']}}}}"


def _folder(reference: Reference) -> str:
    """Return where the folder is that a file was left in (`hand.py`)."""
    return f"{{{{$.inputs.artifacts['{input_name(reference)}'].path}}}}"


def _paths(task: Task, name: str) -> Iterator[str]:
    for number, value in enumerate(dict(task.inputs).get(name, ())):
        called = input_name(value) if isinstance(value, OutputRef) else _location(name, number)
        yield f"{{{{$.inputs.artifacts['{called}'].path}}}}"


def _location(name: str, number: int) -> str:
    return f"location-{name}-{number}"
