"""What an order says of a task that reports: it comes back as it was written, and a plain order says nothing of it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from pipec.condition import AllOf, Compare, Status
from pipec.steps.command import Ended, Order, Report, ReportedNeed, order_text, parse_order
from pipec.steps.declare import CallerError
from pipec.values import Literal, OutputRef

PLAIN = Order(pipeline="p", task="t", step="train@1", interface="sha256:0")
NEEDS = (ReportedNeed("a"), ReportedNeed("b", soft=True), ReportedNeed("c-0", forgiving=True, any_of="c"))
WHEN = AllOf((Status("failed", "a"), Compare("==", OutputRef("b", "word"), Literal("{{ $(x) }}"))))


@pytest.mark.parametrize(
    "fields",
    [
        {"report": Report()},
        {"report": Report(NEEDS, WHEN, 90), "attempts": 3, "backoff_s": 30},
        {"ledger": "all"},
        {"ends": (Ended("a"), Ended("b", ("a",), is_conditional=True)), "forgiven": ("a",)},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_an_order_that_reports_comes_back_as_it_was_written(fields: dict[str, Any]) -> None:
    order = replace(PLAIN, **fields)
    assert parse_order(order_text(order)) == order
    assert re.search(r"\{[{%#]|\$[$(]", order_text(order)) is None


def test_a_report_is_written_as_targets_and_images_agreed() -> None:
    order = replace(PLAIN, report=Report(NEEDS[1:], Status("failed", "a"), None), ends=(Ended("a", ("b",)),))
    body = json.loads(order_text(order))
    assert body["report"] == {
        "needs": [["b", True, False, ""], ["c-0", False, True, "c"]], "when": ["failed", "a"], "timeout_s": None,
    }  # fmt: skip
    assert body["ends"] == [["a", ["b"], False]]


def test_a_plain_order_is_written_to_the_byte_as_before() -> None:
    assert order_text(PLAIN) == (
        '{"format": "1", "pipeline": "p", "task": "t", "step": "train@1", "interface": "sha256:0", "parameters": {}, '
        '"inputs": {}, "environment": "", "threads": 1, "wait_s": 0}'
    )


@pytest.mark.parametrize(
    "broken",
    [
        {"report": []},
        {"report": {"needs": [], "when": None}},
        {"report": {"needs": [["a", True]], "when": None, "timeout_s": None}},
        {"report": {"needs": [], "when": ["perhaps", "a"], "timeout_s": None}},
        {"ends": [["a"]]},
    ],
    ids=str,
)
def test_another_form_of_report_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(CallerError, match="--order is not an order that pipec wrote"):
        parse_order(json.dumps(json.loads(order_text(PLAIN)) | broken))
