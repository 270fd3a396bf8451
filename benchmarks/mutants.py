"""The mutants of a module: what cosmic-ray makes of its text, and four operators of our own; each changes one place.

Nothing is written here: a mutant is a text. Left out are changes that no run can show (in annotations, which nothing
evaluates) and replacements by a distant operator, which fail at once and would only make the score look better.
"""

from __future__ import annotations

import ast
import difflib
import random
from collections.abc import Iterator
from dataclasses import dataclass

import parso
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.operators.provider import OperatorProvider

# An operator is replaced by its neighbour and by its opposite; `a + b` for `a >> b` would prove nothing.
COMPARISONS = "Eq_NotEq NotEq_Eq Lt_LtE Lt_GtE LtE_Lt LtE_Gt Gt_GtE Gt_LtE GtE_Gt GtE_Lt Is_IsNot IsNot_Is"
BINARY = (
    "Add_Sub Sub_Add Mul_Div Div_Mul FloorDiv_Mul Mod_FloorDiv Pow_Mul LShift_RShift RShift_LShift BitOr_BitAnd "
    "BitAnd_BitOr BitXor_BitAnd"
)
UNARY = "USub_UAdd Delete_Not Delete_Invert"
OTHERS = (
    "AddNot ReplaceTrueWithFalse ReplaceFalseWithTrue ReplaceAndWithOr ReplaceOrWithAnd ReplaceBreakWithContinue "
    "ReplaceContinueWithBreak ExceptionReplacer NumberReplacer RemoveDecorator ZeroIterationForLoop"
)
CORE = [
    *(f"ReplaceComparisonOperator_{each}" for each in COMPARISONS.split()),
    *(f"ReplaceBinaryOperator_{each}" for each in BINARY.split()),
    *(f"ReplaceUnaryOperator_{each}" for each in UNARY.split()),
    *OTHERS.split(),
]


class TurnMembership(Operator):
    """`in` for `not in`, and the other way round, which cosmic-ray leaves alone."""

    def mutation_positions(self, node):
        if node.type == "comparison":
            for operator in node.children[1::2]:
                if operator.get_code().split() in (["in"], ["not", "in"]):
                    yield operator.start_pos, operator.end_pos

    def mutate(self, node, index):
        found = [n for n, each in enumerate(node.children) if each.get_code().split() in (["in"], ["not", "in"])]
        text = node.children[found[index]].get_code()
        node.children[found[index]] = parso.parse(" in" if "not" in text.split() else " not in")
        return node

    @classmethod
    def examples(cls):
        return ()


class TurnFilter(Operator):
    """The opposite of what a comprehension filters by."""

    def mutation_positions(self, node):
        if node.type == "comp_if":
            yield node.children[1].start_pos, node.children[1].end_pos

    def mutate(self, node, index):
        node.children[1] = parso.parse(f" not ({node.children[1].get_code().strip()})")
        return node

    @classmethod
    def examples(cls):
        return ()


class DropCall(Operator):
    """Nothing, where a call stands for its effect alone."""

    def mutation_positions(self, node):
        if node.type == "simple_stmt" and node.children[0].type in ("atom_expr", "yield_expr"):
            yield node.children[0].start_pos, node.children[0].end_pos

    def mutate(self, node, index):
        # A generator must remain one, or its caller breaks for another reason.
        is_yield = node.children[0].type == "yield_expr"
        node.children[0] = parso.parse(node.get_first_leaf().prefix + ("yield from ()" if is_yield else "None"))
        return node

    @classmethod
    def examples(cls):
        return ()


class ChangeText(Operator):
    """Another word where a text stands, but for documentation."""

    def mutation_positions(self, node):
        if node.type == "string" and not node.value.lower().startswith(("r", "b")):
            above = node.parent
            if not (above is not None and above.type == "simple_stmt"):
                yield node.start_pos, node.end_pos
        elif node.type == "fstring_string":
            yield node.start_pos, node.end_pos

    def mutate(self, node, index):
        if node.type == "fstring_string":
            node.value = node.value.rstrip() + "~" + node.value[len(node.value.rstrip()) :]
            return node
        quote = 3 if node.value.endswith(('"""', "'''")) else 1
        node.value = node.value[:-quote] + "~" + node.value[-quote:]
        return node

    @classmethod
    def examples(cls):
        return ()


