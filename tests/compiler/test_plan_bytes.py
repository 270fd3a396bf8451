"""Equal meaning, equal plan: byte for byte, in every process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from documents import MIX, asked, pipeline, planned

SOURCE = Path(__file__).parents[2] / "src"
INNER = pipeline(
    """inputs: {rows: {type: Dataset}}
parameters: {k: {type: integer, default: 3}}
steps:
  m: {uses: ./mix.yaml, matrix: {axes: {x: [1, 2]}}, with: {one: "${{ inputs.rows }}", n: "${{ matrix.x }}"}}
  j: {uses: ./mix.yaml, with: {many: "${{ steps.m[*].data }}", n: "${{ parameters.k }}"}}
outputs: {data: "${{ steps.j.data }}"}
""",
    "inner",
)
BODY = """parameters: {t: {type: string, default: x}, c: {type: integer, const: true, default: 4}}
steps:
  a: {uses: ./mix.yaml, env: {B: "1", A: "${{ parameters.t }}-${{ parameters.c }}"}, needs: [b, c, d]}
  b: {uses: ./mix.yaml}
  c: {uses: ./mix.yaml}
  d: {uses: ./mix.yaml}
  f: {uses: ./inner.yaml, for_each: [1, 2], with: {rows: "${{ steps.a.data }}", k: "${{ item }}"}}
  r: {uses: ./mix.yaml, with: {many: "${{ steps.f[*].data }}"}, when: "failed(b) or succeeded(c)"}
"""
FILES = {"p.yaml": pipeline(BODY), "inner.yaml": INNER}


def test_the_digest_is_that_of_every_process(tmp_path: Path) -> None:
    digest = planned(tmp_path, FILES).digest
    assert planned(tmp_path, FILES).digest == digest
    code = "import sys, pathlib; from pipec import api; print(api.check(api.Request(path=pathlib.Path(sys.argv[1]))).units[0].plan.digest)"  # noqa: E501
    for seed in ("1", "2"):
        environ = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONHASHSEED": seed}
        found = subprocess.check_output([sys.executable, "-c", code, str(tmp_path / "p.yaml")], env=environ, text=True)
        assert found.strip() == digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  d: {uses: ./mix.yaml}", "  d:\n    # a remark\n    uses: 'mix.yaml'"),
        ("needs: [b, c, d]", "needs: [d, b, c]"),
        ('"${{ parameters.t }}-${{ parameters.c }}"', '"${{parameters.t}}-4"'),
        ("const: true, default: 4", "default: 4, const: true, description: unread"),
        ("for_each: [1, 2]", "for_each: {items: [1, 2]}"),
        ("for_each: [1, 2]", "for_each: {fail_fast: true, items: [1, 2]}"),
        ('many: "${{ steps.f[*].data }}"', 'many: ["${{ steps.f[*].data }}"]'),
    ],
)
def test_what_means_the_same_makes_the_same_plan(old: str, new: str, tmp_path: Path) -> None:
    assert old in BODY
    before = planned(tmp_path, FILES)
    assert planned(tmp_path, {**FILES, "p.yaml": pipeline(BODY.replace(old, new))}).digest == before.digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("needs: [b, c, d]", "needs: [b, c]"), ("for_each: [1, 2]", "for_each: [2, 1]"),
        ("for_each: [1, 2]", "for_each: {items: [1, 2], max_parallel: 1}"),
        ("for_each: [1, 2]", "for_each: {items: [1, 2], fail_fast: false}"),
        ("failed(b)", "skipped(b)"), ('"${{ item }}"', "3"), ("default: 4", "default: 5"), ("default: x", "default: y"),
    ],
)  # fmt: skip
def test_what_means_something_else_makes_another_plan(old: str, new: str, tmp_path: Path) -> None:
    assert old in BODY
    before = planned(tmp_path, FILES)
    assert planned(tmp_path, {**FILES, "p.yaml": pipeline(BODY.replace(old, new))}).digest != before.digest


def test_a_plan_says_nothing_of_where_its_files_lie(tmp_path: Path) -> None:
    def moved(name: str) -> dict[str, str]:
        body = pipeline(BODY.replace("./inner.yaml", f"./{name}/inner.yaml"))
        return {"p.yaml": body, f"{name}/inner.yaml": INNER.replace("./mix", "../mix")}

    found = [asked(tmp_path, files).units[0].plan for files in (FILES, moved("below"), moved("elsewhere"))]
    assert found[0] is not None
    assert found[0] == found[1] == found[2]


EVERYTHING = """parameters: {t: {type: string, default: x}, w: {type: integer}}
steps:
  a:
    uses: ./mix.yaml
    image: registry.example/a:1@sha256:%s
    resources: {cpu: 2, memory: 2Gi, pool: quick, accelerator: {kind: gpu, vendor: nvidia, model: a100, memory: 40Gi, count: 2}}
    retry: {attempts: 3, backoff: 5s}
    timeout: 10m
    cache: false
    continue_on_error: true
    volumes: {/scratch: scratch}
    env: {A: "${{ parameters.t }}"}
    with: {text: "${{ parameters.t }}", one: rows.csv, n: "${{ parameters.w }}"}
  b: {uses: ./mix.yaml, needs: [a], matrix: {axes: {x: [1, 2]}, max_parallel: 1, fail_fast: false}, with: {n: "${{ matrix.x }}"}}
  c: {uses: ./mix.yaml, for_each: {items: [1, 2], max_parallel: 3}, when: "steps.a.n > 1 and item == 2", with: {n: "${{ item }}"}}
  d: {uses: ./mix.yaml, with: {many: "${{ steps.b[*].data }}"}, when: "not failed(a)"}
finally: {e: {uses: ./mix.yaml}}
outputs: {data: "${{ steps.d.data }}"}
"""  # noqa: E501
PROJECT = """apiVersion: pipec/v1alpha1
kind: Project
metadata: {name: p}
pools: {quick: {accelerator: {kind: gpu, model: a100}}}
environments:
  prod: {production: true, volumes: {scratch: {kubernetes: {claim: s}}}, pools: {quick: {node_selector: {gpu: a100}}}}
"""


def test_the_digest_is_over_all_that_a_run_depends_on(golden, tmp_path: Path) -> None:
    mix = MIX.replace("command:", "accelerators: [gpu]\ncommand:")
    files = {"pipec.yaml": PROJECT, "mix.yaml": mix, "p.yaml": pipeline(EVERYTHING % ("0" * 64))}
    plan = planned(tmp_path, files, environment="prod")
    golden(Path(__file__).with_name("plan.json"), json.dumps(plan.describe(), indent=1) + "\n")
