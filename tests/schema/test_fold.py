"""What must be known at compile time: constants put in their places, and what is told of those that are none."""

# ruff: noqa: E501  (a table with one case a line)
from __future__ import annotations

import pytest

from pipec.diagnostics import Source
from pipec.schema import tree
from pipec.schema.fold import Folding, constants, fold
from pipec.values import Json

PARAMETERS = """parameters:
  n: {type: integer, const: true, default: 4}
  seeds: {type: list, const: true, default: [1, 2]}
  machine: {type: object, const: true, default: {cpu: 2}}
  later: {type: integer, default: 3}
"""


def read(text: str) -> tree.Mapping:
    (document,), found = tree.read(Source("p.yaml", text))
    assert isinstance(document, tree.Mapping) and not found
    return document


def folded(text: str, environment: str = "", sets: dict[str, Json] | None = None) -> Folding:
    document = read(text)
    return fold(document, constants(document, environment, sets or {}), Source("p.yaml", text))


def at(folding: Folding, path: str) -> Json:
    found = tree.as_json(folding.document)
    for key in path.split("/"):
        found = found[key]  # type: ignore[call-overload,index]
    return found


@pytest.mark.parametrize(
    ("said", "path", "value"),
    [
        ("steps: {a: {resources: {cpu: '${{ parameters.n }}'}}}", "steps/a/resources/cpu", 4),
        ("steps: {a: {resources: {accelerator: {count: '${{ parameters.n }}'}}}}", "steps/a/resources/accelerator/count", 4),
        ("steps: {a: {resources: '${{ parameters.machine }}'}}", "steps/a/resources", {"cpu": 2}),
        ("finally: {a: {resources: {cpu: '${{parameters.n}}'}}}", "finally/a/resources/cpu", 4),
        ("defaults: {resources: {cpu: '${{ parameters.n }}'}}", "defaults/resources/cpu", 4),
        ("steps: {a: {matrix: {axes: {s: '${{ parameters.seeds }}'}}}}", "steps/a/matrix/axes/s", [1, 2]),
        ("steps: {a: {matrix: {axes: {s: [7, '${{ parameters.n }}']}}}}", "steps/a/matrix/axes/s", [7, 4]),
        ("steps: {a: {matrix: {max_parallel: '${{ parameters.n }}'}}}", "steps/a/matrix/max_parallel", 4),
        ("steps: {a: {matrix: {include: [{s: '${{ parameters.n }}'}]}}}", "steps/a/matrix/include", [{"s": 4}]),
        ("environments: {prod: {steps: {a: {resources: {cpu: '${{ parameters.n }}'}}}}}", "environments/prod/steps/a/resources/cpu", 4),
        ("environments: {prod: {defaults: {resources: {cpu: '${{ parameters.n }}'}}}}", "environments/prod/defaults/resources/cpu", 4),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else None,
)  # fmt: skip
def test_a_constant_becomes_its_value_where_it_must_be_known(said: str, path: str, value: Json) -> None:
    folding = folded(PARAMETERS + said)
    assert (at(folding, path), folding.findings) == (value, [])
    assert len(folding.used) == 1


@pytest.mark.parametrize(
    "path",
    ["steps/a/with/x", "steps/a/env/X", "steps/a/when", "steps/a/for_each", "outputs/o", "triggers/0/after/when"],
)
def test_what_a_run_evaluates_is_left_as_it_is_written(path: str) -> None:
    text = "${{ parameters.n }} $${{ plain"
    said = f"""steps: {{a: {{with: {{x: "{text}"}}, env: {{X: "{text}"}}, when: "{text}", for_each: "{text}"}}}}
outputs: {{o: "{text}"}}
triggers: [{{after: {{when: "{text}"}}}}]
"""
    document = folded(PARAMETERS + said).document
    found = tree.as_json(document)
    for key in path.split("/"):
        found = found[int(key) if isinstance(found, list) else key]  # type: ignore[call-overload,index]
    assert found == text


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("${{ parameters.later }}", "`later` is not known when the pipeline is compiled"),
        ("${{ parameters.m }}", "there is no parameter `m`"),
        ("x ${{ parameters.n }}", "a value that must be known when the pipeline is compiled is one `const` parameter, alone"),
        ("${{ parameters.n }}${{ parameters.n }}", "a value that must be known when the pipeline is compiled is one `const` parameter, alone"),
        ("${{ steps.a.n }}", "a value that must be known when the pipeline is compiled is one `const` parameter, alone"),
        ("${{ configs.n }}", "a value that must be known when the pipeline is compiled is one `const` parameter, alone"),
        ("${{ parameters.n.m }}", "a value that must be known when the pipeline is compiled is one `const` parameter, alone"),
        ("${{ parameters.n", "`${{` is not closed"),
    ],
)  # fmt: skip
def test_what_is_no_constant_is_told_where_it_stands(written: str, message: str) -> None:
    folding = folded(PARAMETERS + f'steps: {{a: {{resources: {{cpu: "{written}"}}}}}}')
    (found,) = folding.findings
    assert (found.message, found.loc.span.line) == (message, 6)


