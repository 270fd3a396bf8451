"""Triggers `after` on Airflow: an event comes where the engine starts a run, and carries what that is given."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow_bench import Bench, Played
from dag_file import Dag, Made, load
from dag_runner import NOW, SUCCESS, DagRun, Told
from scripted import End, Script
from test_same_meaning import FAILS, HEAD, PROJECT, Case

from pipec import api
from pipec.compiler.plan import Plan
from pipec.engine import trigger

GOLDEN = Path(__file__).with_name("golden")
REFUSES, MORE = (End((3,)),), (End(pick=2),)
LISTENER = (
    "parameters:\n"
    "  why: {type: string, default: nobody}\n  rows: {type: integer, default: 0}\n"
    "  share: {type: number, default: 0.5}\n  go: {type: boolean, default: true}\n"
    "  names: {type: list, default: []}\n  more: {type: object, default: {}}\n"
)
LAST = "steps: {z: {uses: notify, with: {channel: ml, message: '${{ parameters.why }}'}}}\n"
# Small pipelines with triggers by their ends, and how their steps end where that is no success.
PLAIN = "steps: {a: {INGEST}, b: {needs: [a], SAY}}\n"
CELLS = (
    "steps:\n  a: {INGEST}\n  b: {uses: train, matrix: {axes: {x: [1, 2, 3]}, fail_fast: false}, "
    "with: {data: '${{ steps.a.data }}', target: y, seed: '${{ matrix.x }}'}}\n"
)
CASES: dict[str, tuple[str, list[str], dict[str, tuple[End, ...]]]] = {
    "a-run": (PLAIN, ["{pipeline: p}", "{pipeline: p, outcome: any}"], {}),
    "a-run-that-failed": (PLAIN, ["{pipeline: p}", "{pipeline: p, outcome: any}"], {"b": FAILS}),
    "a-run-that-failed-before-its-end": (
        "steps: {a: {INGEST}, b: {when: failed(a), SAY}}\n",
        ["{pipeline: p}", "{pipeline: p, when: failed(a)}", "{pipeline: p, outcome: any, when: failed(a)}"],
        {"a": FAILS},
    ),
    "a-run-that-was-refused": (
        PLAIN, ["{pipeline: p}", "{pipeline: p, outcome: any, when: failed(b)}"], {"b": REFUSES},
    ),
    "a-run-with-a-failure-that-is-forgiven": (
        "steps: {a: {continue_on_error: true, INGEST}, b: {SAY}}\n",
        ["{pipeline: p}", "{pipeline: p, step: a}", "{pipeline: p, when: failed(a)}",
         "{pipeline: p, when: skipped(a)}"], {"a": FAILS},
    ),
    "a-run-of-which-a-final-step-fails": (
        "steps: {a: {INGEST}}\nfinally: {y: {SAY}}\n",
        ["{pipeline: p}", "{pipeline: p, step: a}", "{pipeline: p, step: y}"], {"y": FAILS},
    ),
    "a-step": (PLAIN, ["{pipeline: p, step: a}", "{pipeline: p, step: a, outcome: skipped}"], {"b": FAILS}),
    "a-step-that-was-skipped": (
        PLAIN, ["{pipeline: p, step: b}", "{pipeline: p, step: b, outcome: skipped}",
                "{pipeline: p, step: b, outcome: any}"], {"a": FAILS},
    ),
    "cells": (CELLS, ["{pipeline: p, step: b}", "{pipeline: p, step: b, outcome: skipped}"], {}),
    "cells-of-which-some-fail": (
        CELLS, ["{pipeline: p, step: b}", "{pipeline: p, step: b, outcome: any}"], {"b": (*FAILS, End())},
    ),
    "cells-that-were-skipped": (
        CELLS, ["{pipeline: p, step: b}", "{pipeline: p, step: b, outcome: skipped}"], {"a": FAILS},
    ),
    "a-pipeline-used-as-a-step": ("steps: {b: {uses: ./deep.yaml}}\n", ["{pipeline: p, step: b}"], {}),
    "a-pipeline-used-as-a-step-that-fails": (
        "steps: {b: {uses: ./deep.yaml}}\n", ["{pipeline: p, step: b}", "{pipeline: p, step: b, outcome: any}"],
        {"b.d": FAILS},
    ),
    "a-value": (
        PLAIN, ["{pipeline: p, step: a, when: steps.a.n_rows == 2}", "{pipeline: p, when: steps.a.n_rows == 1}"],
        {"a": MORE},
    ),
    "a-value-that-is-absent": (
        PLAIN, ["{pipeline: p, outcome: any, when: steps.a.n_rows == 2}",
                "{pipeline: p, outcome: any, parameters: {rows: '${{ steps.a.n_rows }}'}}",
                "{pipeline: p, outcome: any, parameters: {why: '${{ steps.a.n_rows }} rows'}}"], {"a": FAILS},
    ),
    "parameters": (
        "parameters: {n: {type: integer, default: 7}, s: {type: number, default: 3.0}, t: {type: list, default: [x]}, "
        "u: {type: boolean, default: false}, v: {type: string, default: 'a \"b\" {{ c }}'}}\n" + PLAIN,
        ["{pipeline: p, parameters: {why: \"{{ it's }} {% x %} <é>\\n\", rows: 4, go: false, "
         "names: [1, null, {a: b}]}}",
         "{pipeline: p, parameters: {rows: '${{ parameters.n }}', share: '${{ parameters.s }}', "
         "go: '${{ parameters.u }}', names: '${{ parameters.t }}'}}",
         "{pipeline: p, parameters: {why: '${{ parameters.n }}, ${{ parameters.s }}, ${{ parameters.u }}, "
         "${{ parameters.v }}, ${{ steps.a.n_rows }} <{{', names: ['${{ steps.a.n_rows }}', a], "
         "more: {k: '${{ parameters.v }}', l: {m: null}}}}"], {"a": MORE},
    ),
}  # fmt: skip


def files(text: str, triggers: list[str], more: str = LISTENER + LAST) -> dict[str, str]:
    """Return a project whose file holds `p`, and `q` with triggers by its end."""
    found = Case(text, deep="steps: {d: {SAY}, e: {needs: [d], SAY}}").files
    listed = "".join(f"  - after: {one}\n" for one in triggers)
    return {**found, "p.yaml": f"{found['p.yaml']}---\n{HEAD.replace('NAME', 'q')}triggers:\n{listed}{more}"}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "rows.csv").write_text("rows", encoding="utf-8")
    return Bench(tmp_path)


def compiled(bench: Bench, texts: dict[str, str]) -> tuple[dict[str, Plan], dict[str, str]]:
    checked, made = bench.compiled(texts)
    assert made, [f"{one.loc.span.line}: {one.message}" for one in checked.report.findings]
    return {unit.pipeline.name: unit.plan for unit in checked.units if unit.plan}, {one.path: one.text for one in made}


def started(both: Played, listener: Plan) -> dict[str, Any]:
    """Return the parameters of the runs that the engine starts, by the event that says the same."""
    facts, found = both.here.run.facts, {}
    for number, after in enumerate(listener.after, 1):
        for start in trigger.due(both.outcome, facts, replace(listener, after=(after,))).starts:
            found[f"pipec://p/{after.step or 'run'}/q-{number}"] = dict(start.parameters)
    return found


@pytest.mark.parametrize("order", range(3))
@pytest.mark.parametrize("name", CASES)
def test_an_event_comes_where_the_engine_starts_a_run_and_says_the_same(bench: Bench, name: str, order: int) -> None:
    text, triggers, ends = CASES[name]
    plans, made = compiled(bench, files(text, triggers))
    both = bench.played(made["p.py"], plans["p"], Script(ends), order)
    told = {one.asset: dict(one.extra) for one in both.there.told}
    assert (told, both.here.wrong) == (started(both, plans["q"]), [])
    assert (both.state == SUCCESS) == (both.outcome.status == "succeeded")


def test_every_case_of_events_but_one_starts_something_and_lets_something_be(bench: Bench) -> None:
    silent = [name for name, (text, triggers, ends) in CASES.items()
              if not bench.played((it := compiled(bench, files(text, triggers)))[1]["p.py"], it[0]["p"],
                                  Script(ends), 0).there.told]  # fmt: skip
    assert silent == ["a-value-that-is-absent"]


def run(text: str, ends: dict[str, Any], *, before: list[Told], bench: Bench, plan: Plan) -> DagRun:
    found = bench.played(text, plan, Script(ends), 0).there
    again = DagRun(found.dag, found.start, found.choose, before=before)
    again.conduct()
    return again


@pytest.mark.parametrize(
    ("age_s", "reason"),
    [
        (60, "it was last started so at 2026-11-23T02:59:00Z, and rests for 3600 s"),
        (3599, "it was last started so at 2026-11-23T02:00:01Z, and rests for 3600 s"),
        (3600, ""),
        (-60, ""),  # told by a clock that goes before this one
    ],
)
def test_a_trigger_rests_after_its_own_last_event(bench: Bench, age_s: int, reason: str) -> None:
    plans, made = compiled(bench, files(PLAIN, ["{pipeline: p, cooldown: 1h}", "{pipeline: p}"]))
    before = [Told(asset="pipec://p/run/q-1", timestamp=NOW - timedelta(seconds=age_s)),
              Told(asset="pipec://p/run/q-1", timestamp=NOW - timedelta(days=2)),
              Told(asset="pipec://p/run/q-2", timestamp=NOW)]  # fmt: skip
    found = run(made["p.py"], {}, before=before, bench=bench, plan=plans["p"])
    assert found.reasons.get("start-q-1", "") == reason
    assert sorted(one.asset for one in found.told) == [*([] if reason else ["pipec://p/run/q-1"]), "pipec://p/run/q-2"]


def test_why_nothing_starts_is_said_in_words(bench: Bench) -> None:
    triggers = ["{pipeline: p}", "{pipeline: p, step: b}", "{pipeline: p, step: a, outcome: skipped}",
                "{pipeline: p, step: a, when: steps.a.n_rows == 5}",
                "{pipeline: p, outcome: any, when: succeeded(b)}"]  # fmt: skip
    plans, made = compiled(bench, files(PLAIN, triggers))
    assert bench.played(made["p.py"], plans["p"], Script({"b": FAILS}), 0).there.reasons == {
        "start-q-1": "the run has not succeeded", "start-q-2": "`b` has not succeeded",
        "start-q-3": "`a` was not skipped", "start-q-4": "`when` is false", "start-q-5": "`when` is false",
    }  # fmt: skip


def test_a_value_that_is_absent_fails_the_event_and_not_the_run(bench: Bench) -> None:
    text = "steps: {a: {continue_on_error: true, INGEST}}\n"
    given = "{pipeline: p, parameters: {why: '${{ steps.a.n_rows }} rows'}}"
    plans, made = compiled(bench, files(text, [given]))
    both = bench.played(made["p.py"], plans["p"], Script({"a": FAILS}), 0)
    assert (both.state, both.there.states["start-q-1"]) == (SUCCESS, "failed")
    assert both.there.faults["start-q-1"].startswith("parameter `why` reads a value that is absent")


def listening(bench: Bench, triggers: list[str], more: str = LISTENER + LAST) -> Dag:
    return load(compiled(bench, files(PLAIN, triggers, more))[1]["q.py"])


def given(dag: Dag, *events: Told) -> Any:
    """Return the parameters that a step is called with in a run that events started."""
    found: list[Any] = []

    def start(task: Any, arguments: list[str]) -> tuple[int, Any]:
        found.append(json.loads(arguments[arguments.index("--parameters") + 1]))
        return 0, None

    DagRun(dag, start, lambda queued: queued[0], started_by=events).conduct()
    return found[0] if found else None


DEFAULTS = {"why": "nobody", "rows": 0, "share": 0.5, "go": True, "names": [], "more": {}}
GIVES = "{pipeline: p, parameters: {rows: 4, why: x}}"


def test_a_run_has_the_parameters_of_the_newest_event_that_started_it(bench: Bench) -> None:
    dag = listening(bench, [GIVES, "{pipeline: p, step: a}"], f"  - data: {{uri: s3://b/k}}\n{LISTENER}{LAST}")
    old = Told(asset="pipec://p/run/q-1", extra={"rows": 3, "why": "x"}, timestamp=NOW - timedelta(hours=1))
    new = Told(asset="pipec://p/run/q-1", extra={"rows": 4, "from_rest_api": True})
    data = Told(asset="s3://b/k", extra={"rows": 9}, timestamp=NOW + timedelta(hours=1))
    assert given(dag) == DEFAULTS
    assert given(dag, old) == DEFAULTS | {"rows": 3, "why": "x"}
    assert given(dag, new, old, data) == DEFAULTS | {"rows": 4}
    assert given(dag, data) == DEFAULTS


def test_a_condition_and_a_list_see_what_an_event_gives(bench: Bench) -> None:
    steps = ("steps:\n  y: {uses: notify, when: parameters.rows > 3, with: {channel: ml, "
             "message: '${{ parameters.why }}'}}\n  z: {uses: notify, for_each: '${{ parameters.names }}', "
             "with: {channel: ml, message: '${{ item }}'}}\n")  # fmt: skip
    dag = listening(bench, [GIVES], LISTENER + steps)
    (listed,) = dag.tasks["z-items"].keywords["op_args"]
    assert listed == '{% set params = given(params, triggering_asset_events) %}{{ params["names"] }}'
    plain = replace(dag, tasks={"y": dag.tasks["y"]})
    assert given(plain) is None
    assert given(plain, Told(asset="pipec://p/run/q-1", extra={"rows": 4})) == DEFAULTS | {"rows": 4}


@pytest.mark.parametrize(
    ("triggers", "more", "expected"),
    [
        (["{pipeline: p}"], "", [Made("Asset", ("pipec://p/run/q-1",), {})]),
        (["{pipeline: p}", "{pipeline: p, step: a}"], "",
         Made("AssetAny", (Made("Asset", ("pipec://p/run/q-1",), {}), Made("Asset", ("pipec://p/a/q-2",), {})), {})),
        (["{pipeline: p}"], "  - data: {uri: s3://b/k}\n",
         Made("AssetAny", (Made("Asset", ("s3://b/k",), {}), Made("Asset", ("pipec://p/run/q-1",), {})), {})),
    ],
    ids=["one", "two", "and data"],
)  # fmt: skip
def test_what_starts_a_run_is_an_event_of_each_trigger(
    bench: Bench, triggers: list[str], more: str, expected: object
) -> None:
    dag = listening(bench, triggers, more + LISTENER + LAST)
    assert dag.keywords["schedule"] == expected
    assert "user_defined_macros" not in dag.keywords  # no trigger gives a parameter


def test_an_event_takes_no_name_that_a_step_has(bench: Bench) -> None:
    text = "steps: {start-q-1: {SAY}, as-text: {SAY}, holds: {SAY}}\n"
    dag = load(compiled(bench, files(text, ["{pipeline: p}"]))[1]["p.py"])
    assert list(dag.tasks) == ["start-q-1", "as-text", "holds", "start-q-1-2"]
    assert dag.tasks["start-q-1-2"].is_teardown
    assert [before for before, task in dag.edges if task == "start-q-1-2"] == ["as-text", "holds", "start-q-1"]


NO_REFUSAL = "airflow's workers cannot tell a refusal from a failure, and `{}` is one of them"


@pytest.mark.parametrize(
    ("trigger", "said", "place"),
    [
        ("{pipeline: p, outcome: failed}", NO_REFUSAL.format("failed"), "failed"),
        ("{pipeline: p, step: a, outcome: refused}", NO_REFUSAL.format("refused"), "refused"),
        ("{pipeline: p, outcome: skipped}", "a run that did not start tells airflow nothing", "skipped"),
        ("{pipeline: p, when: steps.a.n_rows in parameters.t}", "airflow's workers cannot answer this condition",
         "steps.a"),
        ("{pipeline: p, parameters: {rows: 1, why: '${{ run.outcome }}'}}", "airflow's workers cannot find out `why`",
         "'${{"),
    ],
    ids=["failed", "refused", "a run that is skipped", "a condition", "a parameter"],
)  # fmt: skip
@pytest.mark.parametrize("asked", [None, "p", "q"], ids=str)
def test_what_no_event_can_say_is_refused_at_the_trigger(
    bench: Bench, trigger: str, said: str, place: str, asked: str | None
) -> None:
    text = "parameters: {t: {type: list, default: [1]}}\n" + PLAIN
    bench.compiled(files(text, ["{pipeline: p}", trigger], f"  - data: {{uri: s3://b/k}}\n{LISTENER}{LAST}"))
    path = bench.folder / "p.yaml"
    lines = path.read_text(encoding="utf-8").replace("triggers:\n", 'triggers:\n  - schedule: {cron: "0 3 * * *"}\n')
    path.write_text(lines, encoding="utf-8")
    checked, made = api.compile_(api.Request(path=path, environment="there", target="airflow", pipeline=asked))
    (finding,) = [one for one in checked.report.findings if one.rule.code == "PIPE601"]
    before = lines[: lines.index(trigger) + trigger.index(place)]
    assert (finding.loc.span.line, finding.loc.span.column) == (before.count("\n") + 1, len(before.split("\n")[-1]) + 1)
    assert (finding.message, made) == (said, ())


@pytest.mark.parametrize(
    ("trigger", "said"),
    [
        ("{pipeline: p}", "nobody gives `must` a value when `p` starts a run"),
        ("{pipeline: p, parameters: {must: 1}}",
         "airflow wants a default of `must` before it hears what a trigger gives"),
    ],
    ids=["not given", "given"],
)  # fmt: skip
def test_a_parameter_without_a_default_is_refused_where_ends_start_runs(bench: Bench, trigger: str, said: str) -> None:
    more = "parameters: {must: {type: integer}}\nsteps: {z: {uses: notify, when: parameters.must > 1, SAID}}\n"
    checked, made = bench.compiled(files(PLAIN, [trigger], more.replace("SAID", "with: {channel: a, message: b}")))
    assert ([one.message for one in checked.report.findings if one.rule.code == "PIPE601"], made) == ([said], ())


def test_one_pipeline_of_a_file_is_compiled_with_what_starts_after_it(bench: Bench) -> None:
    _, both = compiled(bench, files(PLAIN, [GIVES]))
    for name in ("p", "q"):
        request = api.Request(path=bench.folder / "p.yaml", environment="there", target="airflow", pipeline=name)
        (alone,) = api.compile_(request)[1]
        assert alone.text == both[f"{name}.py"]


def test_files_of_pipelines_that_start_each_other_are_written_as_reviewed(bench: Bench, golden: Any) -> None:
    triggers = ["{pipeline: p, outcome: any, when: failed(b), parameters: {why: it failed}}",
                "{pipeline: p, step: a, when: steps.a.n_rows > 1, cooldown: 12h, parameters: "
                "{rows: '${{ steps.a.n_rows }}', why: '${{ steps.a.n_rows }} rows in ${{ run.id }}'}}"]  # fmt: skip
    text = "steps: {a: {uses: ingest, with: {source: 's3://b/rows.csv'}}, b: {needs: [a], SAY}}\n"
    _, made = compiled(bench, files(text, triggers) | {"pipec.yaml": PROJECT.replace("file://PLACE/root", "s3://b/r")})
    for name, found in made.items():
        golden(GOLDEN / f"after_{name}", found)
