"""What somebody answered for: comments on a line, and the list in the project's file.

    with: {hidden: [8]}   # pipec: ignore[PIPE401] the pool is shared with the GPU jobs

The rules know no exceptions, and the stages stop at errors: what is answered for is sifted out between them.
"""

from __future__ import annotations

import posixpath
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Mapping as Map

from pipec.diagnostics import Finding, Ignorable, Ignored, Loc, Rule, Source, Span, guess
from pipec.record import frozen
from pipec.schema import findings as kinds
from pipec.schema.model import Pipeline
from pipec.schema.tree import Entry, Mapping, Scalar, Sequence, comments

_COMMENT = re.compile(r"#[ \t]*pipec:[ \t]*ignore\b[ \t]*(?P<codes>\[[^\]\n]*\])?(?P<reason>[^\r\n]*)")
_CODE = re.compile(r"[^\s,\[\]]+")
FORM = "# pipec: ignore[CODE] why this is right"


@frozen
class Ignore:
    """An answer for the findings of one code. path: of their file, as messages call it.

    line: theirs, where it is a comment that says so. step: theirs, where it is the project that does; empty: any.
    """

    code: str
    reason: str
    loc: Loc
    path: str
    line: int | None = None
    step: str = ""


def of_text(source: Source) -> tuple[tuple[Ignore, ...], tuple[Finding, ...]]:
    """Return what the comments of a readable text ignore, and what is wrong with them."""
    found: list[Finding] = []
    ignores: list[Ignore] = []
    lines: list[str] = []
    for match, loc in comments(source, _COMMENT):
        lines = lines or source.text.split("\n")
        codes = list(_codes(match, loc))
        if not codes:
            found.append(kinds.BAD_IGNORE.at(loc, "this does not say which findings to ignore", help=FORM))
        reason = match["reason"].strip()
        if codes and not reason:
            message = f"nobody says why {_listed(codes)} may be ignored here"
            found.append(
                kinds.BAD_IGNORE.at(
                    loc, message, help=f"write `{FORM.replace('CODE', ', '.join(code for code, _ in codes))}`"
                )
            )
        line = _about(lines, loc.span.line)
        ignores += [Ignore(code, reason, at, source.path, line) for code, at in codes]
    return tuple(ignores), tuple(found)


def of_project(document: Mapping, shown: Callable[[str], str]) -> Iterator[Ignore]:
    """Yield what a checked project ignores. shown: what messages call a path relative to the root."""
    listed = document.get("ignore")
    for item in listed.items if isinstance(listed, Sequence) else ():
        said = {entry.key: entry for entry in item.entries} if isinstance(item, Mapping) else {}
        path = shown(posixpath.normpath(_text(said.get("path"))))
        code = said["code"].value.loc
        yield Ignore(_text(said.get("code")), _text(said.get("reason")), code, path, None, _text(said.get("step")))


def _text(entry: Entry | None) -> str:
    return str(entry.value.value) if entry and isinstance(entry.value, Scalar) else ""


def _codes(match: re.Match[str], loc: Loc) -> Iterator[tuple[str, Loc]]:
    for code in _CODE.finditer(match["codes"] or ""):
        column = loc.span.column + match.start("codes") - match.start() + code.start()
        yield code[0], Loc(loc.path, Span(loc.span.line, column, loc.span.line, column + len(code[0])))


def _listed(codes: list[tuple[str, Loc]]) -> str:
    return ", ".join(f"`{code}`" for code, _ in codes)


def _about(lines: list[str], line: int) -> int:
    """Return the line that a comment speaks of: its own, or where it stands alone the next one that says something."""
    if not lines[line - 1].removeprefix("\ufeff").lstrip().startswith("#"):
        return line
    for number in range(line, len(lines)):
        if (text := lines[number].strip()) and not text.startswith("#"):
            return number + 1
    return line


