"""What a check makes of the answers for its findings: which were needed, and what is told beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipec.diagnostics import Finding, Ignored, Loc, ordered
from pipec.record import frozen
from pipec.schema import findings as kinds
from pipec.schema.ignore import Ignore, Ignores
from pipec.schema.model import Project
from pipec.stages import Unit


@frozen
class Answers:
    """What a file and its project answer for. own: of this file. used: the places of those that were needed.

    environments: others in which one could be needed. is_whole: every rule has judged every pipeline of the file.
    """

    own: tuple[Ignore, ...] = ()
    used: frozenset[Loc] = frozenset()
    environments: tuple[str, ...] = ()
    is_whole: bool = False


def gathered(
    said: Ignores,
    shown: str,
    n_documents: int,
    units: tuple[Unit, ...],
    project: Project,
    chosen: str,
    ignored: Iterable[Ignored],
) -> Answers:
    """Return what became of the answers for one file. chosen: the environment. ignored: what is, beside units."""
    names = {e.name for e in project.environments} | {name for u in units for name in u.pipeline.environments}
    return Answers(
        own=tuple(one for one in said.said if one.path == shown),
        used=frozenset(one.loc for one in [*ignored, *(one for unit in units for one in unit.ignored)]),
        environments=tuple(sorted({"", *names} - {chosen})),
        is_whole=len(units) == n_documents and all(unit.is_proven for unit in units),
    )


def undoubled(findings: list[Finding]) -> Iterator[Finding]:
    """Yield the findings, but no warning about how a value is read where that value is wrong anyway."""
    wrong = {finding.loc for finding in findings if finding.is_error}
    return (finding for finding in findings if finding.rule is not kinds.TWO_READINGS or finding.loc not in wrong)


def in_order(ignored: Iterable[Ignored]) -> tuple[Ignored, ...]:
    """Return what is ignored in the order of findings, each once."""
    by_finding = {one.finding: one for one in ignored}
    return tuple(by_finding[finding] for finding in ordered(by_finding))
