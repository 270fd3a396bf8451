"""The examples of the language's page: where they stand, and what they come to on the engine."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from needs import ROOT

from pipec import api
from pipec.api import Checked, Request
from pipec.commands import chain
from pipec.compiler.plan import Plan
from pipec.engine import history
from pipec.engine.launcher import ProcessLauncher
from pipec.engine.options import RunOptions
from pipec.engine.outcome import EngineError, RunOutcome, TaskOutcome
from pipec.engine.progress import Silent
from pipec.engine.run import Ended, conclude
from pipec.engine.trigger import Start
from pipec.stages import Unit
from pipec.values import Json

PAGE = ROOT / "docs" / "language.md"
STEPS = ROOT / "docs" / "steps"
MAIN = "pipeline.yaml"
WHEN = "2026-03-02T03:00:00Z"  # said on the page, as is what follows
VARIABLES = {"TOKEN": "s3cr3t-token", "REGION": "eu-west"}
LAUNCHER = ProcessLauncher()  # one for all: it digests the whole library once

BLOCK = re.compile(r"^```(\w+)(?: ([^\n]+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RULE = re.compile(r"^## Rule (\d+): ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. start: where its body begins in the page. info: the words after its language."""

    language: str
    info: Mapping[str, str]
    body: str
    start: int


@dataclass(slots=True)
class Example:
    """One example. rule: the heading that it stands under, 0 for none. files: by name. info: what its call says."""

    name: str
    rule: int
    files: dict[str, str] = field(default_factory=dict)
    info: Mapping[str, str] = field(default_factory=dict)
    outcome: str | None = None


