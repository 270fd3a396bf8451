"""What steps ask of machines, in every environment, against pools, makers and what their programs can do."""

# ruff: noqa: E501  (a table with one case a line)
from __future__ import annotations

from pathlib import Path

import pytest
from documents import MIX, STEP, asked, pipeline, planned, told

PINNED = "@sha256:" + "0" * 64
PROJECT = """apiVersion: pipec/v1alpha1
kind: Project
metadata: {name: p}
pools:
  cpu: {}
  a100: {accelerator: {kind: gpu, vendor: nvidia, model: a100, memory: 40Gi}}
  amd: {accelerator: {kind: gpu, vendor: amd}}
  big: {accelerator: {kind: gpu, model: h200}}
environments:
  dev: {}
  prod: {production: true, pools: {amd: {accelerator: {kind: gpu, vendor: amd, model: mi300x}}}}
"""
FIT = (
    STEP % "fit"
    + 'outputs: {model: {type: Model}}\naccelerators: [gpu, tpu]\ndistributed: true\ncommand: [fit]\nargs: ["${{ outputs.model }}"]\n'
)
ALONE = FIT.replace("distributed: true\n", "")


def found(folder: Path, step: str, head: str = "", *, environment: str = "") -> list[str]:
    files = {
        "pipec.yaml": PROJECT, "fit.yaml": FIT, "alone.yaml": ALONE,
        "p.yaml": pipeline(f"{head}steps:\n  one: {step}\n"),
    }  # fmt: skip
    findings = asked(folder, files, environment=environment).report.findings
    return [f"{f.rule.code} {f.message}" for f in findings]


def fit(resources: str, file: str = "fit") -> str:
    return f"{{uses: ./{file}.yaml, resources: {{{resources}}}}}"


FINE = [
    "machines: 4", "accelerator: {model: a100, memory: 80Gi}", "accelerator: {model: A100-80GB, memory: 80Gi}", "accelerator: {model: b300, memory: 4Ti}",
    "accelerator: {vendor: acme, model: x1}", "accelerator: {kind: tpu, vendor: google, model: v5e}", "accelerator: {kind: tpu, vendor: acme}",
    "pool: a100, accelerator: {memory: 40Gi}", "pool: big, accelerator: {memory: 140Gi}", "pool: cpu", "pool: amd, accelerator: {model: mi300x}",
]  # fmt: skip


@pytest.mark.parametrize("resources", FINE)
@pytest.mark.parametrize("environment", ["", "dev", "prod"])
def test_what_can_be_met_is_left_alone(resources: str, environment: str, tmp_path: Path) -> None:
    head = f"image: registry.example/x{PINNED}\n"
    assert found(tmp_path, fit(resources), head, environment=environment) == []


UNFIT = {
    "accelerator: {model: a100, memory: 96Gi}": ["PIPE409 a device of 96Gi is asked for, and `a100` has 80Gi at most"],
    "accelerator: {vendor: amd, model: h100}": ["PIPE409 `h100` is made by nvidia, not by amd"],
    "accelerator: {kind: tpu, model: h100}": ["PIPE409 `h100` is a gpu, not a tpu"],
    "accelerator: {kind: tpu, vendor: nvidia}": ["PIPE409 nvidia makes no tpu"],
    "pool: a100, accelerator: {memory: 80Gi}": ["PIPE404 `one` asks for devices of 80Gi, and those of pool `a100` have 40Gi"],
    "pool: big, accelerator: {memory: 160Gi}": ["PIPE409 a device of 160Gi is asked for, and `h200` has 144Gi at most"],
    "pool: amd, accelerator: {model: h100}": ["PIPE409 `h100` is made by nvidia, not by amd"],
    "pool: a100, accelerator: {vendor: amd, model: mi300x}": [
        "PIPE404 `one` asks for `amd`, and pool `a100` has `nvidia`", "PIPE404 `one` asks for `mi300x`, and pool `a100` has `a100`",
    ],
    "pool: a100": ["PIPE408 `one` asks for no gpu, and the machines of pool `a100` have one"],
}  # fmt: skip


@pytest.mark.parametrize("resources", UNFIT)
def test_what_no_machine_can_meet_is_told_once(resources: str, tmp_path: Path) -> None:
    assert found(tmp_path, fit(resources)) == UNFIT[resources]


