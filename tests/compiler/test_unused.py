"""What nothing reads is told, and what something reads in any environment, file or trigger is not."""

# ruff: noqa: E501  (a table with one case a line)
from __future__ import annotations

from pathlib import Path

import pytest
from documents import asked, pipeline

INGEST = "  ingest: {uses: ingest, with: {source: s3://rows}}\n"
SPLIT = '  split: {uses: split, with: {data: "${{ steps.ingest.data }}"}}\n'
TRAIN = '  train: {uses: train, with: {data: "${{ steps.ingest.data }}", target: y}}\n'
HANDED = 'outputs: {model: "${{ steps.train.model }}"}\n'
SECRET = "{kubernetes: {name: n, key: k}}"


def found(folder: Path, files: dict[str, str] | str, *codes: str, **more: object) -> list[str]:
    """Return what is told of some codes, each as `file:line CODE message`."""
    findings = asked(folder, files, **more).report.findings
    return [
        f"{Path(f.loc.path).name}:{f.loc.span.line} {f.rule.code} {f.message}" for f in findings if f.rule.code in codes
    ]


USED = {
    "the last step of a pipeline without outputs": "steps:\n" + INGEST + TRAIN,
    "a step that is handed on": "steps:\n" + INGEST + TRAIN + HANDED,
    "a step that another needs": "steps:\n" + INGEST + SPLIT + TRAIN.replace("uses: train,", "uses: train, needs: [split],") + HANDED,
    "a step whose end is asked": "steps:\n" + INGEST + SPLIT + TRAIN.replace("uses: train,", 'uses: train, when: "succeeded(split)",') + HANDED,
    "a step whose value is asked": "steps:\n" + INGEST + "  count: {uses: ingest, with: {source: s3://new}}\n" + TRAIN.replace("uses: train,", 'uses: train, when: "steps.count.n_rows > 3",') + HANDED,
    "a step that judges": "steps:\n" + INGEST + TRAIN + '  watch: {uses: monitor, with: {reference: "${{ steps.ingest.data }}", batch: s3://new, fail_on_drift: true}}\n' + HANDED,
    "a step that asks the world": "steps:\n" + INGEST + TRAIN + "  old: {uses: fetch-model, with: {name: wines}}\n" + HANDED,
    "a container of the user's": "steps:\n" + INGEST + TRAIN + "  more: {uses: ./mix.yaml}\n" + HANDED,
    "a step of finally": "steps:\n" + INGEST + TRAIN + "finally:\n  last: {uses: ingest, with: {source: s3://new}}\n" + HANDED,
    "a step that another environment reads": "environments: {prod: {steps: {train: {with: {data: \"${{ steps.split.train }}\"}}}}}\nsteps:\n" + INGEST + SPLIT + TRAIN + HANDED,
}  # fmt: skip


@pytest.mark.parametrize("case", USED)
@pytest.mark.parametrize("environment", ["", "dev", "prod"])
def test_a_step_that_is_there_for_something_is_left_alone(case: str, environment: str, tmp_path: Path) -> None:
    assert found(tmp_path, USED[case], "PIPE213", environment=environment) == []


def test_what_the_chosen_environment_no_longer_reads_another_still_does(tmp_path: Path) -> None:
    body = "environments: {prod: {steps: {train: {with: {data: s3://rows, target: z}}}}}\nparameters: {y: {type: string, default: y}}\nsteps:\n"
    body += INGEST + TRAIN.replace("target: y", 'target: "${{ parameters.y }}"') + HANDED
    assert found(tmp_path, body, "PIPE207", "PIPE213", environment="prod") == []


def test_a_step_that_starts_another_pipeline_is_used(tmp_path: Path) -> None:
    one = pipeline("steps:\n" + INGEST + SPLIT + TRAIN + HANDED, "one")
    two = pipeline("triggers: [{after: {pipeline: one, step: split}}]\nsteps:\n" + INGEST, "two")
    assert found(tmp_path, {"p.yaml": f"{one}---\n{two}"}, "PIPE213") == []


@pytest.mark.parametrize("where", ["triggers: [%s]\n", "environments: {prod: {triggers: [%s]}}\n"])
@pytest.mark.parametrize("environment", ["", "prod", "dev"])
def test_what_a_trigger_of_another_pipeline_reads_is_read(where: str, environment: str, tmp_path: Path) -> None:
    after = '{after: {pipeline: one, when: parameters.n > 1, parameters: {day: "${{ parameters.day }}"}}}'
    declared = "parameters: {day: {type: string, default: ''}, n: {type: integer, default: 2}, rest: {type: string, default: ''}}\n"
    one = pipeline(declared + "steps:\n" + INGEST, "one")
    two = 'parameters: {day: {type: string, default: ""}}\n' + where % after
    two = pipeline(two + 'steps:\n  ingest: {uses: ingest, with: {source: "${{ parameters.day }}"}}\n', "two")
    assert found(tmp_path, {"p.yaml": f"{one}---\n{two}"}, "PIPE207", environment=environment) == [
        "p.yaml:4 PIPE207 nothing reads the parameter `rest`"
    ]


def test_data_that_nobody_uses_is_told_where_it_is_made(tmp_path: Path) -> None:
    assert found(tmp_path, "steps:\n" + INGEST + SPLIT + TRAIN + HANDED, "PIPE213") == [
        "p.yaml:6 PIPE213 nobody uses what `split` makes"
    ]


