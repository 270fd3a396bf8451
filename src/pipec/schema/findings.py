"""The kinds of findings about text and shape (`PIPE0xx`, `PIPE1xx`) and about names inside expressions.

They are declared here and not as functions because one pass over the text or the schema tells many of them apart.
"""

from __future__ import annotations

from pipec.diagnostics import Ignorable, Rule, Severity

RULES: list[Rule] = []


def _rule(
    code: str,
    name: str,
    doc: str,
    severity: Severity = Severity.ERROR,
    *,
    hides: bool = False,
    ignorable: Ignorable = Ignorable.NOWHERE,
) -> Rule:
    rule = Rule(code, name, doc, severity, hides, ignorable)
    RULES.append(rule)
    return rule


SYNTAX = _rule("PIPE001", "yaml-syntax", """The text is not YAML.

Why: nothing else can be told about a file that cannot be read.

Bad:
    metadata: {name: wine

Fix:
    metadata: {name: wine}
""")  # fmt: skip
NOT_TEXT = _rule("PIPE002", "unreadable-file", """The file cannot be read as UTF-8 text.

Why: pipec reads regular files in UTF-8, below the project's folder, and follows no link.

Bad:
    a file saved in Latin-1 or UTF-16, or a link to a file elsewhere

Fix:
    save the file as UTF-8, inside the project
""")  # fmt: skip
TOO_LARGE = _rule("PIPE003", "too-large", """The text exceeds a limit, or stands for more than an engine could take.

Why: a pull request must not be able to stall CI. The limits: 8 MiB, 250,000 values, 64 levels, 64 documents; 50,000
tasks, which wait for each other 300,000 times at most.

Bad:
    [[[[... 65 levels ...]]]]

Fix:
    split the file, or nest less
""")  # fmt: skip
HIDDEN_CHARACTER = _rule("PIPE004", "hidden-character", """A character that cannot be seen stands in the text.

Why: control, direction and zero-width characters make a reviewer see another text than the machine.

Bad:
    name: wi<U+200B>ne

Fix:
    name: wine
""")  # fmt: skip
ALIAS = _rule("PIPE005", "alias", """Anchors, aliases and merge keys are not read.

Why: they hide what a step gets, and a few bytes of them can stand for gigabytes. Use parameters and defaults.

Bad:
    train: &t {uses: train}
    again: *t

Fix:
    train: {uses: train}
    again: {uses: train}
""")  # fmt: skip
TAG = _rule("PIPE006", "tag", """Tags and directives are not read.

Why: they make a reader build other things than text, numbers, lists and mappings.

Bad:
    epochs: !!int "3"

Fix:
    epochs: 3
""")  # fmt: skip
REPEATED_KEY = _rule("PIPE007", "repeated-key", """A key stands twice in one mapping.

Why: most readers keep the last one in silence, so a reviewer may read the other.

Bad:
    with: {epochs: 3, epochs: 30}

Fix:
    with: {epochs: 30}
""")  # fmt: skip
NUMBER = _rule("PIPE008", "number-out-of-range", """A number is not finite, or too large to be carried exactly.

Why: JSON, Kubeflow and Airflow carry numbers as doubles: above 2^53 - 1 an integer changes in silence.

Bad:
    seed: 9007199254740993

Fix:
    seed: 9007199254740991
""")  # fmt: skip
KEY = _rule("PIPE009", "key-not-text", """A key is not text.

Why: every mapping here is read by name.

Bad:
    ? [a, b]
    : c

Fix:
    ab: c
""")  # fmt: skip
EMPTY = _rule("PIPE010", "empty-file", """The file holds no document.

Why: there is nothing to check, which is rarely what was meant.

Bad:
    # only a comment

Fix:
    apiVersion: pipec/v1alpha1
    kind: Pipeline
""")  # fmt: skip
UNUSED_IGNORE = _rule("PIPE011", "unused-ignore", """Something is ignored that is not there.

Why: it would hide the next mistake of that kind on the line, for a reason that was given for another.

Bad:
    train: {uses: train, timeout: 1h}   # pipec: ignore[PIPE401] the pool is shared

Fix:
    train: {uses: train, timeout: 1h}
""", Severity.WARNING)  # fmt: skip
BAD_IGNORE = _rule("PIPE012", "unreasoned-ignore", """Something is ignored without a reason, or without a known code.

Why: whoever reads it later must be able to say whether it still holds.

Bad:
    resources: {accelerator: {kind: gpu}}   # pipec: ignore[PIPE401]

Fix:
    resources: {accelerator: {kind: gpu}}   # pipec: ignore[PIPE401] the image holds a build that uses it
""")  # fmt: skip
UNIGNORABLE = _rule("PIPE013", "unignorable-finding", """Something is ignored that nobody may ignore there.

Why: a pull request must not bring the permission for its own unsafe release; and of a pipeline with an unknown step
or a wrong type nothing could be made.

Bad:
    deploy: {uses: deploy, with: {model: "${{ steps.train.model }}"}}   # pipec: ignore[PIPE501] urgent

Fix:
    # pipec.yaml
    ignore: [{code: PIPE501, path: pipelines/wine.yaml, step: deploy, reason: approved by the board on 3 May}]
""")  # fmt: skip
TWO_READINGS = _rule("PIPE014", "two-readings", """A plain word or number is read in two ways.

Why: pipec reads YAML 1.2, as editors do: `no` is text and `010` is ten. Readers of YAML 1.1, as many tools around a
pipeline are, see `false` and eight, and so may whoever reviews it.

Bad:
    with: {column: no, target: "010", seed: 010}

Fix:
    with: {column: "no", target: "010", seed: 10}
""", Severity.WARNING, ignorable=Ignorable.LINE)  # fmt: skip
WRONG_KIND = _rule("PIPE100", "wrong-kind", """The document does not say that it is a pipeline of a version pipec reads.

Why: `apiVersion` and `kind` decide how everything else is read.

Bad:
    apiVersion: v1

Fix:
    apiVersion: pipec/v1alpha1
    kind: Pipeline
""")  # fmt: skip
UNKNOWN_KEY = _rule("PIPE101", "unknown-key", """A key that the language does not have.

Why: a misspelt key would otherwise be ignored, and its value with it.

Bad:
    steps:
      train: {use: train}

Fix:
    steps:
      train: {uses: train}
""")  # fmt: skip
MISSING_KEY = _rule("PIPE102", "missing-key", """A key that must be there is not.

Why: without it the rest has no meaning.

Bad:
    metadata: {description: Wine}

Fix:
    metadata: {name: wine, description: Wine}
""")  # fmt: skip
WRONG_SHAPE = _rule("PIPE103", "wrong-shape", """A value of another type than the language wants here.

Why: a list where a mapping is wanted, or a number where text is, would mean something else on every engine.

Bad:
    needs: ingest

Fix:
    needs: [ingest]
""")  # fmt: skip
NOT_ALLOWED = _rule("PIPE104", "value-not-allowed", """A value outside of what is allowed here.

Why: the allowed set is small and known, so the mistake can be told now rather than by a failed run.

Bad:
    concurrency: {max: 1, on_conflict: wait}

Fix:
    concurrency: {max: 1, on_conflict: queue}
""")  # fmt: skip
BAD_NAME = _rule("PIPE105", "bad-name", """A name that not every engine can carry.

Why: names become pod names, task ids and file names. They are refused, never changed: two names must not become one.

Bad:
    steps:
      Train_Model: {uses: train}

Fix:
    steps:
      train-model: {uses: train}
""")  # fmt: skip
UNKNOWN_PARAMETER = _rule("PIPE110", "unknown-parameter", """A step is given something that it does not take.

Why: a misspelt parameter would leave the default in force.

Bad:
    train: {uses: train, with: {epoch: 10}}

Fix:
    train: {uses: train, with: {epochs: 10}}
""")  # fmt: skip
WRONG_VALUE = _rule("PIPE111", "wrong-parameter-value", """A parameter is given a value that it does not allow.

Why: the step would refuse it, but only after everything before it has run.

Bad:
    split: {uses: split, with: {test_size: 2}}

Fix:
    split: {uses: split, with: {test_size: 0.2}}
""")  # fmt: skip
TEXT_FOR_NUMBER = _rule("PIPE112", "text-for-number", """A text stands where a number or a boolean is wanted.

Why: `no`, `on` and `1_000` are text in YAML 1.2, and quotes make text of anything.

Bad:
    train: {uses: train, with: {epochs: "10"}}

Fix:
    train: {uses: train, with: {epochs: 10}}
""")  # fmt: skip
EXPRESSION = _rule("PIPE120", "expression-syntax", """An expression cannot be read.

Why: inside `${{ }}` stand dotted names such as `steps.train.model`; in `when` also comparisons, `and`, `or`, `not`.

Bad:
    data: ${{ steps.ingest data }}

Fix:
    data: ${{ steps.ingest.data }}
""")  # fmt: skip
MISPLACED_EXPRESSION = _rule("PIPE121", "misplaced-expression", """An expression stands where none is read.

Why: expressions stand in values of `with` and `env`, in `for_each`, `when`, `outputs` and a trigger's `parameters`.
Elsewhere `${{` would be plain text; `$${{` writes it.

Bad:
    timeout: ${{ parameters.limit }}

Fix:
    timeout: 1h
""")  # fmt: skip
BAD_ARGUMENT = _rule("PIPE130", "unusable-argument", """An argument of a step's command cannot be made.

Why: an argument names what the manifest declares, and each must have one meaning in every run: an absent input leaves
nothing to write, and a list of paths does not fit into a longer text.

Bad:
    args: [--data, "${{ inputs.dat }}", --weights, "${{ inputs.weights }}"]

Fix:
    args: [--data, "${{ inputs.data }}", [--weights, "${{ inputs.weights }}"]]
""")  # fmt: skip
BAD_DECLARATION = _rule("PIPE131", "contradictory-manifest", """A step's manifest declares what no run could keep to.

Why: callers rely on what is declared: an output that no argument names can never be written, and an input that shares
its name with a parameter cannot be given.

Bad:
    inputs: {data: {type: Dataset}}
    parameters: {data: {type: string}}

Fix:
    inputs: {data: {type: Dataset}}
    parameters: {table: {type: string}}
""")  # fmt: skip
NOT_CONSTANT = _rule("PIPE122", "not-constant", """A value that must be known when the pipeline is compiled is not.

Why: `resources` and `matrix` shape the tasks of every engine, so they may name `const` parameters only, each alone.

Bad:
    parameters: {cores: {type: integer, default: 4}}
    steps: {train: {uses: train, resources: {cpu: "${{ parameters.cores }}"}}}

Fix:
    parameters: {cores: {type: integer, default: 4, const: true}}
""")  # fmt: skip
BAD_MATRIX = _rule("PIPE123", "bad-matrix", """The cells of a matrix do not fit together.

Why: every cell has a value for every axis, and a cell that nobody meant would be run and paid for.

Bad:
    matrix: {axes: {seed: [1, 2]}, exclude: [{sed: 1}]}

Fix:
    matrix: {axes: {seed: [1, 2]}, exclude: [{seed: 1}]}
""")  # fmt: skip
NESTING = _rule("PIPE124", "bad-nesting", """A pipeline cannot be used as a step here.

Why: pipelines that use each other would never end, and `finally` belongs to a run, which the outer pipeline is.

Bad:
    # features.yaml
    steps: {again: {uses: ./features.yaml}}

Fix:
    # features.yaml
    steps: {clean: {uses: ./clean.yaml}}
""")  # fmt: skip
INLINED_SECRET = _rule("PIPE310", "inlined-secret", """A secret stands in the text by its value.

Why: everybody who can read the repository, its history or the compiled files has it from then on. It is told by the
form that its issuer gives it, or by the name of the variable or parameter that takes it.

Bad:
    env: {WAREHOUSE_PASSWORD: hunter2}

Fix:
    env: {WAREHOUSE_PASSWORD: "${{ secrets.warehouse }}"}
""", hides=True, ignorable=Ignorable.LINE)  # fmt: skip
