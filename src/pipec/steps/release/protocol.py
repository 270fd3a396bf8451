"""The Open Inference Protocol v2 in its HTTP form: JSON bodies to tables, answers to JSON bodies. Knows no sockets.

Source: kserve/open-inference-protocol, specification/protocol/inference_rest.md. Of its extensions none is spoken.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from pipec.steps.ml import model as models
from pipec.steps.ml.card import Card
from pipec.steps.ml.fault import DataFault
from pipec.steps.ml.feature import Column
from pipec.steps.ml.model import Model

NUMBERS = frozenset(f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)) | {"FP16", "FP32", "FP64"}
DATATYPES = NUMBERS | {"BOOL", "BYTES"}
_DATATYPE = {"float64": "FP64", "int64": "INT64", "bool": "BOOL", "string": "BYTES"}
_PLATFORM = {"sklearn": "sklearn_skops", "torch": "pytorch_safetensors"}

Body = dict[str, Any]


class BadRequest(ValueError):
    """A request that the protocol or the model's signature does not allow. The message is one line."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input as sent. data: flat, row by row."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: list[Any]


def model_metadata(name: str, version: int, card: Card) -> Body:
    """Return what `GET /v2/models/<name>` answers."""
    return {
        "name": name,
        "versions": [str(version)],
        "platform": _PLATFORM[card.framework],
        "inputs": [{"name": c.name, "datatype": _DATATYPE[c.dtype], "shape": [-1]} for c in card.columns],
        "outputs": _described_outputs(card),
    }


def _described_outputs(card: Card) -> list[Body]:
    if not card.classes:
        return [{"name": "predict", "datatype": "FP64", "shape": [-1]}]
    classes = {"classes": json.dumps(card.classes)}  # in the order of the columns of `probability`
    return [
        {"name": "label", "datatype": _label_type(card), "shape": [-1]},
        {"name": "probability", "datatype": "FP64", "shape": [-1, len(card.classes)], "parameters": classes},
    ]


def infer(name: str, version: int, model: Model, content: bytes) -> Body:
    """Return what `POST /v2/models/<name>/infer` answers to a body. Raises BadRequest."""
    request = _parsed(content)
    tensors = [_tensor(item) for item in _list(request, "inputs")]
    rows = table(tensors, model.card.columns)
    try:
        predictions = models.predict(model, rows)
    except DataFault as fault:
        raise BadRequest(str(fault)) from fault
    outputs = _chosen(_outputs(predictions, model.card), request.get("outputs"))
    answer: Body = {"model_name": name, "model_version": str(version), "outputs": outputs}
    if isinstance(request.get("id"), str):
        answer["id"] = request["id"]
    return answer


def _outputs(predictions: models.Predictions, card: Card) -> list[Body]:
    n_rows = len(predictions.labels)
    if predictions.probabilities is None:
        return [{"name": "predict", "datatype": "FP64", "shape": [n_rows], "data": predictions.labels}]
    probabilities = predictions.probabilities
    return [
        {"name": "label", "datatype": _label_type(card), "shape": [n_rows], "data": predictions.labels},
        {
            "name": "probability",
            "datatype": "FP64",
            "shape": list(probabilities.shape),
            "data": probabilities.ravel().tolist(),
        },
    ]


def _chosen(outputs: list[Body], wanted: Any) -> list[Body]:
    """Return the outputs that a request names, in its order; all of them if it names none."""
    if not wanted:
        return outputs
    by_name = {output["name"]: output for output in outputs}
    try:
        return [by_name[item["name"]] for item in wanted]
    except (KeyError, TypeError):
        raise BadRequest(f"`outputs` names something else than {', '.join(sorted(by_name))}") from None


def _label_type(card: Card) -> str:
    kinds = {type(label) for label in card.classes}
    return "BYTES" if str in kinds else "BOOL" if kinds == {bool} else "INT64"


def _parsed(content: bytes) -> Body:
    def constant(text: str) -> NoReturn:
        raise ValueError(f"`{text}` is no JSON number")

    try:
        body = json.loads(content, parse_constant=constant)
    except (ValueError, RecursionError) as fault:
        raise BadRequest(f"the body is not JSON ({str(fault)[:80]})") from fault
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object with `inputs`")
    return body