OWN: dict[str, type[Operator]] = {each.__name__: each for each in (TurnMembership, TurnFilter, DropCall, ChangeText)}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A module's text with one change.

    lines: those of the original that the change touches, counted from 1. function: what they stand in.
    """

    module: str
    operator: str
    function: str
    lines: tuple[int, ...]
    old: str
    new: str
    text: str

    @property
    def label(self) -> str:
        """What names it in the list of reasons: its words and its function, but no line number, which moves."""
        return f"{self.function}: {self.old} => {self.new}"


def mutants(module: str, text: str, rng: random.Random) -> Iterator[Mutant]:
    """Yield the mutants of a module, in an order drawn by `rng`."""
    silent, signatures = _silent(ast.parse(text)), _signatures(ast.parse(text))
    operators, seen = {**_core(), **OWN}, {text}
    nodes, places = list(ast_nodes(get_ast(text))), []
    for name, operator in operators.items():
        positions = [position for node in nodes for position in operator().mutation_positions(node)]
        is_sign = name.startswith("ReplaceBinaryOperator")
        places += [
            (name, nth)
            for nth, (start, _) in enumerate(positions)
            if not any(begin <= start < end for begin, end in silent + (signatures if is_sign else []))
        ]
    rng.shuffle(places)
    for name, nth in places:
        try:
            changed = mutate_code(text, operators[name](), nth)
        except AttributeError:
            continue  # cosmic-ray's ExceptionReplacer knows no dotted names (8.7)
        if changed and changed not in seen and _is_python(changed):
            seen.add(changed)
            yield _mutant(module, name, text, changed)


def _core() -> dict[str, type[Operator]]:
    provider = OperatorProvider()
    return {name: provider[name] for name in CORE}


def _is_python(text: str) -> bool:
    try:
        compile(text, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def _silent(tree: ast.Module) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return the spans of what no run evaluates: annotations, and names for types."""
    found: list[ast.expr | None] = []
    for node in ast.walk(tree):
        match node:
            case ast.AnnAssign():
                found.append(node.annotation)
            case ast.arg():
                found.append(node.annotation)
            case ast.FunctionDef():
                found.append(node.returns)
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, (ast.BinOp, ast.Subscript)):
            parts = (ast.BinOp, ast.BitOr, ast.Name, ast.Load, ast.Subscript, ast.Attribute, ast.Tuple, ast.List)
            if all(isinstance(part, (*parts, ast.Constant)) for part in ast.walk(statement.value)):
                found.append(statement.value)
    return [
        ((each.lineno, each.col_offset), (each.end_lineno or 0, each.end_col_offset or 0)) for each in found if each
    ]


def _signatures(tree: ast.Module) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return the spans before the bodies of functions, where `*` multiplies nothing."""
    return [
        ((each.lineno, each.col_offset), (each.body[0].lineno, each.body[0].col_offset))
        for each in ast.walk(tree)
        if isinstance(each, ast.FunctionDef)
    ]


def _mutant(module: str, operator: str, text: str, changed: str) -> Mutant:
    old, new = text.splitlines(), changed.splitlines()
    spans = [
        span for span in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes() if span[0] != "equal"
    ]
    first, last = spans[0][1], max(spans[-1][2], spans[0][1] + 1)
    after = new[spans[0][3] : spans[-1][4]]
    return Mutant(
        module,
        operator,
        _function(ast.parse(text), first + 1),
        _statement(ast.parse(text), first + 1, last),
        " ".join(line.strip() for line in old[first:last]).strip(),
        " ".join(line.strip() for line in after).strip(),
        changed,
    )


def _function(tree: ast.Module, line: int) -> str:
    """Return the dotted name of the function or class around a line."""
    names: list[str] = []
    body: list[ast.stmt] = tree.body
    while body:
        around = [
            node
            for node in body
            if isinstance(node, (ast.FunctionDef, ast.ClassDef))
            and min([node.lineno, *(each.lineno for each in node.decorator_list)]) <= line <= (node.end_lineno or 0)
        ]
        names += [node.name for node in around]
        body = around[0].body if around else []
    return ".".join(names) or "module"


def _statement(tree: ast.Module, first: int, last: int) -> tuple[int, ...]:
    """Return the lines of the smallest statement around these: coverage counts a call where it begins."""
    best = (first, last)
    smallest = None
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and node.lineno <= first and (node.end_lineno or 0) >= last:
            size = (node.end_lineno or 0) - node.lineno
            if smallest is None or size <= smallest:
                smallest, inner = size, getattr(node, "body", None)
                end = inner[0].lineno - 1 if inner and isinstance(inner[0], ast.stmt) else node.end_lineno or last
                best = (node.lineno, max(end, last))
    return tuple(range(best[0], best[1] + 1))
