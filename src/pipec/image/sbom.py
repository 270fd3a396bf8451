"""The bill of materials of an image's layers of ours: CycloneDX 1.6, the same bytes for the same wheels.

It lies in the image and beside it. What the base holds is the base's to say; only its name stands here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from pipec.image.wheel import Wheel

_TITLE = "pipec-steps"


def of(
    title: str, version: str, base: str, wheels: Iterable[Wheel], edges: Mapping[str, tuple[str, ...]]
) -> dict[str, Any]:
    """Return the bill of an image made of wheels. title: its variant. edges: which of them needs which, by name."""
    image = Component(name=_TITLE, group="pipec", version=f"{version}-{title}", type=ComponentType.CONTAINER,
                      bom_ref=_TITLE)  # fmt: skip
    below = Component(name=base, type=ComponentType.CONTAINER, bom_ref="base")
    parts = {each.name: _component(each) for each in wheels}
    bom = Bom(components=[below, *parts.values()], metadata=BomMetaData(component=image))
    bom.register_dependency(image, [below, *parts.values()])
    for name, part in parts.items():
        bom.register_dependency(part, [parts[other] for other in edges.get(name, ()) if other in parts])
    return _settled(json.loads(JsonV1Dot6(bom).output_as_string()))


def extended(
    before: Mapping[str, Any], title: str, wheels: Iterable[Wheel], edges: Mapping[str, tuple[str, ...]]
) -> dict[str, Any]:
    """Return the bill of an image with one more layer: what it had, and the layer's wheels."""
    layer = of(title, "", "", wheels, edges)
    added = [each for each in layer["components"] if each["bom-ref"] != "base"]
    dependencies = [each for each in layer["dependencies"] if each["ref"] not in (_TITLE, "base")]
    body = {
        **before,
        "components": [*before["components"], *added],
        "dependencies": [
            {**each, "dependsOn": sorted({*each.get("dependsOn", ()), *(part["bom-ref"] for part in added)})}
            if each["ref"] == _TITLE
            else each
            for each in before["dependencies"]
        ]
        + dependencies,
    }
    return _settled(body)


def versions(body: Mapping[str, Any]) -> dict[str, str]:
    """Return the packages of a bill with their versions."""
    return {
        each["name"]: each["version"] for each in body["components"] if each.get("purl", "").startswith("pkg:pypi/")
    }


def text(body: Mapping[str, Any]) -> str:
    """Return a bill as a file holds it."""
    return json.dumps(body, indent=1, sort_keys=True) + "\n"


def _component(wheel: Wheel) -> Component:
    purl = PackageURL("pypi", name=wheel.name, version=wheel.version)
    return Component(
        name=wheel.name, version=wheel.version, type=ComponentType.LIBRARY, purl=purl, bom_ref=purl.to_string(),
        licenses=[LicenseFactory().make_from_string(wheel.licence)] if wheel.licence else [],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=wheel.digest.removeprefix("sha256:"))],
    )  # fmt: skip


def _settled(body: dict[str, Any]) -> dict[str, Any]:
    """Return a bill without what differs from one writing to the next: the random number and the time of it."""
    body = {name: value for name, value in body.items() if name != "serialNumber"}
    body["metadata"] = {name: value for name, value in body["metadata"].items() if name != "timestamp"}
    body["components"] = sorted(body["components"], key=lambda each: str(each["bom-ref"]))
    body["dependencies"] = sorted(body["dependencies"], key=lambda each: str(each["ref"]))
    return body
