"""Reports of every kind that the forms of findings must bear, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipec.diagnostics import STDIN, Ignored, Loc, Note, Report, Rule, Severity, Source, Span

PAGE = "A step waits for itself.\n\nWhy: it would never start.\n\nBad:\n    needs: [a]\n\nFix:\n    needs: []\n"
ERROR = Rule("PIPE901", "self-wait", PAGE)
WARNING = Rule("PIPE902", "idle-step", PAGE, Severity.WARNING)
SECRET = Rule("PIPE903", "open-secret", PAGE, hides=True)
TEXT = "steps:\n  a: {needs: [a]}\n"
# Whatever ends a command, a line, an attribute or a document somewhere, and what no document may hold.
HOSTILE = (
    '\n::error::x %0A ]]> <!ENTITY a "&"> &lt; '
    "\x1b[31m \x00 \x7f \x85 \u2028 \u202e \ufffe ##[add-mask]a \U0001f600 [a](http://b)"
)


@dataclass(frozen=True, slots=True)
class Sample:
    """A report, and whether warnings count as errors in it."""

    report: Report
    strict: bool = False


def finding(rule: Rule, line: int, message: str = "`a` waits for itself", path: str = "p.yaml", help: str = ""):  # noqa: A002
    return rule.at(Loc(path, Span(line, 3, line, 4)), message, help=help)


def many(n_errors: int, n_warnings: int) -> Report:
    rules = [ERROR] * n_errors + [WARNING] * n_warnings
    text = "  a: 1\n" * len(rules)
    return Report(tuple(finding(rule, n, f"line {n}") for n, rule in enumerate(rules, 1)), (Source("p.yaml", text),))


def with_notes() -> Report:
    notes = (Note("`a` needs it", Loc("q.yaml", Span(7, 1, 9, 5))), Note("without `--env`"))
    found = ERROR.at(Loc("p.yaml", Span(2, 6, 3, 1)), "`a` waits for itself", help="write `needs: []`", notes=notes)
    return Report((found,), (Source("p.yaml", TEXT), Source("q.yaml", "")))


def ignored() -> Report:
    here = Ignored(finding(WARNING, 2), "it is a sketch", Loc("p.yaml", Span(2, 20, 2, 30)))
    there = Ignored(finding(ERROR, 1), HOSTILE, Loc("pipec.yaml", Span(4, 5, 4, 9)))
    return Report((finding(ERROR, 2),), (Source("p.yaml", TEXT),), (here, there))


def hostile(path: str) -> Report:
    note = Note(HOSTILE, Loc(path, Span(1, 1, 1, 1)))
    rules = [Rule("PIPE901", "self-wait", PAGE)] * 12
    found = [
        rule.at(Loc(path, Span(n, 1, n, 3)), f"{n} {HOSTILE}", help=HOSTILE, notes=[note])
        for n, rule in enumerate(rules, 1)
    ]
    return Report(tuple(found), (Source(path, HOSTILE.replace("\n", " ") + "\n" + "]]>\r\n" * 12),))


def hidden() -> Report:
    text = "env: {TOKEN: hunter2, USER: hunter2}\nkey: |\n  hunter2\n"
    spans = [Span(1, 14, 1, 21), Span(1, 29, 1, 36), Span(2, 6, 4, 1)]
    found = [SECRET.at(Loc("p.yaml", span), "a secret stands here") for span in spans]
    other = [finding(ERROR, 1), finding(ERROR, 3)]
    return Report(tuple(sorted((*found, *other), key=lambda one: one.loc)), (Source("p.yaml", text),))


SAMPLES: Mapping[str, Sample] = {
    "nothing": Sample(Report(sources=(Source("p.yaml", TEXT), Source("pipec.yaml", "")))),
    "one-error": Sample(Report((finding(ERROR, 2, help="write `needs: []`"),), (Source("p.yaml", TEXT),))),
    "notes": Sample(with_notes()),
    "warnings": Sample(many(0, 3)),
    "strict": Sample(many(1, 3), strict=True),
    "forty": Sample(many(30, 10)),
    "forty-strict": Sample(many(30, 10), strict=True),
    "hostile": Sample(hostile(f"a\n::warning::{HOSTILE}.yaml")),
    "no-utf-8": Sample(Report((finding(ERROR, 1, path="a\udcff.yaml"),))),
    "absolute": Sample(Report((finding(ERROR, 1, path="/tmp/ä b.yaml"),))),
    "stdin": Sample(Report((finding(ERROR, 2, path=STDIN),), (Source(STDIN, TEXT),))),
    "ignored": Sample(ignored()),
    "ignored-strict": Sample(ignored(), strict=True),
    "hidden": Sample(hidden()),
}
