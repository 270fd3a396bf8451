"""Release safety where steps stand in other files, in loops and in matrices: nothing hides there."""

# ruff: noqa: E501  (a table with one case a line)
from __future__ import annotations

from pathlib import Path

import pytest
from documents import PROJECT, asked, pipeline, told

STEPS = {
    "ingest": "{uses: ingest, with: {source: d.csv}}",
    "validate": '{uses: validate-data, with: {data: "${{ steps.ingest.data }}", expectations: e.yaml}}',
    "split": '{uses: split, with: {data: "${{ steps.validate.data }}"}}',
    "train": '{uses: train, with: {data: "${{ steps.split.train }}", target: y}}',
    "evaluate": '{uses: evaluate, with: {model: "${{ steps.train.model }}", data: "${{ steps.split.test }}"}}',
    "approve": '{uses: approve, with: {model: "${{ steps.evaluate.model }}", approvers: [ana@example.org]}}',
}
FILES = {
    "pipec.yaml": PROJECT.replace("prod: {}", "prod: {production: true}"),
    "e.yaml": "expectations: [{type: expect_column_to_exist, column: y}]\n",
    "ship.yaml": pipeline('inputs: {model: {type: Model}}\nsteps: {deploy: {uses: deploy, with: {model: "${{ inputs.model }}"}}}\n', "ship"),
    "gate.yaml": pipeline(
        """inputs: {model: {type: Model}, data: {type: Dataset}}
parameters: {ask: {type: boolean, default: true}}
steps:
  evaluate: {uses: evaluate, with: {model: "${{ inputs.model }}", data: "${{ inputs.data }}"}}
  approve: {uses: approve, with: {model: "${{ steps.evaluate.model }}"}, when: parameters.ask}
outputs: {model: "${{ steps.approve.model }}", judged: "${{ steps.evaluate.model }}", given: "${{ inputs.model }}"}
""", "gate"),
    "ask.yaml": pipeline('inputs: {model: {type: Model}}\nsteps: {approve: {uses: approve, with: {model: "${{ inputs.model }}"}}}\n', "ask"),
    "fit.yaml": pipeline('inputs: {rows: {type: Dataset}}\nsteps: {fit: {uses: train, with: {data: "${{ inputs.rows }}", target: y}}}\noutputs: {model: "${{ steps.fit.model }}"}\n', "fit"),
    "all.yaml": pipeline("inputs: {rows: {type: Dataset}}\nsteps:\n" + "".join(f"  {name}: {text.replace('steps.ingest.data', 'inputs.rows')}\n" for name, text in STEPS.items() if name != "ingest")
                         + '  deploy: {uses: deploy, with: {model: "${{ steps.approve.model }}"}}\n', "all"),
}  # fmt: skip
SHIP = '{uses: ./ship.yaml, with: {model: "${{ steps.%s.model }}"}%s}'
GATE = '{uses: ./gate.yaml, with: {model: "${{ steps.train.model }}", data: "${{ steps.split.test }}"}%s}'
WITHOUT_GATE = {"evaluate": None, "approve": None}
UNAPPROVED = "ship.yaml:5 PIPE501 `ship.deploy` ships a model that nobody approved"
UNEVALUATED = "ship.yaml:5 PIPE502 `ship.deploy` ships a model that was not evaluated"


def found(folder: Path, changes: dict[str, str | None]) -> list[str]:
    steps = {name: text for name, text in {**STEPS, **changes}.items() if text is not None}
    body = "steps:\n" + "".join(f"  {name}: {text}\n" for name, text in steps.items())
    return told(asked(folder, {**FILES, "p.yaml": pipeline(body)}, environment="prod"))