def test_every_environment_is_asked_with_its_own_pools(tmp_path: Path) -> None:
    head = "environments: {prod: {steps: {one: {resources: {accelerator: {model: mi210}}}}}}\n"
    told = ["PIPE404 `one` asks for `mi210`, and pool `amd` has `mi300x`"]
    assert found(tmp_path, fit("pool: amd, accelerator: {kind: gpu}"), head) == told
    assert found(tmp_path, fit("pool: amd, accelerator: {kind: gpu}"), head, environment="dev") == told


def test_what_constants_of_another_environment_make_of_a_step_is_not_guessed(tmp_path: Path) -> None:
    head = """parameters: {gpu: {type: string, const: true, default: a100}}
environments: {prod: {parameters: {gpu: h200}, steps: {one: {resources: {accelerator: {memory: 140Gi}}}}}}
"""
    assert found(tmp_path, fit('accelerator: {model: "${{ parameters.gpu }}"}'), head) == []


def test_a_default_accelerator_is_no_idle_one(tmp_path: Path) -> None:
    head = "defaults: {resources: {accelerator: {kind: gpu}}}\n"
    assert found(tmp_path, fit("pool: a100"), head) == []


def test_a_default_that_contradicts_itself_is_told_where_it_stands(tmp_path: Path) -> None:
    head = "defaults: {resources: {accelerator: {model: t4, memory: 24Gi}}}\n"
    assert found(tmp_path, fit("cpu: 1"), head) == ["PIPE409 a device of 24Gi is asked for, and `t4` has 16Gi at most"]


ALONE_TOLD = "PIPE406 `one` would run on 2 machines, and `fit` does not find its peers on them"


@pytest.mark.parametrize(
    ("resources", "head"),
    [
        ("machines: 2", ""),
        ("cpu: 1", "defaults: {resources: {machines: 2}}\n"),
        ("machines: 1", "environments: {prod: {steps: {one: {resources: {machines: 2}}}}}\n"),
    ],
    ids=["the step", "the defaults", "another environment"],
)
def test_a_program_without_peers_is_not_started_on_several_machines(resources: str, head: str, tmp_path: Path) -> None:
    assert found(tmp_path, fit(resources, "alone"), head) == [ALONE_TOLD]


def test_a_step_that_says_one_machine_takes_no_default(tmp_path: Path) -> None:
    assert found(tmp_path, fit("machines: 1", "alone"), "defaults: {resources: {machines: 2}}\n") == []


def test_a_manifest_that_asks_for_machines_says_that_its_program_finds_them(tmp_path: Path) -> None:
    files = {
        "p.yaml": pipeline("steps: {one: {uses: ./many.yaml}}\n"),
        "many.yaml": ALONE + "resources: {machines: 2}\n",
    }
    (finding,) = asked(tmp_path, files).report.findings
    assert (finding.rule.code, finding.help) == ("PIPE131", "add `distributed: true`, or leave `machines` out")


IMAGES = {
    "a tag": ("registry.example/x:1", 1),
    "nothing": ("registry.example/x", 1),
    "a short digest": ("registry.example/x@sha256:abc", 1),
    "a digest": (f"registry.example/x{PINNED}", 0),
    "a tag and a digest": (f"registry.example/x:1{PINNED}", 0),
}


@pytest.mark.parametrize("image", IMAGES)
def test_in_production_an_image_has_a_digest(image: str, tmp_path: Path) -> None:
    name, n_told = IMAGES[image]
    told = [f"PIPE407 `{name}` is named without a digest, and may be another image tomorrow"] * n_told
    head = f"image: {name}\n"
    assert found(tmp_path, "{uses: ./fit.yaml}", head, environment="prod") == told
    assert found(tmp_path, "{uses: ./fit.yaml}", head, environment="dev") == []
    assert found(tmp_path, "{uses: ./fit.yaml}", head) == []


def test_only_the_image_in_force_counts(tmp_path: Path) -> None:
    step = f"{{uses: ./fit.yaml, image: registry.example/y{PINNED}}}"
    assert found(tmp_path, step, "image: registry.example/x:1\n", environment="prod") == []
    assert found(tmp_path, "{uses: ./fit.yaml}", environment="prod") == []


def test_an_image_of_the_project_is_told_in_its_file(tmp_path: Path) -> None:
    files = {
        "pipec.yaml": PROJECT + "image: registry.example/x:1\n", "fit.yaml": FIT,
        "p.yaml": pipeline("steps: {one: {uses: ./fit.yaml}, two: {uses: ./in.yaml}}\n"),
        "in.yaml": pipeline("steps: {one: {uses: ./fit.yaml}}\n", "in"),
    }  # fmt: skip
    (finding,) = asked(tmp_path, files, environment="prod").report.findings
    assert (finding.rule.code, Path(finding.loc.path).name) == ("PIPE407", "pipec.yaml")


