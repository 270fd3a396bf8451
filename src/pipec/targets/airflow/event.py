"""Triggers `after`, as events of assets: what the end of one pipeline tells Airflow, and what starts runs of another.

Either file is made without the other, so that only what both are made of may be in an asset's name. Knows no skeleton.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from pipec.compiler.plan import After, Plan, Task
from pipec.condition import AllOf, AnyOf, Condition, Not, Status, named, statuses
from pipec.record import frozen
from pipec.targets.airflow.asked import COMPARABLE, MOMENT, PARAMS, can_say, can_tell, expression, told
from pipec.targets.airflow.flow import Flow, last
from pipec.targets.airflow.group import names
from pipec.targets.airflow.name import free
from pipec.targets.airflow.source import Call, Source
from pipec.targets.base import Feature, Options, Refusal, Use
from pipec.targets.ends import seen
from pipec.values import EachRef, ListOf, ObjectOf, OutputRef, Reference, Text, Value, references
from pipec.verdict import FAILED, SKIPPED, SUCCEEDED

GIVEN = "given"  # the skeleton's function that says a run's parameters where an event may have given some


@frozen(kw_only=True)
class Event:
    """A task that tells of an event. call: its operator, without the id. after: the tasks that it is placed behind."""

    call: Call
    after: tuple[str, ...]


def asset(listener: str, number: int, after: After) -> str:
    """Return the asset of which an event starts a run. number: of the trigger among those `after` of its pipeline."""
    return f"pipec://{after.pipeline}/{after.step or 'run'}/{listener}-{number}"


def heard(plan: Plan) -> tuple[str, ...]:
    """Return the assets that start a plan's runs when those of other pipelines have ended."""
    return tuple(asset(plan.pipeline, number, after) for number, after in enumerate(plan.after, 1))


def run_parameters(plan: Plan) -> str:
    """Return the expression for the parameters of a plan's run."""
    return f"{GIVEN}({PARAMS}, triggering_asset_events)" if takes_parameters(plan) else PARAMS


def takes_parameters(plan: Plan) -> bool:
    """Say whether an event may give a run parameters."""
    return any(after.parameters for after in plan.after)


def _told(plan: Plan, options: Options) -> Iterator[tuple[str, int, After]]:
    """Yield the triggers that ask about runs of a plan, with their pipelines, and their numbers there."""
    for listener, triggers in options.listeners.items():
        for number, after in enumerate(triggers, 1):
            if after.pipeline == plan.pipeline:
                yield listener, number, after


def read(plan: Plan, options: Options) -> frozenset[str]:
    """Return the tasks of which events need small outputs."""
    asked = (ref for _, _, after in _told(plan, options) for ref in _references(after))
    return frozenset(ref.task for ref in asked if isinstance(ref, OutputRef))


def events(
    plan: Plan, options: Options, moves: Flow, parts: Mapping[str, Sequence[str]], closing: Sequence[str]
) -> dict[str, Event]:
    """Return what tells of events behind the tasks of a plan, by ids that no other task has.

    parts: the ids of Airflow's tasks that each became. closing: those behind all others. What is about the end of a run
    is placed behind all of them.
    """
    known = {task.name: task for task in plan.tasks}
    found: dict[str, Event] = {}
    for listener, number, after in _told(plan, options):
        behind = _asked(after, plan) if after.step else frozenset(last(plan.tasks, moves.rules))
        taken = {*closing, *found, *names(plan.tasks), *(one for ids in parts.values() for one in ids)}
        found[free(f"start-{listener}-{number}", taken)] = Event(
            call=Call("Event", tuple(_keywords(after, asset(listener, number, after), known, parts))),
            after=(*(name for name in known if name in behind), *(() if after.step else closing)),
        )
    return found


def event_words(plan: Plan, options: Options) -> dict[str, bool]:
    """Return what the skeleton asks: which parts of a file events need."""
    triggers = [after for _, _, after in _told(plan, options)]
    values = [value for after in triggers for _, value in after.parameters]
    return {
        "events": bool(triggers),
        "hands": bool(values),
        "texts": any(_has_text(value) for value in values),
        "cools": any(after.cooldown_s for after in triggers),
        "given": takes_parameters(plan),
    }


def _asked(after: After, plan: Plan) -> Set[str]:
    """Return the tasks that must have ended for a trigger about a step to be answered."""
    found = {task.name for task in _of(after.step, plan.tasks)}
    found |= {status.task for status in statuses(after.when)} if after.when else set()
    return found | {ref.task for ref in _references(after) if isinstance(ref, OutputRef | EachRef)}


