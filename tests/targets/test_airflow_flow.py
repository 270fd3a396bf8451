"""How tasks come to run on Airflow: what the rules are for small plans, and the pipelines that once went wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from airflow_bench import Bench
from scripted import End, Script
from test_same_meaning import FAILS, Case

from pipec.compiler.plan import Plan
from pipec.targets.airflow.flow import flow

REFUSES = (End((3,)),)
# The smallest pipelines on which the two once differed, by what had been forgotten.
CASES: dict[str, Case] = {
    "cells-at-the-end-that-are-counted": Case(
        "steps: {a: {INGEST}}\nfinally: {y: {uses: notify, matrix: {axes: {x: [u, v, w]}, max_parallel: 1}, "
        "with: {channel: ml, message: '${{ matrix.x }}'}}}",
    ),
    "cells-at-the-end-of-which-one-fails": Case(
        "steps: {a: {INGEST}}\nfinally: {y: {uses: notify, matrix: {axes: {x: [u, v, w]}, max_parallel: 1}, "
        "with: {channel: ml, message: '${{ matrix.x }}'}}}", {"y": FAILS},
    ),
    "a-pipeline-at-the-end": Case(
        "steps: {a: {INGEST}}\nfinally: {y: {uses: ./deep.yaml}}", {"y.a": FAILS},
        deep="steps: {a: {SAY}, b: {needs: [a], SAY}}",
    ),
    "failures-that-are-all-forgiven": Case("steps: {a: {continue_on_error: true, INGEST}}", {"a": FAILS}),
    "a-failure-that-is-forgiven-before-the-end": Case(
        "steps: {a: {INGEST}, b: {continue_on_error: true, SAY}}\nfinally: {y: {SAY}}", {"b": FAILS},
    ),
    "a-failure-that-is-forgiven-at-the-end": Case(
        "steps: {a: {INGEST}, b: {SAY}}\nfinally: {y: {continue_on_error: true, SAY}}", {"y": FAILS},
    ),
    "a-failure-after-a-skip-beside-it": Case(
        "parameters: {go: {type: boolean, default: false}}\n"
        "steps: {a: {SAY}, b: {when: parameters.go, SAY}, c: {needs: [a, b], SAY}}", {"a": FAILS},
    ),
    "a-value-that-is-absent-looked-for-in-nothing": Case(
        "steps: {a: {INGEST}, b: {when: 'not failed(a) or steps.a.n_rows in []', SAY}}",
        refused="airflow's workers cannot answer this condition",
    ),
}  # fmt: skip


# Pipelines that are easily got wrong.
TRAPS: dict[str, Case] = {
    "a-skip-that-is-looked-at-before-a-value": Case(
        "parameters: {go: {type: boolean, default: false}}\n"
        "steps: {a: {when: parameters.go, INGEST}, b: {when: steps.a.n_rows == 0, SAY}}",
    ),
    "a-value-that-is-absent": Case(
        "steps: {a: {INGEST}, b: {when: failed(a) and steps.a.n_rows == 0, SAY}}", {"a": FAILS},
    ),
    "a-value-that-is-absent-behind-what-decides": Case(
        "steps: {a: {INGEST}, b: {when: failed(a) or steps.a.n_rows == 0, SAY}}", {"a": FAILS},
    ),
    "numbers-below-nothing": Case(
        "parameters: {n: {type: integer, default: -1}}\n"
        "steps: {a: {when: 'parameters.n < 0 and parameters.n in [-1]', SAY}, b: {when: parameters.n == -2, SAY}}",
    ),
    "a-text-full-of-traps": Case(
        "parameters: {mode: {type: string, default: '\"}} {% x %} {# y #} \\ $(z)'}}\n"
        "steps:\n  a: {SAY}\n  b: {uses: notify, with: {channel: ml, message: '${{ parameters.mode }}'}, "
        "when: \"parameters.mode == '\\\"}} {% x %} {# y #} \\\\ $(z)'\"}",
    ),
    "a-refusal-that-is-looked-past": Case(
        "steps: {a: {SAY}, b: {when: failed(a), SAY}, c: {needs: [b], SAY}}", {"a": REFUSES},
    ),
    "a-failure-before-a-plain-task-behind-a-forgiven-one": Case(
        "steps: {a: {SAY}, b: {continue_on_error: true, needs: [a], SAY}, c: {needs: [b], SAY}}", {"a": FAILS},
    ),
    "cells-that-all-fail": Case(
        "steps:\n  a: {INGEST}\n  b: {uses: train, matrix: {axes: {x: [1, 2]}, fail_fast: false}, "
        "with: {data: '${{ steps.a.data }}', target: y, seed: '${{ matrix.x }}'}}\n"
        "  c: {uses: select, with: {models: '${{ steps.b[*].model }}'}}", {"b": FAILS},
    ),
}  # fmt: skip


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "rows.csv").write_text("rows", encoding="utf-8")
    return Bench(tmp_path)


@pytest.mark.parametrize("name", CASES | TRAPS)
def test_a_pipeline_means_the_same_on_airflow_in_any_order(bench: Bench, name: str) -> None:
    case = (CASES | TRAPS)[name]
    checked, files = bench.compiled(case.files)
    told = [one.message for one in checked.report.findings]
    assert (bool(files), case.refused in told) == (not case.refused, bool(case.refused)), told
    assert bench.wrong(case.files, Script(case.ends), *range(8)) == []


GO = "parameters: {go: {type: boolean, default: false}}\n"
# Small pipelines: which of their tasks are judged, what comes right behind the rest, what a last task asks, and what is
# looked past.
FLOWS: dict[str, tuple[str, str, str, str, str]] = {
    "hard-edges": ("steps: {a: {SAY}, b: {needs: [a], SAY}}", "", "b", "", ""),
    "a-condition-on-values": (GO + "steps: {a: {when: parameters.go, SAY}, b: {needs: [a], SAY}}", "", "b", "", ""),
    "a-condition-on-ends": ("steps: {a: {SAY}, b: {when: failed(a), SAY}}", "b", "b", "a b", ""),
    "a-skip-beside-another-need": (
        GO + "steps: {a: {SAY}, b: {when: parameters.go, SAY}, c: {needs: [a, b], SAY}}", "", "a b c", "a b c", "",
    ),
    "a-failure-that-is-forgiven": ("steps: {a: {continue_on_error: true, SAY}, b: {SAY}}", "", "a b", "b", "a"),
    "behind-a-failure-that-is-forgiven": (
        "steps: {a: {continue_on_error: true, SAY}, b: {needs: [a], SAY}}", "b", "b", "", "",
    ),
    "a-final-step": ("steps: {a: {SAY}, b: {needs: [a], SAY}}\nfinally: {y: {SAY}}", "y", "b", "b y", ""),
    "a-final-step-behind-what-may-be-over-early": (
        "steps: {a: {SAY}, b: {SAY}, c: {needs: [a, b], SAY}}\nfinally: {y: {SAY}}", "y", "a b c", "c y", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FLOWS)
def test_a_plan_has_the_rules_of_its_edges(bench: Bench, name: str) -> None:
    text, judged, last, ending, forgiven = FLOWS[name]
    checked, _ = bench.compiled(Case(text + "\n").files)
    (unit,) = checked.units
    assert unit.plan
    # One more final step is placed behind all that together is the end of the others.
    found, asked = flow(unit.plan), flow(_closed(unit.plan))
    assert [name for name, rule in found.rules.items() if rule.is_judged] == judged.split()
    assert asked.rules["z"].after == tuple(last.split())
    assert (found.ending, found.forgiven) == (tuple(ending.split()), tuple(forgiven.split()))


def _closed(plan: Plan) -> Plan:
    last = replace(plan.tasks[0], name="z", step="z", needs=(), when=None, is_final=True, continue_on_error=False)
    return replace(plan, tasks=(*plan.tasks, last))
