"""What an environment gives to steps is judged by what that environment has, whichever is chosen."""

# ruff: noqa: E501  (documents with one idea a line)
from __future__ import annotations

from pathlib import Path

import pytest
from documents import asked, pipeline, told

PROJECT = """apiVersion: pipec/v1alpha1
kind: Project
metadata: {name: p}
configs: {rows: {value: 5}}
environments:
  dev: {}
  prod: {configs: {rows: {kubernetes: {name: site, key: rows}}, site: {value: eu}}}
"""
SAY = """apiVersion: pipec/v1alpha1
kind: Step
metadata: {name: say, version: "1"}
parameters: {n: {type: integer, default: 1, minimum: 1}, text: {type: string, default: x}}
outputs: {text: {type: string}}
command: [say]
args: ["${{ parameters.n }}", "${{ parameters.text }}", "${{ outputs.text }}"]
"""
INNER = pipeline(
    'environments: {prod: {steps: {say: {env: {KEY: "${{ secrets.key }}", SITE: "${{ configs.site }}"}}}}}\n'
    "steps:\n  say: {uses: ./say.yaml}\n",
    "inner",
)
STEPS = "steps:\n  say: {uses: ./say.yaml, with: {n: 2}}\n"
AROUND = pipeline("steps:\n  inner: {uses: ./inner.yaml}\n", "around")
COUNT = pipeline(
    'parameters: {k: {type: integer, default: 1}}\nsteps:\n  say: {uses: ./say.yaml, with: {n: "${{ parameters.k }}"}}\n',
    "count",
)
FILES = {"pipec.yaml": PROJECT, "say.yaml": SAY, "inner.yaml": INNER, "around.yaml": AROUND, "count.yaml": COUNT}
RIGHT = {
    "a secret of its own": 'environments: {prod: {secrets: {key: {env: KEY}}, steps: {say: {env: {KEY: "${{ secrets.key }}"}}}}}\n'
    + STEPS,
    "a config of its own": 'environments: {prod: {steps: {say: {with: {text: "${{ configs.site }}"}}}}}\n' + STEPS,
    "a config of another type": 'environments: {prod: {steps: {say: {with: {text: "${{ configs.rows }}"}}}}}\n' + STEPS,
    "a constant of another value": 'parameters: {n: {type: integer, default: 0, const: true}}\nenvironments: {prod: {parameters: {n: 7}, steps: {say: {with: {n: "${{ parameters.n }}"}}}}}\n'
    + STEPS,
    "a value for a step that another environment gives none": "parameters: {n: {type: integer, default: 3}}\nenvironments: {prod: {parameters: {n: 0}, steps: {say: {with: {n: 5}}}}}\n"
    + STEPS.replace("n: 2", 'n: "${{ parameters.n }}"')
    + '  tell: {uses: ./say.yaml, with: {text: "n = ${{ parameters.n }}"}}\n',
    "a variable called like a parameter": "environments: {prod: {steps: {say: {env: {n: many}}}}}\n" + STEPS,
    "another value for a pipeline within": "parameters: {n: {type: integer, default: 3}}\nenvironments: {prod: {parameters: {n: 0}, steps: {one: {with: {k: 5}}}}}\n"
    'steps:\n  one: {uses: ./count.yaml, with: {k: "${{ parameters.n }}"}}\n  tell: {uses: ./say.yaml, with: {text: "n = ${{ parameters.n }}"}}\n',
    "a secret of a pipeline two files away": "environments: {prod: {secrets: {key: {env: KEY}}}}\nsteps:\n  one: {uses: ./around.yaml}\n",
    "a secret of a pipeline within": "environments: {prod: {secrets: {key: {env: KEY}}}}\nsteps:\n  one: {uses: ./inner.yaml}\n",
}


@pytest.mark.parametrize("case", RIGHT)
@pytest.mark.parametrize("environment", ["", "dev", "prod"])
def test_what_is_right_in_its_environment_is_right_in_all(case: str, environment: str, tmp_path: Path) -> None:
    files = {**FILES, "p.yaml": pipeline(RIGHT[case])}
    (tmp_path / "folder").mkdir()
    assert told(asked(tmp_path / "folder", files, environment=environment)) == []


@pytest.mark.parametrize("environment", ["", "dev", "prod"])
def test_a_default_that_an_environment_hands_over_is_judged_there(environment: str, tmp_path: Path) -> None:
    body = (
        'parameters: {n: {type: integer, default: 0}}\nenvironments: {prod: {steps: {say: {with: {n: "${{ parameters.n }}"}}}}}\n'
        + STEPS
    )
    found = asked(tmp_path, {"pipec.yaml": PROJECT, "say.yaml": SAY, "p.yaml": pipeline(body)}, environment=environment)
    assert told(found) == ["p.yaml:4 PIPE311 `n` must be at least 1, not `0`"]


@pytest.mark.parametrize("environment", ["", "dev", "prod"])
def test_a_value_that_an_environment_gives_a_step_is_judged_whichever_is_chosen(
    environment: str, tmp_path: Path
) -> None:
    body = "environments: {prod: {steps: {say: {with: {n: 0, m: 1}}}}}\n" + STEPS
    found = asked(tmp_path, {"pipec.yaml": PROJECT, "say.yaml": SAY, "p.yaml": pipeline(body)}, environment=environment)
    assert told(found) == [
        "p.yaml:4 PIPE111 `n` must be at least 1, not `0`",
        "p.yaml:4 PIPE110 step `say` has no parameter `m`",
    ]


@pytest.mark.parametrize("environment", ["", "dev", "other", "prod"])
def test_what_an_environment_asks_of_machines_is_judged_whichever_is_chosen(environment: str, tmp_path: Path) -> None:
    gpu = "{steps: {say: {resources: {accelerator: {kind: gpu}, cpu: 1}}}}"
    body = (
        "parameters: {c: {type: integer, default: 1, const: true}}\n"
        f"environments:\n  dev: {{steps: {{say: {{timeout: 1h}}}}}}\n  other: {{parameters: {{c: 2}}, steps: {{say: {{resources: {{memory: 1Gi}}}}}}}}\n  prod: {gpu}\n"
        'steps:\n  say: {uses: ./say.yaml, resources: {cpu: "${{ parameters.c }}"}}\n'
    )
    project = PROJECT.replace("dev: {}", "dev: {}\n  other: {}")
    found = asked(tmp_path, {"pipec.yaml": project, "say.yaml": SAY, "p.yaml": pipeline(body)}, environment=environment)
    assert [line.split("`")[0] for line in told(found)] == ["p.yaml:8 PIPE401 "]


@pytest.mark.parametrize("environment", ["", "dev"])
def test_what_an_environment_lacks_is_told_with_its_name(environment: str, tmp_path: Path) -> None:
    body = (
        'environments: {prod: {steps: {say: {env: {KEY: "${{ secrets.key }}", SITE: "${{ configs.sites }}"}}}}}\n'
        + STEPS
    )
    found = asked(tmp_path, {"pipec.yaml": PROJECT, "say.yaml": SAY, "p.yaml": pipeline(body)}, environment=environment)
    assert [finding.message for finding in found.report.findings] == [
        "environment `prod` has no secret `key`",
        "environment `prod` has no config `sites`",
    ]
