"""The JSON Schema that editors use: the shape of each kind of document, and what each step of the library takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipec.schema import check
from pipec.steps.interface import MISSING, Input, Interface, Parameter
from pipec.values import Json

_REFERENCE = {"type": "string", "pattern": r"\$\{\{"}
_NULL = {"type": "null"}
_BELOW = ("properties", "additionalProperties", "items")  # where a schema says what stands inside


def pipeline(interfaces: Iterable[Interface]) -> dict[str, Any]:
    """Return the schema of pipelines in which `uses` decides what `with` takes."""
    base = dict(check.schema("pipeline"))
    step = dict(base["$defs"]["step"])
    known = list(interfaces)
    uses = {**step["properties"]["uses"], "anyOf": [{"enum": [i.name for i in known]}, {"pattern": "[@./]"}]}
    step["properties"] = {**step["properties"], "uses": uses}
    step["properties"]["matrix"] = _open(step["properties"]["matrix"])
    step["allOf"] = [_choice(interface) for interface in known]
    # What `fold.py` puts values into may hold expressions; the check of shapes sees the values.
    folded = {name: _open(base["$defs"][name]) for name in ("resources", "accelerator")}
    base["$defs"] = {**base["$defs"], **folded, "step": step}
    return _with_nulls(base)


def project(settings: Mapping[str, Mapping[str, Json]]) -> dict[str, Any]:
    """Return the schema of projects; settings: what each target reads in an environment."""
    return _with_nulls(check.project_schema(settings))


def step() -> dict[str, Any]:
    """Return the schema of manifests: of steps in any language."""
    return dict(check.schema("step"))


def _with_nulls(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Let environments hold null wherever it may remove something (the check of shapes never sees those)."""
    environments = schema["properties"]["environments"]
    name = environments["additionalProperties"]["$ref"].removeprefix("#/$defs/")
    removing = _nullable({"$ref": f"#/$defs/{name}"}, schema["$defs"])
    return {**schema, "$defs": {**schema["$defs"], name: removing}}


def _nullable(schema: dict[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema in which the value under every key of a mapping may be null. known: what `$ref` names."""
    if "$ref" in schema:
        schema = {**known[schema["$ref"].removeprefix("#/$defs/")], **schema}
        del schema["$ref"]
    found = dict(schema)
    if "anyOf" in schema:
        found["anyOf"] = [_nullable(one, known) for one in schema["anyOf"]]
    if "properties" in schema:
        named = schema["properties"].items()
        found["properties"] = {key: {"anyOf": [_nullable(one, known), _NULL]} for key, one in named}
    if isinstance(schema.get("additionalProperties"), dict):
        found["additionalProperties"] = {"anyOf": [_nullable(schema["additionalProperties"], known), _NULL]}
    return found


def _choice(interface: Interface) -> dict[str, Any]:
    pattern = f"^{interface.name}(@{interface.version})?$"
    required = [i.name for i in interface.inputs if not i.optional]
    required += [p.name for p in interface.parameters if p.is_required]
    properties = {i.name: _input(i) for i in interface.inputs}
    properties |= {p.name: _parameter(p) for p in interface.parameters}
    given = {"type": "object", "properties": properties, "additionalProperties": False, "required": required,
             "description": f"What `{interface.name}` is given: artifacts and parameters alike."}  # fmt: skip
    then: dict[str, Any] = {"properties": {"with": given, "uses": {"description": interface.summary}}}
    if required:
        then["required"] = ["with"]
    return {"if": {"properties": {"uses": {"pattern": pattern}}, "required": ["uses"]}, "then": then}


def _input(declared: Input) -> dict[str, Json]:
    what = f"{declared.help} ({declared.type.value}; a reference, or the location of one)"
    if declared.many:
        # One reference may be a list: `steps.train[*].model`.
        return {"description": what, "type": ["array", "string"], "items": {"type": "string"}}
    return {"description": what, "type": "string"}


def _parameter(parameter: Parameter) -> dict[str, Json]:
    unit = f" Unit: {parameter.unit}." if parameter.unit else ""
    described: dict[str, Json] = {"description": f"{parameter.help}{unit}"}
    if parameter.default is not MISSING:
        described["default"] = parameter.default
    return {**described, **_open(parameter.schema)}


def _open(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema that takes an expression in the place of any value, inside lists and objects too."""
    found = dict(schema)
    for key in _BELOW:
        match found.get(key):
            case dict() as named if key == "properties":
                found[key] = {name: _open(one) for name, one in named.items()}
            case dict() as inside:
                found[key] = _open(inside)
    told = {"description": found.pop("description")} if "description" in found else {}
    return {**told, "anyOf": [found, _REFERENCE]}
