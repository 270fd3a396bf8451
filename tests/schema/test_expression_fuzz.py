"""Expressions from strangers: whatever the text says, one finding inside of it, and never more work than its length."""

from __future__ import annotations

import ast
import json
from pathlib import Path as File

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from needs import ROOT

from pipec import api
from pipec.schema import expressions
from pipec.schema.expressions import (
    Comparison,
    Constant,
    Expression,
    ExpressionError,
    Junction,
    Negation,
    Path,
    StatusCall,
    parse_condition,
    parse_template,
)

NAMES = st.from_regex(r"[a-z_][a-z0-9_-]{0,6}", fullmatch=True).filter(
    lambda name: name not in ("and", "or", "not", "in", "true", "false", *expressions.STATUSES)
)
WORDS = ["and", "or", "not", "in", "true", "false", "failed(", "steps.a.b", "steps.a[*].b", "item", "1e999", "9" * 400,
         "-", ".", "..", "[", "]", "[*]", ",", "(", ")", "==", "<=", "<", "'", '"', "'x'", "ü", "\u2028", "日本", "\\",
         "${{", "}}", "$${{", "{{", "\n", " ", "0x1F", "1_000", "1.", ".5", "--1", "a" * 300, "\0"]  # fmt: skip
SOUP = st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=4)), max_size=30).map("".join)


@settings(max_examples=3000, deadline=None)
@given(SOUP)
def test_any_text_is_read_or_refused_inside_of_itself(text: str) -> None:
    for parse in (parse_template, parse_condition):
        try:
            parse(text)
        except ExpressionError as fault:
            assert 0 <= fault.start < fault.end <= len(text) + 1, (parse.__name__, text)
            assert fault.message  # whose words may be the text's own; a finding makes them one line


paths = st.builds(
    lambda names, spread: (*names[:2], "*", *names[2:]) if spread and len(names) > 2 else tuple(names),
    st.lists(NAMES, min_size=1, max_size=4), st.booleans(),
).map(lambda parts: Path(parts, 0, 0))  # fmt: skip
texts = st.text(st.characters(exclude_characters="'", codec="utf-8")).filter(lambda text: "${{" not in text)
scalars = st.one_of(
    st.integers(-(2**53) + 1, 2**53 - 1), st.booleans(), texts,
    st.floats(-1e6, 1e6, allow_nan=False).map(abs),
)  # fmt: skip
operands = st.one_of(
    paths, scalars.map(lambda value: Constant(value, 0, 0)),
    st.lists(scalars, max_size=4).map(lambda value: Constant(value, 0, 0)),
)  # fmt: skip
trees: st.SearchStrategy[Expression] = st.recursive(
    st.one_of(
        paths, st.builds(Comparison, st.sampled_from([*expressions.OPERATORS, "in"]), operands, operands),
        st.builds(StatusCall, st.sampled_from(expressions.STATUSES), NAMES, st.just(0), st.just(0)),
    ),
    lambda below: st.one_of(
        st.builds(Negation, below),
        st.builds(Junction, st.sampled_from(["and", "or"]), st.lists(below, min_size=2, max_size=4).map(tuple)),
    ),
    max_leaves=8,
)  # fmt: skip


def written(tree: Expression) -> str:
    """Return a syntax tree as text, each part in parentheses."""
    match tree:
        case Path():
            return str(tree)
        case Constant(list() as items):
            return "[" + ", ".join(written(Constant(item, 0, 0)) for item in items) + "]"
        case Constant(str(text)):
            return f"'{text}'"
        case Constant(value):
            return json.dumps(value)
        case Comparison(operator, left, right):
            return f"{written(left)} {operator} {written(right)}"
        case StatusCall(state, step):
            return f"{state}({step})"
        case Negation(term):
            return f"not ({written(term)})"
        case Junction(operator, terms):
            return f" {operator} ".join(f"({written(term)})" for term in terms)


