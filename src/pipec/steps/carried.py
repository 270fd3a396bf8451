"""An interface as JSON that says all of it, and back.

The process that runs a step in another language knows it by its call alone: it reads no file of the user, and no
catalogue has the step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from pipec.steps.interface import (
    MISSING,
    Accelerator,
    Artifact,
    Container,
    Input,
    Interface,
    Kind,
    Output,
    Parameter,
    Resources,
    Role,
    Slot,
    Words,
)
from pipec.values import Json


def interface_as_json(interface: Interface) -> dict[str, Json]:
    """Return the whole interface as JSON, so that `interface_of_json` gives an equal one.

    What is as it is where nothing is said is left out: people read calls in the files of targets.
    """
    body: dict[str, Any] = _said(asdict(interface), Interface)
    body.pop("_digest", None)  # it follows from the rest
    for name, kind in (("inputs", Input), ("outputs", Output), ("parameters", Parameter)):
        if name in body:
            body[name] = [_said(one, kind) for one in body[name]]
    if interface.container:
        body["container"]["args"] = [_said(argument, Words) for argument in body["container"]["args"]]
    return body


def bare(interface: Interface) -> Interface:
    """Return an interface without what only people and compilers read: who runs its step needs none of that."""
    return replace(
        interface,
        summary="",
        inputs=tuple(replace(one, help="") for one in interface.inputs),
        outputs=tuple(replace(one, help="") for one in interface.outputs),
        parameters=tuple(replace(one, help="", unit="") for one in interface.parameters),
        resources=Resources(),
        accelerators=(),
    )


def _said(body: dict[str, Any], kind: type) -> dict[str, Any]:
    """Return what of a value is not as it is where nothing is said. body: of its fields, as `asdict` has them."""
    usual = {each.name: each.default for each in fields(kind)}
    usual = {name: asdict(value) if isinstance(value, Resources) else value for name, value in usual.items()}
    return {key: value for key, value in body.items() if not _is(usual[key], value)}


def _is(usual: object, value: object) -> bool:
    """Say whether a field has its default; of schemas, which have none here, an empty one stays."""
    return value is MISSING or (type(usual) is type(value) and usual == value)


def interface_of_json(body: Mapping[str, Json]) -> Interface:
    """Return the interface that `interface_as_json` wrote.

    Raises KeyError, TypeError, ValueError or AttributeError at any other value.
    """
    given: Any = body
    container = given.get("container")
    return Interface(
        **{
            **given,
            "role": Role(given["role"]) if given.get("role") else None,
            "inputs": tuple(Input(**{**each, "type": Artifact(each["type"])}) for each in given.get("inputs", ())),
            "outputs": tuple(Output(**{**each, "type": _type(each["type"])}) for each in given.get("outputs", ())),
            "parameters": tuple(
                Parameter(**{**each, "kind": Kind(each["kind"])}) for each in given.get("parameters", ())
            ),
            "resources": _resources(given["resources"]) if "resources" in given else Resources(),
            "accelerators": tuple(given.get("accelerators", ())),
            "container": _container(container) if container else None,
        }
    )


def _type(name: str) -> Artifact | Kind:
    return Kind(name) if name in list(Kind) else Artifact(name)


def _resources(body: Any) -> Resources:
    accelerator = body["accelerator"]
    return Resources(**{**body, "accelerator": Accelerator(**accelerator) if accelerator else None})


def _container(body: Any) -> Container:
    return Container(
        command=tuple(body["command"]), args=tuple(_words(argument) for argument in body["args"]), image=body["image"]
    )


def _words(body: Any) -> Words:
    words = tuple(tuple(part if isinstance(part, str) else Slot(**part) for part in word) for word in body["words"])
    return Words(words, body.get("is_group", False))
