"""A step in any language, as its manifest declares it: what is read, and what is told of what cannot be."""

from __future__ import annotations

import pytest

from pipec.diagnostics import Report, Source, ordered
from pipec.report import render
from pipec.schema import check, manifest, tree
from pipec.steps.interface import (
    Accelerator,
    Container,
    Dataset,
    Input,
    Interface,
    Kind,
    Model,
    Output,
    Parameter,
    Resources,
    Slot,
    Words,
)

HEAD = """apiVersion: pipec/v1alpha1
kind: Step
metadata: {name: score, version: "1", description: Score rows with the in-house engine}
"""
SCORE = f"""{HEAD}
role: evaluate
inputs:
  data: {{type: Dataset, fits: true}}
  parts: {{type: Dataset, many: true}}
  weights: {{type: Model, optional: true}}
parameters:
  threshold: {{type: number, default: 0.5, minimum: 0, maximum: 1, unit: points, description: Where to cut.}}
  rules: {{type: string, path: true}}
outputs:
  scores: {{type: Dataset, split: test, optional: true}}
  mean: {{type: number}}
  data: {{type: Dataset, same_as: data}}
resources: {{cpu: 4, memory: 1Gi, accelerator: {{kind: gpu}}}}
accelerators: [gpu, tpu]
image: registry.example/score:1
command: [node, "/app/$${{{{score.js"]
args:
  - --data=${{{{ inputs.data }}}}
  - ${{{{ inputs.parts }}}}
  - [--weights, "${{{{inputs.weights}}}}"]
  - --limits=${{{{ parameters.threshold }}}}:${{{{ parameters.rules }}}}
  - [--scores, "${{{{ outputs.scores }}}}", ""]
  - $${{{{ inputs.data }}}}
  - "${{{{ outputs.mean }}}}"
"""  # fmt: skip


def read(text: str) -> tuple[Interface | None, str]:
    """Return what a manifest is, and the findings about it as they are printed, one to a line."""
    source = Source("score.yaml", text)
    (document,), found = tree.read(source)
    assert isinstance(document, tree.Mapping) and not found
    findings = [*check.header(document, "Step"), *check.shape(document, check.schema("step"))]
    interface = None
    if not findings:
        interface, found = manifest.step(document, source)
        findings = [*found]
    printed = render(Report(ordered(findings), (source,)), "text")
    kept = [line for line in printed.splitlines() if line.startswith(("score.yaml:", "  = ", "   = ", "    = "))]
    return interface, "\n".join(line.strip() for line in kept)


def test_a_manifest_says_all_that_a_library_step_says() -> None:
    interface, told = read(SCORE)
    assert told == ""
    assert interface == Interface(
        name="score", version="1", summary="Score rows with the in-house engine", role=manifest.Role.EVALUATE,
        inputs=(Input(name="data", type=Dataset, fits=True), Input(name="parts", type=Dataset, many=True),
                Input(name="weights", type=Model, optional=True)),
        parameters=(
            Parameter(name="threshold", kind=Kind.NUMBER, default=0.5, unit="points", help="Where to cut.",
                      schema={"type": "number", "minimum": 0, "maximum": 1}),
            Parameter(name="rules", kind=Kind.STRING, schema={"type": "string"}, path=True),
        ),
        outputs=(Output(name="scores", type=Dataset, split="test", optional=True),
                 Output(name="mean", type=Kind.NUMBER), Output(name="data", type=Dataset, same_as="data")),
        resources=Resources(cpu=4, memory_mib=1024, accelerator=Accelerator(kind="gpu")),
        accelerators=("gpu", "tpu"),
        container=Container(
            command=("node", "/app/${{score.js"), image="registry.example/score:1",
            args=(
                Words((("--data=", Slot("inputs", "data")),)),
                Words(((Slot("inputs", "parts"),),)),
                Words((("--weights",), (Slot("inputs", "weights"),)), is_group=True),
                Words((("--limits=", Slot("parameters", "threshold"), ":", Slot("parameters", "rules")),)),
                Words((("--scores",), (Slot("outputs", "scores"),), ()), is_group=True),
                Words((("${{ inputs.data }}",),)),
                Words(((Slot("outputs", "mean"),),)),
            ),
        ),
    )  # fmt: skip


def test_a_manifest_needs_a_name_a_version_and_a_command_only() -> None:
    interface, told = read(f'{HEAD}command: ["true"]\n')
    assert told == ""
    assert interface == Interface(
        name="score", version="1", summary="Score rows with the in-house engine", container=Container(command=("true",))
    )


