"""The order's text: what no template engine on its way may change."""

from __future__ import annotations

import re

import pytest

from pipec.steps.command import Order, order_text, parse_order
from pipec.values import Literal, ParameterRef, Text

HOSTILE = [
    "{{ macros.uuid.os.popen('id').read() }}",
    "{{$.inputs.parameters['secret']}}",
    "{% raw %}{# x #}",
    "$(HOME) and $$ and $$(HOME)",
    'quotes " and \\" and \\\\',
    "\\u007b{ $",
    "line\nline\r\n",
    "é \U0001f600 \x7f\u2028",
]


def order(value: str) -> Order:
    return Order(
        pipeline="p",
        task="t",
        step="train@1",
        interface="sha256:0",
        parameters=(
            (value, Literal(value)),
            ("text", Text((Literal(value), ParameterRef("x")))),
            ("empty", Literal({})),
        ),
    )


@pytest.mark.parametrize("value", HOSTILE)
def test_an_order_comes_back_as_it_was_written(value: str) -> None:
    assert parse_order(order_text(order(value))) == order(value)


@pytest.mark.parametrize("value", HOSTILE)
def test_no_template_engine_finds_a_template_in_an_order(value: str) -> None:
    assert re.search(r"\{[{%#]|\$[$(]|[^ -~]", order_text(order(value))) is None
