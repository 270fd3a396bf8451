"""Text with expressions to values: what each `${{ }}` names, and where it stands.

Knows the roots that an expression may begin with; whether the names behind them exist is for the rules to say.
"""

from __future__ import annotations

from collections.abc import Mapping as Map

from pipec.condition import AllOf, AnyOf, Compare, Condition, Holds, Not, Status
from pipec.diagnostics import Finding, Loc, Source, suggest
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
from pipec.schema.model import Argument, Operand, Reference, Term, When
from pipec.schema.place import Places
from pipec.schema.tree import Mapping, Scalar, Sequence, Tree
from pipec.values import (
    ConfigRef,
    EachRef,
    ItemRef,
    Json,
    ListOf,
    Literal,
    MatrixRef,
    ObjectOf,
    OutputRef,
    ParameterRef,
    RunRef,
    SecretRef,
    Text,
    Value,
)

RUN_FIELDS = ("date", "id", "outcome", "scheduled_at")
_FORMS = {
    "parameters": "parameters.NAME",
    "inputs": "inputs.NAME",
    "steps": "steps.STEP.OUTPUT` or `steps.STEP[*].OUTPUT",
    "secrets": "secrets.NAME",
    "configs": "configs.NAME",
    "item": "item` or `item.FIELD",
    "matrix": "matrix.AXIS",
    "run": "run." + "|".join(RUN_FIELDS),
    "environment": "environment.name",
}


class Templates:
    """Reads the values of one document. findings: what could not be read, in the order met.

    parameters, configs: those whose value is known already; it stands in their place. is_chosen: whether the document
    is read in `environment`; else only what that one lays over it.
    """

    def __init__(
        self,
        source: Source,
        environment: str,
        parameters: Map[str, Json] | None = None,
        configs: Map[str, Json] | None = None,
        *,
        is_chosen: bool = True,
    ) -> None:
        self.place = Places(source).of
        self.environment = environment
        self.elsewhere = "" if is_chosen else environment
        self.parameters, self.configs = parameters or {}, configs or {}
        self.findings: list[Finding] = []

    def arguments(self, tree: Tree | None) -> tuple[Argument, ...]:
        """Return the entries of a mapping as arguments."""
        if not isinstance(tree, Mapping):
            return ()
        return tuple(self.argument(entry.key, entry.key_loc, entry.value) for entry in tree.entries)

    def argument(self, name: str, loc: Loc, node: Tree) -> Argument:
        """Return a value under a name, with the references in it."""
        references: list[Reference] = []
        value = self.value(node, references)
        return Argument(name, loc, node, value, tuple(references))

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
            references.append(Reference(part.parts, loc, whole=len(parts) == 1, elsewhere=self.elsewhere))
            values.append(self.referent(part, loc))
        if len(values) == 1:
            return values[0]
        return Text(tuple(values)) if values else Literal("")

    def condition(self, node: Tree) -> When | None:
        """Return the condition that a tree is, or None after a finding."""
        if isinstance(node, Scalar) and isinstance(node.value, bool):
            return When(None if node.value else Holds(Literal(False)), node.loc)
        if not (isinstance(node, Scalar) and isinstance(node.value, str)):
            return None
        try:
            tree = parse_condition(node.value)
        except ExpressionError as fault:
            self._syntax(node.loc, node.value, fault)
            return None
        found: list[Reference] = []
        terms: list[Term] = []
        asks = self._asked(tree, node.loc, node.value, found, terms)
        return When(asks, node.loc, tuple(found), tuple(terms))

    def _asked(self, tree: Expression, loc: Loc, text: str, found: list[Reference], terms: list[Term]) -> Condition:
        """Return what a syntax tree asks; adds its references to `found`, and what it compares to `terms`."""
        match tree:
            case StatusCall(state, step):
                found.append(Reference(("status", step), self.place(loc, text, tree.start, tree.end)))
                return Status(state, step)
            case Comparison(operator, left, right):
                one, other = (self._operand(operand, loc, text, found) for operand in (left, right))
                terms.append(Term(operator, one, other))
                return Compare(operator, one.value, other.value)
            case Negation(term):
                return Not(self._asked(term, loc, text, found, terms))
            case Junction(operator, parts):
                asked = tuple(self._asked(part, loc, text, found, terms) for part in parts)
                return AllOf(asked) if operator == "and" else AnyOf(asked)
            case Path() | Constant():
                terms.append(Term("", self._operand(tree, loc, text, found)))
                return Holds(terms[-1].left.value)

    def _operand(self, tree: Path | Constant, loc: Loc, text: str, found: list[Reference]) -> Operand:
        at = self.place(loc, text, tree.start, tree.end)
        if isinstance(tree, Constant):
            return Operand(Literal(tree.value), at)
        found.append(Reference(tree.parts, at))
        return Operand(self.referent(tree, at), at, found[-1])

    def referent(self, path: Path, loc: Loc) -> Value:
        """Return the value that a dotted name stands for; a finding and a placeholder if its form is wrong."""
        match path.parts:
            case parts if "*" in parts and (len(parts) != 4 or parts[::2] != ("steps", "*") or parts[3] == "*"):
                pass  # only the outputs of one step are a list of what several tasks wrote
            case ("parameters", name):
                return Literal(self.parameters[name]) if name in self.parameters else ParameterRef(name)
            case ("inputs", name):
                return ParameterRef(name)  # inputs and parameters share their names: `with` gives both
            case ("steps", step, output):
                return OutputRef(step, output)
            case ("steps", step, "*", output):
                return EachRef(step, output)
            case ("secrets", name):
                return SecretRef(name)
            case ("configs", name):
                return Literal(self.configs[name]) if name in self.configs else ConfigRef(name)
            case ("item",):
                return ItemRef()
            case ("item", name):
                return ItemRef(name)
            case ("matrix", axis):
                return MatrixRef(axis)
            case ("run", field) if field in RUN_FIELDS:
                return RunRef(field)
            case ("environment", "name"):
                return Literal(self.environment)
        self._misnamed(path, loc)
        return Literal("")

    def _misnamed(self, path: Path, loc: Loc) -> None:
        root = path.parts[0]
        if root in _FORMS:
            self.findings.append(
                kinds.EXPRESSION.at(loc, f"`{path}` names no value", help=f"the form is `{_FORMS[root]}`")
            )
            return
        message = f"an expression cannot begin with `{root}`"
        self.findings.append(kinds.EXPRESSION.at(loc, message, help=suggest(root, _FORMS)))

    def _syntax(self, loc: Loc, text: str, fault: ExpressionError) -> None:
        at = self.place(loc, text, fault.start, fault.end)
        self.findings.append(kinds.EXPRESSION.at(at, fault.message, help=fault.help))


def _known(values: list[Value]) -> list[Json] | None:
    """Return the plain values, or None if any of them is not known yet."""
    known = [value.value for value in values if isinstance(value, Literal)]
    return known if len(known) == len(values) else None
