"""What must hold of pipec's answer to a text, whatever the text says: shared by the tests and the soak."""

from __future__ import annotations

import ast
import gc
import hashlib
import json
import signal
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from mutate import Case

from pipec import api, report
from pipec.diagnostics import MAX_TEXT, Finding, Loc, Source
from pipec.schema import tree
from pipec.values import Json

PATIENCE_S = 2.0  # of CPU, for one text of a few KiB: other work on the machine must not count


class Hang(BaseException):
    """A text took too long; not an Exception, so that nothing in between takes it for a mistake of the text."""


@dataclass
class Verdict:
    """What came of a case. wrong: what must not be. told: codes of findings, `usage`, `compiled`. digest: of all."""

    wrong: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    digest: str = ""


def judge(asked: Case, folder: Path) -> Verdict:
    """Return what is wrong with pipec's answers to a case, each asked for twice.

    folder: holds what pipelines name; the case's files are written there.
    """
    path, verdict = _written(asked, folder), Verdict()
    answers = [_answer(asked, path, target, verdict) for target in (None, asked.target)]
    if answers != [_answer(asked, path, target, verdict) for target in (None, asked.target)]:
        verdict.wrong.add("the same text was answered twice and not alike")
    if asked.twin and "compiled" in verdict.told:
        verdict.wrong |= _changed_form(asked, path)
    verdict.digest = hashlib.sha256("\n".join(answers).encode()).hexdigest()
    return verdict


def judge_once(asked: Case, folder: Path) -> Verdict:
    """Return what is wrong with the answers of check and of both compiles: an input of the long walks."""
    path, verdict = _written(asked, folder), Verdict()
    for target in (None, *sorted(api.TARGETS)):
        _answer(asked, path, target, verdict)
    return verdict


class Walk:
    """Inputs judged one after another in one folder. told: how often each code was; failures are raised."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.n_inputs = 0
        self.told: Counter[str] = Counter()

    def judge(self, asked: Case) -> None:
        verdict = judge_once(asked, self.folder)
        self.n_inputs += 1
        self.told.update(verdict.told)
        assert verdict.wrong == set()


def _written(asked: Case, folder: Path) -> Path:
    (folder / "pipec.yaml").write_bytes(asked.project)
    (folder / "inner.yaml").write_bytes(asked.inner)
    path = folder / "p.yaml"
    path.write_bytes(asked.content)
    return path


def _changed_form(asked: Case, path: Path) -> set[str]:
    """Say whether texts of a pipeline became something else than texts in what was made of it."""
    forms = []
    for content in (asked.content, asked.twin):
        path.write_bytes(content)
        _, files = api.compile_(api.Request(path=path, environment=asked.environment, target=asked.target))
        forms.append([form(file.path, file.text) for file in files])
    return set() if forms[0] == forms[1] else {"a text changed the form of what was emitted"}


def form(name: str, text: str) -> str:
    """Return a file with each of its texts left out."""
    if not name.endswith(".py"):
        return json.dumps([_blank(tree.as_json(document)) for document in tree.read(Source(name, text))[0]])
    parsed = ast.parse(text)
    for node in ast.walk(parsed):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(parsed)


def _blank(body: Json) -> Json:
    match body:
        case dict():
            return {key: _blank(value) for key, value in body.items()}
        case list():
            return [_blank(value) for value in body]
        case _:
            return type(body).__name__


def _answer(asked: Case, path: Path, target: str | None, verdict: Verdict) -> str:
    """Check or compile once and return the whole answer as text."""
    options = asked.options if target == asked.target else {}
    request = api.Request(path=path, environment=asked.environment, sets=asked.sets, target=target, options=options)
    try:
        with _patience(), warnings.catch_warnings():
            warnings.simplefilter("error")  # the command line would print them
            checked, files = api.compile_(request) if target else (api.check(request), ())
            text = report.render(checked.report, "text") + report.render(checked.report, "json")
    except api.UsageError as fault:
        verdict.told.add("usage")
        verdict.wrong |= {"a fault of the call takes more than a line"} if "\n" in str(fault) else set()
        return str(fault)
    except Hang:
        verdict.wrong.add(f"no answer after {PATIENCE_S} s")
        return "hang"
    except Exception as fault:
        verdict.wrong.add(f"{type(fault).__name__}: {fault}"[:300])
        return "fault"
    verdict.told |= {finding.rule.code for finding in checked.report.findings} | ({"compiled"} if files else set())
    if target and checked.has_error == bool(files):
        verdict.wrong.add("there are errors, and files" if files else "there are neither errors nor files")
    for file in files:
        verdict.wrong |= _unreadable(file.path, file.text)
    verdict.wrong |= set(_misplaced(checked, path))
    return text.replace(path.parent.as_posix(), "") + "".join(file.path + file.text for file in files)


@contextmanager
def _patience() -> Iterator[None]:
    """Raise Hang after `PATIENCE_S` of this process's CPU time, in which no garbage is looked for: see `pipec.cli`."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGPROF, ring)
    gc.disable()
    signal.setitimer(signal.ITIMER_PROF, PATIENCE_S)
    try:
        yield
    finally:
        gc.enable()
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _unreadable(name: str, text: str) -> set[str]:
    """Say why an emitted file is not what its name promises."""
    try:
        if name.endswith(".py"):
            ast.parse(text)
        elif found := tree.read(Source(name, text))[1]:
            return {f"{name} is not YAML: {found[0].message}"}
    except (SyntaxError, ValueError) as fault:
        return {f"{name} is not Python: {fault}"}
    return set()


CODES = frozenset(rule.code for rule in api.explained())


def _misplaced(checked: api.Checked, path: Path) -> Iterator[str]:
    """Say which findings stand outside of the text they speak of, or are of no registered kind."""
    lines: dict[str, list[str]] = {}
    for finding in checked.report.findings:
        if finding.rule.code not in CODES:
            yield f"{finding.rule.code} is not registered"
        if "\n" in finding.message or len(finding.message) > MAX_TEXT or not finding.message:
            yield f"{finding.rule.code} says {finding.message[:100]!r}"
        for loc in _places_of(finding):
            if loc.path not in lines:
                there = Path(loc.path).is_relative_to(path.parent) and Path(loc.path).is_file()
                text = Path(loc.path).read_bytes().decode("utf-8", "replace") if there else ""
                lines[loc.path] = text.removeprefix("\ufeff").split("\n")
            if not _is_inside(loc, lines):
                yield f"{finding.rule.code} is placed at {loc.span} of {Path(loc.path).name}, outside of the text"


def _places_of(finding: Finding) -> list[Loc]:
    return [finding.loc, *(note.loc for note in finding.notes if note.loc)]


def _is_inside(loc: Loc, texts: Mapping[str, list[str]]) -> bool:
    span, lines = loc.span, texts.get(loc.path, [])
    if not 1 <= span.line <= span.end_line <= len(lines) or span[:2] > span[2:]:
        return False
    # One past the end of a line is a place, where something is missing; the end of a span is one further.
    ends = (span.column - 1 - len(lines[span.line - 1]), span.end_column - 2 - len(lines[span.end_line - 1]))
    return span.column >= 1 and max(ends) <= 0
