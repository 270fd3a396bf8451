"""Single faults put into a pipeline that is right, each told by the verifier in its own words and by nothing else.

The pipeline has one of everything that is looked at; a row changes one thing in it, and whatever goes with that thing.
"""

from __future__ import annotations

import ast
import copy
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import spoken
import yaml

from pipec.diagnostics import Severity
from pipec.targets.kubeflow import findings
from pipec.targets.kubeflow.size import limit_of
from pipec.targets.kubeflow.verify import Fault, verify
from pipec.targets.kubeflow.verify import __file__ as package

BASE = Path(__file__).with_name("verify") / "base.yaml"
MODULES = sorted(Path(package).parent.glob("*.py"))
GONE = object()
TASK = "pipeline root dag tasks "
INPUT = "pipeline root inputDefinitions parameters "
COMPONENT = "pipeline components comp-"
EXECUTOR = "pipeline deploymentSpec executors exec-"
KUBERNETES = "platform platforms kubernetes deploymentSpec executors exec-train "
OUTPUT = "pipeline root dag outputs "
RUN = "platform platforms kubernetes pipelineConfig "

# Code and whole message; then where (keys and indices, parted by spaces) something else is put, or GONE.
ROWS: list[tuple[str, str, dict[str, Any]]] = [
    ("PIPE621", "`pipeline` needs a mapping, not `[]`", {"pipeline": []}),
    ("PIPE621", "a pipeline has no field `extra`", {"pipeline extra": 1}),
    ("PIPE621", "a task has no field `timeout`", {TASK + "train timeout": "60s"}),
    ("PIPE621", "`train` needs a mapping, not `[]`", {TASK + "train": []}),
    ("PIPE621", "`dependentTasks` needs a list, not `load`", {TASK + "train dependentTasks": "load"}),
    ("PIPE621", "`name` needs text, not `5`", {TASK + "train componentRef name": 5}),
    ("PIPE621", "`inputs` says nothing", {TASK + "train inputs": None}),
    (
        "PIPE621",
        "`enableCache` needs true or false, not `yes`",
        {TASK + "train cachingOptions": {"enableCache": "yes"}},
    ),
    ("PIPE621", "`maxRetryCount` needs a whole number, not `1.5`", {TASK + "train retryPolicy maxRetryCount": 1.5}),
    ("PIPE621", "`maxRetryCount` needs a whole number, not `true`", {TASK + "train retryPolicy maxRetryCount": True}),
    ("PIPE621", "`maxRetryCount` needs a whole number, not `many`", {TASK + "train retryPolicy maxRetryCount": "many"}),
    ("PIPE621", "`backoffFactor` needs a number, not `2`", {TASK + "train retryPolicy backoffFactor": "2"}),
    (
        "PIPE621",
        "`backoffDuration` needs a duration such as `30s`, not `1m`",
        {TASK + "train retryPolicy backoffDuration": "1m"},
    ),
    ("PIPE621", "`strategy` cannot be `ALWAYS`", {TASK + "gate triggerPolicy strategy": "ALWAYS"}),
    (
        "PIPE621",
        "`runtimeValue` and `componentInputParameter` exclude each other",
        {TASK + "load inputs parameters limit componentInputParameter": "epochs"},
    ),
    ("PIPE621", "a container has no field `gpus`", {EXECUTOR + "load container gpus": 1}),
    ("PIPE621", "`args` needs text, not `0.001`", {EXECUTOR + "load container args 0": 0.001}),
    ("PIPE621", "`value` needs text, not `1`", {EXECUTOR + "load container env 0 value": 1}),
    ("PIPE621", "`value` needs text, not `true`", {EXECUTOR + "load container env 0 value": True}),
    (
        "PIPE621",
        "`metadata` needs a mapping, not `[]`",
        {COMPONENT + "load outputDefinitions artifacts rows metadata": []},
    ),
    ("PIPE621", "`components` needs a mapping, not `[]`", {"pipeline components": []}),
    ("PIPE621", "`executorLabel` and `dag` exclude each other", {COMPONENT + "load dag": {}}),
    ("PIPE621", "a kubernetes executor has no field `initContainers`", {KUBERNETES + "initContainers": []}),
    (
        "PIPE621",
        "`activeDeadlineSeconds` needs a whole number, as text, not `ten`",
        {KUBERNETES + "activeDeadlineSeconds": "ten"},
    ),
    ("PIPE621", "`platform` needs a mapping, not `x`", {"platform": "x"}),
    ("PIPE621", "`schemaVersion` is `2.0.0`, and the backend takes `2.1.0` alone", {"pipeline schemaVersion": "2.0.0"}),
    ("PIPE621", "`schemaVersion` is missing, and the backend takes `2.1.0` alone", {"pipeline schemaVersion": GONE}),
    ("PIPE621", "the pipeline has no `root`", {"pipeline root": GONE}),
    ("PIPE621", "`root` has no `dag`", {"pipeline root": {}}),
    ("PIPE621", "the pipeline has no name", {"pipeline pipelineInfo name": GONE}),
    ("PIPE621", "the container of `exec-say` has no image", {EXECUTOR + "say container image": GONE}),
    (
        "PIPE622",
        "the pipeline cannot be called `My Pipeline`: Kubernetes takes a-z, 0-9 and `-`, and no `-` at an end",
        {"pipeline pipelineInfo name": "My Pipeline"},
    ),
    (
        "PIPE622",
        "the name of the pipeline is longer than 128 characters",
        {"pipeline pipelineInfo name": "a" * 129},
    ),
    (
        "PIPE622",
        "the pipeline cannot be called `-`: Kubernetes takes a-z, 0-9 and `-`, and no `-` at an end",
        {"pipeline pipelineInfo name": "-"},
    ),
    (
        "PIPE622",
        "a task cannot be called `Body_1`: Kubernetes takes a-z, 0-9 and `-`, and no `-` at an end",
        {
            TASK + "tell dependentTasks": ["Body_1"],
            TASK + "tell inputs parameters status taskFinalStatus producerTask": "Body_1",
            TASK + "body": GONE,
            TASK + "Body_1": {"componentRef": {"name": "comp-body"}},
        },
    ),
    (
        "PIPE622",
        "the driver of `say` is called `say-driver` too",
        {
            COMPONENT + "body dag tasks say-driver": {
                "componentRef": {"name": "comp-say"},
                "inputs": {"parameters": {"text": {"runtimeValue": {"constant": "hello"}}}},
            }
        },
    ),
    (
        "PIPE622",
        "the backend has a template `root` of its own",
        {
            COMPONENT + "body": GONE,
            "pipeline components root": {
                "dag": {
                    "tasks": {
                        "say": {
                            "componentRef": {"name": "comp-say"},
                            "inputs": {"parameters": {"text": {"runtimeValue": {"constant": "hello"}}}},
                        }
                    }
                }
            },
            TASK + "body componentRef name": "root",
        },
    ),
    (
        "PIPE622",
        "the backend has a template `system-x` of its own",
        {
            COMPONENT + "body": GONE,
            "pipeline components system-x": {
                "dag": {
                    "tasks": {
                        "say": {
                            "componentRef": {"name": "comp-say"},
                            "inputs": {"parameters": {"text": {"runtimeValue": {"constant": "hello"}}}},
                        }
                    }
                }
            },
            TASK + "body componentRef name": "system-x",
        },
    ),
    (
        "PIPE622",
        "a component cannot be called `Comp_Body`: Kubernetes takes a-z, 0-9 and `-`, and no `-` at an end",
        {
            COMPONENT + "body": GONE,
            "pipeline components Comp_Body": {
                "dag": {
                    "tasks": {
                        "say": {
                            "componentRef": {"name": "comp-say"},
                            "inputs": {"parameters": {"text": {"runtimeValue": {"constant": "hello"}}}},
                        }
                    }
                }
            },
            TASK + "body componentRef name": "Comp_Body",
        },
    ),
    (
        "PIPE629",
        "kfp's local runner takes the first five characters of `body` for `comp-`",
        {
            COMPONENT + "body": GONE,
            "pipeline components body": {
                "dag": {
                    "tasks": {
                        "say": {
                            "componentRef": {"name": "comp-say"},
                            "inputs": {"parameters": {"text": {"runtimeValue": {"constant": "hello"}}}},
                        }
                    }
                }
            },
            TASK + "body componentRef name": "body",
        },
    ),
    (
        "PIPE622",
        "the launcher keeps its own logs in an artifact `executor-logs`",
        {
            COMPONENT + "load outputDefinitions artifacts executor-logs": {
                "artifactType": {"schemaTitle": "system.Artifact"}
            }
        },
    ),
    (
        "PIPE622",
        "no placeholder can name the input `it's`",
        {COMPONENT + "load inputDefinitions parameters it's": {"parameterType": "STRING", "isOptional": True}},
    ),
    ("PIPE622", "no placeholder can name the input `a[0]`", {INPUT + "a[0]": {"parameterType": "STRING"}}),
    (
        "PIPE622",
        "the backend knows no image `argostub/createpv` of its own",
        {EXECUTOR + "load container image": "argostub/createpv"},
    ),
    ("PIPE622", "no image can be called `registry example`", {EXECUTOR + "load container image": "registry example"}),
    ("PIPE622", "no variable can be called `A B`", {EXECUTOR + "load container env 0 name": "A B"}),
    ("PIPE622", "`exec-load` sets the variable `LANG` twice", {EXECUTOR + "load container env 0 name": "LANG"}),
    ("PIPE623", "there is no component `comp-sya`", {COMPONENT + "body dag tasks say componentRef name": "comp-sya"}),
    ("PIPE623", "`say` names no component", {COMPONENT + "body dag tasks say componentRef": GONE}),
    ("PIPE623", "there is no executor `exec-sya`", {COMPONENT + "say executorLabel": "exec-sya"}),
    ("PIPE623", "`comp-say` has neither an executor nor tasks", {COMPONENT + "say executorLabel": GONE}),
    ("PIPE623", "`train` waits for `laod`, which is no task beside it", {TASK + "train dependentTasks 0": "laod"}),
    (
        "PIPE623",
        "there is no task `laod` beside this one",
        {TASK + "train inputs parameters rate taskOutputParameter producerTask": "laod"},
    ),
    (
        "PIPE623",
        "an output is read of no task",
        {TASK + "train inputs parameters rate taskOutputParameter producerTask": GONE},
    ),
    (
        "PIPE623",
        "`load` has no output parameter `rows`",
        {TASK + "train inputs parameters rate taskOutputParameter outputParameterKey": "rows"},
    ),
    (
        "PIPE623",
        "there is no task `laod` beside this one",
        {TASK + "train inputs artifacts rows taskOutputArtifact producerTask": "laod"},
    ),
    (
        "PIPE623",
        "`load` has no output artifact `row`",
        {TASK + "train inputs artifacts rows taskOutputArtifact outputArtifactKey": "row"},
    ),
    (
        "PIPE623",
        "the pipeline has no input parameter `sauce`",
        {TASK + "load inputs parameters source componentInputParameter": "sauce"},
    ),
    (
        "PIPE623",
        "`comp-gate` has no input artifact `rows`",
        {COMPONENT + "gate dag tasks again inputs artifacts rows componentInputArtifact": "rows"},
    ),
    (
        "PIPE623",
        "there is no task `bodi` beside this one",
        {TASK + "tell inputs parameters status taskFinalStatus producerTask": "bodi"},
    ),
    ("PIPE623", "`limit` of `load` comes from nowhere", {TASK + "load inputs parameters limit": {}}),
    (
        "PIPE623",
        "a task's input takes no `runtimeParameter`",
        {TASK + "load inputs parameters limit runtimeValue": {"runtimeParameter": "epochs"}},
    ),
    (
        "PIPE623",
        "no task of the pipeline makes its output `n`",
        {"pipeline root outputDefinitions parameters n": {"parameterType": "STRING"}},
    ),
    (
        "PIPE623",
        "the pipeline declares no output parameter `verdict`",
        {"pipeline root outputDefinitions parameters verdict": GONE},
    ),
    (
        "PIPE623",
        "there is no task `trian` beside this one",
        {OUTPUT + "artifacts model artifactSelectors 0 producerSubtask": "trian"},
    ),
    (
        "PIPE623",
        "`gate` has no output parameter `verdikt`",
        {OUTPUT + "parameters verdict valueFromOneof parameterSelectors 0 outputParameterKey": "verdikt"},
    ),
    (
        "PIPE623",
        "there is no task `agian` beside this one",
        {COMPONENT + "gate dag outputs parameters verdict valueFromParameter producerSubtask": "agian"},
    ),
    ("PIPE623", "tasks wait for each other: load -> gate -> load", {TASK + "load dependentTasks": ["gate"]}),
    ("PIPE623", "tasks wait for each other: load -> load", {TASK + "load dependentTasks": ["load"]}),
    (
        "PIPE623",
        "components hold each other: comp-body -> comp-body",
        {COMPONENT + "body dag tasks inner": {"componentRef": {"name": "comp-body"}}},
    ),
    (
        "PIPE623",
        "the component of `each` has no input `itme` for an item",
        {TASK + "each parameterIterator itemInput": "itme"},
    ),
    ("PIPE623", "`each` has no input for an item", {TASK + "each parameterIterator itemInput": GONE}),
    (
        "PIPE623",
        "`every` goes over `nams`, which it is not given",
        {TASK + "every parameterIterator items inputParameter": "nams"},
    ),
    (
        "PIPE623",
        "the component of `exec-import` has no input `url`",
        {EXECUTOR + "import importer artifactUri runtimeParameter": "url"},
    ),
    ("PIPE623", "there is no platform `vertex`", {"platform platforms vertex": {}}),
    (
        "PIPE623",
        "there is no executor `exec-trian`",
        {"platform platforms kubernetes deploymentSpec executors exec-trian": {}},
    ),
    (
        "PIPE623",
        "there is no input `sauce` where `exec-train` runs",
        {KUBERNETES + "configMapAsEnv 0 configMapNameParameter componentInputParameter": "sauce"},
    ),
    (
        "PIPE623",
        "there is no task `laod` where `exec-train` runs",
        {KUBERNETES + "secretAsVolume 0 secretNameParameter taskOutputParameter producerTask": "laod"},
    ),
    ("PIPE624", "`train` is not given its input `rows`", {TASK + "train inputs artifacts rows": GONE}),
    (
        "PIPE624",
        "`load` is not given its input `source`",
        {TASK + "load inputs parameters source": GONE, TASK + "load inputs parameters options": GONE},
    ),
    (
        "PIPE624",
        "the component of `load` has no input `extra`",
        {TASK + "load inputs parameters extra": {"runtimeValue": {"constant": 1}}},
    ),
    (
        "PIPE624",
        "the input `limit` of `load` needs a whole number, not `five`",
        {TASK + "load inputs parameters limit runtimeValue constant": "five"},
    ),
    (
        "PIPE624",
        "the input `limit` of `load` needs a whole number, not `5.5`",
        {TASK + "load inputs parameters limit runtimeValue constant": 5.5},
    ),
    (
        "PIPE624",
        "the input `options` of `load` needs a mapping, not `[]`",
        {TASK + "load inputs parameters options runtimeValue constant": []},
    ),
    (
        "PIPE624",
        "the input `rate` of `again` needs a number, not `fast`",
        {COMPONENT + "gate dag tasks again inputs parameters rate runtimeValue constant": "fast"},
    ),
    (
        "PIPE624",
        "the input `is_fast` of `train` needs true or false, not `no`",
        {TASK + "train inputs parameters is_fast": {"runtimeValue": {"constant": "no"}}},
    ),
    (
        "PIPE624",
        "the input `names` of `every` needs a list, not `a`",
        {TASK + "every inputs parameters names": {"runtimeValue": {"constant": "a"}}},
    ),
    (
        "PIPE624",
        "the input `rate` of `train` is NUMBER_DOUBLE, and it is given LIST",
        {TASK + "train inputs parameters rate taskOutputParameter outputParameterKey": "names"},
    ),
    (
        "PIPE624",
        "the input `limit` of `load` is NUMBER_INTEGER, and it is given STRING",
        {TASK + "load inputs parameters limit": {"componentInputParameter": "source"}},
    ),
    (
        "PIPE624",
        "the input `status` of `tell` needs a final status, not `ok`",
        {TASK + "tell inputs parameters status": {"runtimeValue": {"constant": "ok"}}},
    ),
    (
        "PIPE624",
        "the input `word` of `tell` is STRING, and a final status is none",
        {TASK + "tell inputs parameters word": {"taskFinalStatus": {"producerTask": "body"}}},
    ),
    (
        "PIPE624",
        "the input `rows` of `train` is a `system.Dataset`, and it is given a `system.Model`",
        {
            TASK + "train inputs artifacts rows taskOutputArtifact": {
                "producerTask": "import",
                "outputArtifactKey": "artifact",
            }
        },
    ),
    (
        "PIPE624",
        "the input `rows` of `train` is one artifact, and it is given a list of them",
        {TASK + "train inputs artifacts rows taskOutputArtifact outputArtifactKey": "parts"},
    ),
    (
        "PIPE624",
        "the output `verdict` of the pipeline is NUMBER_INTEGER, and `gate` makes STRING",
        {
            "pipeline root outputDefinitions parameters verdict parameterType": "NUMBER_INTEGER",
            OUTPUT + "parameters verdict valueFromOneof parameterSelectors 1": GONE,
        },
    ),
    (
        "PIPE624",
        "the output `model` of the pipeline is a `system.Dataset`, and not what is selected",
        {"pipeline root outputDefinitions artifacts model artifactType schemaTitle": "system.Dataset"},
    ),
    ("PIPE624", "the input `epochs` has no type", {INPUT + "epochs parameterType": GONE}),
    ("PIPE624", "the default of `epochs` needs a whole number, not `ten`", {INPUT + "epochs defaultValue": "ten"}),
    ("PIPE624", "the default of `source` is none of its allowed values", {INPUT + "source defaultValue": "c"}),
    (
        "PIPE624",
        "a value allowed for `epochs` needs a whole number, not `two`",
        {INPUT + "epochs literals": [1, "two"]},
    ),
    (
        "PIPE624",
        "`9007199254740992` is beyond 2^53-1, and would arrive as another number",
        {TASK + "load inputs parameters limit runtimeValue constant": 9007199254740992},
    ),
    (
        "PIPE624",
        "`-1152921504606846976` is beyond 2^53-1, and would arrive as another number",
        {TASK + "load inputs parameters options runtimeValue constant": {"x": [-1152921504606846976]}},
    ),
    (
        "PIPE624",
        "`constant` is no number that JSON can say",
        {COMPONENT + "gate dag tasks again inputs parameters rate runtimeValue constant": float("inf")},
    ),
    (
        "PIPE624",
        "an item of `each` needs a list, not `1`",
        {
            TASK + "each parameterIterator items raw": "[1]",
            COMPONENT + "each inputDefinitions parameters item parameterType": "LIST",
            COMPONENT + "say inputDefinitions parameters text parameterType": "STRING",
        },
    ),
    (
        "PIPE624",
        "the importer of `exec-import` makes a `system.Dataset`, and `artifact` is declared a `system.Model`",
        {EXECUTOR + "import importer typeSchema schemaTitle": "system.Dataset"},
    ),
    (
        "PIPE624",
        "the importer of `exec-import` makes one artifact and nothing else",
        {COMPONENT + "import outputDefinitions parameters": {"n": {"parameterType": "STRING"}}},
    ),
    ("PIPE624", "a secret is named `other` and `warehouse`", {KUBERNETES + "secretAsEnv 0 secretName": "other"}),
    (
        "PIPE625",
        "the component has no input parameter `txt`",
        {EXECUTOR + "say container args 0": "{{$.inputs.parameters['txt']}}"},
    ),
    (
        "PIPE625",
        "the component has no input artifact `text`",
        {EXECUTOR + "say container args 0": "{{$.inputs.artifacts['text'].path}}"},
    ),
    (
        "PIPE625",
        'nothing replaces `{{$.inputs.parameters["text"]}}`',
        {EXECUTOR + "say container args 0": '{{$.inputs.parameters["text"]}}'},
    ),
    (
        "PIPE625",
        "nothing replaces `{{$.inputs.parameters['text'].value}}`",
        {EXECUTOR + "say container args 0": "{{$.inputs.parameters['text'].value}}"},
    ),
    (
        "PIPE625",
        "nothing replaces `{{$.outputs.artifacts['rows'].output_file}}`",
        {EXECUTOR + "load container args 3": "{{$.outputs.artifacts['rows'].output_file}}"},
    ),
    (
        "PIPE625",
        "nothing replaces `{{$.outputs.parameters['n_rows']}}`",
        {EXECUTOR + "load container args 4": "{{$.outputs.parameters['n_rows']}}"},
    ),
    (
        "PIPE625",
        "the component has no output parameter `n_row`",
        {EXECUTOR + "load container args 4": "{{$.outputs.parameters['n_row'].output_file}}"},
    ),
    (
        "PIPE625",
        "`{{$.pipeline_job_uuid}}` is replaced only where it is the whole constant of an input",
        {EXECUTOR + "load container command 2": "{{$.pipeline_job_uuid}}"},
    ),
    (
        "PIPE625",
        "nothing replaces `{{$.inputs.parameters['source'] }}`",
        {EXECUTOR + "load container args 0": "{{$.inputs.parameters['source'] }}"},
    ),
    (
        "PIPE625",
        "the placeholder in `{{$.inputs.parameters['source']` has no end",
        {EXECUTOR + "load container args 0": "{{$.inputs.parameters['source']"},
    ),
    (
        "PIPE625",
        "not every runner knows `IfPresent` in this spelling",
        {EXECUTOR + "load container args 1": '{"IfPresent":{"InputName": "limit", "Then": "x"}}'},
    ),
    (
        "PIPE625",
        "the component has no input `limt`",
        {EXECUTOR + "load container args 1": '{"IfPresent": {"InputName": "limt", "Then": "x"}}'},
    ),
    (
        "PIPE625",
        "`IfPresent` is not followed by JSON",
        {EXECUTOR + "load container args 1": '{"IfPresent": {"InputName": "limit", "Then": "x"}'},
    ),
    (
        "PIPE625",
        '`{"IfPresent": {"Name": "limit", "Then": "x"}}` is no part of an argument',
        {EXECUTOR + "load container args 1": '{"IfPresent": {"Name": "limit", "Then": "x"}}'},
    ),
    ("PIPE625", "`1` is no part of an argument", {EXECUTOR + "load container args 2": '{"Concat": ["a", 1]}'}),
    (
        "PIPE625",
        "nothing replaces `{{$.inputs.parameters['source']}}` in a variable",
        {EXECUTOR + "load container env 0 value": "{{$.inputs.parameters['source']}}"},
    ),
    (
        "PIPE625",
        "no task gives an input `image`",
        {EXECUTOR + "load container image": "{{$.inputs.parameters['image']}}"},
    ),
    (
        "PIPE625",
        "`registry.example/{{$.inputs.parameters['source']}}` must be one input parameter and nothing else",
        {EXECUTOR + "load container image": "registry.example/{{$.inputs.parameters['source']}}"},
    ),
    (
        "PIPE625",
        "no task gives an input `cpus`",
        {EXECUTOR + "train container resources resourceCpuLimit": "{{$.inputs.parameters['cpus']}}"},
    ),
    (
        "PIPE625",
        "the task has no input `sauce`",
        {TASK + "load inputs parameters options runtimeValue constant note": "{{$.inputs.parameters['sauce']}}"},
    ),
    (
        "PIPE625",
        "`{{$.pipeline_job_uuid}}` is replaced only where it is the whole constant",
        {TASK + "train inputs parameters run runtimeValue constant": "run-{{$.pipeline_job_uuid}}"},
    ),
    (
        "PIPE625",
        "nothing replaces `{{$.job}}` in a constant",
        {TASK + "train inputs parameters run runtimeValue constant": "{{$.job}}"},
    ),
    (
        "PIPE625",
        "nothing replaces `{{$}}` in a constant",
        {TASK + "load inputs parameters options runtimeValue constant": {"l": ["{{$}}"]}},
    ),
    (
        "PIPE625",
        "the component of `exec-import` has no input `url`",
        {EXECUTOR + "import importer metadata from": "{{$.inputs.parameters['url']}}"},
    ),
    (
        "PIPE625",
        "the component of `exec-import` has no input `url`",
        {EXECUTOR + "import importer metadata": {"l": ["{{$.inputs.parameters['url']}}"]}},
    ),
    (
        "PIPE625",
        "`exec-train` uses the workspace of a run, and the platform document asks for none",
        {RUN + "workspace": GONE},
    ),
    (
        "PIPE625",
        "the condition of `gate` names `verdict`, which it is not given",
        {TASK + "gate triggerPolicy condition": "inputs.parameter_values['verdict'] == 'go'"},
    ),
    (
        "PIPE625",
        "the condition of `gate` cannot be read from `= 'go'` on",
        {TASK + "gate triggerPolicy condition": "inputs.parameter_values['pipelinechannel--train--verdict'] = 'go'"},
    ),
    (
        "PIPE625",
        "the condition of `gate` cannot be read from `'go` on",
        {TASK + "gate triggerPolicy condition": "inputs.parameter_values['pipelinechannel--train--verdict'] == 'go"},
    ),
    (
        "PIPE625",
        "the condition of `gate` ends too early",
        {
            TASK
            + "gate triggerPolicy condition": "inputs.parameter_values['pipelinechannel--train--verdict'] == 'go' &&"
        },
    ),
    (
        "PIPE625",
        "the condition of `gate` lacks a `)` at its end",
        {TASK + "gate triggerPolicy condition": "(inputs.parameter_values['pipelinechannel--train--verdict'] == 'go'"},
    ),
    (
        "PIPE625",
        "the condition of `gate` lacks a `]` at its end",
        {TASK + "gate triggerPolicy condition": "inputs.parameter_values['pipelinechannel--train--verdict'"},
    ),
    (
        "PIPE625",
        "the condition of `gate` goes on with `'x'` where it should end",
        {
            TASK
            + "gate triggerPolicy condition": "inputs.parameter_values['pipelinechannel--train--verdict'] == 'go' 'x'"
        },
    ),
    (
        "PIPE625",
        "the condition of `gate` names `steps`, which the driver does not know",
        {TASK + "gate triggerPolicy condition": "steps.train == 'go'"},
    ),
    (
        "PIPE625",
        "the condition of `gate` calls `float`, which the driver does not know",
        {
            TASK
            + "gate triggerPolicy condition": "float(inputs.parameter_values['pipelinechannel--train--verdict']) > 1"
        },
    ),
    (
        "PIPE625",
        "the condition of `gate` compares a number with a text",
        {
            TASK
            + "gate triggerPolicy condition": "int(inputs.parameter_values['pipelinechannel--train--verdict']) == 'go'"
        },
    ),
    (
        "PIPE625",
        "the condition of `gate` is a number, not true or false",
        {TASK + "gate triggerPolicy condition": "int(inputs.parameter_values['pipelinechannel--train--verdict'])"},
    ),
    (
        "PIPE625",
        "the condition of `gate` joins a text by `&&`",
        {TASK + "gate triggerPolicy condition": "'go' && true"},
    ),
    (
        "PIPE625",
        "the condition of `gate` reads `inputs.parameters`, which the driver does not fill",
        {TASK + "gate triggerPolicy condition": "inputs.parameters['pipelinechannel--train--verdict'] == 'go'"},
    ),
    (
        "PIPE625",
        "the condition of `gate` names `pipelinechannel--train--verdict`, which it is not given",
        {TASK + "gate triggerPolicy condition": "inputs.artifacts['pipelinechannel--train--verdict'] == 'go'"},
    ),
    (
        "PIPE625",
        "the condition of `gate` lacks a name before `==`",
        {TASK + "gate triggerPolicy condition": "inputs. == 'go'"},
    ),
    (
        "PIPE625",
        "the condition of `gate` lacks a name at its end",
        {TASK + "gate triggerPolicy condition": "inputs.parameter_values['pipelinechannel--train--verdict']."},
    ),
    ("PIPE625", "the condition of `gate` is empty", {TASK + "gate triggerPolicy condition": " "}),
    (
        "PIPE625",
        "the condition of `gate` is nested more than 50 deep",
        {TASK + "gate triggerPolicy condition": "!" + "(" * 60 + "true" + ")" * 60},
    ),
    ("PIPE625", "the condition of `gate` cannot be read at `]`", {TASK + "gate triggerPolicy condition": "true == ]"}),
    (
        "PIPE625",
        "the condition of `gate` lacks a `,` before `false`",
        {TASK + "gate triggerPolicy condition": "true in [true false]"},
    ),
    (
        "PIPE625",
        "the selector of `is_fast` names `value`, which the driver does not know",
        {TASK + "train inputs parameters is_fast parameterExpressionSelector": 'parseJson(value)["fast"]'},
    ),
    ("PIPE626", "`16GB` is no amount of memory", {EXECUTOR + "train container resources resourceMemoryLimit": "16GB"}),
    ("PIPE626", "`two` is no amount of CPU", {EXECUTOR + "train container resources resourceCpuLimit": "two"}),
    ("PIPE626", "`0` is no amount of CPU", {EXECUTOR + "train container resources resourceCpuLimit": "0"}),
    (
        "PIPE626",
        "more CPU is asked for than the limit allows",
        {
            EXECUTOR + "train container resources resourceCpuRequest": "4",
            EXECUTOR + "train container resources cpuRequest": 4,
        },
    ),
    (
        "PIPE626",
        "`memoryLimit` says 1, and `resourceMemoryLimit` says 1.07374: older servers read the first",
        {EXECUTOR + "train container resources memoryLimit": 1.0},
    ),
    (
        "PIPE626",
        "`cpuLimit` says 4, and `resourceCpuLimit` says 2: older servers read the first",
        {EXECUTOR + "train container resources cpuLimit": 4.0},
    ),
    (
        "PIPE626",
        "`1.5` is no number of devices",
        {
            EXECUTOR + "train container resources accelerator resourceCount": "1.5",
            EXECUTOR + "train container resources accelerator count": GONE,
        },
    ),
    (
        "PIPE626",
        "an accelerator needs a kind and a count",
        {EXECUTOR + "train container resources accelerator": {"type": "nvidia.com/gpu", "count": 0}},
    ),
    (
        "PIPE626",
        "`count` and `resourceCount` differ: `2` and `1`",
        {EXECUTOR + "train container resources accelerator count": "2"},
    ),
    (
        "PIPE626",
        "`type` and `resourceType` differ: `amd.com/gpu` and `nvidia.com/gpu`",
        {EXECUTOR + "train container resources accelerator type": "amd.com/gpu"},
    ),
    (
        "PIPE626",
        "an accelerator needs a kind and a count",
        {EXECUTOR + "train container resources accelerator": {"resourceType": "nvidia.com/gpu"}},
    ),
    ("PIPE626", "a task cannot be tried again -1 times", {TASK + "train retryPolicy maxRetryCount": -1}),
    ("PIPE626", "a wait cannot grow by -2", {TASK + "train retryPolicy backoffFactor": -2.0}),
    ("PIPE626", "`-5s` is no time to wait", {TASK + "train retryPolicy backoffDuration": "-5s"}),
    ("PIPE626", "`9999999999s` is no time to wait", {TASK + "train retryPolicy backoffMaxDuration": "9999999999s"}),
    (
        "PIPE626",
        "the longest wait is shorter than the first one",
        {TASK + "train retryPolicy backoffMaxDuration": "10s"},
    ),
    ("PIPE626", "a loop cannot run -1 at once", {TASK + "each iteratorPolicy parallelismLimit": -1}),
    (
        "PIPE626",
        "a limit of parallel runs stands on a task that is no loop",
        {TASK + "train iteratorPolicy": {"parallelismLimit": 2}},
    ),
    ("PIPE626", "`activeDeadlineSeconds` must be at least one second", {RUN + "activeDeadlineSeconds": 0}),
    ("PIPE626", "the workspace of a run needs a size", {RUN + "workspace size": "big"}),
    ("PIPE626", "the workspace of a run needs a size", {RUN + "workspace size": GONE}),
    ("PIPE626", "`exec-train` must have at least one second", {KUBERNETES + "activeDeadlineSeconds": "0"}),
    ("PIPE626", "a weight is from 1 to 100", {KUBERNETES + "nodeAffinity 0 weight": 0}),
    ("PIPE626", "`1GB` is no size", {KUBERNETES + "emptyDirMounts 0 sizeLimit": "1GB"}),
    ("PIPE626", "`2 Gi` is no size", {KUBERNETES + "enabledSharedMemory size": "2 Gi"}),
    ("PIPE626", "` ` is no size", {KUBERNETES + "genericEphemeralVolume 0 size": GONE}),
    ("PIPE627", "`comp-body` has no task", {COMPONENT + "body dag tasks": {}}),
    (
        "PIPE627",
        "`tell` follows no task, so it never runs",
        {TASK + "tell dependentTasks": [], TASK + "tell inputs": GONE},
    ),
    (
        "PIPE627",
        "`body` ends with `tell2`, and with `tell`: only one of them runs",
        {
            TASK + "tell2": {
                "componentRef": {"name": "comp-tell"},
                "dependentTasks": ["body"],
                "triggerPolicy": {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"},
            }
        },
    ),
    (
        "PIPE627",
        "`each` waits for `tell`, which runs on the end of others and is in no order",
        {TASK + "each dependentTasks": ["tell"]},
    ),
    (
        "PIPE627",
        "the output `o` comes from the exit task `tell`",
        {
            COMPONENT + "tell outputDefinitions": {"parameters": {"o": {"parameterType": "STRING"}}},
            "pipeline root outputDefinitions parameters o": {"parameterType": "STRING"},
            OUTPUT + "parameters o": {"valueFromParameter": {"producerSubtask": "tell", "outputParameterKey": "o"}},
        },
    ),
    (
        "PIPE627",
        "`import` is an importer, which can have no condition",
        {TASK + "import triggerPolicy": {"condition": "true"}},
    ),
    (
        "PIPE627",
        "`item` of `each` takes the items, and is given a value too",
        {TASK + "each inputs": {"parameters": {"item": {"runtimeValue": {"constant": "x"}}}}},
    ),
    ("PIPE627", "`each` goes over nothing", {TASK + "each parameterIterator items": {}}),
    ("PIPE627", "`each` goes over nothing", {TASK + "each parameterIterator items": GONE}),
    (
        "PIPE627",
        "`each` goes over `a, b`, which is no list in JSON",
        {TASK + "each parameterIterator items raw": "a, b"},
    ),
    (
        "PIPE627",
        '`each` goes over `{"a": 1}`, which is no list in JSON',
        {TASK + "each parameterIterator items raw": '{"a": 1}'},
    ),
    (
        "PIPE624",
        "an item of `each` needs a list, not `b`",
        {
            TASK + "each parameterIterator items raw": '[["a"], "b"]',
            COMPONENT + "each inputDefinitions parameters item parameterType": "LIST",
        },
    ),
    (
        "PIPE627",
        "`every` and `each` both loop over `comp-each`, and the backend keeps one of them",
        {
            TASK + "every componentRef name": "comp-each",
            TASK + "every inputs": GONE,
            TASK + "every parameterIterator items": {"raw": "[]"},
        },
    ),
    (
        "PIPE621",
        "`parameterIterator` and `artifactIterator` exclude each other",
        {TASK + "each artifactIterator": {"itemInput": "item"}},
    ),
    (
        "PIPE629",
        "`each` goes over artifacts, which the backend of 2.17 refuses",
        {
            TASK + "each parameterIterator": GONE,
            TASK + "each iteratorPolicy": GONE,
            COMPONENT + "each inputDefinitions": {
                "artifacts": {"item": {"artifactType": {"schemaTitle": "system.Dataset"}}}
            },
            COMPONENT + "each dag tasks say inputs": {"parameters": {"text": {"runtimeValue": {"constant": "x"}}}},
            TASK + "each artifactIterator": {"itemInput": "item", "items": {"inputArtifact": "parts"}},
            TASK + "each inputs": {
                "artifacts": {"parts": {"taskOutputArtifact": {"producerTask": "load", "outputArtifactKey": "parts"}}}
            },
            COMPONENT + "each inputDefinitions artifacts parts": {
                "artifactType": {"schemaTitle": "system.Dataset"},
                "isArtifactList": True,
            },
        },
    ),
    ("PIPE627", "`tell` asks how `body` ended, and does not run on its end", {TASK + "tell triggerPolicy": GONE}),
    ("PIPE627", "`tell` asks how `body` ended, and does not follow it", {TASK + "tell dependentTasks": ["each"]}),
    (
        "PIPE627",
        "`load` has a key for the cache, and its cache is off",
        {TASK + "load cachingOptions enableCache": GONE},
    ),
    (
        "PIPE627",
        "`comp-tell` has the same container as `comp-say` and other inputs or outputs: the backend keeps one",
        {
            EXECUTOR + "tell container": {"image": "registry.example/say:1", "args": ["{{$}}"]},
            EXECUTOR + "say container args": ["{{$}}"],
        },
    ),
    (
        "PIPE627",
        "`exec-tell` is of the kind `customJob`, which the backend refuses",
        {EXECUTOR + "tell": {"customJob": {"customJob": {}}}},
    ),
    ("PIPE627", "`exec-tell` runs nothing", {EXECUTOR + "tell": {}}),
    ("PIPE621", "the importer of `exec-import` has no location", {EXECUTOR + "import importer artifactUri": GONE}),
    (
        "PIPE627",
        "`exec-train` cannot run as 0: the backend refuses it",
        {KUBERNETES + "securityContext runAsUser": "0"},
    ),
    (
        "PIPE627",
        "`exec-train` cannot run as -1: the backend refuses it",
        {KUBERNETES + "securityContext runAsGroup": "-1"},
    ),
    ("PIPE627", "a toleration that says `Exists` takes no value", {KUBERNETES + "tolerations 0 value": "x"}),
    ("PIPE622", "there is no policy `Sometimes` to pull an image by", {KUBERNETES + "imagePullPolicy": "Sometimes"}),
    (
        "PIPE621",
        "no secret is named",
        {KUBERNETES + "secretAsEnv 0": {"keyToEnv": [{"secretKey": "k", "envVar": "K"}]}},
    ),
    ("PIPE621", "no variable is taken from here", {KUBERNETES + "secretAsEnv 0 keyToEnv": GONE}),
    ("PIPE621", "a variable is taken from no `secretKey`", {KUBERNETES + "secretAsEnv 0 keyToEnv 0 secretKey": GONE}),
    (
        "PIPE622",
        "`exec-train` sets the variable `DSN` twice",
        {KUBERNETES + "configMapAsEnv 0 keyToEnv 0 envVar": "DSN"},
    ),
    ("PIPE622", "no variable can be called `1DSN`", {KUBERNETES + "secretAsEnv 0 keyToEnv 0 envVar": "1DSN"}),
    ("PIPE622", "a pod has no field `name`", {KUBERNETES + "fieldPathAsEnv 0 fieldPath": "name"}),
    ("PIPE622", "nothing says where this is mounted", {KUBERNETES + "pvcMount 0 mountPath": ""}),
    (
        "PIPE622",
        "`/kfp-workspace/x` is where the workspace of a run is mounted",
        {KUBERNETES + "pvcMount 0 mountPath": "/kfp-workspace/x"},
    ),
    ("PIPE622", "two things are mounted at `/e`", {KUBERNETES + "pvcMount 0 mountPath": "/e"}),
    ("PIPE621", "no volume claim is named", {KUBERNETES + "pvcMount 0 constant": GONE}),
    ("PIPE622", "a toleration cannot say `Exist`", {KUBERNETES + "tolerations 0 operator": "Exist"}),
    ("PIPE622", "a taint has no effect `NoRun`", {KUBERNETES + "tolerations 0 effect": "NoRun"}),
    ("PIPE622", "a selection cannot say `Is`", {KUBERNETES + "nodeAffinity 0 matchExpressions 0 operator": "Is"}),
    ("PIPE622", "no volume has the mode `RWO`", {KUBERNETES + "genericEphemeralVolume 0 accessModes 0": "RWO"}),
    ("PIPE622", "no label can be called `a b`", {KUBERNETES + "nodeSelector labels": {"a b": "x"}}),
    ("PIPE622", "the label `a` cannot be `x y`", {KUBERNETES + "podMetadata labels": {"a": "x y"}}),
    (
        "PIPE629",
        "no device of Kubernetes is called `A100`",
        {EXECUTOR + "train container resources accelerator": {"resourceType": "A100", "resourceCount": "1"}},
    ),
    (
        "PIPE629",
        "nobody can give the pipeline its input `end`: it is a final status",
        {INPUT + "end": {"parameterType": "TASK_FINAL_STATUS", "isOptional": True}},
    ),
    (
        "PIPE625",
        "the condition of `gate` is a number, not true or false",
        {TASK + "gate triggerPolicy condition": "1 + 2"},
    ),
    (
        "PIPE623",
        "`load` has no output parameter `row`",
        {KUBERNETES + "secretAsVolume 0 secretNameParameter taskOutputParameter outputParameterKey": "row"},
    ),
    (
        "PIPE624",
        "there is no artifact `system.Modle` of KFP's own",
        {COMPONENT + "load outputDefinitions artifacts parts artifactType schemaTitle": "system.Modle"},
    ),
    (
        "PIPE629",
        "the driver of 2.17 leaves `Concat` as it is",
        {EXECUTOR + "load container args 2": '{"Concat": ["a-", "{{$.inputs.parameters[\'source\']}}"]}'},
    ),
    (
        "PIPE629",
        "the driver of 2.17 leaves `IfPresent` as it is where an output is named",
        {
            EXECUTOR + "load container args 2": '{"IfPresent": {"InputName": "limit", '
            '"Then": "{{$.outputs.artifacts[\'rows\'].path}}"}}'
        },
    ),
    (
        "PIPE629",
        "to the driver of 2.17 the artifact `model` is never present",
        {EXECUTOR + "train container args 2": '{"IfPresent": {"InputName": "model", "Then": ["--model"]}}'},
    ),
]


@cache
def read() -> tuple[Any, Any]:
    pipeline, platform = yaml.safe_load_all(BASE.read_text(encoding="utf-8"))
    return pipeline, platform


def base() -> dict[str, Any]:
    pipeline, platform = copy.deepcopy(read())
    return {"pipeline": pipeline, "platform": platform}


def put(document: Any, path: str, value: object) -> None:
    *above, last = path.split(" ")
    for part in above:
        document = document[int(part) if isinstance(document, list) else part]
    key: Any = int(last) if isinstance(document, list) else last
    if value is GONE:
        del document[key]
    else:
        document[key] = copy.deepcopy(value)


def told(changes: Mapping[str, object], **size: Any) -> tuple[Fault, ...]:
    document = base()
    for path, value in changes.items():
        put(document, path, value)
    return verify(document["pipeline"], document["platform"], **size)


def test_the_pipeline_that_is_broken_is_right() -> None:
    assert told({}) == ()


@pytest.mark.parametrize(("code", "message", "changes"), ROWS, ids=[f"{n}-{row[0]}" for n, row in enumerate(ROWS)])
def test_a_single_fault_is_told_in_its_own_words(code: str, message: str, changes: dict[str, object]) -> None:
    found = told(changes)
    assert [(fault.rule.code, fault.message) for fault in found] == [(code, message)]
    is_doubtful = code == findings.DOUBTFUL.code
    assert all((fault.rule.severity is Severity.WARNING) == is_doubtful for fault in found)


# Keys whose value is the name of something else in the document.
NAMES = {
    "executorLabel", "producerTask", "producerSubtask", "outputParameterKey", "outputArtifactKey", "itemInput",
    "componentInputParameter", "componentInputArtifact", "inputParameter", "runtimeParameter",
}  # fmt: skip


def named(value: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield where a document names something of its own."""
    for key, below in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(below, dict | list):
            yield from named(below, (*path, str(key)))
        elif key in NAMES or path[-1] in ("componentRef", "dependentTasks"):
            yield " ".join((*path, str(key)))


def test_a_name_that_is_changed_where_it_is_used_alone_is_refused() -> None:
    places = [*named(base())]
    assert len(places) > 50
    assert [
        path for path in places if not any(f.rule.severity is Severity.ERROR for f in told({path: "elsewhere"}))
    ] == []


@pytest.mark.parametrize("section", ["root dag tasks", "components", "deploymentSpec executors"])
def test_a_name_that_is_changed_where_it_is_declared_alone_is_refused(section: str) -> None:
    known: Any = base()["pipeline"]
    for part in section.split(" "):
        known = known[part]
    unused = {"each", "every", "tell"}  # tasks that no other task names
    for name in known:
        changes = {f"pipeline {section} {name}": GONE, f"pipeline {section} other": known[name]}
        assert told(changes) or name in unused, name


def test_there_are_many_faults_and_no_two_rows_are_one() -> None:
    assert len({repr(changes) for _, _, changes in ROWS}) == len(ROWS) > 200


@pytest.mark.parametrize(
    ("n_bytes", "said", "expected"),
    [
        (499_999, "", []),
        (500_000, "", [("PIPE629", "500,000 bytes are near to what the backend can store: about 1,200,000")]),
        (1_200_001, "", [("PIPE628", "1,200,001 bytes are more than the backend can store: about 1,200,000")]),
        (1_200_001, "none", [("PIPE629", "1,200,001 bytes are more than the backend can store as it comes")]),
        (
            1_200_001,
            "2400000",
            [("PIPE629", "1,200,001 bytes are near to what the backend can store: about 2,400,000")],
        ),
        (999_999, "2400000", []),
        (1_001, "1000", [("PIPE628", "1,001 bytes are more than the backend can store: about 1,000")]),
        (40 << 20, "", [("PIPE628", "the API server takes 32 MiB, and this is more")]),
        (40 << 20, "none", [("PIPE629", "41,943,040 bytes are more than the backend can store as it comes")]),
    ],
)
def test_a_size_is_told_with_what_helps(n_bytes: int, said: str, expected: list[tuple[str, str]]) -> None:
    found = told({}, n_bytes=n_bytes, limit=limit_of(said))
    assert [(fault.rule.code, fault.message) for fault in found] == expected
    assert {fault.help for fault in found} <= {
        "write what repeats as one loop over a list, or split the pipeline into several that start each other"
    }


def test_many_tasks_in_one_graph_are_told() -> None:
    tasks = {f"{COMPONENT}body dag tasks t{n}": {"componentRef": {"name": "comp-tell"}} for n in range(100)}
    assert [(fault.rule.code, fault.message) for fault in told(tasks)] == [
        ("PIPE629", "`comp-body` has 101 tasks, and the driver takes them all as one argument")
    ]


def test_a_graph_of_exit_tasks_alone_is_told() -> None:
    exit_task = {"componentRef": {"name": "comp-tell"}, "dependentTasks": ["say"],
                 "triggerPolicy": {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}}  # fmt: skip
    found = told({f"{COMPONENT}body dag tasks say": exit_task})
    assert [fault.message for fault in found] == [
        "tasks wait for each other: say -> say",
        "`comp-body` has no task but those that run on its end",
        "`say` waits for `say`, which runs on the end of others and is in no order",
    ]


def test_faults_of_every_part_are_told_at_once() -> None:
    found = told({f"{TASK}train dependentTasks": ["laod"], f"{EXECUTOR}say container image": "",
                  f"{KUBERNETES}activeDeadlineSeconds": "0"})  # fmt: skip
    assert [fault.rule.code for fault in found] == ["PIPE623", "PIPE621", "PIPE626"]


def test_what_is_told_keeps_the_rules_of_the_house() -> None:
    for _, _, changes in ROWS:
        for fault in told(changes):
            for text in filter(None, (fault.message, fault.help)):
                assert list(spoken.broken(text)) == [], text


def test_a_fault_is_told_at_a_part_of_the_document_or_at_what_is_missing_in_one() -> None:
    for _, _, changes in ROWS:
        for fault in told(changes):
            place: Any = base()
            for path, value in changes.items():
                put(place, path, value)
            for part in fault.path[:-1]:
                assert isinstance(place, list) or part in place, (fault.path, part)
                place = place[part]


def spots(value: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    for key, below in value.items() if isinstance(value, dict) else enumerate(value):
        yield " ".join((*path, str(key)))
        if isinstance(below, dict | list):
            yield from spots(below, (*path, str(key)))


OTHERS = [
    None, True, -1, 1.5, float("nan"), 10**400, "", "x", "'", "{{$", "{{$}}", "[" * 5000, "9" * 5000, "1e999", "-",
    [], {}, [1], {"a": 1}, [{}], {"a": {}},
    '{"Concat": ' + '["a", {"Concat": ' * 900, '{"Concat": ' * 400 + "[]" + "}" * 400,
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(OTHERS)))
def test_whatever_stands_anywhere_the_verifier_ends_and_keeps_the_rules(number: int) -> None:
    for path in spots(base()):
        for fault in told({path: OTHERS[number]}):
            assert fault.path[0] in ("pipeline", "platform")
            assert fault.rule.at(spoken.at(1, 1, 1), fault.message, help=fault.help)


@pytest.mark.parametrize("text", ["{{$.inputs." * 90_000, "{{$" * 300_000, '{"Concat": ' * 90_000, "{{$.x}}" * 20_000])
def test_an_argument_of_a_megabyte_is_looked_at_once(text: str) -> None:
    assert len(told({f"{EXECUTOR}load container args 2": text})) <= 250


def test_of_very_many_faults_the_first_are_told() -> None:
    found = told({f"{TASK}train dependentTasks": [f"t{n}" for n in range(1000)]})
    assert [fault.path[-1] for fault in found] == list(range(250))
    assert found[-1].help.endswith("; there are more like this, which are not told")


def sites() -> set[tuple[str, int, int]]:
    """Return every place in the verifier that makes a fault: its module, and the lines of the call."""
    found = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            if name in ("Fault", "unknown", "_Unread"):
                found.add((str(path), node.lineno, node.end_lineno or node.lineno))  # type: ignore[attr-defined]
    return found


def test_every_place_that_tells_a_fault_is_reached_by_a_row() -> None:
    names, reached = {str(path) for path in MODULES}, set()

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code.co_filename not in names:
            return None
        if event == "line":
            reached.add((frame.f_code.co_filename, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for _, _, changes in ROWS:
            told(changes)
        told({}, n_bytes=40 << 20)
        told({}, n_bytes=2_000_000)
        told({}, n_bytes=600_000)
        test_many_tasks_in_one_graph_are_told()
        test_a_graph_of_exit_tasks_alone_is_told()
    finally:
        sys.settrace(before)
    missed = [site for site in sites() if not any((site[0], line) in reached for line in range(site[1], site[2] + 1))]
    assert [f"{Path(name).name}:{line}" for name, line, _ in sorted(missed)] == []
