"""What is compiled from YAML equals what kfp compiles from the same pipeline in its own DSL, but for names.

Names are what a compiler chooses: of components and executors, of the DAGs that conditions and loops become, and of the
channels between them. Each is replaced by what it stands for, so that two files agree only where all wiring does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp import compiler
from kfp.pipeline_spec import pipeline_spec_pb2
from twins import IMAGE, INNER, OURS, ROOT, TWINS

from pipec import api

PROJECT = f"""
apiVersion: pipec/v1alpha1
kind: Project
metadata: {{name: twins}}
image: {IMAGE}
environments: {{e: {{artifacts: "{ROOT}"}}}}
"""


class Canon:
    """A pipeline in which every name is what it stands for."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.spec = spec
        self.components: dict[str, Any] = spec["components"]
        self.executors: dict[str, Any] = spec["deploymentSpec"]["executors"]

    def pipeline(self) -> Any:
        """Return the root with all that is in it; inputs of a run keep their names, which people type."""
        root = self.spec["root"]
        names = {name: name for name in root.get("inputDefinitions", {}).get("parameters", {})}
        return {
            "root": self.spec.get("defaultPipelineRoot"),
            "inputs": root.get("inputDefinitions", {}),
            "dag": self.dag(root["dag"], names),
        }

    def dag(self, dag: Any, inputs: Mapping[str, str]) -> Any:
        """Return the tasks of a DAG by what they are. inputs: what the DAG's own inputs stand for."""
        titles = {name: self.title(name, task) for name, task in dag["tasks"].items()}
        assert len(set(titles.values())) == len(titles)
        return {titles[name]: self.task(task, titles, inputs) for name, task in dag["tasks"].items()}

    def title(self, name: str, task: Any) -> str:
        """Return what a task is: a container by its name, a DAG by what is in it."""
        component = self.components[task["componentRef"]["name"]]
        if "executorLabel" in component:
            return name
        inside = component["dag"]["tasks"]
        return "(" + " ".join(sorted(self.title(each, inside[each]) for each in inside)) + ")"

    def task(self, task: Any, titles: Mapping[str, str], inputs: Mapping[str, str]) -> Any:
        component = self.components[task["componentRef"]["name"]]
        given = {
            section: {name: self.source(spec, titles, inputs) for name, spec in listed.items()}
            for section, listed in task.get("inputs", {}).items()
        }
        names = {name: source for listed in given.values() for name, source in listed.items()}
        trigger = dict(task.get("triggerPolicy", {}))
        if "condition" in trigger:
            for name in sorted(names, key=len, reverse=True):
                trigger["condition"] = trigger["condition"].replace(f"'{name}'", f"<{names[name]}>")
        iterator = dict(task.get("parameterIterator", {}))
        if iterator:
            names[iterator["itemInput"]] = "item"
            items = dict(iterator["items"])
            if "inputParameter" in items:
                items["inputParameter"] = names[items["inputParameter"]]
            iterator = {"items": items}
        return {
            "after": sorted(titles[name] for name in task.get("dependentTasks", ())),
            "caching": task.get("cachingOptions"),
            "given": {section: sorted(listed.values()) for section, listed in given.items()},
            "trigger": trigger,
            "iterator": iterator,
            "policies": [task.get("iteratorPolicy"), task.get("retryPolicy")],
            "runs": self.component(component, names),
        }

    def source(self, spec: Any, titles: Mapping[str, str], inputs: Mapping[str, str]) -> str:
        """Return what a task is given, by what that stands for."""
        match spec:
            case {"componentInputParameter": name} | {"componentInputArtifact": name}:
                rest = {key: value for key, value in spec.items() if not key.startswith("componentInput")}
                return inputs[name] + (json.dumps(rest, sort_keys=True) if rest else "")
            case {"taskOutputParameter": made} | {"taskOutputArtifact": made}:
                key = made.get("outputParameterKey") or made["outputArtifactKey"]
                return self.output(titles, made["producerTask"], key)
        return json.dumps(spec, sort_keys=True)

    def output(self, titles: Mapping[str, str], producer: str, key: str) -> str:
        """Return what a task gives out: of a DAG, what is given out inside of it."""
        for component in (self.spec["root"], *self.components.values()):  # one of them has this task
            task = component.get("dag", {}).get("tasks", {}).get(producer)
            if task and self.title(producer, task) == titles[producer]:
                below = self.components[task["componentRef"]["name"]]
                return f"{titles[producer]}/{self.given_out(below, key)}"
        raise AssertionError(f"nothing is called {producer}")

    def given_out(self, component: Any, key: str) -> str:
        if "executorLabel" in component:
            return key
        outputs = component["dag"]["outputs"]
        for chosen in outputs.get("artifacts", {}).get(key, {}).get("artifactSelectors", ()):
            producer, inner = chosen["producerSubtask"], chosen["outputArtifactKey"]
        if key in outputs.get("parameters", {}):
            chosen = outputs["parameters"][key]["valueFromParameter"]
            producer, inner = chosen["producerSubtask"], chosen["outputParameterKey"]
        task = component["dag"]["tasks"][producer]
        below = self.components[task["componentRef"]["name"]]
        return f"{self.title(producer, task)}/{self.given_out(below, inner)}"

    def component(self, component: Any, names: Mapping[str, str]) -> Any:
        declared = {
            section: sorted((names[name], json.dumps(one, sort_keys=True)) for name, one in listed.items())
            for section, listed in component.get("inputDefinitions", {}).items()
        }
        if "executorLabel" not in component:
            outputs = {
                section: sorted((self.given_out(component, name), json.dumps(one)) for name, one in listed.items())
                for section, listed in component.get("outputDefinitions", {}).items()
            }
            return {"inputs": declared, "outputs": outputs, "dag": self.dag(component["dag"], names)}
        container = dict(self.executors[component["executorLabel"]]["container"])
        container["args"] = container["args"][:1]  # the step's name; the rest of a call is not KFP's business
        return {"inputs": declared, "outputs": component.get("outputDefinitions", {}), "container": container}


