"""Expressions: text to a small syntax tree, with offsets for carets.

Two grammars share one tokenizer: a template is text with `${{ path }}` inside, a condition is a bare expression. There
is no `eval`, no backtracking pattern, and a bound on nesting, length and count. Knows nothing of YAML, steps or values.

    condition  = disjunct { "or" disjunct }          operand = path | string | number | "true" | "false" | list
    disjunct   = term { "and" term }                 status  = ("succeeded"|"failed"|"skipped") "(" name ")"
    term       = "not" term | "(" condition ")" | status | operand [ operator operand ]
    operator   = "==" "!=" "<" "<=" ">" ">=" "in"    path    = name [ "[*]" ] { "." name [ "[*]" ] }
    list       = "[" [ operand { "," operand } ] "]"   of strings, numbers and booleans
"""

from __future__ import annotations

import json
from typing import NoReturn, TypeAlias

from pipec.record import frozen

MAX_NESTING = 32
MAX_PATHS = 100  # in one text
MAX_LENGTH = 8192  # of a condition, in characters; placing each of its names walks through all of it
MAX_NAME = 1000  # characters between `${{` and `}}`
STATUSES = ("failed", "skipped", "succeeded")
OPERATORS = ("==", "!=", "<=", ">=", "<", ">")
_CONDITION = "a condition is written as in `steps.evaluate.score >= 0.9 and not failed(train)`"
_TEMPLATE = "write one name, such as `${{ steps.train.model }}`"
_KEYWORDS = ("and", "or", "not", "in", "true", "false")


@frozen
class Path:
    """A dotted name. parts: its names, with `*` for `[*]`. start, end: offsets in the text that was parsed."""

    parts: tuple[str, ...]
    start: int
    end: int

    def __str__(self) -> str:
        return ".".join(self.parts).replace(".*", "[*]")


@frozen
class Constant:
    value: bool | int | float | str | list[bool | int | float | str]
    start: int
    end: int


@frozen
class Comparison:
    operator: str
    left: Path | Constant
    right: Path | Constant


@frozen
class StatusCall:
    state: str
    step: str
    start: int
    end: int


@frozen
class Negation:
    term: Expression


@frozen
class Junction:
    """`and` or `or` between two or more terms."""

    operator: str
    terms: tuple[Expression, ...]


Expression: TypeAlias = Path | Constant | Comparison | StatusCall | Negation | Junction


class ExpressionError(ValueError):
    """The text is not an expression. start, end: offsets of what is wrong; help may be empty."""

    def __init__(self, message: str, start: int, end: int, help: str = "") -> None:  # noqa: A002
        super().__init__(message)
        self.message, self.start, self.end, self.help = message, start, max(end, start + 1), help


def has_expression(text: str) -> bool:
    """Say whether a text holds `${{` that is not escaped, or an escape that must be undone."""
    return "${{" in text


def parse_template(text: str) -> tuple[str | Path, ...]:
    """Return the parts of a text: literal pieces, never empty, and paths. Raises ExpressionError."""
    parts: list[str | Path] = []
    literal, at, n_paths = "", 0, 0
    while (opening := text.find("${{", at)) >= 0:
        if opening > 0 and text[opening - 1] == "$":  # `$${{` writes a literal `${{`
            literal += text[at : opening - 1] + "${{"
            at = opening + 3
            continue
        closing = _closing(text, opening)
        if closing - opening > MAX_NAME:
            raise ExpressionError(f"the expression is longer than {MAX_NAME:,} characters", opening, opening + 3)
        literal += text[at:opening]
        if literal:
            parts.append(literal)
            literal = ""
        parts.append(_Parser(text, opening + 3, closing, _TEMPLATE).only_path())
        n_paths += 1
        if n_paths > MAX_PATHS:
            raise ExpressionError(
                f"the text holds more than {MAX_PATHS} expressions",
                opening,
                closing + 2,
                "let a step put the text together, and read its output",
            )
        at = closing + 2
    literal += text[at:]
    return (*parts, literal) if literal else tuple(parts)


def _closing(text: str, opening: int) -> int:
    closing = text.find("}}", opening)
    again = text.find("${{", opening + 3)
    if closing < 0 or (0 <= again < closing):
        raise ExpressionError(
            "`${{` is not closed", opening, opening + 3, "close it with `}}`, or write `$${{` for text"
        )
    return closing


def parse_condition(text: str) -> Expression:
    """Return the syntax tree of a bare expression. Raises ExpressionError."""
    if (opening := text.find("${{")) >= 0:
        raise ExpressionError(
            "`when` is an expression already and takes no `${{ }}`", opening, opening + 3, "write the names bare"
        )
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"the expression is longer than {MAX_LENGTH} characters", 0, 1)
    return _Parser(text, 0, len(text), _CONDITION).only_condition()


@frozen
class _Token:
    kind: str  # name, number, string, or the operator itself; "end" past the last
    text: str
    start: int
    end: int


