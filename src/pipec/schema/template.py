"""Text with expressions to values: what each `${{ }}` names, and where it stands.

Knows the roots that an expression may begin with; whether the names behind them exist is for the rules to say.
"""

from __future__ import annotations

from pipec.diagnostics import Finding, Loc, Source, Span, guess
from pipec.schema import findings as kinds
from pipec.schema.expressions import (
    Comparison,
    Constant,
    Expression,
    ExpressionError,
    Junction,
    Negation,
    Path,
    StatusCall,
    has_expression,
    parse_condition,
    parse_template,
)
from pipec.schema.model import Argument, Reference, When
from pipec.schema.tree import Entry, Mapping, Scalar, Sequence, Tree
from pipec.values import Json, ListOf, Literal, ObjectOf, OutputRef, ParameterRef, RunRef, SecretRef, Text, Value

RUN_FIELDS = ("date", "id", "outcome", "scheduled_at")
_FORMS = {
    "parameters": ("parameters.NAME", 2),
    "steps": ("steps.STEP.OUTPUT", 3),
    "secrets": ("secrets.NAME", 2),
    "run": ("run." + "|".join(RUN_FIELDS), 2),
    "environment": ("environment.name", 2),
}
_NOT_YET = ("configs", "item", "matrix")


class Templates:
    """Reads the values of one document. findings: what could not be read, in the order met."""

    def __init__(self, source: Source, environment: str) -> None:
        self.lines = source.text.split("\n")
        self.environment = environment
        self.findings: list[Finding] = []

    def arguments(self, tree: Tree | None) -> tuple[Argument, ...]:
        """Return the entries of a mapping as arguments."""
        return tuple(self._argument(entry) for entry in tree.entries) if isinstance(tree, Mapping) else ()

    def _argument(self, entry: Entry) -> Argument:
        references: list[Reference] = []
        value = self.value(entry.value, references)
        return Argument(entry.key, entry.key_loc, entry.value, value, tuple(references))

    def value(self, node: Tree, references: list[Reference]) -> Value:
        """Return what a tree stands for; adds its references to `references`."""
        match node:
            case Scalar(str(text)) if has_expression(text):
                return self._text(node, text, references)
            case Scalar(value):
                return Literal(value)
            case Sequence(items):
                values = [self.value(item, references) for item in items]
                known = _known(values)
                return ListOf(tuple(values)) if known is None else Literal(known)
            case Mapping(entries):
                names = [entry.key for entry in entries]
                values = [self.value(entry.value, references) for entry in entries]
                known = _known(values)
                if known is None:
                    return ObjectOf(tuple(zip(names, values, strict=True)))
                return Literal(dict(zip(names, known, strict=True)))

    def _text(self, node: Scalar, text: str, references: list[Reference]) -> Value:
        try:
            parts = parse_template(text)
        except ExpressionError as fault:
            self._syntax(node.loc, text, fault)
            return Literal(text)
        values: list[Value] = []
        for part in parts:
            if isinstance(part, str):
                values.append(Literal(part))
                continue
            loc = self.place(node.loc, text, part.start, part.end)
            references.append(Reference(part.parts, loc, whole=len(parts) == 1))
            values.append(self.referent(part, loc))
        if len(values) == 1:
            return values[0]
        return Text(tuple(values)) if values else Literal("")

    def condition(self, node: Tree) -> When | None:
        """Return the condition that a tree is, or None after a finding."""
        if isinstance(node, Scalar) and isinstance(node.value, bool):
            return When(node.value, node.loc)
        if not (isinstance(node, Scalar) and isinstance(node.value, str)):
            return None
        try:
            tree = parse_condition(node.value)
        except ExpressionError as fault:
            self._syntax(node.loc, node.value, fault)
            return None
        found: list[Reference] = []
        self._names(tree, node.loc, node.value, found)
        return When(tree, node.loc, tuple(found))

    def _names(self, tree: Expression, loc: Loc, text: str, found: list[Reference]) -> None:
        match tree:
            case Path():
                at = self.place(loc, text, tree.start, tree.end)
                self.referent(tree, at)
                found.append(Reference(tree.parts, at))
            case StatusCall():
                found.append(Reference(("status", tree.step), self.place(loc, text, tree.start, tree.end)))
            case Comparison(_, left, right):
                self._names(left, loc, text, found)
                self._names(right, loc, text, found)
            case Negation(term):
                self._names(term, loc, text, found)
            case Junction(_, terms):
                for term in terms:
                    self._names(term, loc, text, found)
            case Constant():
                pass

    def referent(self, path: Path, loc: Loc) -> Value:
        """Return the value that a dotted name stands for; a finding and a placeholder if its form is wrong."""
        match path.parts:
            case ("parameters", name):
                return ParameterRef(name)
            case ("steps", step, output):
                return OutputRef(step, output)
            case ("secrets", name):
                return SecretRef(name)
            case ("run", field) if field in RUN_FIELDS:
                return RunRef(field)
            case ("environment", "name"):
                return Literal(self.environment)
        self._misnamed(path, loc)
        return Literal("")

    def _misnamed(self, path: Path, loc: Loc) -> None:
        root = path.parts[0]
        if root in _NOT_YET:
            self.findings.append(kinds.NOT_YET.at(loc, f"`{root}` is not read in expressions yet"))
            return
        if root in _FORMS:
            self.findings.append(
                kinds.EXPRESSION.at(loc, f"`{path}` names no value", help=f"the form is `{_FORMS[root][0]}`")
            )
            return
        close = guess(root, _FORMS)
        hint = f"did you mean `{close}`? " if close else ""
        known = ", ".join(f"`{name}`" for name in sorted(_FORMS))
        self.findings.append(
            kinds.EXPRESSION.at(loc, f"an expression cannot begin with `{root}`", help=f"{hint}known: {known}")
        )

    def _syntax(self, loc: Loc, text: str, fault: ExpressionError) -> None:
        at = self.place(loc, text, fault.start, fault.end)
        self.findings.append(kinds.EXPRESSION.at(at, fault.message, help=fault.help))

    def place(self, loc: Loc, text: str, start: int, end: int) -> Loc:
        """Return where `text[start:end]` of a scalar's value stands in the file.

        The value and its source differ by quotes, escapes and folding, so the piece is looked for in the source, as
        often as it occurs before; where that fails, the whole scalar is the place.
        """
        piece, before = text[start:end].split("\n", 1)[0], text[:start]
        nth = before.count(piece) if piece else 0
        for number in range(loc.span.line, min(loc.span.end_line, len(self.lines)) + 1):
            line = self.lines[number - 1]
            left = loc.span.column - 1 if number == loc.span.line else 0
            right = loc.span.end_column - 1 if number == loc.span.end_line else len(line)
            while piece and (at := line.find(piece, left, right)) >= 0:
                if nth == 0:
                    return Loc(loc.path, Span(number, at + 1, number, at + 1 + len(piece)))
                nth, left = nth - 1, at + 1
        return loc


def _known(values: list[Value]) -> list[Json] | None:
    """Return the plain values, or None if any of them is not known yet."""
    known = [value.value for value in values if isinstance(value, Literal)]
    return known if len(known) == len(values) else None