class Ignores:
    """The answers that count for a file, and for the files that its steps use."""

    def __init__(self, said: Iterable[Ignore] = ()) -> None:
        self.said = tuple(said)
        self._on_lines = {(one.path, one.code, one.line): one for one in reversed(self.said) if one.line is not None}
        self._of_project: dict[tuple[str, str], dict[str, Ignore]] = {}
        for one in self.said:
            if one.line is None:
                self._of_project.setdefault((one.path, one.code), {}).setdefault(one.step, one)

    def sift(self, findings: Iterable[Finding], pipelines: Iterable[Pipeline]) -> tuple[list[Finding], list[Ignored]]:
        """Return the findings that remain, and those that are answered for. pipelines: in whose steps they may lie."""
        if not self.said:
            return list(findings), []
        kept: list[Finding] = []
        answered: list[Ignored] = []
        steps: Map[str, list[_Stretch]] | None = None
        for finding in findings:
            by = self._on_lines.get((finding.loc.path, finding.rule.code, finding.loc.span.line))
            listed = self._of_project.get((finding.loc.path, finding.rule.code))
            if by is None and listed:
                steps = _stretches(pipelines) if steps is None else steps
                by = listed.get(_around(steps, finding.loc)) or listed.get("")
            if by is None or not _may(by, finding.rule):
                kept.append(finding)
            else:
                answered.append(Ignored(finding, by.reason, by.loc))
        return kept, answered


_Stretch = tuple[tuple[int, int], tuple[int, int], str]  # from where to where the text of a step goes


def _stretches(pipelines: Iterable[Pipeline]) -> dict[str, list[_Stretch]]:
    """Return where the steps of each file stand, in order, those included that an environment speaks of."""
    found: dict[str, list[_Stretch]] = {}
    for pipeline in pipelines:
        document = pipeline.document
        sections = [document.get("steps"), document.get("finally")]
        environments = document.get("environments")
        for entry in environments.entries if isinstance(environments, Mapping) else ():
            sections.append(entry.value.get("steps") if isinstance(entry.value, Mapping) else None)
        for section in sections:
            for entry in section.entries if isinstance(section, Mapping) else ():
                stretch = (entry.key_loc.span[:2], entry.value.loc.span[2:], entry.key)
                found.setdefault(entry.key_loc.path, []).append(stretch)
    return {path: sorted(stretches) for path, stretches in found.items()}


def _around(steps: Map[str, list[_Stretch]], loc: Loc) -> str:
    """Return the step in whose text a place lies, or an empty text."""
    listed = steps.get(loc.path, [])
    at = bisect_right(listed, loc.span[:2], key=lambda stretch: stretch[0])
    return listed[at - 1][2] if at and loc.span[:2] < listed[at - 1][1] else ""


def problems(said: Iterable[Ignore], rules: Map[str, Rule]) -> Iterator[Finding]:
    """Yield what is wrong with answers as such: a code that nothing has, or one that may not be ignored there."""
    for one in said:
        rule = rules.get(one.code)
        if rule is None:
            close = guess(one.code, rules)
            advice = f"did you mean `{close}`?" if close else "`pipec explain` lists all"
            yield kinds.BAD_IGNORE.at(one.loc, f"there is no finding `{one.code}`", help=advice)
        elif rule.ignorable is Ignorable.NOWHERE:
            message = f"`{one.code}` ({rule.name}) cannot be ignored: nothing could be made of the pipeline with it"
            yield kinds.UNIGNORABLE.at(one.loc, message, help=f"mend it: `pipec explain {one.code}`")
        elif not _may(one, rule):
            message = f"`{one.code}` ({rule.name}) is about the safety of a release, which the project answers for"
            yield kinds.UNIGNORABLE.at(
                one.loc,
                message,
                help="put this under `ignore:` in `pipec.yaml`: "
                f"`- {{code: {one.code}, path: {one.path}, step: STEP, reason: ...}}`",
            )


def unused(said: Iterable[Ignore], used: Iterable[Loc], rules: Map[str, Rule]) -> Iterator[Finding]:
    """Yield the answers that no finding needed. used: the places of those that were needed."""
    needed = set(used)
    for one in said:
        if one.loc not in needed and (rule := rules.get(one.code)) and _may(one, rule):
            where = "on this line" if one.line is not None else f"in `{one.path}`"
            step = f", step `{one.step}`" if one.step else ""
            message = f"there is no `{one.code}` ({rule.name}) {where}{step} that could be ignored"
            yield kinds.UNUSED_IGNORE.at(one.loc, message, help="remove it")


def _may(one: Ignore, rule: Rule) -> bool:
    """Say whether an answer may be given where it stands."""
    match rule.ignorable:
        case Ignorable.NOWHERE:
            return False
        case Ignorable.LINE:
            return True
        case Ignorable.PROJECT:
            return one.line is None and bool(one.step)
