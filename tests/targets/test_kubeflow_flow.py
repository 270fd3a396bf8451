"""What of conditions, loops and last steps Kubeflow cannot say, told at its place; and what only looks like it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipec import api

PROJECT = """
apiVersion: pipec/v1alpha1
kind: Project
metadata: {name: flow}
image: registry.example/steps:1
environments: {e: {artifacts: "s3://ml/pipec"}, bare: {}}
"""
HEAD = """apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: flow}
parameters: {names: {type: list, default: [a]}, lists: {type: list, default: [[a]]}}
"""
OWN = """
apiVersion: pipec/v1alpha1
kind: Step
metadata: {name: own, version: "1"}
inputs: {more: {type: Report, optional: true}}
outputs: {n: {type: integer}}
image: registry.example/own:1
command: [own]
args: [[--more, "${{ inputs.more }}"], "${{ outputs.n }}"]
"""
INNER = """
apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: inner}
parameters: {seed: {type: integer, default: 1}}
steps:
  split: {uses: split, with: {data: "s3://b/r.csv", seed: "${{ parameters.seed }}"}}
  some: {uses: fetch-model, when: parameters.seed > 1, with: {name: a}}
outputs: {train: "${{ steps.split.train }}", model: "${{ steps.some.model }}"}
"""
REFUSED = {  # the steps, from line 5 on; the place, and what is told
    "a loop whose end is asked": (
        """
steps:
  each: {uses: fetch-model, for_each: [a, b], with: {name: "${{ item }}"}}
  back: {uses: notify, when: failed(each), with: {channel: c, message: m}}
""",
        "7:30",
        "kubeflow cannot run `back` by how `each` ended: that loops over a list, and tells nobody",
    ),
    "an image of one's own whose end is asked": (
        """
steps:
  own: {uses: ./own.yaml}
  back: {uses: notify, when: failed(own), with: {channel: c, message: m}}
""",
        "7:30",
        "kubeflow cannot run `back` by how `own` ended: that runs in your own image, and tells nobody",
    ),
    "a loop that may fail": (
        """
steps:
  each: {uses: fetch-model, for_each: [a, b], continue_on_error: true, with: {name: "${{ item }}"}}
""",
        "6:66",
        "kubeflow cannot go on without `each`: it loops over a list, and tells nobody how it ended",
    ),
    "iterations that may fail": (
        """
steps:
  each: {uses: fetch-model, for_each: {items: [a, b], fail_fast: false}, with: {name: "${{ item }}"}}
""",
        "6:66",
        "kubeflow cannot go on without the iterations of a loop that failed",
    ),
    "items of two types": (
        """
steps:
  each: {uses: trigger, for_each: [a, 3], with: {pipeline: other, parameters: {it: "${{ item }}"}}}
""",
        "6:35",
        "kubeflow needs its items to be of one type, and they are `string` and `integer`",
    ),
    "an item that is nothing": (
        """
steps:
  each: {uses: trigger, for_each: [a, null], with: {pipeline: other, parameters: {it: "${{ item }}"}}}
""",
        "6:35",
        "kubeflow knows no item that is `null`",
    ),
    "a person in a loop": (
        """
steps:
  fit: {uses: train, with: {data: "s3://b/r.csv", target: y}}
  each: {uses: approve, for_each: [a, b], with: {model: "${{ steps.fit.model }}", approvers: ["${{ item }}"]}}
""",
        "7:16",
        "kubeflow cannot ask a person in a loop",
    ),
    "a list with gaps": (
        """
steps:
  each: {uses: ./inner.yaml, for_each: [1, 2], with: {seed: "${{ item }}"}}
  best: {uses: select, with: {models: "${{ steps.each[*].model }}", data: "s3://b/r.csv"}}
""",
        "6:40",
        "kubeflow cannot leave out of a list what an iteration did not write: `model`",
    ),
    "a date asked for a whole loop": (
        """