def test_a_pipeline_alone_may_name_its_environments(tmp_path: Path) -> None:
    bare = PROJECT[: PROJECT.index("environments:")]
    files = {"pipec.yaml": bare, "p.yaml": pipeline("environments: {prd: {}}\nsteps: {one: {uses: ./mix.yaml}}\n")}
    assert asked(tmp_path, files).report.findings == ()


NEEDING = ALONE + "needs_accelerator: true\n"
GIVEN = "environments: {%s: {steps: {one: {resources: {accelerator: {kind: gpu}}}}}}\n"


@pytest.mark.parametrize(
    ("head", "step", "environment", "is_told"),
    [
        ("", "{uses: ./need.yaml}", "", True),
        ("", "{uses: ./need.yaml, resources: {accelerator: {kind: tpu}}}", "", False),
        ("defaults: {resources: {accelerator: {kind: gpu}}}\n", "{uses: ./need.yaml}", "", False),
        (GIVEN % "dev", "{uses: ./need.yaml}", "", False),
        (GIVEN % "dev", "{uses: ./need.yaml}", "dev", False),
        (GIVEN % "dev", "{uses: ./need.yaml, resources: {cpu: 2}}", "prod", True),
        ("", "{uses: ./own.yaml}", "", False),
        ("", "{uses: ./alone.yaml}", "", False),
    ],
)
def test_a_step_that_needs_a_device_is_given_one(
    head: str, step: str, environment: str, is_told: bool, tmp_path: Path
) -> None:
    files = {
        "pipec.yaml": PROJECT, "need.yaml": NEEDING, "alone.yaml": ALONE,
        "own.yaml": NEEDING + "resources: {accelerator: {kind: gpu}}\n",
        "p.yaml": pipeline(f"image: registry.example/x{PINNED}\n{head}steps:\n  one: {step}\n"),
    }  # fmt: skip
    findings = asked(tmp_path, files, environment=environment).report.findings
    assert [finding.rule.code for finding in findings] == ["PIPE417"] * is_told


def test_a_manifest_that_needs_a_device_says_which(tmp_path: Path) -> None:
    files = {
        "need.yaml": NEEDING.replace("accelerators: [gpu, tpu]\n", ""),
        "p.yaml": pipeline("steps: {one: {uses: ./need.yaml}}\n"),
    }
    findings = asked(tmp_path, files).report.findings
    assert [(f.rule.code, f.help) for f in findings] == [("PIPE131", "add `accelerators: [gpu]`")]


@pytest.mark.parametrize(
    ("pool", "asks", "has"),
    [
        ("kind: gpu, vendor: nvidia, model: a100, memory: 40Gi", "kind: gpu", ("nvidia", "a100", 40960)),
        ("kind: gpu", "kind: gpu, vendor: nvidia, model: a100, memory: 40Gi", ("nvidia", "a100", 40960)),
        ("kind: gpu, memory: 80Gi", "kind: gpu, memory: 40Gi", (None, None, 40960)),
    ],
    ids=["the pool", "the step", "the step, of less"],
)
def test_a_task_asks_for_what_its_step_and_its_pool_say(
    pool: str, asks: str, has: tuple[object, ...], tmp_path: Path
) -> None:
    project = PROJECT.split("pools:")[0] + f"pools: {{fast: {{accelerator: {{{pool}}}}}}}\n"
    body = f"steps: {{a: {{uses: ./mix.yaml, resources: {{pool: fast, accelerator: {{{asks}}}}}}}}}"
    mix = MIX.replace("command:", "accelerators: [gpu]\ncommand:")
    plan = planned(tmp_path, {"pipec.yaml": project, "mix.yaml": mix, "p.yaml": pipeline(body)})
    accelerator = plan.task("a").resources.accelerator
    assert accelerator is not None
    assert (accelerator.vendor, accelerator.model, accelerator.memory_mib) == has


def test_one_attempt_of_an_approval_is_no_retry(tmp_path: Path) -> None:
    body = "steps: {ask: {uses: approve, retry: {attempts: %d}, with: {model: m, approvers: [ana@example.org]}}}"
    assert told(asked(tmp_path, body % 1)) == []
    assert told(asked(tmp_path, body % 2)) == [
        "p.yaml:4 PIPE402 `ask` asks a person, and a refusal is never tried again"
    ]
