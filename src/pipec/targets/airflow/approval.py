"""An approval: a task that shows what it is about, one in which a person decides, and the step, which seals the answer.

What the person saw and said reaches the step as text, through templates that Airflow renders. Knows no operator but
the person's.
"""

from __future__ import annotations

from pipec.compiler.plan import Plan, Task
from pipec.steps.command import DECISION_HALF, SUBJECT_HALF
from pipec.targets.airflow.docker import is_docker
from pipec.targets.airflow.source import NO_DOLLAR, Call, Source, jinja, seconds, templated
from pipec.targets.base import Options
from pipec.targets.cluster import approvers, wait_s
from pipec.values import Literal


def subject_id(task: Task) -> str:
    """Return the id of the task that finds out what an approval is about."""
    return task.name + SUBJECT_HALF


def decision_id(task: Task) -> str:
    """Return the id of the task in which a person decides."""
    return task.name + DECISION_HALF


def decision(task: Task, options: Options) -> str:
    """Return the template that turns a person's answer into the decision document that the step reads.

    It also says what the person was shown, so that the step seals nothing else. An answer that nobody gave is the
    default that Airflow takes when the time is up.
    """
    return (
        f"{{% set answer = ti.xcom_pull(task_ids={jinja(decision_id(task))}) %}}"
        f"{{% set user = answer.responded_by_user %}}"
        f"{{% set shown = {_shown(task)} %}}"
        '{"format_version": "1.0", '
        '"decision": "{{ "expired" if not user else "approve" if answer.chosen_options == ["Approve"] else "reject" }}"'
        f', "by": {{{{ ({_person(options)} if user else ""){NO_DOLLAR} }}}}, '
        '"at": {{ answer.responded_at | string | replace(" ", "T") | tojson }}, '
        '"subject": {{ shown.subject | tojson }}}'
    )


def _person(options: Options) -> str:
    """Return the expression for who answered: a person of the project by the environment's `users`.

    Without that table the user's own name counts. With it, whoever is not in it is told with the id, since anybody may
    call himself as an approver is called.
    """
    known = users(options)
    if not known:
        return "user.name"
    pairs = ", ".join(f"{jinja(number)}: {jinja(person)}" for person, number in known.items())
    return f'{{{pairs}}}.get(user.id) or user.name ~ " (airflow user " ~ user.id ~ ")"'


def _shown(task: Task) -> str:
    """Return the expression for what the subject task found."""
    return f"ti.xcom_pull(task_ids={jinja(subject_id(task))})"


def users(options: Options) -> dict[str, str]:
    """Return the ids of Airflow's users by person, sorted."""
    table = options.settings.get("users")
    return {str(person): str(number) for person, number in sorted(table.items())} if isinstance(table, dict) else {}


def human(plan: Plan, task: Task, options: Options) -> Call:
    """Return the task in which a person decides; it waits without a worker.

    No answer in time is a no, and never asks again. At least one retry: Airflow 3.3 can lose an answer given within a
    second of asking, and then asks again.
    """
    about = f"{plan.pipeline} ({plan.environment})" if plan.environment else plan.pipeline
    named = approvers(task)
    known = users(options)
    keywords: list[tuple[str, Source]] = [
        ("subject", templated(f"{task.name}: release of {about}")),
        ("body", _body(task, named)),
        ("defaults", "Reject"),
        ("response_timeout", seconds(wait_s(task))),
    ]
    assigned = [{"id": known[person], "name": person} for person in named if person in known]
    if assigned:
        keywords.append(("assigned_users", assigned))
    if is_docker(options):
        keywords.append(("do_xcom_push", True))  # which `default_args` takes from the others
    keywords += [("retries", max(1, task.retry.attempts - 1)), ("retry_delay", seconds(task.retry.backoff_s))]
    return Call("Decision", tuple(keywords))


def _body(task: Task, named: tuple[str, ...]) -> str:
    message = dict(task.parameters).get("message")
    asked = message.value if isinstance(message, Literal) and isinstance(message.value, str) else ""
    body = asked or task.description or "The steps before this one say what is released."
    said = f"{body}\n\nWho may decide: {', '.join(named)}." if named else body
    # Something fixed between: a text that ends in a brace must not open the template.
    return f"{templated(said)}\n\nWhat is approved:\n\n{{{{ {_shown(task)}.shown }}}}"
