"""Secrets that stand in a document by their value.

Told from the forms that issuers give their keys, and from the names under which passwords are handed on. What has no
such form is not guessed at: random-looking text is more often a digest or an id.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from pipec.diagnostics import Finding, Loc, Source, Span
from pipec.schema import findings as kinds
from pipec.schema.tree import Mapping, Scalar, Sequence, Tree

# By issuer: how its keys begin, and what follows, so that a scanner may know them. A key begins where a word does, so
# that nothing begins again within a long run of such letters, and a search stays linear.
_FORMS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("an AWS access key", ("AKIA", "ASIA"), r"[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ("a GitHub token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"[A-Za-z0-9]{36,}"),
    ("a GitHub token", ("github_pat_",), r"[A-Za-z0-9_]{40,}"),
    ("a GitLab token", ("glpat-",), r"[A-Za-z0-9_-]{20,}"),
    ("a Slack token", ("xoxa-", "xoxb-", "xoxe-", "xoxo-", "xoxp-", "xoxr-", "xoxs-"), r"[A-Za-z0-9-]{10,}"),
    ("a Slack webhook", ("hooks.slack.com/services/T",), r"[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{16,}"),
    ("a Google API key", ("AIza",), r"[A-Za-z0-9_-]{35,}"),
    ("a Hugging Face token", ("hf_",), r"[A-Za-z0-9]{34,}"),
    ("an API key", ("sk-",), r"[A-Za-z0-9_-]{32,}"),
    ("a PyPI token", ("pypi-AgEIcHlwaS5vcmc",), r"[A-Za-z0-9_-]{16,}"),
    ("an npm token", ("npm_",), r"[A-Za-z0-9]{36,}"),
    ("a signed token", ("eyJ",), r"[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
    ("a private key", ("-----BEGIN ",), r"(?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY-----"),
    ("a password in a URL", ("://",), r"(?P<part>[^\s/:@$]*:[^\s/@$]+)@"),
)
_WORD = r"(?<![A-Za-z0-9_-]{})"  # behind the beginning, so that a search for it stays one for plain letters
_STARTS = tuple((what, start, rest) for what, starts, rest in _FORMS for start in starts)
# The last word of a name says what it holds: `HF_TOKEN` is one, `TOKEN_PATH` and `MAX_TOKENS` are not.
_NAMED = re.compile(
    r"(?:^|[-_.])(?:password|passwd|passphrase|secret|token|(?:api|access|private)[-_]?key)$", re.IGNORECASE
)
# What a tokenizer calls so is a word of its vocabulary, and what stands in brackets is one, or holds a place.
_VOCABULARY = re.compile(
    r"(?:^|[-_.])(?:bos|cls|end|eos|image|mask|pad|sep|start|stop|unk|unknown)[-_]token$", re.IGNORECASE
)
_BRACKETED = re.compile(r"<[^<>]*>|\[[^\[\]]*\]")
_PLACE = re.compile(r"(?:\.{0,2}|~)/|[a-z][a-z0-9+.-]*:", re.IGNORECASE)  # of a file or a URL that holds one
_HINT = re.compile(r"password|passwd|passphrase|secret|token|key|\\", re.IGNORECASE)  # an escape may hide any of them


def inlined(source: Source, document: Tree) -> Iterator[Finding]:
    """Yield the secrets that stand in a document. source: its text, for the places inside of a long scalar."""
    if _formed(source.text) or _HINT.search(source.text):
        yield from _inside(source.text.removeprefix("\ufeff").split("\n"), document, ())


def _inside(lines: list[str], node: Tree, path: tuple[str, ...]) -> Iterator[Finding]:
    match node:
        case Scalar(str() as text):
            if formed := _formed(text):
                yield _told(_placed(lines, node.loc, formed[1]), formed[0])
            elif is_told(path, text):
                yield _told(node.loc, f"the value of `{_name(path)}`")
        case Sequence(items):
            for item in items:
                yield from _inside(lines, item, path)
        case Mapping(entries):
            for entry in entries:
                yield from _inside(lines, entry.value, (*path, entry.key))


def _formed(text: str) -> tuple[str, str] | None:
    """Return what a text holds by its form, and the part of it that is to be hidden; the first kind that fits."""
    for what, start, rest in _STARTS:
        if start in text and (found := _search(start, rest).search(text)):
            return what, found.groupdict().get("part") or found[0]
    return None


@cache  # and no sooner: few texts hold any of them, and compiling all takes 2 ms of a start
def _search(start: str, rest: str) -> re.Pattern[str]:
    plain = re.escape(start)
    return re.compile(plain + (_WORD.format(plain) if start[0].isalpha() else "") + rest)


def is_told(path: tuple[str, ...], text: str) -> bool:
    """Say whether a text is taken for a secret where it stands. path: the keys on the way to it."""
    if _formed(text):
        return True
    if len(path) < 2 or not text or "${{" in text or _PLACE.match(text) or _BRACKETED.fullmatch(text):
        return False
    section = path[-3] if len(path) > 2 and path[-1] in ("default", "value") else path[-2]
    name = _name(path)
    is_named = _NAMED.search(name) and not _VOCABULARY.search(name)
    return section in ("env", "with", "parameters", "configs") and bool(is_named)


def _name(path: tuple[str, ...]) -> str:
    """Return what a value is called: of a declaration, the name that is declared."""
    return path[-2] if path[-1] in ("default", "value") else path[-1]


def _told(loc: Loc, what: str) -> Finding:
    help_text = "take it out of the history too, and write `${{ secrets.NAME }}`; `pipec.yaml` says where it lies"
    return kinds.INLINED_SECRET.at(loc, f"{what} stands here for all to read", help=help_text)


def _placed(lines: list[str], loc: Loc, found: str) -> Loc:
    """Return the place of a part of a scalar, or the scalar's where it is written otherwise than it reads."""
    for number in range(loc.span.line, min(loc.span.end_line, len(lines)) + 1):
        start = loc.span.column - 1 if number == loc.span.line else 0
        if (at := lines[number - 1].find(found, start)) >= 0:
            return Loc(loc.path, Span(number, at + 1, number, at + 1 + len(found)))
    return loc
