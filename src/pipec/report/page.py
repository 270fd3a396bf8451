"""A rule's page, in its parts, and as Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent

from pipec.diagnostics import Rule


@dataclass(frozen=True, slots=True)
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