def _of(step: str, tasks: Iterable[Task]) -> list[Task]:
    """Return the tasks that a step became; what is inside of it counts to it."""
    return [task for task in tasks if task.step.partition(".")[0] == step]


def _references(after: After) -> Iterator[Reference]:
    for _, value in after.parameters:
        yield from references(value)
    if after.when:
        yield from named(after.when)


def _keywords(
    after: After, name: str, known: Mapping[str, Task], parts: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, Source]]:
    if after.outcome != "any":
        yield "ended", "{{ " + expression(_ended(after, known, parts), MOMENT) + " }}"
        yield "otherwise", f"{f'`{after.step}`' if after.step else 'the run'} {_OTHERWISE[after.outcome]}"
    if after.when:
        yield "when", "{{ " + expression(seen(after.when, known), MOMENT) + " }}"
    if after.parameters:
        yield "parameters", {key: told(value) for key, value in after.parameters}
    if after.cooldown_s:
        yield "cooldown_s", after.cooldown_s
        yield "inlets", [Call("Asset", plain=(name,))]
    yield "outlets", [Call("Asset", plain=(name,))]


_OTHERWISE = {SUCCEEDED: "has not succeeded", SKIPPED: "was not skipped"}


def _ended(after: After, known: Mapping[str, Task], parts: Mapping[str, Sequence[str]]) -> Condition:
    """Return what the ends of tasks must be for a run, or a step, to have ended as a trigger wants it.

    A step of one task stands as that does, and one of several as the gravest of them, where a failure that is forgiven
    looks like a skip. A part of a task that failed makes Airflow skip what comes behind it in the same task.
    """
    tasks = _of(after.step, known.values()) if after.step else list(known.values())
    is_one = [task.name for task in tasks] == [after.step]
    ids = [part for task in tasks if is_one or not task.continue_on_error for part in parts[task.name]]
    unbroken = [Not(Status(FAILED, one)) for one in ids if not is_one or one != after.step]
    if not after.step:
        return AllOf(tuple(unbroken))
    if is_one:
        stands = Status(after.outcome, after.step)
        return AllOf((*unbroken, stands)) if unbroken else stands
    some = AnyOf(tuple(Status(SUCCEEDED, task.name) for task in tasks))
    return AllOf((*unbroken, some if after.outcome == SUCCEEDED else Not(some)))


def _has_text(value: Value) -> bool:
    match value:
        case Text():
            return True
        case ListOf(items):
            return any(_has_text(item) for item in items)
        case ObjectOf(fields):
            return any(_has_text(item) for _, item in fields)
        case _:
            return False


def refuse_after(plan: Plan) -> Iterator[Refusal]:
    """Yield what of a plan's triggers `after` no task of Airflow can find out."""
    for parameter in plan.parameters:
        if plan.after and parameter.is_required and not plan.schedules:  # of schedules, all targets say so
            lacking = next((each.pipeline for each in plan.after if parameter.name not in dict(each.parameters)), "")
            said = f"nobody gives `{parameter.name}` a value when `{lacking}` starts a run"
            if not lacking:
                said = f"airflow wants a default of `{parameter.name}` before it hears what a trigger gives"
            yield Refusal(Use(Feature.AFTER, None, ("parameters", parameter.name)), said, "give it a default")
    for number, after in enumerate(plan.after):
        place = ("triggers", str(number), "after")
        if after.outcome in (FAILED, "refused"):
            yield Refusal(
                Use(Feature.AFTER, None, (*place, "outcome")),
                f"airflow's workers cannot tell a refusal from a failure, and `{after.outcome}` is one of them",
                f"write `outcome: any` with `when: failed({after.step or '<step>'})`, which holds for both",
            )
        if after.outcome == SKIPPED and not after.step:
            use = Use(Feature.AFTER, None, (*place, "outcome"))
            yield Refusal(use, "a run that did not start tells airflow nothing", "ask for the end of a `step`")
        if after.when and not can_say(after.when):
            yield Refusal(
                Use(Feature.AFTER, None, (*place, "when")),
                "airflow's workers cannot answer this condition",
                COMPARABLE,
            )
        for name, value in after.parameters:
            if not can_tell(value):
                use = Use(Feature.AFTER, None, (*place, "parameters", name))
                yield Refusal(
                    use, f"airflow's workers cannot find out `{name}`", "give a parameter, a small output or `run.id`"
                )
