"""What is about people is followed to everything that leaves the project, and no further than it goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipec import api

HEAD = "apiVersion: pipec/v1alpha1\nkind: Pipeline\nmetadata: {name: p}\n"
STEP = "apiVersion: pipec/v1alpha1\nkind: Step\nmetadata: {name: s, version: '1'}\ncommand: [s]\n"
FILES = {
    "pipec.yaml": HEAD.replace("Pipeline", "Project") + "environments: {dev: {}, prod: {production: true}}\n",
    "mask.yaml": STEP + "role: anonymize\ninputs: {data: {type: Dataset}}\noutputs: {data: {type: Dataset}}\n"
    'args: ["${{ inputs.data }}", "${{ outputs.data }}"]\n',
    "send.yaml": STEP + "role: export\ninputs: {data: {type: Dataset, optional: true}}\n"
    'parameters: {text: {type: string, default: ""}}\nargs: [["${{ inputs.data }}"], "${{ parameters.text }}"]\n',
    "count.yaml": STEP + "role: anonymize\ninputs: {data: {type: Dataset}}\noutputs: {told: {type: string}}\n"
    'args: ["${{ inputs.data }}", "${{ outputs.told }}"]\n',
    "look.yaml": STEP + "inputs: {data: {type: Dataset}}\n"
    "outputs: {first: {type: string}, mean: {type: number}, rows: {type: Dataset}}\n"
    'args: ["${{ inputs.data }}", "${{ outputs.first }}", "${{ outputs.mean }}", "${{ outputs.rows }}"]\n',
    "read.yaml": STEP + "outputs: {rows: {type: Dataset, personal: true}, plain: {type: Dataset}}\n"
    'args: ["${{ outputs.rows }}", "${{ outputs.plain }}"]\n',
    "sendall.yaml": STEP + 'role: export\ninputs: {all: {type: Dataset, many: true}}\nargs: ["${{ inputs.all }}"]\n',
    "inner.yaml": HEAD + "inputs: {rows: {type: Dataset}}\n"
    'steps: {look: {uses: ./look.yaml, with: {data: "${{ inputs.rows }}"}}}\n'
    'outputs: {rows: "${{ steps.look.rows }}"}\n',
}
INGEST = "  a: {uses: ingest, with: {source: a.csv, personal: true}}\n"
SEND = '  out: {uses: ./send.yaml, with: {data: "${{ steps.%s }}"}}\n'
SEND_ALL = '  out: {uses: ./sendall.yaml, with: {all: "${{ steps.%s }}"}}\n'
LOOK = '  look: {uses: ./look.yaml, with: {data: "${{ steps.%s }}"}}\n'


def routes(steps: str, folder: Path, head: str = "", environment: str = "") -> list[str]:
    """Return the way that each finding tells."""
    for name, text in FILES.items():
        (folder / name).write_text(text)
    (folder / "p.yaml").write_text(f"{HEAD}{head}steps:\n{steps}")
    found = api.check(api.Request(path=folder / "p.yaml", environment=environment)).report.findings
    assert {finding.rule.code for finding in found} <= {"PIPE508", "PIPE501", "PIPE502", "PIPE504", "PIPE215"}, found
    notes = [finding.notes[1].message for finding in found if finding.rule.code == "PIPE508"]
    return [note.removeprefix("the data goes ").replace("`", "") for note in notes]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (INGEST + SEND % "a.data", ["a.data -> out.data"]),
        (INGEST.replace("true", "false") + SEND % "a.data", []),
        (INGEST.replace(", personal: true", "") + SEND % "a.data", []),
        ("  r: {uses: ./read.yaml}\n" + SEND % "r.rows", ["r.rows -> out.data"]),
        ("  r: {uses: ./read.yaml}\n" + SEND % "r.plain", []),
        (INGEST + LOOK % "a.data" + SEND % "look.rows", ["a.data -> look.rows -> out.data"]),
        (
            INGEST + LOOK.replace("}}\n", "}, for_each: [1, 2]}\n") % "a.data" + SEND_ALL % "look[*].rows",
            ["a.data -> look.rows -> out.all"],
        ),
        (
            INGEST + '  f: {uses: ./inner.yaml, for_each: [1, 2], with: {rows: "${{ steps.a.data }}"}}\n'
            + SEND_ALL % "f[*].rows",
            ["a.data -> f.look.rows -> out.all"],
        ),
        (
            INGEST + '  f: {uses: ./inner.yaml, matrix: {axes: {n: [1, 2]}}, with: {rows: "${{ steps.a.data }}"}}\n'
            + SEND_ALL % "f[*].rows",
            ["a.data -> f.look.rows -> out.all"],
        ),
        (INGEST + '  m: {uses: ./mask.yaml, with: {data: "${{ steps.a.data }}"}}\n' + SEND % "m.data", []),
        (
            INGEST + LOOK % "a.data" + '  out: {uses: ./send.yaml, with: {text: "x ${{ steps.look.first }}"}}\n',
            ["a.data -> look.first -> out.text"],
        ),
        (INGEST + LOOK % "a.data" + '  out: {uses: ./send.yaml, with: {text: "x ${{ steps.look.mean }}"}}\n', []),
        (INGEST + '  out: {uses: ./send.yaml, with: {text: "${{ steps.a.n_rows }} rows"}}\n', []),
        (
            INGEST + '  c: {uses: ./count.yaml, with: {data: "${{ steps.a.data }}"}}\n'
            '  out: {uses: ./send.yaml, with: {text: "${{ steps.c.told }}"}}\n',
            [],
        ),
        (
            INGEST + '  watch: {uses: monitor, with: {reference: "${{ steps.a.data }}", batch: b.csv}}\n'
            '  out: {uses: ./send.yaml, with: {text: "${{ steps.watch.verdict }}"}}\n',
            [],
        ),
        (
            INGEST + '  inner: {uses: ./inner.yaml, with: {rows: "${{ steps.a.data }}"}}\n' + SEND % "inner.rows",
            ["a.data -> inner.look.rows -> out.data"],
        ),
    ],
    ids=["sent", "said not to be", "not marked", "a manifest's", "another output", "made with it", "in a loop",
         "through a pipeline in a loop", "through a pipeline in a matrix", "masked",
         "in a text", "a number", "a count", "a masked text", "a verdict of the library", "through a pipeline"],
)  # fmt: skip
def test_what_is_marked_is_followed(steps: str, expected: list[str], tmp_path: Path) -> None:
    assert routes(steps, tmp_path) == expected


def test_an_input_of_the_pipeline_may_be_marked(tmp_path: Path) -> None:
    head = "inputs: {rows: {type: Dataset, personal: true, default: s3://a/b.csv}}\n"
    direct = '  out: {uses: ./send.yaml, with: {data: "${{ inputs.rows }}"}}\n'
    assert routes(direct, tmp_path, head) == ["inputs.rows -> out.data"]
    look = LOOK.replace("${{ steps.%s }}", "${{ inputs.rows }}")
    assert routes(look + SEND % "look.rows", tmp_path, head) == ["inputs.rows -> look.rows -> out.data"]
    mask = look.replace("look", "mask")
    assert routes(mask.replace("mask.yaml", "mask.yaml") + SEND % "mask.data", tmp_path, head) == []


def test_what_only_a_run_knows_counts_as_personal(tmp_path: Path) -> None:
    head = "parameters: {p: {type: boolean, default: false}}\n"
    assert routes(INGEST.replace("true", '"${{ parameters.p }}"') + SEND % "a.data", tmp_path, head) == [
        "a.data -> out.data"
    ]


def test_a_release_counts_in_production_alone_and_a_message_everywhere(tmp_path: Path) -> None:
    train = INGEST + '  t: {uses: train, with: {data: "${{ steps.a.data }}", target: y}}\n'
    ship = train + '  d: {uses: deploy, with: {model: "${{ steps.t.model }}"}}\n'
    assert routes(ship, tmp_path) == routes(ship, tmp_path, environment="prod") == ["a.data -> t.model -> d.model"]
    assert routes(ship, tmp_path, environment="dev") == []
    assert routes(INGEST + SEND % "a.data", tmp_path, environment="dev") == ["a.data -> out.data"]


def test_one_source_is_told_once_for_each_step_that_lets_it_out(tmp_path: Path) -> None:
    steps = INGEST + LOOK % "a.data"
    steps += '  out: {uses: ./send.yaml, with: {data: "${{ steps.look.rows }}", text: "${{ steps.look.first }}"}}\n'
    assert routes(steps, tmp_path) == ["a.data -> look.rows -> out.data"]