def ours(folder: Path, name: str) -> Any:
    (folder / "pipec.yaml").write_text(PROJECT)
    (folder / "inner.yaml").write_text(INNER)
    file = folder / "twin.yaml"
    file.write_text(f"apiVersion: pipec/v1alpha1\nkind: Pipeline\nmetadata: {{name: {name}}}{OURS[name]}")
    checked, files = api.compile_(api.Request(path=file, environment="e", target="kubeflow"))
    assert [f.message for f in checked.report.findings if f.rule.severity == "error"] == []
    return parsed(next(yaml.safe_load_all(files[0].text)))


def theirs(folder: Path, name: str) -> Any:
    compiler.Compiler().compile(TWINS[name], str(folder / "dsl.yaml"))
    return parsed(next(yaml.safe_load_all((folder / "dsl.yaml").read_text())))


def parsed(document: Any) -> Any:
    """Return a document as KFP's protobufs have it, so that 3 and 3.0 are one number, as they are there."""
    message = json_format.ParseDict(document, pipeline_spec_pb2.PipelineSpec())
    return json_format.MessageToDict(message)


@pytest.mark.parametrize("name", TWINS)
def test_a_pipeline_is_what_its_twin_in_kfp_s_dsl_is(tmp_path: Path, name: str) -> None:
    assert Canon(ours(tmp_path, name)).pipeline() == Canon(theirs(tmp_path, name)).pipeline()


@pytest.mark.parametrize("name", TWINS)
def test_no_two_twins_are_alike(tmp_path: Path, name: str) -> None:
    """What would be equal to everything proves nothing."""
    mine = Canon(ours(tmp_path, name)).pipeline()
    assert not any(mine == Canon(theirs(tmp_path, other)).pipeline() for other in TWINS if other != name)
