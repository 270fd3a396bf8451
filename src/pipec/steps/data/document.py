"""The door of the steps to YAML: small files that users attach, read as YAML 1.2 reads them.

Knows nothing of pipec. The language's own reader keeps the place of every word; here only the values count.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

DEPTH = 32  # libyaml's composer recurses in C and ends the process at some tens of thousands of levels
_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # typing: a class chosen at run time


class DocumentError(ValueError):
    """A file that cannot be read. The message is one line."""


class _Loader(_BASE):  # type: ignore[misc]
    """YAML 1.2's core scalars: `no` is text and `1e-3` a number, which YAML 1.1 has the other way round."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        repeated = next((key for place, key in enumerate(keys) if key in keys[:place]), None)
        if repeated is not None:
            raise DocumentError(f"line {node.start_mark.line + 1}: `{repeated}` stands there twice")
        found: dict[Hashable, object] = super().construct_mapping(node, deep)
        return found

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        text = str(self.construct_scalar(node))  # 017 is seventeen, which YAML 1.1 and Python read otherwise
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


def read(path: Path) -> object:
    """Return the value of a YAML or JSON file. Raises DocumentError."""
    try:
        text = path.read_text(encoding="utf-8")
        _check_shape(text)
        return yaml.load(text, Loader=_Loader)
    except UnicodeDecodeError as fault:
        raise DocumentError(f"the file is not UTF-8 (byte {fault.start})") from fault
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise DocumentError(f"{where}{getattr(fault, 'problem', None) or 'the file is not YAML'}") from fault


def _check_shape(text: str) -> None:
    """Refuse what a list of expectations never needs: depth, anchors, tags, a second document."""
    depth = documents = 0
    event: Any  # typing: the marks and tags of the many kinds of events
    for event in yaml.parse(text, Loader=_BASE):
        line = event.start_mark.line + 1
        if getattr(event, "anchor", None):
            raise DocumentError(f"line {line}: anchors and aliases are not read here: write the value out")
        if getattr(event, "tag", None):
            raise DocumentError(f"line {line}: tags such as `{event.tag}` are not read here")
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH or documents > 1:
            raise DocumentError(f"line {line}: one document, at most {DEPTH} levels deep, is read here")
