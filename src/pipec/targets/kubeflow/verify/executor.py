"""Executors: containers and importers, and what their texts name."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipec.targets.kubeflow.findings import FLOW, NAME, PLACEHOLDER, REFERENCE, SHAPE, WIRING
from pipec.targets.kubeflow.verify import placeholder
from pipec.targets.kubeflow.verify.document import Document, declared, given, title_of
from pipec.targets.kubeflow.verify.fault import PIPELINE, Fault, Path, Spec, shown, unknown
from pipec.targets.kubeflow.verify.quantity import resources

_MAGIC = ("argostub/createpvc", "argostub/deletepvc")  # images for which the driver itself makes or deletes a volume
_VARIABLE = re.compile(r"[A-Za-z_.-][A-Za-z0-9_.-]*")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]*")


def executors(document: Document) -> Iterator[Fault]:
    """Yield what is wrong with what runs."""
    for label, executor in document.executors.items():
        path = (*PIPELINE, "deploymentSpec", "executors", label)
        users = document.labels.get(label, ())
        match executor:
            case {"container": container}:
                yield from _container(document, label, container, users)
            case {"importer": importer}:
                for name in users:
                    yield from _importer(label, importer, document.components[name], (*path, "importer"))
            case {}:
                kind = next(iter(executor), "")
                message = (
                    f"`{label}` is of the kind `{kind}`, which the backend refuses"
                    if kind
                    else f"`{label}` runs nothing"
                )
                yield Fault(FLOW, path, message, "use a container")


def _container(document: Document, label: str, spec: Spec, users: tuple[str, ...]) -> Iterator[Fault]:
    path = (*PIPELINE, "deploymentSpec", "executors", label, "container")
    yield from _image(label, spec, path)
    yield from resources(spec.get("resources", {}), (*path, "resources"))
    yield from _variables(label, spec, path)
    known = frozenset(_given(document, users))
    for text, at in _fields(spec, path):
        yield from placeholder.field(text, known, at)
    for name in users:
        ports = placeholder.Ports.of(document.components[name])
        for key in ("command", "args"):
            for number, text in enumerate(spec.get(key, ())):
                if "{" in text:
                    yield from placeholder.argument(text, ports, (*path, key, number))


def _given(document: Document, users: tuple[str, ...]) -> Iterator[str]:
    """Yield the inputs that the components of a container declare, and those that their tasks are given beside them."""
    for name in users:
        yield from declared(document.components[name], "input", "parameters")
        for dag, task in document.users.get(name, ()):
            yield from given(dag.tasks[task], "parameters")


def _fields(spec: Spec, path: Path) -> Iterator[tuple[str, Path]]:
    """Yield the texts of a container that the driver fills in, each if it is one input alone."""
    yield spec.get("image", ""), (*path, "image")
    wanted = spec.get("resources", {})
    for key, text in wanted.items():
        if isinstance(text, str):
            yield text, (*path, "resources", key)
    for key in ("resourceType", "resourceCount"):
        yield wanted.get("accelerator", {}).get(key, ""), (*path, "resources", "accelerator", key)


def _image(label: str, spec: Spec, path: Path) -> Iterator[Fault]:
    image = spec.get("image", "")
    if not image:
        yield Fault(SHAPE, path, f"the container of `{label}` has no image", "image: registry.example/name:1")
    elif image.startswith("argostub/") and image not in _MAGIC:
        message = f"the backend knows no image `{shown(image)}` of its own"
        yield unknown(NAME, (*path, "image"), message, image, _MAGIC)
    elif "{{" not in image and not _IMAGE.fullmatch(image):
        yield Fault(
            NAME, (*path, "image"), f"no image can be called `{shown(image)}`", "such as `registry.example/name:1`"
        )


def _variables(label: str, spec: Spec, path: Path) -> Iterator[Fault]:
    seen: set[str] = set()
    for number, variable in enumerate(spec.get("env", ())):
        name, at = variable.get("name", ""), (*path, "env", number)
        if not _VARIABLE.fullmatch(name):
            yield Fault(NAME, at, f"no variable can be called `{shown(name)}`", "use letters, digits and `_`")
        elif name in seen:
            yield Fault(NAME, at, f"`{label}` sets the variable `{name}` twice", "keep one")
        seen.add(name)
        yield from placeholder.variable(variable.get("value", ""), (*at, "value"))


def _importer(label: str, spec: Spec, component: Spec, path: Path) -> Iterator[Fault]:
    uri, parameters = spec.get("artifactUri", {}), declared(component, "input", "parameters")
    wanted = uri.get("runtimeParameter")
    if wanted is not None and wanted not in parameters:
        at = (*path, "artifactUri", "runtimeParameter")
        yield unknown(REFERENCE, at, f"the component of `{label}` has no input `{wanted}`", wanted, {*parameters})
    elif wanted is None and not isinstance(uri.get("constant"), str):
        yield Fault(SHAPE, path, f"the importer of `{label}` has no location", "artifactUri: {constant: s3://...}")
    made = declared(component, "output", "artifacts")
    if len(made) != 1 or declared(component, "output", "parameters"):
        yield Fault(
            WIRING, path, f"the importer of `{label}` makes one artifact and nothing else", "declare one output"
        )
    for name, artifact in made.items():
        said = spec.get("typeSchema", {}).get("schemaTitle", "")
        if said and said != title_of(artifact):
            message = f"the importer of `{label}` makes a `{said}`, and `{name}` is declared a `{title_of(artifact)}`"
            yield Fault(WIRING, (*path, "typeSchema", "schemaTitle"), message, f"schemaTitle: {title_of(artifact)}")
    known = frozenset(parameters)
    for text, at in _texts(spec.get("metadata", {}), (*path, "metadata")):
        for body in re.findall(r"\{\{\$\.inputs\.parameters\['([^']+)'\]\}\}", text):
            if body not in known:
                yield unknown(PLACEHOLDER, at, f"the component of `{label}` has no input `{body}`", body, known)


def _texts(value: object, path: Path) -> Iterator[tuple[str, Path]]:
    if isinstance(value, str):
        yield value, path
    elif isinstance(value, dict):
        for key, below in value.items():
            yield key, (*path, key)
            yield from _texts(below, (*path, key))
    elif isinstance(value, list):
        for number, below in enumerate(value):
            yield from _texts(below, (*path, number))
