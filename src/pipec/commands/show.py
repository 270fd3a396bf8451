"""The commands that print what pipec knows: `graph`, `render`, `steps`, `schema`, `explain`, `completion`."""

from __future__ import annotations

import argparse
import json
import sys
from textwrap import indent

from pipec import api, drawing
from pipec import completion as scripts
from pipec.api import UsageError
from pipec.commands.request import only, request, tell
from pipec.diagnostics import guess
from pipec.report.page import how_to_ignore
from pipec.schema import editor, tree
from pipec.steps import catalog
from pipec.steps.page import page


def graph(options: argparse.Namespace) -> int:
    """Draw a pipeline; a file with errors is drawn as far as it can be read."""
    checked = api.check(request(options, options.file))
    tell(checked, options)
    if checked.units or not checked.has_error:
        sys.stdout.write(drawing.mermaid(only(checked, "graph", options.pipeline).subject.graph))
    return 1 if checked.has_error else 0


def render(options: argparse.Namespace) -> int:
    """Print a pipeline with its environment laid over it."""
    asked = request(options, options.file)
    checked = api.check(asked)
    tell(checked, options)
    if checked.has_error:
        return 1
    unit = only(checked, "render", options.pipeline)
    sys.stdout.write(tree.dump(api.resolved(checked, unit)))
    if changed := api.origins(checked, unit, asked):
        # Comments: what is printed stays a document that can be checked, compiled and compared.
        print("# not said by the pipeline itself:")
        for path, where in changed:
            print(f"#   {path}: {where}")
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
    print(page(found))
    return 0


def schema(options: argparse.Namespace) -> int:
    """Print the JSON Schema of a kind of document."""
    match options.kind:
        case "Project":
            wanted = editor.project({name: target.settings for name, target in api.TARGETS.items()})
        case "Step":
            wanted = editor.step()
        case _:
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
    if how := how_to_ignore(found):
        print(f"\nIgnore:\n{indent(how, '    ')}")
    return 0


def completion(options: argparse.Namespace) -> int:
    """Print a shell's completion script, with the steps and findings that there are."""
    known = {
        "steps.name": {interface.name: interface.summary for interface in catalog.interfaces()},
        "explain.code": {rule.code: rule.name for rule in api.explained()},
        "target": dict.fromkeys(api.TARGETS, ""),
    }
    sys.stdout.write(scripts.script(options.shell, options.parser(), known))
    return 0
