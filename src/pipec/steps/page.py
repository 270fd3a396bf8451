"""An interface as a page of text: what `pipec steps NAME` and `pipec-step NAME --help` print."""

from __future__ import annotations

import json

from pipec.steps.interface import MISSING, Input, Interface, Output, Parameter


def page(interface: Interface) -> str:
    """Return what a step reads, takes and writes, for a terminal."""
    resources = interface.resources
    lines = [f"{interface.name}@{interface.version}: {interface.summary}", ""]
    lines += [f"role: {interface.role}"] if interface.role else []
    lines += [f"default resources: {resources.cpu:g} CPU, {resources.memory_mib} MiB"]
    lines += [f"can use: {', '.join(interface.accelerators)}"] if interface.accelerators else []
    for title, rows in (
        ("inputs", [(i.name, _input(i), i.help) for i in interface.inputs]),
        ("parameters", [(p.name, _parameter(p), p.help) for p in interface.parameters]),
        ("outputs", [(o.name, _output(o), o.help) for o in interface.outputs]),
    ):
        if rows:
            lines += ["", f"{title}:", *(f"  {name}: {kind}. {text}".rstrip() for name, kind, text in rows)]
    return "\n".join(lines)


def _input(declared: Input) -> str:
    return f"{'many ' if declared.many else ''}{declared.type}{' (optional)' if declared.optional else ''}"


def _output(declared: Output) -> str:
    passed = f", as `{declared.same_as}` came in" if declared.same_as else ""
    return f"{declared.type}{passed}{' (optional)' if declared.optional else ''}"


def _parameter(parameter: Parameter) -> str:
    limits = {key: value for key, value in parameter.schema.items() if key not in ("type", "items", "properties")}
    words = [
        *(["secret"] if parameter.secret else []),
        parameter.kind.value,
        *(f"{key} {json.dumps(value)}" for key, value in limits.items()),
    ]
    words += [parameter.unit] if parameter.unit else []
    words += ["required"] if parameter.default is MISSING else [f"default {json.dumps(parameter.default)}"]
    return ", ".join(words)