def test_a_secret_is_read_by_a_pipeline_inside(tmp_path: Path) -> None:
    inner = pipeline(
        f'environments: {{prod: {{secrets: {{token: {SECRET}}}}}}}\nsteps: {{a: {{uses: ./mix.yaml, env: {{T: "${{{{ secrets.token }}}}"}}}}}}\n',
        "inner",
    )
    outer = pipeline(
        f"environments: {{prod: {{secrets: {{token: {SECRET}, tokn: {SECRET}}}}}}}\nsteps: {{inner: {{uses: ./inner.yaml}}}}\n"
    )
    assert found(tmp_path, {"p.yaml": outer, "inner.yaml": inner}, "PIPE214", environment="prod") == [
        "p.yaml:4 PIPE214 environment `prod` places the secret `tokn`, and nothing reads it"
    ]


def test_a_config_that_only_another_environment_reads_is_read(tmp_path: Path) -> None:
    body = 'environments: {dev: {configs: {r: {value: eu}}}, prod: {configs: {r: {value: us}, s: null}, steps: {a: {with: {text: "${{ configs.r }}"}}}}}\nsteps: {a: {uses: ./mix.yaml}}\n'
    assert found(tmp_path, body, "PIPE214", environment="dev") == []


def test_a_secret_that_only_a_step_of_finally_reads_is_read(tmp_path: Path) -> None:
    body = f"environments: {{prod: {{secrets: {{token: {SECRET}}}}}}}\nsteps: {{a: {{uses: ./mix.yaml}}}}\n"
    body += 'finally: {b: {uses: ./mix.yaml, env: {T: "${{ secrets.token }}"}}}\n'
    assert found(tmp_path, body, "PIPE214", environment="prod") == []


READ = {
    "in a condition": 'matrix: {axes: {x: [1, 2]}}, when: "matrix.x > 1"',
    "in a variable": 'matrix: {axes: {x: [1, 2]}}, env: {X: "${{ matrix.x }}"}',
    "inside a list": 'matrix: {axes: {x: [1, 2]}}, with: {list: [0, "${{ matrix.x }}"]}',
    "in a field of an item": 'for_each: [{k: a}, {k: b}], with: {text: "${{ item.k }}"}',
    "by nothing, in a single cell": "matrix: {axes: {x: [1]}}",
    "by nothing, in a single item": "for_each: [1]",
    "by nothing, in an empty loop": "for_each: []",
    "as a name of cells that differ in what is read": 'matrix: {include: [{x: 1, note: a}, {x: 2, note: b}]}, with: {n: "${{ matrix.x }}"}',
    "where equal cells were written as such": 'matrix: {axes: {x: [1, 1]}}, with: {n: "${{ matrix.x }}"}',
    "by nothing, and meant": "cache: false, matrix: {axes: {repeat: [1, 2, 3]}}",
    "by nothing, with a folder of its own": "volumes: {/scratch: scratch}, matrix: {axes: {x: [1, 2]}}",
    "by nothing, with a secret": 'env: {T: "${{ secrets.t }}"}, matrix: {axes: {x: [1, 2]}}',
}  # fmt: skip


@pytest.mark.parametrize("how", READ)
def test_cells_that_may_differ_are_left_alone(how: str, tmp_path: Path) -> None:
    assert found(tmp_path, f"steps: {{a: {{uses: ./mix.yaml, {READ[how]}}}}}\n", "PIPE215") == []


def test_steps_that_change_the_world_may_do_so_again(tmp_path: Path) -> None:
    steps = "steps:\n  a: {uses: notify, matrix: {axes: {x: [1, 2]}}, with: {channel: c, message: m}}\n"
    assert found(tmp_path, steps, "PIPE215") == []


IDLE = "nothing of `a` reads `matrix.%s`, so cells that differ in it alone do the same"
UNREAD = {
    "an axis": ("matrix: {axes: {x: [1, 2]}}", [IDLE % "x"]),
    "one axis of two": ('matrix: {axes: {x: [1, 2], y: [3, 4]}}, with: {n: "${{ matrix.x }}"}', [IDLE % "y"]),
    "both axes": ("matrix: {axes: {x: [1, 2], y: [3, 4]}}", [IDLE % "x", IDLE % "y"]),
    "items": ("for_each: [1, 2]", ["nothing of `a` reads `item`, so every iteration does the same"]),
    "items of a step": ('for_each: "${{ steps.b.list }}"', ["nothing of `a` reads `item`, so every iteration does the same"]),
}  # fmt: skip


@pytest.mark.parametrize("what", UNREAD)
def test_cells_that_do_the_same_are_told(what: str, tmp_path: Path) -> None:
    how, told = UNREAD[what]
    steps = f"steps:\n  b: {{uses: ./mix.yaml}}\n  a: {{uses: ./mix.yaml, {how}}}\n"
    assert found(tmp_path, steps, "PIPE215") == [f"p.yaml:6 PIPE215 {one}" for one in told]


@pytest.mark.parametrize(
    ("inner", "n_told"),
    [
        ("uses: ./mix.yaml", 1),
        ("uses: ./mix.yaml, cache: false", 0),
        ("uses: notify, with: {channel: c, message: m}", 0),
    ],
)
def test_a_pipeline_does_the_same_if_all_of_its_steps_do(inner: str, n_told: int, tmp_path: Path) -> None:
    files = {
        "p.yaml": pipeline("steps: {a: {uses: ./inner.yaml, matrix: {axes: {x: [1, 2]}}}}\n"),
        "inner.yaml": pipeline(f"steps: {{one: {{uses: ./mix.yaml}}, two: {{{inner}}}}}\n", "inner"),
    }
    assert len(found(tmp_path, files, "PIPE215")) == n_told
