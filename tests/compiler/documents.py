"""Documents for tests of the compiler: written to a folder, checked, and looked at as values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pipec import api
from pipec.compiler.plan import Plan, Task

HEAD = "apiVersion: pipec/v1alpha1\nkind: Pipeline\nmetadata: {name: %s}\n"
PROJECT = "apiVersion: pipec/v1alpha1\nkind: Project\nmetadata: {name: p}\nenvironments: {dev: {}, prod: {}}\n"
STEP = 'apiVersion: pipec/v1alpha1\nkind: Step\nmetadata: {name: %s, version: "1"}\n'
# A step that reads and writes values of every kind.
MIX = (
    STEP % "mix"
    + """inputs: {one: {type: Dataset, optional: true}, many: {type: Dataset, many: true, optional: true}}
parameters:
  n: {type: number, default: 0}
  text: {type: string, default: ""}
  list: {type: list, default: []}
  flag: {type: boolean, default: false}
outputs: {data: {type: Dataset}, n: {type: integer}, text: {type: string}, list: {type: list}, ok: {type: boolean}}
command: [mix]
args:
  - ["${{ inputs.one }}"]
  - ["${{ inputs.many }}"]
  - "${{ outputs.data }} ${{ outputs.n }} ${{ outputs.text }} ${{ outputs.list }} ${{ outputs.ok }}"
"""
)
# A step that cannot do without what it reads.
NEED = (
    STEP % "need"
    + """inputs: {one: {type: Dataset}, more: {type: Dataset, many: true, optional: true}}
outputs: {data: {type: Dataset}}
command: [need]
args: ["${{ inputs.one }}", ["${{ inputs.more }}"], "${{ outputs.data }}"]
"""
)


def pipeline(body: str, name: str = "p") -> str:
    """Return a pipeline document with a body."""
    return HEAD % name + body


def asked(folder: Path, files: Mapping[str, str] | str, **more: object) -> api.Checked:
    """Return what is known of `p.yaml` among some files of a project; a text is the body of that one."""
    named = {"p.yaml": pipeline(files)} if isinstance(files, str) else files
    for name, text in {"pipec.yaml": PROJECT, "mix.yaml": MIX, "need.yaml": NEED, **named}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return api.check(api.Request(path=folder / "p.yaml", **more))  # type: ignore[arg-type]


def told(checked: api.Checked) -> list[str]:
    """Return the findings, each as `file:line CODE message`; what nothing reads tells nothing here."""
    return [
        f"{Path(one.loc.path).name}:{one.loc.span.line} {one.rule.code} {one.message}"
        for one in checked.report.findings
        if one.rule.code not in ("PIPE207", "PIPE213", "PIPE215")
    ]


def planned(folder: Path, files: Mapping[str, str] | str, **more: object) -> Plan:
    """Return the plan of the one pipeline in `p.yaml`, about which nothing is found."""
    checked = asked(folder, files, **more)
    assert told(checked) == []
    (unit,) = checked.units
    assert unit.plan is not None
    return unit.plan


def tasks(plan: Plan) -> dict[str, Task]:
    """Return every task, those of a loop's body as `<carrier>/<task>`."""
    return {name: task for one in plan.tasks for name, task in _below(one, "")}


def _below(task: Task, around: str) -> Iterator[tuple[str, Task]]:
    yield around + task.name, task
    for inner in task.loop.body if task.loop else ():
        yield from _below(inner, f"{around}{task.name}/")


def waits(task: Task) -> dict[str, str]:
    """Return what a task waits for, with how: `soft`, `order`, `forgiving`, and `:group` for any of a group."""
    return {need.task: " ".join(_how(need.soft, need.order_only, need.forgiving, need.any_of)) for need in task.needs}


def _how(soft: bool, order_only: bool, forgiving: bool, any_of: str) -> Iterator[str]:
    words = {"soft": soft, "order": order_only, "forgiving": forgiving, f":{any_of}": bool(any_of)}
    return (word for word, is_so in words.items() if is_so)


def given(task: Task, *names: str) -> list[object]:
    """Return parameters, inputs and variables of a task by name."""
    everything = {**dict(task.inputs), **dict(task.parameters), **dict(task.env)}
    return [everything.get(name) for name in names]
