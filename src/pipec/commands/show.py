"""The commands that print what pipec knows: `graph`, `render`, `steps`, `schema`, `explain`."""

from __future__ import annotations

import argparse
import json
import sys

from pipec import api, drawing
from pipec.api import UsageError
from pipec.commands.request import only, request, tell
from pipec.diagnostics import guess
from pipec.schema import check, editor, tree
from pipec.steps import catalog
from pipec.steps.interface import MISSING, Interface, Parameter


def graph(options: argparse.Namespace) -> int:
    """Draw a pipeline; a file with errors is drawn as far as it can be read."""
    checked = api.check(request(options, options.file))
    tell(checked)
    if checked.units:
        sys.stdout.write(drawing.mermaid(only(checked, "graph").subject.graph))
    return 1 if checked.has_error else 0


def render(options: argparse.Namespace) -> int:
    """Print a pipeline with its environment laid over it."""
    checked = api.check(request(options, options.file))
    tell(checked)
    if checked.has_error:
        return 1
    sys.stdout.write(tree.dump(api.resolved(only(checked, "render").pipeline)))
    return 0


def steps(options: argparse.Namespace) -> int:
    """List the library, or show one step."""
    if options.name is None:
        width = max(map(len, catalog.names()))
        for interface in catalog.interfaces():
            print(f"{interface.name:<{width}}  {interface.summary}")
        return 0
    found = catalog.find(options.name)
    if found is None:
        close = guess(options.name, catalog.names())
        raise UsageError(f"there is no step `{options.name}`" + (f"; did you mean `{close}`?" if close else ""))
    print("\n".join(_described(found)))
    return 0


def _described(interface: Interface) -> list[str]:
    resources = interface.resources
    lines = [f"{interface.name}@{interface.version}: {interface.summary}", ""]
    if interface.role:
        lines += [f"role: {interface.role}"]
    lines += [f"default resources: {resources.cpu:g} CPU, {resources.memory_mib} MiB"]
    if interface.accelerators:
        lines += [f"can use: {', '.join(interface.accelerators)}"]
    for title, rows in (
        ("inputs", [(i.name, _input(i.type, i.optional, i.many), i.help) for i in interface.inputs]),
        ("parameters", [(p.name, _parameter(p), p.help) for p in interface.parameters]),
        ("outputs", [(o.name, o.type.value, o.help) for o in interface.outputs]),
    ):
        if rows:
            lines += ["", f"{title}:", *(f"  {name}: {kind}. {text}".rstrip(". ") + "." for name, kind, text in rows)]
    return lines


def _input(kind: str, optional: bool, many: bool) -> str:
    return ("many " if many else "") + kind + (" (optional)" if optional else "")


def _parameter(parameter: Parameter) -> str:
    limits = {key: value for key, value in parameter.schema.items() if key not in ("type", "items", "properties")}
    words = [parameter.kind.value, *(f"{key} {json.dumps(value)}" for key, value in limits.items())]
    words += [parameter.unit] if parameter.unit else []
    words += ["required"] if parameter.default is MISSING else [f"default {json.dumps(parameter.default)}"]
    return ", ".join(words)


def schema(options: argparse.Namespace) -> int:
    """Print the JSON Schema of a kind of document."""
    if options.kind == "Project":
        wanted = check.project_schema({name: target.settings for name, target in api.TARGETS.items()})
    else:
        wanted = editor.pipeline(catalog.interfaces())
    print(json.dumps(wanted, indent=2))
    return 0


def explain(options: argparse.Namespace) -> int:
    """Print the page of a kind of finding, or list all."""
    rules = {rule.code: rule for rule in api.explained()}
    if options.code is None:
        for rule in rules.values():
            print(f"{rule.code} {rule.name}: {rule.summary}")
        return 0
    found = rules.get(options.code.upper()) or next((r for r in rules.values() if r.name == options.code), None)
    if found is None:
        raise UsageError(f"there is no finding `{options.code}`: `pipec explain` lists them")
    print(f"{found.code} {found.name} ({found.severity})\n\n{found.doc.strip()}")
    return 0
