"""Every text of a pipeline and of its project, times what some reader further on would take for more than a text.

Each cell is refused with a place, or inert: what is emitted has the form that a harmless word gives it, Jinja renders
it back as it was, and nothing is left that KFP, Argo or Kubernetes would put something else in place of.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import naive
import pytest
from fuzz import CODES, form
from jinja2 import TemplateError
from jinja2.sandbox import SandboxedEnvironment
from mutate import EXAMPLES, PROJECT, SEEDS

from pipec import api
from pipec.diagnostics import Source
from pipec.schema import tree

PAYLOADS = (
    "{{ macros.uuid.os.popen('echo PWN').read() }}", "{{ ''.__class__.__mro__ }}", "{{ 7 * 191 }}", "{% for x in y %}",
    "{# gone #}", "{% raw %}{{ x }}{% endraw %}", "{{ var.value.secret }}", "a{{", "{{$}}",
    "{{$.inputs.parameters['secret']}}", "{{$.outputs.artifacts['m'].uri}}", "{{workflow.name}}", "[[CurrentTime]]",
    "$(PATH)", "$$(PATH)", "run.sh", "prod.env", "'); import os; os.system('id') #", '"""', "\\", "a\nb: c",
    "coding: utf-7 +AAo-import os", "# -*- coding: unicode_escape -*-\\nimport os", "__class__", "`id`; $(id) && ls",
    "${{ secrets.other }}", "../../../etc/passwd", "<script>alert(1)</script>",
)  # fmt: skip
WORD = "harmless"
# What Airflow renders of a task (KubernetesPodOperator.template_fields), as far as pipec writes it.
RENDERED = (
    "arguments", "cmds", "env_vars", "image", "labels", "annotations", "namespace", "name", "service_account_name",
)  # fmt: skip
REPLACED = re.compile(r"\{\{|\[\[|(?<!\$)\$\(")
JINJA = SandboxedEnvironment(keep_trailing_newline=True)
BODIES = {name: tree.as_json(tree.read(Source(name, text))[0][0]) for name, text in
          (("p.yaml", SEEDS[1]), ("pipec.yaml", PROJECT))}  # fmt: skip
for described in (BODIES["p.yaml"]["metadata"], *BODIES["p.yaml"]["steps"].values()):
    described["description"] = "what a reviewer reads"