SAFE: dict[str, dict[str, str | None]] = {
    "approved outside, deployed inside": {"ship": SHIP % ("approve", "")},
    "approved outside, awaited, deployed inside": {"ship": SHIP % ("train", ", needs: [approve]")},
    "approved inside, deployed outside": WITHOUT_GATE | {"gate": GATE % "", "ship": SHIP % ("gate", "")},
    "asked in a pipeline of one step, and awaited": {
        "approve": None, "ask": '{uses: ./ask.yaml, with: {model: "${{ steps.evaluate.model }}"}}',
        "ship": SHIP % ("train", ", needs: [ask]"),
    },
    "a whole life in one file": dict.fromkeys(STEPS) | {"all": "{uses: ./all.yaml, with: {rows: d.csv}}"},
    "a whole life for each of a list": dict.fromkeys(STEPS) | {"all": '{uses: ./all.yaml, for_each: [a.csv, b.csv], with: {rows: "${{ item }}"}}'},
    "a whole life for each cell": dict.fromkeys(STEPS) | {"all": '{uses: ./all.yaml, matrix: {axes: {at: [a.csv, b.csv]}}, with: {rows: "${{ matrix.at }}"}}'},
    "approved outside, deployed for each of a list": {"ship": SHIP % ("approve", ", for_each: [eu, us]")},
    "fitted inside": {"train": '{uses: ./fit.yaml, with: {rows: "${{ steps.split.train }}"}}', "ship": SHIP % ("approve", "")},
    "the best of a matrix": {
        "train": '{uses: train, matrix: {axes: {s: [1, 2]}}, with: {data: "${{ steps.split.train }}", target: y, seed: "${{ matrix.s }}"}}',
        "best": '{uses: select, with: {models: "${{ steps.train[*].model }}", data: "${{ steps.split.train }}"}}',
        "evaluate": STEPS["evaluate"].replace("train.model", "best.model"), "ship": SHIP % ("approve", ""),
    },
    "the best of pipelines in a loop": {
        "train": '{uses: ./fit.yaml, for_each: [1, 2], with: {rows: "${{ steps.split.train }}"}}',
        "best": '{uses: select, with: {models: "${{ steps.train[*].model }}", data: "${{ steps.split.train }}"}}',
        "evaluate": STEPS["evaluate"].replace("train.model", "best.model"), "ship": SHIP % ("approve", ""),
    },
}  # fmt: skip
UNSAFE: dict[str, tuple[dict[str, str | None], list[str]]] = {
    "deployed inside, unapproved": ({"ship": SHIP % ("evaluate", "")}, [UNAPPROVED]),
    "deployed inside of a loop, unapproved": ({"ship": SHIP % ("evaluate", ", for_each: [eu, us]")}, [UNAPPROVED]),
    "deployed inside of a matrix, unapproved": ({"ship": SHIP % ("evaluate", ", matrix: {axes: {at: [eu, us]}}")}, [UNAPPROVED]),
    "deployed inside, neither evaluated nor approved": ({"ship": SHIP % ("train", "")}, [UNEVALUATED, UNAPPROVED]),
    "only how the approval ended is asked": ({"ship": SHIP % ("train", ", needs: [approve], when: not failed(approve)")}, [UNEVALUATED, UNAPPROVED]),
    "evaluated inside, not approved": (WITHOUT_GATE | {"gate": GATE % "", "ship": SHIP.replace(".model", ".judged") % ("gate", "")}, [UNAPPROVED]),
    "handed through past the approval": (WITHOUT_GATE | {"gate": GATE % "", "ship": SHIP.replace(".model", ".given") % ("gate", "")}, [UNEVALUATED, UNAPPROVED]),
    # Who waits for a pipeline runs if any of its steps has succeeded: the approval may have been skipped.
    "waits for a pipeline in which the approval may be skipped": (WITHOUT_GATE | {"gate": GATE % "", "ship": SHIP % ("train", ", needs: [gate]")}, [UNEVALUATED, UNAPPROVED]),
    "waits for one of many approvals": (
        {"approve": STEPS["approve"].replace("{uses: approve,", "{uses: approve, matrix: {axes: {who: [1, 2]}}, when: matrix.who == 1,"), "ship": SHIP % ("train", ", needs: [approve]")},
        [UNEVALUATED, UNAPPROVED],
    ),
    "the best of a matrix, unapproved": (
        {
            "train": '{uses: train, matrix: {axes: {s: [1, 2]}}, with: {data: "${{ steps.split.train }}", target: y, seed: "${{ matrix.s }}"}}',
            "best": '{uses: select, with: {models: "${{ steps.train[*].model }}", data: "${{ steps.split.train }}"}}',
            "evaluate": None, "approve": None, "ship": SHIP % ("best", ""),
        },
        [UNEVALUATED, UNAPPROVED],
    ),
    "test rows handed in to a fit": ({"again": '{uses: ./fit.yaml, with: {rows: "${{ steps.split.test }}"}}'}, ["p.yaml:11 PIPE503 `again.fit` learns from test data"]),
    "test rows of a cell": (
        {"split": '{uses: split, matrix: {axes: {s: [1, 2]}}, with: {data: "${{ steps.validate.data }}", seed: "${{ matrix.s }}"}}', "train": None, "evaluate": None, "approve": None,
         "best": '{uses: select, with: {models: [s3://a], data: "${{ steps.ingest.data }}"}}', "again": '{uses: ./fit.yaml, for_each: "${{ steps.split[*].test }}", with: {rows: "${{ item }}"}}'},
        ["p.yaml:9 PIPE302 `again` loops over a list, but `steps.split[*].test` is a dataset"],
    ),
    "the best of pipelines in a loop, fitted on rows that nobody validated": (
        {
            "train": '{uses: ./fit.yaml, for_each: [1, 2], with: {rows: "${{ steps.ingest.data }}"}}',
            "best": '{uses: select, with: {models: "${{ steps.train[*].model }}", data: "${{ steps.split.train }}"}}',
            "evaluate": STEPS["evaluate"].replace("train.model", "best.model"), "ship": SHIP % ("approve", ""),
        },
        ["p.yaml:11 PIPE504 the model that `ship.deploy` ships is fitted on data that no step validated"],
    ),
    "rows that nobody validated, fitted inside": (
        {"train": '{uses: ./fit.yaml, with: {rows: "${{ steps.ingest.data }}"}}', "ship": SHIP % ("approve", "")},
        ["fit.yaml:5 PIPE504 the model that `ship.deploy` ships is fitted on data that no step validated"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SAFE)
def test_a_safe_release_in_several_files_is_left_alone(case: str, tmp_path: Path) -> None:
    assert found(tmp_path, SAFE[case]) == []


@pytest.mark.parametrize("case", UNSAFE)
def test_an_unsafe_release_is_found_wherever_it_stands(case: str, tmp_path: Path) -> None:
    changes, expected = UNSAFE[case]
    assert sorted(found(tmp_path, changes)) == sorted(expected)
