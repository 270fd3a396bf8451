"""Adding a target is one module that builds a `Target`: here is one, whole."""

from __future__ import annotations

import plans

from pipec.compiler.plan import Plan
from pipec.targets.base import Feature, File, Options, Support, Target, refusals


def emit(plan: Plan, options: Options) -> tuple[File, ...]:
    rules = [f"{task.name}: {' '.join(need.task for need in task.needs)}".rstrip() + "\n" for task in plan.tasks]
    return (File(f"{plan.pipeline}.mk", "".join(rules)),)


TOY = Target(
    name="toy",
    features=dict.fromkeys((Feature.PARAMETERS, Feature.NEEDS, Feature.IMAGE), Support.EMITTED),
    settings={"type": "object", "additionalProperties": False},
    emit=emit,
)


def test_a_target_of_one_module_writes_its_files() -> None:
    assert TOY.emit(plans.short(), plans.options()) == (File("short.mk", "ingest:\ntrain: ingest\n"),)


def test_what_its_table_does_not_say_is_refused_at_its_place() -> None:
    found = [(str(r.use.feature), r.use.step, r.use.field) for r in refusals(TOY, plans.short(), plans.options())]
    assert found == [("retry", "ingest", ("retry",)), ("timeout", "train", ("timeout",))]


def test_a_refusal_names_the_target_and_what_it_can_say() -> None:
    first = next(refusals(TOY, plans.short(), plans.options()))
    assert first.message == "toy cannot say `retry` yet"
    assert first.help == "toy can say `image`, `needs`, `parameters`"