def test_the_escape_of_an_opening_is_undone_where_no_expression_is_read() -> None:
    folding = folded(
        'metadata: {description: "$${{ x }}"}\nsteps: {a: {description: "$${{", with: {x: "$${{"}}}\n'
        'environments: {dev: {image: "$${{ y"}}'
    )
    assert at(folding, "metadata/description") == "${{ x }}"
    assert at(folding, "steps/a/description") == "${{"
    assert at(folding, "steps/a/with/x") == "$${{"  # undone with the expressions beside it
    assert at(folding, "environments/dev/image") == "${{ y"


def test_the_escape_of_an_opening_is_undone_in_the_values_of_parameters() -> None:
    text = (
        'parameters: {later: {type: string, default: "a $${{ b }}"}, now: {type: list, const: true, default: ["$${{ x"]}}\n'
        'environments: {dev: {parameters: {later: "$${{ c }}"}}}\n'
        'steps: {a: {matrix: {axes: {x: "${{ parameters.now }}"}}}}\n'
    )
    folding = folded(text)
    assert at(folding, "parameters/later/default") == "a ${{ b }}"
    assert at(folding, "environments/dev/parameters/later") == "${{ c }}"
    assert at(folding, "steps/a/matrix/axes/x") == ["${{ x"]


def test_a_document_without_constants_is_the_same_document() -> None:
    text = PARAMETERS + "steps: {a: {resources: {cpu: 2}, with: {x: '${{ parameters.n }}'}}}"
    document = read(text)
    assert fold(document, {}, Source("p.yaml", text)).document is document


@pytest.mark.parametrize(
    ("environment", "sets", "values"),
    [
        ("", {}, {"n": 4, "seeds": [1, 2], "machine": {"cpu": 2}}),
        ("prod", {}, {"n": 8, "seeds": [1, 2], "machine": {"cpu": 2}}),
        ("prod", {"n": 9}, {"n": 9, "seeds": [1, 2], "machine": {"cpu": 2}}),
        ("nope", {"later": 5}, {"n": 4, "seeds": [1, 2], "machine": {"cpu": 2}}),
    ],
)
def test_the_value_in_force_is_that_of_the_call_then_the_environment_then_the_declaration(
    environment: str, sets: dict[str, Json], values: dict[str, Json]
) -> None:
    document = read(PARAMETERS + "environments: {prod: {parameters: {n: 8, later: 7}}}")
    assert constants(document, environment, sets) == values


@pytest.mark.parametrize(
    "text",
    ["parameters: 3", "parameters: {n: 3}", "parameters: {n: {const: 'yes'}}", "parameters: {n: {const: true}}",
     "environments: 3", "environments: {prod: 3}", "environments: {prod: {parameters: 3}}"],
)  # fmt: skip
def test_a_document_of_any_shape_has_constants(text: str) -> None:
    assert constants(read(text), "prod", {}) == {}