DECLARED = """inputs: {data: {type: Dataset}, parts: {type: Dataset, many: true}, weights: {type: File, optional: true}}
parameters: {level: {type: integer, default: 3}, names: {type: list, default: []}}
outputs: {mean: {type: number}, kept: {type: Dataset, same_as: data}}
command: [score]
"""
MEAN = "${{ outputs.mean }}"


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ('["${{ inputs.dat }}"]',
         "8:13: error: the step has no input `dat` [PIPE130 unusable-argument]\n"
         "= help: did you mean `data`? declared: `data`, `parts`, `weights`"),
        ('["--a=$${{ ${{ outputs.man }}"]',
         "8:22: error: the step has no output `man` [PIPE130 unusable-argument]\n"
         "= help: did you mean `mean`? declared: `kept`, `mean`"),
        ('[[--level, "${{ parameters.depth }}"]]',
         "8:23: error: the step has no parameter `depth` [PIPE130 unusable-argument]\n"
         "= help: declared: `level`, `names`"),
        ('["${{ steps.train.model }}"]',
         "8:13: error: an argument cannot name `steps` [PIPE120 expression-syntax]\n"
         "= help: known: `inputs`, `outputs`, `parameters`"),
        ('["${{ input.data }}"]',
         "8:13: error: an argument cannot name `input` [PIPE120 expression-syntax]\n"
         "= help: did you mean `inputs`? known: `inputs`, `outputs`, `parameters`"),
        ('["${{ secrets.dsn }}"]',
         "8:13: error: a secret does not reach a step by its arguments [PIPE120 expression-syntax]\n"
         "= help: give it under `env` where the step is used: it must not stand in an argument list"),
        ('["${{ inputs.data.path }}"]',
         "8:13: error: `inputs.data.path` names no value [PIPE120 expression-syntax]\n"
         "= help: the form is `inputs.NAME`"),
        ('["${{ inputs.data"]',
         "8:9: error: `${{` is not closed [PIPE120 expression-syntax]\n"
         "= help: close it with `}}`, or write `$${{` for text"),
        ('[--weights, "${{ inputs.weights }}"]',
         "8:24: error: input `weights` may be absent, and then nothing could stand here [PIPE130 unusable-argument]\n"
         '= help: write a list, which is dropped whole: `[--weights, "${{ inputs.weights }}"]`'),
        ('["--parts=${{ inputs.parts }}"]',
         "8:21: error: input `parts` is a list of paths, which does not fit into a longer text "
         "[PIPE130 unusable-argument]\n= help: alone in an argument it becomes one for each path"),
        ('["--names=${{ parameters.names }}"]',
         "8:21: error: parameter `names` is of type list, which has no form in a longer text "
         "[PIPE130 unusable-argument]\n= help: alone in an argument it is written as JSON"),
        ('["${{ outputs.kept }}"]',
         "8:13: error: output `kept` is input `data` passed on: the command does not write it "
         "[PIPE130 unusable-argument]\n= help: remove the argument"),
        ('["${{ inputs.parts }}", [--weights, "${{ inputs.weights }}"], "${{ parameters.names }}"]', ""),
        ("[--level, 3]",
         '8:17: error: `args` needs text, or a list of texts, but `3` is a number [PIPE103 wrong-shape]\n'
         '= help: write `"3"`'),
        ("[[--level, 3]]",
         '8:18: error: `args` needs text, but `3` is a number [PIPE103 wrong-shape]\n= help: write `"3"`'),
    ],
)  # fmt: skip
def test_an_argument_that_cannot_be_made_is_told_at_its_place(args: str, told: str) -> None:
    text = f'{HEAD}{DECLARED}args: {args[:-1]}, "{MEAN}"]\n'
    interface, found = read(text)
    assert found.removeprefix("score.yaml:") == told
    assert (interface is None) == bool(told)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("inputs: {a: {type: Dataset}}\nparameters: {a: {type: string}}",
         "5:14: error: `a` is an input and a parameter, and `with` could not tell them apart "
         "[PIPE131 contradictory-manifest]\n= note: score.yaml:4:10: the input `a`\n= help: rename one of them"),
        ("parameters: {a: {type: integer, minimum: 1, default: 0}}",
         "4:54: error: `a` must be at least 1, not `0` [PIPE111 wrong-parameter-value]"),
        ("parameters: {a: {type: string, pattern: '('}}",
          "4:14: error: the constraints of `a` cannot be held to: `pattern` cannot be used: missing ): ( "
          "[PIPE111 wrong-parameter-value]\n= help: constraints are those of JSON Schema"),
        ("parameters: {a: {type: integer, path: true}}",
         "4:24: error: `a` names a file, so its type is `string` [PIPE131 contradictory-manifest]\n"
         "= help: write `type: string`"),
        ("parameters: {a: {type: string, secret: true}}",
         "4:32: error: there is no key `secret` here [PIPE101 unknown-key]\n= help: a secret reaches a step as an "
         "environment variable: give it under `env` where the step is used"),
        ("parameters: {a: {type: list, items: {format: date}}}",
         "4:38: error: there is no key `format` here [PIPE101 unknown-key]"),
        ("outputs: {a: {type: Dataset}}",
         "4:11: error: no argument names output `a`, and so the command cannot write it "
         "[PIPE131 contradictory-manifest]\n= help: add `${{ outputs.a }}` to `args`"),
        ("args: ['${{ outputs.a }}']\noutputs: {a: {type: number, optional: true}}",
         "5:39: error: `a` is a small value, and those are always written [PIPE131 contradictory-manifest]\n"
         "= help: remove `optional`"),
        ("args: ['${{ outputs.a }}']\noutputs: {a: {type: Model, split: test}}",
         "5:35: error: only a Dataset can be split, and `a` is of type Model [PIPE131 contradictory-manifest]\n"
         "= help: remove `split`"),
        ("inputs: {data: {type: Dataset}}\noutputs: {a: {type: Dataset, same_as: dat}}",
         "5:39: error: there is no input `dat` to pass on [PIPE131 contradictory-manifest]\n"
         "= help: did you mean `data`? declared: `data`"),
        ("inputs: {data: {type: Dataset}}\noutputs: {a: {type: Model, same_as: data}}",
         "5:37: error: `a` is of type Model, but input `data` is of type Dataset [PIPE131 contradictory-manifest]\n"
         "= help: write `type: Dataset`"),
        ("inputs: {data: {type: Dataset, many: true}}\noutputs: {a: {type: Dataset, same_as: data}}",
         "5:39: error: input `data` is a list of artifacts, and `a` is one [PIPE131 contradictory-manifest]\n"
         "= help: remove `many` from `data`, or write the output"),
        ("inputs: {data: {type: Dataset, optional: true}}\noutputs: {a: {type: Dataset, same_as: data}}",
         "5:39: error: input `data` may be absent, and `a` with it [PIPE131 contradictory-manifest]\n"
         "= help: declare `a` with `optional: true`"),
        ("resources: {accelerator: {kind: tpu}}\naccelerators: [gpu]",
         "4:26: error: the step asks for `tpu`, but does not say that it can use one [PIPE131 contradictory-manifest]\n"
         "= help: add `accelerators: [tpu]`"),
        ("inputs: {a: {type: number}}",
         "4:20: error: `type` cannot be `number` [PIPE104 value-not-allowed]\n= help: allowed: `Approval`, `Dataset`, "
        "`Directory`, `Endpoint`, `File`, `Metrics`, `Model`, `Profile`, `Report`"),
        ("role: approve",
         "4:7: error: `role` cannot be `approve` [PIPE104 value-not-allowed]\n"
         "= help: allowed: `anonymize`, `deploy`, `evaluate`, `export`, `validate`"),
        ("image: registry/${{ parameters.a }}",
         "4:8: error: an expression is not read here [PIPE121 misplaced-expression]\n"
         "= help: expressions stand in `args` only"),
        ("parameters: {a: {type: string, default: '${{ run.id }}'}}",
         "4:41: error: an expression is not read here [PIPE121 misplaced-expression]\n"
         "= help: expressions stand in `args` only"),
    ],
)  # fmt: skip
def test_what_no_run_could_keep_to_is_told_at_its_place(body: str, told: str) -> None:
    interface, found = read(f"{HEAD}{body}\ncommand: [score]\n")
    lines = [line for line in found.removeprefix("score.yaml:").splitlines() if not line.startswith("= help: known: ")]
    assert "\n".join(lines) == told
    assert interface is None


def test_an_expression_in_the_command_is_not_read() -> None:
    assert read(f"{HEAD}command: [sh, '${{{{ parameters.script }}}}']\n") == (
        None,
        "score.yaml:4:20: error: an expression is not read here [PIPE121 misplaced-expression]\n"
        "= help: expressions stand in `args` only",
    )


def test_a_document_of_another_kind_is_told() -> None:
    assert read('apiVersion: pipec/v1alpha1\nkind: Pipeline\nmetadata: {name: a, version: "1"}\ncommand: [a]\n') == (
        None,
        "score.yaml:2:7: error: `kind` is `Pipeline`, and `Step` is read here [PIPE100 wrong-kind]\n"
        "= help: write `kind: Step`",
    )