def blocks(text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    for found in BLOCK.finditer(text):
        words = (word.partition("=") for word in (found[2] or "").split())
        yield Block(found[1], {key: value for key, _, value in words}, found[3], found.start(3))


def examples() -> dict[str, Example]:
    """Return the examples of the page by name."""
    text = PAGE.read_text(encoding="utf-8")
    headings = [(found.start(), int(found[1])) for found in RULE.finditer(text)]
    ends = [found.start() for found in re.finditer(r"^## (?!Rule )", text, re.MULTILINE)]
    found: dict[str, Example] = {}
    for block in blocks(text):
        if name := block.info.get("example"):
            before = [(at, rule) for at, rule in [*headings, *((end, 0) for end in ends)] if at < block.start]
            example = found.setdefault(name, Example(name, max(before)[1]))
            file = block.info.get("file", MAIN)
            assert file not in example.files, f"example `{name}` has two blocks for `{file}`"
            is_named = file == MAIN or not file.endswith(".yaml") or block.body.startswith(f"# {file}\n")
            assert is_named, f"`{file}` of example `{name}` does not begin with its name"
            example.files[file] = block.body
            if file == MAIN:
                example.info = block.info
        elif name := block.info.get("outcome"):
            assert found[name].outcome is None, f"example `{name}` has two outcomes"
            found[name].outcome = block.body
    return found


def rewrite(name: str, outcome: str) -> None:
    """Put what an example comes to into the page."""
    text = PAGE.read_text(encoding="utf-8")
    block = next(each for each in blocks(text) if each.info.get("outcome") == name)
    end = block.start + len(block.body)
    PAGE.write_text(text[: block.start] + outcome + text[end:], encoding="utf-8")


def complete(file: str, body: str, name: str) -> str:
    """Return a document with the header lines that the page leaves out, below all others so that no line moves."""
    if not file.endswith(".yaml") or "\n---\n" in body:
        return body
    is_project = file == "pipec.yaml"
    title = name if file == MAIN else Path(file).stem
    lines = {
        "apiVersion": "pipec/v1alpha1",
        "kind": "Project" if is_project else "Pipeline",
        "metadata": f"{{name: {title}}}",
    }
    missing = (f"{key}: {value}\n" for key, value in lines.items() if not re.search(rf"^{key}:", body, re.MULTILINE))
    return body + "".join(missing)


def write(example: Example, folder: Path) -> None:
    """Put an example's files and the steps of the page into a folder."""
    shutil.copytree(STEPS, folder / "steps")
    for file, body in example.files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(complete(file, body, example.name), encoding="utf-8")


def came_to(example: Example, folder: Path) -> str:
    """Return what an example comes to in a folder that holds its files and is the working folder."""
    info = example.info
    sets = dict([info["set"].split("=", 1)]) if "set" in info else {}
    request = Request(path=Path(MAIN), environment=info.get("env", ""), sets=sets)
    try:
        checked = api.check(request)
        lines = list(_found(checked))
        if not checked.has_error:
            lines += _planned(checked, info["plan"]) if "plan" in info else _ran(checked, info, folder)
    except (api.UsageError, EngineError) as fault:
        lines = [f"pipec: {fault}"]
    return "\n".join(line.replace(f"{folder}/", "") for line in (*_called(info), *lines)) + "\n"


def _called(info: Mapping[str, str]) -> Iterator[str]:
    """Yield how the example is called, where that says more than its file."""
    flags = [f" --{name} {info[key]}" for key, name in (("env", "env"), ("set", "set")) if key in info]
    if flags or info.get("plan") == "none":
        yield f"$ pipec {'check' if info.get('plan') == 'none' else 'run'} {MAIN}{''.join(flags)}"


def _found(checked: Checked) -> Iterator[str]:
    for each in checked.report.diagnostics():
        finding = each.finding
        place = f"{finding.loc.path}:{finding.loc.span.line}:{finding.loc.span.column}"
        yield f"{place}: {each.severity}: {finding.message} [{finding.rule.code} {finding.rule.name}]"


def _planned(checked: Checked, keys: str) -> Iterator[str]:
    """Yield what the plan says about each task under some keys, or about itself."""
    if keys == "none":
        yield "no findings"
        return
    for unit in checked.units:
        plan = unit.plan.describe() if unit.plan else {}
        for task in plan["tasks"]:
            yield from (f"{task['name']}: {key} {json.dumps(task[key])}" for key in keys.split(",") if task[key])


def _ran(checked: Checked, info: Mapping[str, str], folder: Path) -> list[str]:
    """Return what a run did, and those that it triggered or that the example asks for after it."""
    by_plan = {unit.plan.pipeline: unit for unit in checked.units if unit.plan}
    plans = [unit.plan for unit in by_plan.values() if unit.plan]
    plan = chain.first(plans)
    assert plan is not None
    options = _options(checked, by_plan[plan.pipeline], info, folder)
    ended = conclude(plan, options, Silent())
    lines = [*_told(ended.outcome, info)]

    def begin(plan: Plan, by: Mapping[str, str], start: Start) -> Ended:
        more = _options(checked, by_plan[plan.pipeline], info, folder)
        found = conclude(plan, replace(more, parameters=start.parameters, triggered_by=by), Silent())
        lines.extend(_told(found.outcome, info))
        return found

    chain.follow(ended, plans, options.home, begin, lambda line: lines.append(f"--- {line}"))
    for then in info.get("then", "").split(",") if "then" in info else ():
        what, _, who = then.partition(":")
        if what in ("approve", "reject"):
            step = next(task.name for task in ended.outcome.tasks if task.state == "parked")
            history.decide(options.home, ended.outcome.run_id, step, by=who, approve=what == "approve", reason="")
        ended = conclude(plan, replace(options, resume=None if what == "again" else "latest"), Silent())
        lines += [f"--- {_THEN[what].format(who)}", *_told(ended.outcome, info)]
    return lines


_THEN = {
    "again": "a second run",
    "resume": "the same run, resumed",
    "approve": "{} approves; the same run, resumed",
    "reject": "{} rejects; the same run, resumed",
}


def _options(checked: Checked, unit: Unit, info: Mapping[str, str], folder: Path) -> RunOptions:
    home = folder / ".pipec"
    subject, environment = unit.subject, checked.environment
    volumes = environment.volumes if environment else {}
    return RunOptions(
        home=home, base=checked.folder, releases=str(home / "releases"), jobs=2, launcher=LAUNCHER, scheduled_at=WHEN,
        secrets=_of_machine(subject.secrets), configs=_of_machine(subject.configs),
        volumes={name: str(said["path"]) for name, said in volumes.items() if "path" in said},
    )  # fmt: skip


def _of_machine(places: Mapping[str, Mapping[str, Json]]) -> dict[str, str]:
    """Return the values that lie in environment variables."""
    return {name: os.environ[str(said["env"])] for name, said in places.items() if "env" in said}


def _told(outcome: RunOutcome, info: Mapping[str, str]) -> Iterator[str]:
    if info.get("show") == "trace":
        yield json.dumps(outcome.trace(), indent=2)
        return
    steps: dict[str, list[TaskOutcome]] = {}
    for task in outcome.tasks:
        steps.setdefault(task.step.partition(".")[0], []).append(task)
    is_told = info.get("show") == "reuse"  # elsewhere it depends on which of two equal tasks ends first
    for step, tasks in steps.items():
        if [task.name for task in tasks] == [step]:
            yield _line(step, tasks[0], outcome.run_id, is_told=is_told)
            continue
        loop = next((task for task in tasks if task.name == step), None)
        reason = f" ({loop.reason})" if loop and loop.reason else ""
        yield f"{step}: {outcome.step(step)}{reason}"
        yield from (f"  {_line(t.name, t, outcome.run_id, is_told=is_told)}" for t in tasks if t is not loop)
    for name, value in outcome.outputs.items():
        yield f"output {name}: {_shown(value)}"
    yield f"run: {outcome.status}"


def _line(name: str, task: TaskOutcome, run_id: str, *, is_told: bool) -> str:
    often = f" after {task.attempts} attempts" if task.attempts > 1 else ""
    reason = f" ({task.reason.replace(run_id, 'RUN')})" if task.reason else ""
    values = "".join(f", {key} = {json.dumps(value)}" for key, value in task.values.items())
    reused = ", kept" if task.is_kept else ", cached" if task.is_cached else ""
    return f"{name}: {task.state}{often}{reason}{reused if is_told else ''}{values}"


def _shown(value: Json) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, Mapping) and set(value) == {"type", "digest", "path"}:
        return f"a {value['type']}: {Path(str(value['path'])).read_text(encoding='utf-8').strip()}"
    return json.dumps(value)
