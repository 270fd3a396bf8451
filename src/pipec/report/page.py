"""A rule's page, in its parts, and as Markdown; and all pages as one document, with what they assume of devices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import dedent

from pipec.diagnostics import Ignorable, Rule
from pipec.record import frozen

# By the first digit behind `PIPE`.
_TOPICS = {
    "0": "Text", "1": "Shape", "2": "Names and graph", "3": "Wiring, types and conditions",
    "4": "Resources and triggers", "5": "Delivery safety and data flow", "6": "Targets",
}  # fmt: skip
_IGNORED = {
    Ignorable.NOWHERE: "",
    Ignorable.LINE: "# pipec: ignore[{code}] why this is right here",
    Ignorable.PROJECT: "# pipec.yaml\nignore: [{{code: {code}, path: pipelines/NAME.yaml, step: STEP, reason: why}}]",
}
_HEAD = """\
# Findings

Every kind of finding that `pipec check` and `pipec compile` tell, by code. This page is made from the rules themselves:
`pipec explain CODE` prints the same. An error keeps a pipeline from being compiled and run; a warning does so with
`--strict`. What may be ignored, and where, stands at each.
"""
_DEVICES = """
## Known devices

What PIPE409 assumes of a model of accelerator: its kind, its maker, and the memory of one device; of a model that is
sold with several sizes, the largest. Upper case counts as lower case. A model that is not listed is taken as it is
said.

| kind | vendor | model | memory |
|---|---|---|---|"""


@frozen
class Page:
    """What `pipec explain` prints, in its parts. bad, fix: examples, without the indent they have on the page."""

    summary: str
    why: str
    bad: str
    fix: str


def page(rule: Rule) -> Page:
    """Return the parts of a rule's page; those that it lacks are empty."""
    rest, _, fix = rule.doc.strip().partition("\nFix:\n")
    rest, _, bad = rest.partition("\nBad:\n")
    summary, _, why = rest.partition("\nWhy: ")
    return Page(summary.strip(), why.strip(), dedent(bad).strip("\n"), dedent(fix).strip("\n"))


def markdown(rule: Rule) -> str:
    """Return a rule's page as Markdown, without a heading."""
    parts = page(rule)
    told = [parts.summary, f"**Why:** {parts.why}" if parts.why else ""]
    shown = [
        f"**{title}:**\n\n```yaml\n{body}\n```" for title, body in (("Bad", parts.bad), ("Fix", parts.fix)) if body
    ]
    return "\n\n".join(filter(None, (*told, *shown)))


def how_to_ignore(rule: Rule) -> str:
    """Return what to write to answer for a finding of this kind; empty where nobody can."""
    return _IGNORED[rule.ignorable].format(code=rule.code)


def document(rules: Iterable[Rule], devices: Iterable[tuple[str, str, str, int]]) -> str:
    """Return the pages of all rules as one Markdown document, in the order of their codes, and what they assume.

    devices: kind, vendor, model and GiB of memory of each.
    """
    lines = _lines(sorted(rules, key=lambda rule: rule.code))
    rows = (f"| {kind} | {vendor} | `{model}` | {gib}Gi |" for kind, vendor, model, gib in devices)
    return "\n".join([*lines, _DEVICES, *rows]) + "\n"


def _lines(rules: list[Rule]) -> Iterator[str]:
    yield _HEAD
    for digit, topic in _TOPICS.items():
        listed = [rule for rule in rules if rule.code[4] == digit]
        yield f"- {topic}: {' · '.join(f'[{rule.code}](#{_anchor(rule)}) {rule.name}' for rule in listed)}"
    for digit, topic in _TOPICS.items():
        yield f"\n## {topic}"
        for rule in rules:
            if rule.code[4] == digit:
                yield f"\n### {rule.code} {rule.name}\n"
                yield f"*{rule.severity}*\n\n{markdown(rule)}"
                if how := how_to_ignore(rule):
                    yield f"\n**Ignore:**\n\n```yaml\n{how}\n```"


def _anchor(rule: Rule) -> str:
    """Return what a heading of this rule is linked by."""
    return f"{rule.code} {rule.name}".lower().replace(" ", "-")