steps:
  each: {uses: fetch-model, for_each: [a, b], when: run.date > '2026-01-01', with: {name: "${{ item }}"}}
""",
        "6:53",
        "kubeflow cannot answer this for all of `each` at once",
    ),
    "arguments that an absent input would drop": (
        """
steps:
  have: {uses: fetch-model, with: {name: a}}
  check: {uses: validate-data, when: steps.have.found, with: {data: "s3://b/r.csv", expectations: e.yaml}}
  own: {uses: ./own.yaml, with: {more: "${{ steps.check.report }}"}}
""",
        "8:40",
        "kubeflow cannot drop the arguments for `more` where `check` was skipped",
    ),
}
TAKEN = {  # what only looks like one of these
    "a list with gaps that nobody reads": """
steps:
  each: {uses: ./inner.yaml, for_each: [1, 2], with: {seed: "${{ item }}"}}
  more: {uses: predict, with: {model: "s3://b/m", data: "s3://b/r.csv"}, needs: [each]}
""",
    "whole numbers among others": """
steps:
  each: {uses: trigger, for_each: [1, 2.5], with: {pipeline: other, parameters: {it: "${{ item }}"}}}
""",
    "what follows a step of one's own image": """
steps:
  own: {uses: ./own.yaml}
  next: {uses: notify, needs: [own], when: steps.own.n > 3, with: {channel: c, message: m}}
""",
    "a loop over the items of a loop": """
steps:
  each: {uses: ./many.yaml, for_each: "${{ parameters.lists }}", with: {names: "${{ item }}"}}
""",
}
MANY = """
apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: many}
parameters: {names: {type: list, default: [a]}}
steps:
  each: {uses: fetch-model, for_each: "${{ parameters.names }}", with: {name: "${{ item }}"}}
"""


def told(folder: Path, steps: str, environment: str = "e") -> list[tuple[str, str]]:
    """Return the refusals of a pipeline: where, and what."""
    files = {"pipec": PROJECT, "own": OWN, "inner": INNER, "many": MANY, "flow": HEAD + steps.removeprefix("\n")}
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    (folder / "e.yaml").write_text("expectations: [{type: expect_column_values_to_not_be_null, column: a}]\n")
    request = api.Request(path=folder / "flow.yaml", environment=environment, target="kubeflow")
    found = api.check(request).report.findings
    assert [f.message for f in found if f.rule.severity == "error" and not f.rule.code.startswith("PIPE6")] == []
    return [(f"{f.loc.span.line}:{f.loc.span.column}", f.message) for f in found if f.rule.code == "PIPE601"]


@pytest.mark.parametrize("case", REFUSED)
def test_what_kubeflow_cannot_say_is_told_at_its_place(tmp_path: Path, case: str) -> None:
    steps, place, message = REFUSED[case]
    assert (place, message) in told(tmp_path, steps)


@pytest.mark.parametrize("case", TAKEN)
def test_what_only_looks_like_it_is_taken(tmp_path: Path, case: str) -> None:
    assert told(tmp_path, TAKEN[case]) == []


LAST = """
steps:
  work: {uses: ingest, with: {source: "s3://b/r.csv"}}
finally:
  tell: {uses: notify, WITH}
"""


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ('with: {channel: c, message: "${{ run.outcome }}"}', "8:52"),
        ("when: failed(work), with: {channel: c, message: m}", "8:30"),
    ],
)
def test_a_last_step_needs_a_place_where_results_are_kept(tmp_path: Path, said: str, place: str) -> None:
    steps = LAST.replace("WITH", said)
    message = "kubeflow tells `tell` nothing of how the run ended, and there is no place to look it up"
    assert (place, message) in told(tmp_path, steps, "bare")
    assert told(tmp_path, steps) == []


def test_a_last_step_that_asks_nothing_needs_no_place(tmp_path: Path) -> None:
    assert told(tmp_path, LAST.replace("WITH", "with: {channel: c, message: over}"), "bare") == []
