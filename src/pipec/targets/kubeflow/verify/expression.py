"""Conditions and selectors: the part of CEL that Kubeflow's driver can evaluate, read by a parser of our own.

Says whether an expression can be read, which inputs it names and, where that is plain, what type it has. It must not
know which inputs there are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import field

from pipec.record import frozen, mutable
from pipec.targets.kubeflow.verify.fault import shown

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")|(?P<number>(?:[0-9]+\.[0-9]*|\.?[0-9]+)(?:[eE][+-]?[0-9]+)?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>&&|\|\||==|!=|<=|>=|[<>!()\[\],.?:+*/%-]))""",
    re.VERBOSE,
)
# Of CEL's standard library, and `parseJson` that the driver adds.
_FUNCTIONS = frozenset(
    {
        "int", "uint", "double", "string", "bool", "bytes", "size", "type", "has", "dyn", "duration", "timestamp",
        "parseJson", "contains", "startsWith", "endsWith", "matches",
    }
)  # fmt: skip
_RESULTS = {
    **dict.fromkeys(("int", "uint", "double", "size"), "number"),
    **dict.fromkeys(("bool", "has", "contains", "startsWith", "endsWith", "matches"), "truth"),
    "string": "text",
}
_COMPARED = ("==", "!=", "<", "<=", ">", ">=", "in")
# Fields of the executor input, and of a value, which is what a selector is given.
CONDITION = frozenset({"inputs", "outputs"})
SELECTOR = frozenset(
    {"null_value", "number_value", "string_value", "bool_value", "struct_value", "list_value"}
)  # as in google.protobuf.Value
DEEPEST = 50


@frozen
class Read:
    """An expression as far as it could be read.

    message: what is wrong with it, to follow its name; empty if nothing is. inputs: those it names, each with the field
    of the executor input it looks in.
    """

    message: str = ""
    inputs: tuple[tuple[str, str], ...] = ()
    type: str = ""


class _Unread(Exception):
    """An expression cannot be read; the message says why."""


def read(text: str, roots: frozenset[str]) -> Read:
    """Return what an expression says. roots: the names it may begin with."""
    try:
        parser = _Parser(_tokens(text), roots)
        type_ = parser.whole()
    except _Unread as fault:
        return Read(str(fault))
    return Read("", tuple(parser.inputs), type_)


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    body = text.rstrip()
    while at < len(body):
        match = _TOKEN.match(body, at)
        if not match or match.lastgroup is None:
            raise _Unread(f"cannot be read from `{shown(body[at:].lstrip())}` on")
        found.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return found


@mutable
class _Parser:
    tokens: list[tuple[str, str]]
    roots: frozenset[str]
    at: int = 0
    depth: int = 0
    inputs: list[tuple[str, str]] = field(default_factory=list)

    def whole(self) -> str:
        if not self.tokens:
            raise _Unread("is empty")
        type_ = self._choice()
        if self.at < len(self.tokens):
            raise _Unread(f"goes on with `{self._sign()}` where it should end")
        return type_

    def _sign(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def _is_text(self) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at][0] == "text"

    def _take(self, *signs: str) -> str:
        """Return the next sign if it is one of these, and go past it."""
        sign = self._sign()
        if sign not in signs or self._is_text():
            return ""
        self.at += 1
        return sign

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            raise _Unread(
                f"lacks a `{sign}` before `{self._sign()}`" if self._sign() else f"lacks a `{sign}` at its end"
            )

    def _choice(self) -> str:
        self.depth += 1
        if self.depth > DEEPEST:
            raise _Unread(f"is nested more than {DEEPEST} deep")
        type_ = self._logic(self._both, "||")
        if self._take("?"):
            first = self._choice()
            self._expect(":")
            second = self._choice()
            type_ = first if first == second else ""
        self.depth -= 1
        return type_

    def _both(self) -> str:
        return self._logic(self._comparison, "&&")

    def _logic(self, below: Callable[[], str], sign: str) -> str:
        type_ = below()
        while self._take(sign):
            other = below()
            if bad := next((each for each in (type_, other) if each not in ("", "truth")), ""):
                raise _Unread(f"joins a {bad} by `{sign}`")
            type_ = "truth"
        return type_

    def _comparison(self) -> str:
        type_ = self._sum()
        while sign := self._take(*_COMPARED):
            other = self._sum()
            if sign != "in" and type_ and other and type_ != other:
                raise _Unread(f"compares a {type_} with a {other}")
            type_ = "truth"
        return type_

    def _sum(self) -> str:
        type_ = self._sign_before()
        while self._take("+", "-", "*", "/", "%"):
            other = self._sign_before()
            type_ = type_ if type_ == other else ""
        return type_

    def _sign_before(self) -> str:
        signs = []
        while sign := self._take("!", "-"):
            signs.append(sign)
        type_ = self._member()
        return "truth" if signs[:1] == ["!"] else type_

    def _member(self) -> str:
        type_, trail = self._primary()
        while sign := self._take(".", "["):
            if sign == "[":
                literal = self.tokens[self.at] if self._is_text() else None
                self._choice()
                self._expect("]")
                if literal and trail[:1] == ["inputs"] and len(trail) == 2:
                    self.inputs.append((trail[1], literal[1][1:-1]))
                trail, type_ = [], ""
                continue
            name = self._name()
            type_ = self._call(name) if self._sign() == "(" else ""
            trail = [*trail, name] if trail else []
        return type_

    def _name(self) -> str:
        kind, text = self.tokens[self.at] if self.at < len(self.tokens) else ("", "")
        if kind != "name":
            raise _Unread(f"lacks a name before `{text}`" if text else "lacks a name at its end")
        self.at += 1
        return text

    def _call(self, name: str) -> str:
        if name not in _FUNCTIONS:
            raise _Unread(f"calls `{name}`, which the driver does not know")
        self._expect("(")
        while not self._take(")"):
            self._choice()
            if self._sign() != ")":
                self._expect(",")
        return _RESULTS.get(name, "")

    def _primary(self) -> tuple[str, list[str]]:
        kind, text = self.tokens[self.at] if self.at < len(self.tokens) else ("", "")
        if kind in ("text", "number"):
            self.at += 1
            return kind, []
        if kind == "name":
            return self._named(self._name())
        if self._take("("):
            type_ = self._choice()
            self._expect(")")
            return type_, []
        if self._take("["):
            while not self._take("]"):
                self._choice()
                if self._sign() != "]":
                    self._expect(",")
            return "list", []
        raise _Unread(f"cannot be read at `{text}`" if text else "ends too early")

    def _named(self, name: str) -> tuple[str, list[str]]:
        if name in ("true", "false"):
            return "truth", []
        if name == "null":
            return "", []
        if self._sign() == "(":
            return self._call(name), []
        if name not in self.roots:
            raise _Unread(f"names `{name}`, which the driver does not know")
        return "", [name]
