"""`PIPE62x`: what is wrong with a compiled pipeline of Kubeflow, by kind. Knows no check.

KFP's own loader and its API server accept most of this; the run then fails, hangs, or does something else.
"""

from __future__ import annotations

from pipec.diagnostics import Rule, Severity

UNREADABLE = Rule(
    "PIPE620",
    "unreadable-ir",
    """The file is no compiled pipeline of Kubeflow Pipelines v2.

Why: the API server reads one pipeline document and at most one platform document from a file, as YAML 1.2, and refuses
anything else as a whole.

Bad:
    apiVersion: argoproj.io/v1alpha1
    kind: Workflow

Fix:
    pipec compile wine.yaml -t kubeflow && pipec verify-ir wine.yaml
""",
)
SHAPE = Rule(
    "PIPE621",
    "misshapen-ir",
    """A field is unknown, missing, or holds what it cannot hold.

Why: KFP's messages are read strictly: one unknown field makes the document no pipeline to the API server, and one in an
executor is found only when the run is compiled to Argo. A plain `1e-3` in `args` is a number to a YAML 1.2 reader.

Bad:
    tasks: {train: {componentRef: {name: comp-train}, timeout: 60s}}

Fix:
    platforms: {kubernetes: {deploymentSpec: {executors: {exec-train: {activeDeadlineSeconds: "60"}}}}}
""",
)
NAME = Rule(
    "PIPE622",
    "bad-ir-name",
    """A name is one that Kubernetes refuses, or that Kubeflow gives to something of its own.

Why: names of pipelines and tasks become those of pods, and templates of Argo are named after components and tasks; a
task `x` gets a driver `x-driver`.

Bad:
    tasks: {train: {...}, train-driver: {...}}

Fix:
    tasks: {train: {...}, train-prepare: {...}}
""",
)
REFERENCE = Rule(
    "PIPE623",
    "dangling-ir-reference",
    """Something names what is not there, or waits for itself.

Why: kfp's loader and its local runner follow no reference; the API server stores the pipeline, and each run of it fails
or never ends.

Bad:
    dependentTasks: [trian]

Fix:
    dependentTasks: [train]
""",
)
WIRING = Rule(
    "PIPE624",
    "mismatched-ir-input",
    """A task is not given what its component declares, or a value is not of its declared type.

Why: constants are first looked at by the driver, after everything before them has run; numbers travel as doubles, so
that an integer beyond 2^53-1 arrives as another one.

Bad:
    epochs: {runtimeValue: {constant: "ten"}}     # of a parameter of type NUMBER_INTEGER

Fix:
    epochs: {runtimeValue: {constant: 10}}
""",
)
PLACEHOLDER = Rule(
    "PIPE625",
    "unresolved-ir-placeholder",
    """A placeholder or a condition means nothing where it stands.

Why: what the driver and the launcher do not know stays in the text as it is, and a condition that cannot be evaluated
fails its task, or, in kfp's local runner, skips it and calls that a success.

Bad:
    args: ["{{$.inputs.parameters['epoch']}}"]     # the component declares epochs

Fix:
    args: ["{{$.inputs.parameters['epochs']}}"]
""",
)
QUANTITY = Rule(
    "PIPE626",
    "bad-ir-quantity",
    """An amount, a duration or a count is one that Kubernetes or Kubeflow cannot use.

Why: they are read by the driver when the task is about to start. Requests and limits stand in two generations of
fields, and older servers read only the older one: both must say the same.

Bad:
    resources: {resourceMemoryLimit: 16GB, memoryLimit: 16.0}

Fix:
    resources: {resourceMemoryLimit: 16Gi, memoryLimit: 17.179869184}
""",
)
FLOW = Rule(
    "PIPE627",
    "unrunnable-ir",
    """The pipeline is put together in a way that Kubeflow's compiler to Argo refuses or gets wrong.

Why: components are stored under a digest of their container alone, loops under the name of their component, and exit
tasks leave their graph to become hooks; two of a kind overwrite each other, and what waits for a hook waits for ever.

Bad:
    report: {dependentTasks: [notify]}     # notify runs on completion of something else

Fix:
    report: {dependentTasks: [train]}
""",
)
TOO_LARGE = Rule(
    "PIPE628",
    "too-large-ir",
    """The compiled pipeline is larger than Kubeflow can take.

Why: the Argo object made of it is one to four times as large, and etcd holds 1.5 MiB with the state of every task
in it. For a cluster that was set up for more, compile with `-O size_limit=none` and verify with `--size-limit none`, or
say a number of bytes in the place of `none`.

Bad:
    1,500 tasks in one pipeline

Fix:
    ten pipelines, used as steps of one, or parts that share components
""",
)
DOUBTFUL = Rule(
    "PIPE629",
    "doubtful-ir",
    """Some version of Kubeflow Pipelines cannot carry this out, or it comes near to a limit.

Why: kfp compiles it and some backends run it. Argo objects that are nearly too large cannot be retried.

Bad:
    artifactIterator: {...}     # refused by the compiler to Argo of 2.17

Fix:
    parameterIterator: {...}
""",
    severity=Severity.WARNING,
)
RULES = (UNREADABLE, SHAPE, NAME, REFERENCE, WIRING, PLACEHOLDER, QUANTITY, FLOW, TOO_LARGE, DOUBTFUL)
