"""`PIPE410`, `PIPE413`, `PIPE414`, `PIPE416`, `PIPE418`: what starts runs by the clock, and what starts them twice."""

from __future__ import annotations

from collections.abc import Iterator

from pipec.compiler import cron, zone
from pipec.compiler.rule import Subject, rule
from pipec.condition import describe
from pipec.diagnostics import Finding, Loc, Note, Rule, Severity, guess
from pipec.digest import canonical
from pipec.schema.model import AfterUse, Pipeline, ScheduleUse
from pipec.schema.tree import as_json
from pipec.steps.interface import Role

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


@rule("PIPE410", "bad-cron")
def bad_cron(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A schedule is not a cron expression of five fields.

    Why: engines read more and other forms, each its own; five fields mean the same everywhere.

    Bad:
        triggers: [{schedule: {cron: "0 25 * * *"}}]

    Fix:
        triggers: [{schedule: {cron: "0 3 * * *"}}]
    """
    for schedule in subject.pipeline.schedules:
        if problem := cron.problem(schedule.cron):
            yield rule.at(schedule.loc, f"`{schedule.cron}` is not a schedule: {problem}",
                          help="the form is `minute hour day month weekday`, such as `0 3 * * 1`")  # fmt: skip


@rule("PIPE418", "unknown-timezone")
def unknown_timezone(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A schedule names a time zone that the IANA's list does not have.

    Why: an engine refuses the whole pipeline for it, after it was deployed, or takes UTC without a word.

    Bad:
        triggers: [{schedule: {cron: "0 3 * * 1", timezone: Europe/Wien}}]

    Fix:
        triggers: [{schedule: {cron: "0 3 * * 1", timezone: Europe/Vienna}}]
    """
    for schedule in subject.pipeline.schedules:
        if not zone.is_known(schedule.timezone):
            alike = (name for name in zone.names() if name.casefold() == schedule.timezone.casefold())
            near = next(alike, None) or guess(schedule.timezone, zone.names())
            advice = f"did you mean `{near}`?" if near else "write a name of the IANA's list, such as `Europe/Vienna`"
            yield rule.at(schedule.timezone_loc, f"there is no time zone `{schedule.timezone}`", help=advice)


@rule("PIPE413", "never-due")
def never_due(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A schedule names days that no month has.

    Why: it is well formed, so every engine takes it, and no run ever starts.

    Bad:
        triggers: [{schedule: {cron: "0 3 31 2,4 *"}}]

    Fix:
        triggers: [{schedule: {cron: "0 3 28 2,4 *"}}]
    """
    for schedule, moments in _schedules(subject.pipeline):
        if not moments.is_due:
            day, month = schedule.cron.split()[2:4]
            message = f"`{schedule.cron}` never comes: there is no day `{day}` in month `{month}`"
            yield rule.at(schedule.loc, message, help="name a day that the month has; up to 28 every month does")


@rule("PIPE414", "overlapping-runs", severity=Severity.WARNING)
def overlapping_runs(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A schedule starts a run before one step of the last has used up the time that it was given.

    Why: runs go on side by side, or wait in a line that grows. `concurrency` with `skip` or `cancel` says what becomes
    of one run too many. Steps that wait for a person are left out of account, and so is what `pipec.yaml` says for all.

    Bad:
        triggers: [{schedule: {cron: "*/30 * * * *"}}]
        steps: {train: {uses: train, timeout: 2h, with: {data: s3://wine/rows.parquet, target: quality}}}

    Fix:
        triggers: [{schedule: {cron: "0 */3 * * *"}}]
    """
    maximum, on_conflict = subject.pipeline.concurrency or (1, "queue")
    slowest = _slowest(subject) if on_conflict == "queue" else None
    for schedule, moments in _schedules(subject.pipeline) if slowest else ():
        assert slowest is not None
        step, timeout_s, loc = slowest
        gap = moments.shortest_gap() if moments.is_due else None
        if gap and timeout_s > gap * 60 * maximum:
            message = f"a run may start {_span(gap * 60)} after another, and `{step}` alone may take {_span(timeout_s)}"
            help_text = "run it less often, shorten the `timeout`, or say `concurrency: {max: 1, on_conflict: skip}`"
            yield rule.at(schedule.loc, message, help=help_text, notes=[Note("the timeout is said here", loc)])


def _slowest(subject: Subject) -> tuple[str, int, Loc] | None:
    """Return the step to which the document gives the most time for an attempt, that time, and where it says so."""
    timed = [
        (timeout_s, use)
        for use in subject.pipeline.steps
        if use.name not in subject.composite
        and (interface := subject.graph.interfaces.get(use.name))
        and interface.role is not Role.APPROVE
        and (timeout_s := use.timeout_s or use.defaults.timeout_s)
    ]
    if not timed:
        return None
    timeout_s, use = max(timed, key=lambda each: each[0])
    own = ("finally" if use.is_final else "steps", use.name, "timeout")
    return use.name, timeout_s, subject.pipeline.locate(*(own if use.timeout_s else ("defaults", "timeout")))


def _span(seconds: int) -> str:
    """Return a duration as the language writes it."""
    unit, size = next((unit, size) for unit, size in _UNITS if seconds % size == 0)
    return f"{seconds // size}{unit}"


def _schedules(pipeline: Pipeline) -> Iterator[tuple[ScheduleUse, cron.Cron]]:
    """Yield the schedules that can be read."""
    for schedule in pipeline.schedules:
        if cron.problem(schedule.cron) is None:
            yield schedule, cron.parsed(schedule.cron)


@rule("PIPE416", "repeated-trigger", severity=Severity.WARNING)
def repeated_trigger(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Two triggers of a pipeline start a run at the same moment for the same reason.

    Why: the same work is done twice, side by side.

    Bad:
        triggers: [{schedule: {cron: "0 3 * * 1"}}, {schedule: {cron: "0 3 * * mon"}}]

    Fix:
        triggers: [{schedule: {cron: "0 3 * * 1"}}]
    """
    first: dict[object, Loc] = {}
    for key, loc in _triggers(subject.pipeline):
        if key in first:
            yield rule.at(loc, "this trigger stands here already", help="remove one of the two",
                          notes=[Note("the other", first[key])])  # fmt: skip
        first.setdefault(key, loc)


def _triggers(pipeline: Pipeline) -> Iterator[tuple[object, Loc]]:
    """Yield what tells each trigger from others that start the same runs, and its place."""
    for schedule, moments in _schedules(pipeline):
        yield (moments, schedule.timezone), schedule.loc
    for use in pipeline.after:
        yield _told_by(use), use.loc
    for uri, loc in pipeline.data:
        yield ("data", uri), loc


def _told_by(use: AfterUse) -> str:
    """Return what tells a trigger by another run from others; one that rests longer is no other."""
    given = {argument.name: as_json(argument.node) for argument in use.parameters}
    when = describe(use.when.asks) if use.when and use.when.asks else None
    return canonical([use.pipeline, use.step, use.outcome, when, given])