def texts(body: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where the texts of a document stand, but for those that say what kind of document it is."""
    if isinstance(body, dict | list):
        for key, value in body.items() if isinstance(body, dict) else enumerate(body):
            yield from texts(value, (*path, key))
    elif isinstance(body, str) and path[0] not in ("apiVersion", "kind"):
        yield path


def put(body: Any, path: tuple[Any, ...], text: str) -> Any:
    """Return a copy of a document with another text at a path."""
    changed = holder = json.loads(json.dumps(body))
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = text
    return changed


PLACES = [(name, path) for name, body in BODIES.items() for path in texts(body)]


class Bench:
    """A project in which one text at a time is another; what a harmless word gives is made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(shutil.copytree(EXAMPLES, folder / "project", ignore=shutil.ignore_patterns(".pipec")))
        self.twins: dict[tuple[Any, ...], dict[str, str]] = {}

    def compiled(self, place: tuple[Any, ...], text: str, target: str) -> tuple[api.Checked | None, dict[str, str]]:
        """Return the answer and the files, with `text` at a place; None where the call was refused in a line."""
        name, path = place
        for each, body in BODIES.items():
            changed = put(body, path, text) if each == name else body
            (self.folder / each).write_text(json.dumps(changed, ensure_ascii=False), encoding="utf-8")
        try:
            checked, files = api.compile_(api.Request(path=self.folder / "p.yaml", environment="prod", target=target))
        except api.UsageError:
            return None, {}
        return checked, {Path(file.path).suffix: file.text for file in files}

    def twin(self, place: tuple[Any, ...], target: str) -> dict[str, str]:
        if (place, target) not in self.twins:
            # An approver without an `@` is a role, which must be declared.
            both = (self.compiled(place, word, target)[1] for word in (WORD, f"{WORD}@example.org"))
            self.twins[place, target] = next(filter(None, both), {})
        return self.twins[place, target]


def wrong(bench: Bench, place: tuple[Any, ...], payload: str, target: str) -> Iterator[str]:
    """Yield why a cell is neither refused nor inert."""
    checked, files = bench.compiled(place, payload, target)
    if not files:
        for finding in checked.report.findings if checked else ():
            if finding.rule.code not in CODES or finding.loc.span.line != 1 or finding.loc.span.end_column <= 1:
                yield f"{finding.rule.code} has no place: {finding.loc}"
        return
    yield from changed(files, bench.twin(place, target), payload)


def changed(files: dict[str, str], twins: dict[str, str], payload: str) -> Iterator[str]:
    """Yield what a payload changed in files beyond the texts that a harmless word changes too."""
    said, n_changed = False, 0
    for name, text in files.items():
        if name not in twins or form(name, text) != form(name, twins[name]):
            yield f"the form of {name} is another"
            return
        for field, seen, plain in pairs(name, text, twins[name]):
            if seen != plain:
                n_changed += 1
                try:
                    said |= says(rendered(name, field, seen), payload)
                except (TemplateError, AttributeError) as fault:
                    yield f"`{field}` is a template: {fault}: {seen[:200]}"
                if name != ".py" and REPLACED.search(seen):
                    yield f"`{field}` holds what is replaced: {seen[:200]}"
    if n_changed and not said:  # what else changes are digests
        yield "what was written is nowhere to be found"


def rendered(name: str, field: str, text: str) -> str:
    """Return what Airflow makes of a text of its own file; others are taken as they are."""
    return JINJA.from_string(text).render() if name == ".py" and field in RENDERED else text


def pairs(name: str, text: str, twin: str) -> Iterator[tuple[str, str, str]]:
    for (field, seen), (_, plain) in zip(leaves(name, text), leaves(name, twin), strict=True):
        yield field, seen, plain


def leaves(name: str, text: str) -> Iterator[tuple[str, str]]:
    """Yield the texts of a file, each with the keyword or key that it stands under."""
    if name == ".py":
        yield from literals(ast.parse(text), "")
        return
    for document in tree.read(Source(name, text))[0]:
        yield from values(tree.as_json(document), "")


def literals(node: ast.AST, field: str) -> Iterator[tuple[str, str]]:
    match node:
        case ast.Constant(str(text)):
            yield field, text
        case ast.keyword(str(name), value):
            yield from literals(value, field if field in RENDERED else name)
        case ast.Dict(keys, items):
            for key, item in zip(keys, items, strict=True):
                inner = key.value if field == "default_args" and isinstance(key, ast.Constant) else field
                yield from (found for each in (key, item) if each for found in literals(each, str(inner)))
        case _:
            for below in ast.iter_child_nodes(node):
                yield from literals(below, field)


def values(body: Any, field: str) -> Iterator[tuple[str, str]]:
    if isinstance(body, dict | list):
        for key, value in body.items() if isinstance(body, dict) else enumerate(body):
            if isinstance(key, str):
                yield field, key
            yield from values(value, str(key))
    elif isinstance(body, str):
        yield field, body


def says(text: str, payload: str) -> bool:
    """Say whether a payload stands in a text, or in the JSON that the text is; Kubernetes' escapes undone."""
    if payload in text or payload in text.replace("$$", "$"):
        return True
    try:
        return any(payload in found for _, found in values(json.loads(text), ""))
    except ValueError:
        return False


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.mark.parametrize("target", ["airflow", "kubeflow"])
@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_text_becomes_more_than_a_text(payload: str, target: str, bench: Bench) -> None:
    found = {place: [*wrong(bench, place, payload, target)] for place in PLACES}
    assert {place: each for place, each in found.items() if each} == {}


def test_the_table_reaches_what_is_emitted(bench: Bench) -> None:
    reached = sum(bool(bench.twin(place, target)) for place in PLACES for target in api.TARGETS)
    assert len(PLACES) > 80
    assert reached > 70, "a walk over refusals proves little"


def test_a_generator_that_pastes_texts_together_fails_here() -> None:
    body = BODIES["p.yaml"]
    caught = set()
    for payload in PAYLOADS:
        for path in (("metadata", "description"), ("steps", "a", "with", "source")):
            emitted = [{".py": naive.emitted(put(body, path, text))} for text in (payload, WORD)]
            try:
                caught |= {payload} if [*changed(emitted[0], emitted[1], payload)] else set()
            except (SyntaxError, ValueError):
                caught.add(payload)
    assert len(caught) >= 8
