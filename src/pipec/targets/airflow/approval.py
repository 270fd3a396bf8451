"""An approval: the task in which a person decides, and how the step behind it learns the answer, which it seals."""

from __future__ import annotations

from pipec.compiler.plan import Plan, Task
from pipec.targets.airflow.source import NO_DOLLAR, Call, Source, jinja, seconds, templated
from pipec.targets.base import Options
from pipec.targets.cluster import approvers, wait_s
from pipec.values import Literal


def decision_id(task: Task) -> str:
    """Return the id of the human half of an approval."""
    return f"{task.name}-decision"


def decision(task: Task, options: Options) -> str:
    """Return the template that turns a person's answer into the decision document that the step reads.

    An Airflow user is a person of the project by the environment's `users`. Without that table, or where anyone may
    decide, the user's own name counts; else an unknown user is nobody, and the step refuses.
    """
    answer = f"ti.xcom_pull(task_ids={jinja(decision_id(task))})"
    known = users(options)
    if known:
        pairs = ", ".join(f"{jinja(number)}: {jinja(person)}" for person, number in known.items())
        otherwise = '""' if approvers(task) else "answer.responded_by_user.name"
        person = f"{{{pairs}}}.get(answer.responded_by_user.id, {otherwise})"
    else:
        person = "answer.responded_by_user.name"
    return (
        f"{{% set answer = {answer} %}}"
        '{"format_version": "1.0", '
        '"decision": "{{ "approve" if answer.chosen_options == ["Approve"] else "reject" }}", '
        f'"by": {{{{ {person}{NO_DOLLAR} }}}}, '
        '"at": {{ answer.responded_at | string | replace(" ", "T") | tojson }}}'
    )


def users(options: Options) -> dict[str, str]:
    """Return the ids of Airflow's users by person, sorted."""
    table = options.settings.get("users")
    return {str(person): str(number) for person, number in sorted(table.items())} if isinstance(table, dict) else {}


def human(plan: Plan, task: Task, options: Options) -> Call:
    """Return the task in which a person decides; it waits without a worker and skips the rest at a no.

    At least one retry: Airflow 3.3 can lose an answer given within a second of asking, and then asks again.
    """
    about = f"{plan.pipeline} ({plan.environment})" if plan.environment else plan.pipeline
    named = approvers(task)
    message = dict(task.parameters).get("message")
    asked = message.value if isinstance(message, Literal) and isinstance(message.value, str) else ""
    body = asked or task.description or "The steps before this one say what is released."
    known = users(options)
    keywords: list[tuple[str, Source]] = [
        ("subject", templated(f"{task.name}: release of {about}")),
        ("body", templated(f"{body}\n\nWho may decide: {', '.join(named)}." if named else body)),
        ("response_timeout", seconds(wait_s(task))),
    ]
    assigned = [{"id": known[person], "name": person} for person in named if person in known]
    if assigned:
        keywords.append(("assigned_users", assigned))
    keywords += [("retries", max(1, task.retry.attempts - 1)), ("retry_delay", seconds(task.retry.backoff_s))]
    return Call("ApprovalOperator", tuple(keywords))