def bare(tree: Expression) -> object:
    """Return a syntax tree without its places."""
    match tree:
        case Path(parts):
            return parts
        case Constant(value):
            return ("value", value)
        case Comparison(operator, left, right):
            return (operator, bare(left), bare(right))
        case StatusCall(state, step):
            return (state, step)
        case Negation(term):
            return ("not", bare(term))
        case Junction(operator, terms):
            return (operator, [bare(term) for term in terms])


@settings(max_examples=1000, deadline=None)
@given(trees)
def test_what_is_written_is_what_is_read(tree: Expression) -> None:
    text = written(tree)
    if len(text) <= expressions.MAX_LENGTH:
        assert bare(parse_condition(text)) == bare(tree)


HOSTILE = {
    "unfinished": "steps.a.",
    "unclosed text": "steps.a == 'x",
    "deep": "(" * 60 + "a" + ")" * 60,
    "not not": "not " * 60 + "a",
    "infinite": "parameters.n < 1e999",
    "long number": "parameters.n < " + "9" * 400,
    "unicode": "parämeters.n",
    "look-alike": "parameters․n",  # U+2024, one dot leader
    "emoji": "😀",
    "spread nowhere": "[*].a",
    "spread twice": "steps.a[*][*].b",
    "index": "steps.a[0].b",
    "call": "__import__('os').system('true')",
    "assignment": "a = b",
    "empty": "",
    "operators": "== ==",
    "trailing": "a b",
}
STYLES = {
    "plain": "{prefix} {text}\n",
    "double": '{prefix} "{text}"\n',
    "single": "{prefix} '{text}'\n",
    "folded": "{prefix} >-\n        {text}\n",
    "literal": "{prefix} |-\n        {text}\n",
}
HEAD = """\
apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: p}
parameters: {n: {type: integer, default: 1}}
steps:
  a: {uses: ingest, with: {source: x}}
  b:
    uses: ingest
"""


def quoted(style: str, text: str) -> str:
    return text.replace("'", "''") if style == "single" else text.replace('"', '\\"') if style == "double" else text


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_expression_is_one_finding_with_its_caret_inside(name: str, style: str, tmp_path: File) -> None:
    expression = HOSTILE[name]
    for prefix, text in (("    with:\n      source:", f"s3://b/${{{{ {expression} }}}}/x"), ("    when:", expression)):
        if not expression and prefix.startswith("    when"):
            continue  # an empty condition is told as an empty value
        if style == "plain" and (text[:1] in "[&*!'\"%@`" or ": " in text or " #" in text or text == "== =="):
            continue  # YAML itself reads something else there
        body = HEAD + STYLES[style].format(prefix=prefix, text=quoted(style, text))
        (tmp_path / "p.yaml").write_text(body if "with" in prefix else body + "    with: {source: x}\n")
        report = api.check(api.Request(path=tmp_path / "p.yaml")).report
        found = [finding for finding in report.findings if finding.rule.code != "PIPE207"]
        codes = {finding.rule.code for finding in found}
        assert len(found) == 1, (name, style, prefix, found)
        assert codes <= {"PIPE120", "PIPE202", "PIPE204"}, (name, style, prefix)
        line = (tmp_path / "p.yaml").read_text().split("\n")[found[0].loc.span.line - 1]
        first, last = found[0].loc.span.column - 1, found[0].loc.span.end_column - 1
        inside = (line.find("${{"), line.rfind("}}") + 2) if "with" in prefix else (0, len(line))
        assert inside[0] <= first < last <= max(inside[1], first + 1), (name, style, line[first:last])


def test_nothing_here_evaluates_text_or_backtracks() -> None:
    source = (ROOT / "src" / "pipec" / "schema" / "expressions.py").read_text(encoding="utf-8")
    tree = ast.parse(source)
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert not called & {"eval", "exec", "compile", "__import__", "getattr"}
    assert "re" not in imported
    for file in (ROOT / "src").rglob("*.py"):
        names = {
            node.func.id
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        # A class's own methods are written from the names of its slots, which must be identifiers.
        assert names & {"eval", "exec"} == ({"exec"} if file.name == "record.py" else set()), file
