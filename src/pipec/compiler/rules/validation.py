"""`PIPE510`: validations that no data can fail, judged by the files that travel with the plan."""

from __future__ import annotations

from collections.abc import Iterator

from pipec.compiler.rule import Subject, rule
from pipec.diagnostics import Finding, Ignorable, Rule, Source, has_error
from pipec.schema.tree import Mapping, Scalar, Sequence, read
from pipec.steps.interface import Role
from pipec.values import Attachment

_PARAMETER = "expectations"  # of the step `validate-data`
_ENDS = ("min_value", "max_value")
_QUANTILES = "expect_column_quantile_values_to_be_between"  # its bounds are ranges, each of its own


@rule("PIPE510", "toothless-validation", needs_order=True, ignorable=Ignorable.PROJECT)
def toothless_validation(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A validation asks nothing of the data, or something that no data can fail.

    Why: rows count as validated from there on, for every fit and every release behind it.

    Bad:
        # expectations/wine.yaml
        expectations: [{type: expect_column_values_to_be_between, column: alcohol}]

    Fix:
        expectations: [{type: expect_column_values_to_be_between, column: alcohol, min_value: 10, max_value: 16}]
    """
    for use in subject.pipeline.steps:
        interface, file = subject.graph.interfaces.get(use.name), subject.attached.get((use.name, _PARAMETER))
        argument = use.argument(_PARAMETER)
        if not (
            interface
            and interface.role is Role.VALIDATE
            and not interface.container
            and isinstance(file, Attachment)
            and argument
        ):
            continue
        documents, found = read(Source(file.name, file.text))
        if has_error(found):
            continue  # what pipec does not read, such as an anchor, the step may
        for line, why in _toothless(documents[0]):
            yield rule.at(argument.node.loc, f"`{use.name}` lets all data pass: {why} (line {line} of `{file.name}`)",
                          help="say what must hold, such as `min_value` or `max_value`")  # fmt: skip


def _toothless(document: object) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file that ask nothing, and why."""
    listed = document.get("expectations") if isinstance(document, Mapping) else None
    if not isinstance(listed, Sequence) or not listed.items:
        node = listed or document
        assert isinstance(node, Mapping | Sequence | Scalar), "validation._toothless got no document"
        yield node.loc.span.line, "no expectation is listed"
        return
    for item in listed.items:
        kind = item.get("type") if isinstance(item, Mapping) else None
        name = kind.value if isinstance(kind, Scalar) else None
        if not isinstance(item, Mapping) or not isinstance(name, str):
            continue
        ends = [item.get(end) for end in _ENDS]
        given = [end for end in ends if end is not None and not (isinstance(end, Scalar) and end.value is None)]
        if name.endswith("_to_be_between") and name != _QUANTILES and not given:
            yield item.loc.span.line, f"`{name}` has neither `min_value` nor `max_value`"