def _tensor(item: Any) -> Tensor:
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise BadRequest("every item of `inputs` is an object with `name`, `shape`, `datatype` and `data`")
    name, shape = item["name"], _list(item, "shape")
    if item.get("datatype") not in DATATYPES:
        raise BadRequest(f"input `{name}` needs a `datatype`, one of {', '.join(sorted(DATATYPES))}")
    if not 1 <= len(shape) <= 2 or not all(type(n) is int and n >= 0 for n in shape):
        raise BadRequest(f"the shape of input `{name}` must be one or two whole numbers")
    data = _flat(_list(item, "data"))
    if len(data) != int(np.prod([int(n) for n in shape], dtype=object)):
        raise BadRequest(f"input `{name}` has {len(data)} values, but its shape {shape} wants another number")
    return Tensor(name, item["datatype"], tuple(shape), data)


def _flat(data: list[Any]) -> list[Any]:
    """Return nested rows as one list; the protocol allows both."""
    if not any(isinstance(item, list) for item in data):
        return data
    return [value for item in data for value in (item if isinstance(item, list) else [item])]


def _list(body: Body, field: str) -> list[Any]:
    value = body.get(field)
    if not isinstance(value, list):
        raise BadRequest(f"`{field}` must be a list")
    return value


def table(tensors: Sequence[Tensor], columns: Sequence[Column]) -> pd.DataFrame:
    """Return the rows of a request: one tensor per column by name, or one [N, F] tensor in the signature's order."""
    if len(tensors) == 1 and len(tensors[0].shape) == 2 and (len(columns) > 1 or tensors[0].name != columns[0].name):
        return _wide(tensors[0], columns)
    by_name = {tensor.name: tensor for tensor in tensors}
    if len(by_name) < len(tensors):
        raise BadRequest("`inputs` names a tensor twice")
    _check_names(by_name, columns)
    lengths = {tensor.shape[0] for tensor in tensors}
    if len(lengths) > 1 or any(tensor.shape[1:] not in ((), (1,)) for tensor in tensors):
        raise BadRequest("the tensors of a request must all have the same number of rows, and one column each")
    return pd.DataFrame({column.name: _values(by_name[column.name], column) for column in columns})


def _check_names(by_name: Mapping[str, Tensor], columns: Sequence[Column]) -> None:
    wanted = [column.name for column in columns]
    lacking = [name for name in wanted if name not in by_name]
    strange = sorted(set(by_name) - set(wanted))
    if lacking:
        raise BadRequest(f"`inputs` lacks `{lacking[0]}`: the model reads {', '.join(wanted[:50])}")
    if strange:
        raise BadRequest(f"`inputs` holds `{strange[0]}`, which the model does not read")


def _wide(tensor: Tensor, columns: Sequence[Column]) -> pd.DataFrame:
    text = next((column.name for column in columns if column.is_text), None)
    if text is not None:
        raise BadRequest(f"the model reads text in `{text}`: send one tensor per column")
    if tensor.datatype not in NUMBERS or tensor.shape[1] != len(columns):
        raise BadRequest(f"one tensor for all columns must be numbers of shape [rows, {len(columns)}]")
    x_NF = np.array(_numbers(tensor), dtype=np.float64).reshape(tensor.shape)  # noqa: N806
    return pd.DataFrame(x_NF, columns=[column.name for column in columns])


def _values(tensor: Tensor, column: Column) -> pd.Series[Any]:
    if column.is_text:
        if tensor.datatype != "BYTES" or not all(isinstance(value, (str, type(None))) for value in tensor.data):
            raise BadRequest(f"input `{column.name}` must be BYTES, its values texts or null")
        return pd.Series(tensor.data, dtype=object)
    return pd.Series(_numbers(tensor), dtype=np.float64)


def _numbers(tensor: Tensor) -> list[float]:
    """Return the values of a tensor as floats; null is a missing number. Raises BadRequest at anything else."""
    kinds = bool if tensor.datatype == "BOOL" else (int, float) if tensor.datatype.startswith("FP") else int
    if tensor.datatype == "BYTES":
        raise BadRequest(f"input `{tensor.name}` must be numbers, not BYTES")
    for value in tensor.data:
        # True is an int to Python, but no number to JSON.
        if value is not None and (not isinstance(value, kinds) or isinstance(value, bool) is not (kinds is bool)):
            raise BadRequest(f"input `{tensor.name}` is {tensor.datatype}, but holds something else")
    try:
        return [float("nan") if value is None else float(value) for value in tensor.data]
    except OverflowError:
        raise BadRequest(f"input `{tensor.name}` holds a number that is too large") from None
