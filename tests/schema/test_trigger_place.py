"""Where a trigger stands in its document, for those who number the triggers of each kind by themselves."""

from __future__ import annotations

import pytest

from pipec.diagnostics import Source
from pipec.schema import tree
from pipec.schema.model import locate
from pipec.schema.trigger import in_file, triggers

TEXT = """triggers:
  - schedule: {cron: "0 3 * * 1"}
  - after: {pipeline: a}
  - data: {uri: s3://b/k}
  - after: {pipeline: b, step: c}
  - schedule: {cron: "0 4 * * 1", timezone: UTC}
steps: {}
"""


def document() -> tree.Mapping:
    (found,), wrong = tree.read(Source("p.yaml", TEXT))
    assert isinstance(found, tree.Mapping) and not wrong
    return found


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("triggers", "0", "schedule", "cron"), (2, 22)),
        (("triggers", "1", "schedule", "timezone"), (6, 45)),
        (("triggers", "0", "after", "pipeline"), (3, 23)),
        (("triggers", "1", "after", "step"), (5, 32)),
        (("triggers", "1", "after", "when"), (5, 5)),
        (("triggers", "0", "data"), (4, 5)),
        (("triggers",), (2, 3)),
        (("steps",), (7, 1)),
    ],
    ids=str,
)
def test_a_trigger_is_found_among_all_by_its_number_among_its_kind(
    path: tuple[str, ...], place: tuple[int, int]
) -> None:
    found = document()
    span = locate(found, found.loc, in_file(path, found)).span
    assert (span.line, span.column) == place


def test_the_triggers_of_a_kind_come_in_the_order_of_the_file() -> None:
    assert [tree.as_json(said) for said in triggers(document(), "after")] == [
        {"pipeline": "a"},
        {"pipeline": "b", "step": "c"},
    ]