class _Parser:
    """A recursive descent over the tokens between two offsets of a text. help: for what has none of its own."""

    def __init__(self, text: str, start: int, end: int, help: str) -> None:  # noqa: A002
        self.text, self.end, self.help = text, end, help
        self.tokens = _tokens(text, start, end, help)
        self.at = 0
        self.depth = 0

    def only_path(self) -> Path:
        if self._peek().kind != "name":
            self._fail(
                "an expression names a value", "such as `${{ steps.train.model }}` or `${{ parameters.epochs }}`"
            )
        path = self._path()
        if self._peek().kind != "end":
            self._fail("one name stands between `${{` and `}}`; operators are for `when`")
        return path

    def only_condition(self) -> Expression:
        tree = self._junction("or")
        if self._peek().kind != "end":
            self._fail(f"`{self._peek().text}` is not expected here")
        return tree

    def _junction(self, operator: str) -> Expression:
        terms = [self._junction("and") if operator == "or" else self._term()]
        while self._accept(operator):
            terms.append(self._junction("and") if operator == "or" else self._term())
        return terms[0] if len(terms) == 1 else Junction(operator, tuple(terms))

    def _term(self) -> Expression:
        self.depth += 1
        if self.depth > MAX_NESTING:
            self._fail(f"the expression is nested more than {MAX_NESTING} deep")
        try:
            return self._nested()
        finally:
            self.depth -= 1

    def _nested(self) -> Expression:
        if self._accept("not"):
            return Negation(self._term())
        if self._accept("("):
            tree = self._junction("or")
            self._expect(")")
            return tree
        token = self._peek()
        if token.kind == "name" and token.text in STATUSES and self._ahead(1).kind == "(":
            return self._status()
        left = self._operand()
        for operator in (*OPERATORS, "in"):
            if self._accept(operator):
                return Comparison(operator, left, self._operand())
        return left

    def _status(self) -> StatusCall:
        function = self._take()
        self._expect("(")
        if self._peek().kind != "name":
            self._fail(f"`{function.text}` asks about one step: `{function.text}(train)`")
        step = self._take()
        closing = self._peek()
        self._expect(")")
        return StatusCall(function.text, step.text, function.start, closing.end)

    def _operand(self) -> Path | Constant:
        token = self._peek()
        if token.kind == "name":
            return self._path()
        if token.kind == "[":
            return self._list()
        if token.kind not in ("number", "string", "true", "false"):
            self._fail("a value is expected here: a name, a number, `true`, `false` or a 'text'")
        self._take()
        value = token.text if token.kind == "string" else _number(token)
        return Constant(value, token.start, token.end)

    def _list(self) -> Constant:
        opening = self._take()
        items: list[bool | int | float | str] = []
        while self._peek().kind != "]":
            if items and not self._accept(","):
                self._fail("`,` or `]` is expected here")
            token = self._peek()
            if token.kind not in ("number", "string", "true", "false"):
                self._fail("a list holds numbers, `true`, `false` and 'texts'")
            self._take()
            items.append(token.text if token.kind == "string" else _number(token))
        closing = self._take()
        return Constant(items, opening.start, closing.end)

    def _path(self) -> Path:
        first = self._take()
        parts, end = [first.text], first.end
        while self._peek().kind in (".", "[*]"):
            if self._take().kind == "[*]":
                parts.append("*")
                end = self.tokens[self.at - 1].end
                continue
            if self._peek().kind not in ("name", *_KEYWORDS):
                self._fail("a name must follow the dot")
            token = self._take()
            parts.append(token.text)
            end = token.end
        return Path(tuple(parts), first.start, end)

    def _peek(self) -> _Token:
        return self.tokens[self.at]

    def _ahead(self, count: int) -> _Token:
        return self.tokens[min(self.at + count, len(self.tokens) - 1)]

    def _take(self) -> _Token:
        token = self.tokens[self.at]
        self.at += token.kind != "end"
        return token

    def _accept(self, kind: str) -> bool:
        if self._peek().kind != kind:
            return False
        self._take()
        return True

    def _expect(self, kind: str) -> None:
        if not self._accept(kind):
            self._fail(f"`{kind}` is expected here")

    def _fail(self, message: str, help: str = "") -> NoReturn:  # noqa: A002
        token = self._peek()
        raise ExpressionError(message, token.start, token.end, help or self.help)


def _number(token: _Token) -> bool | int | float:
    try:
        value = json.loads(token.text)
    except ValueError:
        raise ExpressionError(f"`{token.text}` is not a number", token.start, token.end) from None
    if not isinstance(value, bool | int | float) or abs(value) > 2**53 - 1:
        raise ExpressionError("the number cannot be carried exactly", token.start, token.end)
    return value


def _tokens(text: str, start: int, end: int, help: str) -> list[_Token]:  # noqa: A002
    tokens, at = [], start
    while at < end:
        char = text[at]
        if char in " \t\r\n":
            at += 1
            continue
        token = _token(text, at, end, help)
        tokens.append(token)
        at = token.end
    return [*tokens, _Token("end", "the end", end, end)]


def _token(text: str, at: int, end: int, help: str) -> _Token:  # noqa: A002
    char = text[at]
    if char.isascii() and (char.isalpha() or char == "_"):
        stop = _span_of(text, at, end, "_-")
        word = text[at:stop]
        return _Token(word if word in _KEYWORDS else "name", word, at, stop)
    if char.isascii() and (char.isdigit() or (char == "-" and at + 1 < end and text[at + 1].isdigit())):
        stop = _span_of(text, at + 1, end, "._-+" if "e" in text[at:end].lower() else "._")
        return _Token("number", text[at:stop], at, stop)
    if char in "'\"":
        return _string(text, at, end)
    for operator in (*OPERATORS, "(", ")", ".", "[*]", "[", "]", ","):
        if text.startswith(operator, at):
            return _Token(operator, operator, at, at + len(operator))
    raise ExpressionError(f"`{char}` has no meaning in an expression", at, at + 1, help)


def _span_of(text: str, at: int, end: int, extra: str) -> int:
    while at < end and text[at].isascii() and (text[at].isalnum() or text[at] in extra):
        at += 1
    return at


def _string(text: str, at: int, end: int) -> _Token:
    quote = text[at]
    stop = text.find(quote, at + 1, end)
    if stop < 0:
        raise ExpressionError("the text is not closed", at, end, f"close it with `{quote}`")
    return _Token("string", text[at + 1 : stop], at, stop + 1)
