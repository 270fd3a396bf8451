"""Any pipeline means the same on the engine and on Kubeflow: drawn ones, run on both sides with a script for steps.

What is compared: which tasks began, what they were given, how they ended, and how the run did. One difference is
accepted, and only after a task failed that Kubeflow sees fail: it starts nothing further beside that one, so a task
that does not follow the failure may be left out there. That the engine's own `fail_fast` stops cells and iterations is
no part of the comparison either: which ones depends on the clock.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from drawn_pipelines import N_DRAWN, ROWS, Drawn, drawn, walk
from engine_replay import Here, There
from fake_container import Containers
from hypothesis import given
from ir_container import Cluster
from ir_inputs import Status
from ir_project import opened
from ir_runner import Finished, run_ir
from ir_trace import by_task, told_end
from scripted import End, Key, Script

from pipec import api
from pipec.compiler.plan import Plan, Task
from pipec.engine.outcome import State
from pipec.targets.base import File
from pipec.targets.kubeflow.verify import verify

PROJECT = """apiVersion: pipec/v1alpha1
kind: Project
metadata: {name: drawn}
image: i:1
environments: {there: {artifacts: "file://PLACE/root"}}
"""
BAD = (State.FAILED, State.REFUSED)


@dataclass
class Bench:
    """A folder for projects, one after another. told: how often each thing happened."""

    folder: Path
    told: Counter[str] = field(default_factory=Counter)

    def wrong(self, texts: dict[str, str], script: Script) -> list[str]:
        """Return what differs between the two sides, and what is wrong with what is compiled."""
        self.told["drawn"] += 1
        checked, _, files = self.compiled(texts)
        if not files:
            return []
        (unit,) = checked.units
        assert unit.plan
        self.told["compiled"] += 1
        pipeline, *platform = yaml.load_all(files[0].text, yaml.CSafeLoader)
        faults = [f"{fault.rule.code} {fault.message}" for fault in verify(pipeline, *platform)]
        return faults + self._compared(files[0].text, unit.plan, script)

    def compiled(self, texts: dict[str, str]) -> tuple[api.Checked, list[str], tuple[File, ...]]:
        """Return what is known of a project, what is said of it, and its files unless something is wrong with it."""
        for name, text in {"pipec.yaml": PROJECT, **texts}.items():
            (self.folder / name).write_text(text.replace("PLACE", str(self.folder)), encoding="utf-8")
        request = api.Request(path=self.folder / "p.yaml", environment="there", target="kubeflow")
        checked, files = api.compile_(request)
        self.told.update(one.rule.code for one in checked.report.findings)
        return checked, [one.message for one in checked.report.findings], () if checked.has_error else files

    def _compared(self, text: str, plan: Plan, script: Script) -> list[str]:
        containers = Containers(script)
        number = self.told["compiled"]
        finished = run_ir(text, Cluster(root=opened(self.folder / "kfp")), run_id=f"r{number}", start=containers)
        there = There(dict(_states(finished, text, plan)), _fatal(finished, text, plan), containers.given)
        location = ROWS.replace("PLACE", str(self.folder))
        here = Here(plan, script, there, {location: "rows"})
        outcome = here.conduct()
        self.told[outcome.status] += 1
        self.told.update(str(state) for state in there.states.values())
        wrong = here.wrong
        if (finished.status is Status.SUCCEEDED) != (outcome.status == "succeeded"):
            wrong.append(f"the run has {outcome.status} here and {finished.status} there")
        has_loop_failed = any(task.is_loop and task.state is State.FAILED for task in outcome.tasks)
        wrong += [f"{path}: {why}" for path, why in _strange(finished) if not has_loop_failed]
        return wrong


def _leaves(tasks: tuple[Task, ...], around: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    """Return the tasks that become containers, each with the loops that it is in, from the outside in."""
    found: dict[str, tuple[str, ...]] = {}
    for task in tasks:
        found |= _leaves(task.loop.body, (*around, task.name)) if task.loop else {task.name: around}
    return found


def _states(finished: Finished, text: str, plan: Plan) -> list[tuple[Key, State]]:
    known = _leaves(plan.tasks)
    return [(key, told_end(ran)[0]) for key, ran in by_task(finished, text).items() if key[0] in known]


def _fatal(finished: Finished, text: str, plan: Plan) -> frozenset[Key]:
    """Return the tasks whose failure Kubeflow saw, and the loops that failed because something in them did."""
    known = _leaves(plan.tasks)
    found: set[Key] = set()
    for (name, numbers), ran in by_task(finished, text).items():
        if name not in known:
            continue
        if ran.status is Status.FAILED:
            found.add((name, numbers))
        if told_end(ran)[0] in BAD:
            found |= {(loop, numbers[:depth]) for depth, loop in enumerate(known[name])}
    return frozenset(found)


def _strange(finished: Finished) -> list[tuple[str, str]]:
    """Return what failed and is no container, with nothing in it that did."""
    bad = {path: ran for path, ran in finished.ran.items() if ran.status is Status.FAILED}
    return [
        (path, ran.why or "nothing in it failed")
        for path, ran in bad.items()
        if path != "root" and not ran.executor and not any(other.startswith(f"{path}/") for other in bad)
    ]  # fmt: skip


HEAD = "apiVersion: pipec/v1alpha1\nkind: Pipeline\nmetadata: {name: NAME}\n"
WORDS = {
    "SAY": "uses: notify, with: {channel: ml, message: hello}",
    "INGEST": f"uses: ingest, with: {{source: '{ROWS}'}}",
}
FAILS, WRITES_LESS = (End((1,)),), (End(writes=False),)


@dataclass(frozen=True, slots=True)
class Case:
    """A pipeline, by its text below the head. deep: that of one which it uses. ends: of steps that do not just succeed.

    refused: what Kubeflow's target says instead, or empty.
    """

    text: str
    ends: dict[str, tuple[End, ...]] = field(default_factory=dict)
    deep: str = ""
    refused: str = ""

    @property
    def files(self) -> dict[str, str]:
        texts = {"p.yaml": self.text, **({"deep.yaml": self.deep} if self.deep else {})}
        for word, meaning in WORDS.items():
            texts = {name: text.replace(word, meaning) for name, text in texts.items()}
        return {name: HEAD.replace("NAME", name.removesuffix(".yaml")) + text for name, text in texts.items()}


# The smallest pipelines on which the two once differed, by what had been forgotten.
CASES: dict[str, Case] = {
    "a-step-left-out-after-a-failure": Case("steps: {a: {INGEST}, b: {SAY}, c: {needs: [a], SAY}}", {"a": FAILS}),
    "a-loop-at-the-end": Case(
        "steps: {a: {INGEST}}\nfinally: {y: {uses: notify, for_each: [u, v], "
        "with: {channel: '${{ item }}', message: '${{ run.outcome }}'}}}", {"a": FAILS},
    ),
    "a-pipeline-looped-over-where-a-value-says-so": Case(
        "steps:\n  a: {INGEST}\n  b: {uses: ./deep.yaml, for_each: [1, 2], when: steps.a.n_rows == 0, "
        "with: {n: '${{ item }}'}}",
        deep="parameters: {n: {type: integer}}\nsteps: {a: {when: parameters.n == 1, SAY}}",
    ),
    "an-item-looked-for-in-a-list": Case(
        "parameters: {seeds: {type: list, default: [1, 2]}}\n"
        "steps: {a: {uses: ./deep.yaml, for_each: '${{ parameters.seeds }}', with: {n: '${{ item }}'}}}",
        deep="parameters: {n: {type: integer}}\nsteps: {a: {when: 'parameters.n in [1]', SAY}}",
    ),
    "an-item-that-says-whether": Case(
        "parameters: {each: {type: list, default: [true, false]}}\n"
        "steps: {a: {uses: ./deep.yaml, for_each: '${{ parameters.each }}', with: {go: '${{ item }}'}}}",
        deep="parameters: {go: {type: boolean}}\nsteps: {a: {when: parameters.go, SAY}}",
    ),
    "cells-that-wrote-nothing": Case(
        "steps:\n  a: {uses: fetch-model, matrix: {axes: {x: [u, v]}}, with: {name: '${{ matrix.x }}'}}\n"
        "  b: {uses: select, with: {models: '${{ steps.a[*].model }}'}}\n  c: {needs: [b], SAY}", {"a": WRITES_LESS},
    ),
    "iterations-that-wrote-nothing": Case(
        "steps:\n  a: {uses: fetch-model, for_each: [u, v], with: {name: '${{ item }}'}}\n"
        "  b: {uses: select, with: {models: '${{ steps.a[*].model }}'}}", {"a": WRITES_LESS},
    ),
    "the-outcome-beside-a-step-that-was-left-with-nothing": Case(
        "steps:\n  a: {uses: fetch-model, matrix: {axes: {x: [u, v]}}, with: {name: '${{ matrix.x }}'}}\n"
        "  b: {uses: select, with: {models: '${{ steps.a[*].model }}'}}\n"
        "finally: {y: {uses: notify, with: {channel: ml, message: '${{ run.outcome }}'}}}", {"a": WRITES_LESS},
    ),
    "the-outcome-beside-a-step-after-a-loop-that-never-ran": Case(
        "parameters: {go: {type: boolean, default: false}}\n"
        "steps:\n  a: {for_each: [1, 2], when: parameters.go, uses: fetch-model, with: {name: 'm ${{ item }}'}}\n"
        "  b: {needs: [a], SAY}\n"
        "finally: {y: {uses: notify, with: {channel: ml, message: '${{ run.outcome }}'}}}",
    ),
    "a-value-of-a-step-that-may-have-failed": Case(
        "steps:\n  a: {INGEST}\n  b: {uses: notify, when: not skipped(a), "
        "with: {channel: ml, message: 'n is ${{ steps.a.n_rows }}'}}", {"a": FAILS},
    ),
    "at-the-end-how-a-loop-ended": Case(
        "steps: {a: {uses: fetch-model, for_each: [u, v], with: {name: '${{ item }}'}}}\n"
        "finally: {y: {when: failed(a), SAY}}",
        refused="kubeflow cannot tell `y` how `a` ended: it loops over a list, and tells nobody",
    ),
    "a-loop-that-starts-without-what-it-reads": Case(
        "steps:\n  a: {uses: ./deep.yaml}\n  b: {uses: split, for_each: [1, 2], when: not failed(a), "
        "with: {data: '${{ steps.a.rows }}', seed: '${{ item }}'}}",
        deep="steps: {a: {INGEST}}\noutputs: {rows: '${{ steps.a.data }}'}",
        refused="kubeflow cannot start `b` where `a.a` has not succeeded: its iterations need that",
    ),
    "a-number-looked-for-among-texts": Case(
        "parameters: {names: {type: list, default: [x, y]}}\nsteps: {a: {when: 1 in parameters.names, SAY}}"
    ),
    "iterations-that-are-skipped-one-by-one": Case(
        "parameters: {names: {type: list, default: [u, v]}}\n"
        "steps:\n  a: {uses: fetch-model, for_each: '${{ parameters.names }}', when: item == 'u', "
        "with: {name: '${{ item }}'}}\n  b: {SAY}", {"a": FAILS},
    ),
    "after-a-loop-of-which-all-may-be-skipped": Case(
        "parameters: {names: {type: list, default: [u, v]}}\n"
        "steps:\n  a: {uses: fetch-model, for_each: '${{ parameters.names }}', when: item == 'z', "
        "with: {name: '${{ item }}'}}\n  b: {needs: [a], SAY}",
        refused="kubeflow cannot skip `b` where every iteration of `a` is skipped",
    ),
    "cells-that-all-failed-and-are-read-where-one-did": Case(
        "steps:\n  a: {uses: fetch-model, matrix: {axes: {x: [u, v]}, fail_fast: false}, "
        "with: {name: '${{ matrix.x }}'}}\n"
        "  b: {uses: select, when: failed(a), with: {models: '${{ steps.a[*].model }}'}}", {"a": FAILS},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_pipeline_that_once_differed_means_the_same(bench: Bench, name: str) -> None:
    case = CASES[name]
    _, told, files = bench.compiled(case.files)
    assert (bool(files), case.refused in told) == (not case.refused, bool(case.refused)), told
    assert bench.wrong(case.files, Script(case.ends)) == []


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "rows.csv").write_text("rows", encoding="utf-8")
    opened(tmp_path / "root")
    return Bench(tmp_path)


def test_drawn_pipelines_mean_the_same_here_and_on_kubeflow(bench: Bench) -> None:
    def judge(one: Drawn) -> None:
        assert bench.wrong(dict(one.texts), one.script) == []

    walk(given(drawn())(judge))
    assert bench.told["compiled"] > N_DRAWN // 3, "a walk over refusals alone compares nothing"
    assert {"succeeded", "failed", "refused", "skipped"} <= bench.told.keys()
