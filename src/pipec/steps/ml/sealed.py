"""Estimators as bytes and back, through skops: no pickle either way, and equal estimators give equal bytes.

skops alone writes memory addresses and the time of day into its file; `dump` writes its content again without them.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import Any, TypeVar

import numpy as np
import skops.io
from sklearn.tree._tree import Tree

from pipec.steps.ml.fault import DataFault

# What the estimators of our table need beyond what skops trusts by itself; each is checked after loading, because the
# compiled code behind it believes its arrays without looking (skops.io.exceptions says so of `Tree`).
TRUSTED = (
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)
SCHEMA = "schema.json"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip archive can say
J = TypeVar("J")


def dump(estimator: Any) -> bytes:
    """Return the estimator as the bytes of a skops file, the same for equal estimators."""
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(estimator))) as archive:
        schema = json.loads(archive.read(SCHEMA))
        arrays = {name: _without_gaps(archive.read(name)) for name in archive.namelist() if name != SCHEMA}
    names = {name: f"{hashlib.sha256(content).hexdigest()}.npy" for name, content in arrays.items()}
    entries = {names[name]: content for name, content in arrays.items()}
    entries[SCHEMA] = json.dumps(_renamed(schema, names), sort_keys=True, separators=(",", ":")).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(entries):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = 3  # Unix, also where Python would write another
            archive.writestr(entry, entries[name], zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _renamed(node: Any, names: dict[str, str]) -> Any:
    """Return skops' description without object ids, and with arrays named by content.

    Ids only let skops share equal objects on load, and which objects are shared depends on how a value came to be.
    """
    if isinstance(node, list):
        return [_renamed(item, names) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _renamed(value, names) for key, value in node.items() if key != "__id__"}
    if isinstance(kept.get("file"), str):
        kept["file"] = names[kept["file"]]
    return kept


def _without_gaps(content: bytes) -> bytes:
    """Return a `.npy` file with zeros between the fields of its records, where memory has whatever was there before."""
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if array.dtype.names is None:
        return content
    clean = np.zeros(array.shape, array.dtype)
    for name in array.dtype.names:
        clean[name] = array[name]
    buffer = io.BytesIO()
    np.save(buffer, clean, allow_pickle=False)
    return buffer.getvalue()


def load(weights: bytes, more: tuple[str, ...] = ()) -> Any:
    """Return the pipeline in the bytes of a skops file. Raises DataFault at anything outside the allow-list.

    more: names that are allowed beside those of `TRUSTED`.
    The caller looks at what came before using it: `check_trees` for the rest.
    """
    trusted = [*TRUSTED, *more]
    try:
        strangers = sorted(set(skops.io.get_untrusted_types(data=weights)) - set(trusted))
    except Exception as fault:  # skops raises whatever its reader meets in a file that it did not write
        raise DataFault("the weights are not a skops file: train the model again") from fault
    if strangers:
        raise DataFault(f"the weights hold `{strangers[0]}`, which no model of pipec needs: it is not loaded")
    try:
        return skops.io.loads(weights, trusted=trusted)
    except Exception as fault:
        raise DataFault("the weights cannot be rebuilt: they were damaged or made by another version") from fault


def check_trees(pipeline: Any, width: int) -> None:
    """Raise DataFault at a tree that compiled code could not walk safely. width: columns that its estimator gets."""
    for tree in _found(pipeline, Tree):
        check_tree(tree, width)
    for tree in _boosted(pipeline):
        check_boosted(tree.nodes, width)


def _found(pipeline: Any, kind: type[J]) -> list[J]:
    forest = getattr(pipeline[-1], "estimators_", [])
    trees = [getattr(member, "tree_", None) for member in np.ravel(forest)]
    return [tree for tree in trees if isinstance(tree, kind)]


def _boosted(pipeline: Any) -> list[Any]:
    return [tree for trees in getattr(pipeline[-1], "_predictors", []) for tree in trees]


def check_tree(tree: Any, width: int) -> None:
    """Raise DataFault at a tree of a forest that compiled code could not walk. width: columns that it is given."""
    inner = tree.children_left != -1
    if (tree.children_right[~inner] != -1).any():
        raise DataFault("a tree in the weights has half a branch: it is not loaded")
    _check_nodes(inner, tree.children_left, tree.children_right, tree.feature, width)


def check_boosted(nodes: Any, width: int) -> None:
    """Raise DataFault at the nodes of a boosted tree that compiled code could not walk. width: as above."""
    if nodes["is_categorical"].any():
        raise DataFault("a tree in the weights splits by category, which pipec never trains: it is not loaded")
    left, right = nodes["left"].astype(np.int64), nodes["right"].astype(np.int64)
    _check_nodes(nodes["is_leaf"] == 0, left, right, nodes["feature_idx"], width)


def _check_nodes(inner: Any, left: Any, right: Any, feature: Any, width: int) -> None:
    """Raise DataFault where an inner node points outside the tree, or back, or at a column that is not there."""
    here, n = np.flatnonzero(inner), len(inner)
    for child in (left[inner], right[inner]):
        if ((child <= here) | (child >= n)).any():
            raise DataFault("a tree in the weights points outside itself: it is not loaded")
    if ((feature[inner] < 0) | (feature[inner] >= width)).any():
        raise DataFault("a tree in the weights looks at a column that is not there: it is not loaded")
