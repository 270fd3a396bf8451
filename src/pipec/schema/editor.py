"""The JSON Schema that editors use: the shape of pipelines, and what each step of the library takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipec.schema import check
from pipec.steps.interface import MISSING, Input, Interface, Parameter
from pipec.values import Json

_REFERENCE = {"type": "string", "pattern": r"\$\{\{"}


def pipeline(interfaces: Iterable[Interface]) -> dict[str, Any]:
    """Return the schema of pipelines in which `uses` decides what `with` takes."""
    base = dict(check.schema("pipeline"))
    step = dict(base["$defs"]["step"])
    known = list(interfaces)
    uses = {**step["properties"]["uses"], "anyOf": [{"enum": [i.name for i in known]}, {"pattern": "[@./]"}]}
    step["properties"] = {**step["properties"], "uses": uses}
    step["allOf"] = [_choice(interface) for interface in known]
    base["$defs"] = {**base["$defs"], "step": step}
    return base


def _choice(interface: Interface) -> dict[str, Any]:
    pattern = f"^{interface.name}(@{interface.version})?$"
    required = [i.name for i in interface.inputs if not i.optional]
    required += [p.name for p in interface.parameters if p.is_required]
    properties = {i.name: _input(i) for i in interface.inputs}
    properties |= {p.name: _parameter(p) for p in interface.parameters}
    given = {"type": "object", "properties": properties, "additionalProperties": False, "required": required}
    then: dict[str, Any] = {"properties": {"with": given, "uses": {"description": interface.summary}}}
    if required:
        then["required"] = ["with"]
    return {"if": {"properties": {"uses": {"pattern": pattern}}, "required": ["uses"]}, "then": then}


def _input(declared: Input) -> dict[str, Json]:
    what = f"{declared.help} ({declared.type.value}; a reference, or the location of one)"
    if declared.many:
        return {"description": what, "type": "array", "items": {"type": "string"}}
    return {"description": what, "type": "string"}


def _parameter(parameter: Parameter) -> dict[str, Json]:
    unit = f" Unit: {parameter.unit}." if parameter.unit else ""
    described: dict[str, Json] = {"description": f"{parameter.help}{unit}"}
    if parameter.default is not MISSING:
        described["default"] = parameter.default
    return {**described, "anyOf": [dict(parameter.schema), _REFERENCE]}
