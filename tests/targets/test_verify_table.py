"""The verifier's table of messages beside KFP's own descriptors: no field more, none less, each of its type."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes
from kfp.pipeline_spec import pipeline_spec_pb2 as spec

from pipec.targets.kubeflow.verify.table import MESSAGES, Type

# Whole documents, and the two that the pipeline's protobuf holds as a struct only.
ROOTS = {
    "pipeline": spec.PipelineSpec, "deployment": spec.PipelineDeploymentConfig, "platform-document": spec.PlatformSpec,
    "kubernetes-executor": kubernetes.KubernetesExecutorConfig,
}  # fmt: skip
SCALARS = {
    FieldDescriptor.TYPE_STRING: "text", FieldDescriptor.TYPE_BOOL: "bool", FieldDescriptor.TYPE_DOUBLE: "double",
    FieldDescriptor.TYPE_INT32: "int32", FieldDescriptor.TYPE_INT64: "int64",
}  # fmt: skip
KNOWN = {"google.protobuf.Value": "any", "google.protobuf.Struct": "struct", "google.protobuf.Duration": "duration"}


def differences(name: str, message: Descriptor, seen: dict[str, str]) -> Iterator[str]:
    """Yield where the table's message differs from a descriptor, and from those below it."""
    if seen.setdefault(name, message.full_name) != message.full_name:
        yield f"{name} is both {seen[name]} and {message.full_name}"
    fields = MESSAGES[name]
    if set(fields) != {field.json_name for field in message.fields}:
        yield f"{name}: {set(fields) ^ {field.json_name for field in message.fields}}"
        return
    for field in message.fields:
        group = field.containing_oneof
        # An `optional` scalar is a oneof of one, which no JSON can break.
        if fields[field.json_name].oneof != (group.name if group and len(group.fields) > 1 else ""):
            yield f"{name}.{field.json_name} is of another oneof"
        yield from mistyped(fields[field.json_name].type, field, f"{name}.{field.json_name}", seen)


def mistyped(type_: Type, field: FieldDescriptor, where: str, seen: dict[str, str]) -> Iterator[str]:
    message = field.message_type
    if message and message.GetOptions().map_entry:
        assert type_.form == "map" and type_.of, where
        yield from single(type_.of, message.fields_by_name["value"], where, seen)
    elif field.is_repeated:
        assert type_.form == "list" and type_.of, where
        yield from single(type_.of, field, where, seen)
    else:
        yield from single(type_, field, where, seen)


def single(type_: Type, field: FieldDescriptor, where: str, seen: dict[str, str]) -> Iterator[str]:
    message = field.message_type
    if field.enum_type:
        if type_.words != tuple(value.name for value in field.enum_type.values):
            yield f"{where} has other words"
    elif message and type_.form == "message":
        is_struct = message.full_name == "google.protobuf.Struct" and type_.name in ROOTS
        if not is_struct and type_.name not in seen:
            yield from differences(type_.name, message, seen)
        elif not is_struct and seen[type_.name] != message.full_name:
            yield f"{where} is a {message.full_name}"
    elif type_.form != (KNOWN[message.full_name] if message else SCALARS[field.type]):
        yield f"{where} is no {type_.form}"


def test_the_table_is_what_kfp_s_own_descriptors_say() -> None:
    seen: dict[str, str] = {}
    found = [told for name, message in ROOTS.items() for told in differences(name, message.DESCRIPTOR, seen)]
    assert found == []
    assert set(seen) == set(MESSAGES)


@pytest.mark.parametrize("name", ROOTS)
def test_a_field_that_is_left_out_of_the_table_is_missed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fewer = dict(list(MESSAGES[name].items())[1:])
    monkeypatch.setitem(MESSAGES, name, fewer)
    assert list(differences(name, ROOTS[name].DESCRIPTOR, {})) != []
