"""What Airflow 3.1 and 2.11 do not call, or do not do, alike: said here once, for the one that `-O version` names.

The rest of the target writes for both, and asks here for words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipec.compiler.plan import Plan
from pipec.record import frozen
from pipec.targets.airflow.asked import MOMENT
from pipec.targets.airflow.source import Call, Keywords
from pipec.targets.base import Feature, Options, Refusal, Use
from pipec.targets.cluster import asks_person

_PROVIDERS = "airflow.providers"


@frozen(kw_only=True)
class Version:
    """How a version of Airflow says things.

    places: the modules that names are imported from, where other versions have them elsewhere. asset: what data that
    starts runs is called. moment: the expression for the time that a run is of. states: the one for how its tasks
    stand, by id; those that are mapped have their number behind a `_`. asks_run: whether the file's own class must find
    these out from the run itself. scheduled: what a DAG that starts by itself must be told beside its schedule.
    """

    places: Mapping[str, str]
    asset: str
    moment: str
    states: str
    asks_run: bool = False
    scheduled: Keywords = ()


_NEW = Version(
    places={
        "AirflowFailException": f"{_PROVIDERS}.common.compat.sdk",
        "AirflowSkipException": f"{_PROVIDERS}.common.compat.sdk",
        "ApprovalOperator": f"{_PROVIDERS}.standard.operators.hitl",
        "Asset": "airflow.sdk",
        "AssetAny": "airflow.sdk",
        "AssetOrTimeSchedule": "airflow.sdk",
        "BaseOperator": "airflow.sdk",
        "CronTriggerTimetable": "airflow.sdk",
        "DAG": "airflow.sdk",
        "MultipleCronTriggerTimetable": "airflow.sdk",
        "Param": "airflow.sdk",
        "TaskGroup": "airflow.sdk",
    },
    asset="Asset",
    moment=MOMENT,
    states="ti.get_task_states(ti.dag_id, run_ids=[run_id])[run_id]",
)
_OLD = Version(
    places={
        "AirflowFailException": "airflow.exceptions",
        "AirflowSkipException": "airflow.exceptions",
        "CronTriggerTimetable": "airflow.timetables.trigger",
        "DAG": "airflow.models.dag",
        "Dataset": "airflow.datasets",
        "DatasetAny": "airflow.datasets",
        "DatasetOrTimeSchedule": "airflow.timetables.datasets",
        "Param": "airflow.models.param",
        "TaskGroup": "airflow.utils.task_group",
        "utc_epoch": "airflow.utils.timezone",
    },
    asset="Dataset",
    # With `CronTriggerTimetable` the time of the schedule, by hand that of the start, and for data that of its event.
    moment="dag_run.logical_date",
    states="task.states(dag_run)",
    asks_run=True,
    # Airflow takes no schedule without a start. Nothing is made up for, so all that matters is that no run is older:
    # one of before it would have no tasks.
    scheduled=(("start_date", Call("utc_epoch")),),
)


def version(options: Options) -> Version:
    """Return how the Airflow that is compiled for says things."""
    return _OLD if options.values.get("version") == "2.11" else _NEW


def refuse_version(plan: Plan, options: Options) -> Iterator[Refusal]:
    """Yield what of a plan the Airflow that is compiled for has no word for."""
    if version(options) is _NEW:
        return
    newer = "compile with `-O version=3.1`"
    for number in range(len(plan.after)):
        use = Use(Feature.AFTER, None, ("triggers", str(number), "after"))
        yield Refusal(use, "airflow 2.11 cannot start a run after one of another pipeline", newer)
    for number, schedule in enumerate(plan.schedules):
        place = ("triggers", str(number), "schedule")
        if number:
            use = Use(Feature.SCHEDULE, None, place)
            yield Refusal(use, "airflow 2.11 gives a pipeline one schedule", f"write one `cron` for both, or {newer}")
        if schedule.catchup:
            use = Use(Feature.SCHEDULE, None, (*place, "catchup"))
            yield Refusal(
                use,
                "airflow 2.11 would make up for all runs since a day of the past, not for those missed since the first",
                f"write `catchup: false`, or {newer}",
            )
    for task in plan.tasks:
        if asks_person(task):
            yield Refusal(
                Use(Feature.APPROVAL, task.step, ("uses",)),
                "airflow asks people from version 3.1 on",
                f"{newer}, or write `mode: automatic`, which lets the gates before it decide",
            )
