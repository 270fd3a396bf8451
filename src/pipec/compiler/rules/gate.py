"""`PIPE505` to `PIPE507`: gates that stand in the way of nothing, and statements about another model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pipec.compiler.graph import Graph, Port, artifact_edges
from pipec.compiler.rule import Subject, rule
from pipec.compiler.rules.release import Judged, origin_of
from pipec.compiler.rules.route import shown
from pipec.diagnostics import Finding, Ignorable, Loc, Note, Rule, Severity
from pipec.schema.model import StepUse
from pipec.schema.tree import Mapping as MappingNode
from pipec.schema.tree import Sequence
from pipec.steps.interface import Artifact, Role
from pipec.values import ListOf, Literal, ObjectOf, OutputRef, Value


class Range(NamedTuple):
    """Between what and what a figure always lies."""

    low: float | None
    high: float | None


# What `evaluate` counts: shares and areas lie between 0 and 1, errors from 0 on; `r2` is at most 1, with no end below.
_SHARE, _ERROR = Range(0, 1), Range(0, None)
_KEYS = {"metric", "minimum", "maximum", "better_by", "on_fail"}
_RANGES = {
    **dict.fromkeys(("accuracy", "balanced_accuracy", "f1_macro", "precision_macro", "recall_macro", "roc_auc",
                     "precision", "recall", "f1"), _SHARE),
    **dict.fromkeys(("log_loss", "mae", "rmse"), _ERROR),
    "r2": Range(None, 1),
}  # fmt: skip


@rule("PIPE505", "toothless-approval", needs_order=True, ignorable=Ignorable.PROJECT)
def toothless_approval(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """An automatic approval that no evaluation can withhold.

    Why: with no gate that stops, everything is approved.

    Bad:
        approve: {uses: approve, with: {mode: automatic, model: "${{ steps.evaluate.model }}"}}

    Fix:
        evaluate: {uses: evaluate, with: {gates: [{metric: f1_macro, minimum: 0.9}], model: "...", data: "..."}}
    """
    graph = subject.graph
    gated = Judged(graph, Role.EVALUATE, _stops)
    for use in subject.pipeline.steps:
        interface = graph.interfaces.get(use.name)
        mode = use.argument("mode")
        if not (interface and interface.role is Role.APPROVE and mode and mode.value != Literal("person")):
            continue
        models = [graph.origin(given) for i, given, _ in artifact_edges(graph, use.name) if i.type is Artifact.MODEL]
        if not any(gated.before(use.name, model) for model in models):
            verb = "approves" if mode.value == Literal("automatic") else "may approve"
            yield rule.at(mode.node.loc, f"`{use.name}` {verb} by itself, and no gate before it can stop",
                          help="give the evaluation a gate: `gates: [{metric: f1_macro, minimum: 0.9}]`")  # fmt: skip


def _stops(use: StepUse) -> bool:
    """Say whether a gate of an evaluation is meant to refuse models; whether it can is PIPE506's to tell."""
    gates = use.argument("gates")
    if gates is None:
        return False
    found = _items(gates.value)
    return found is None or any(_known(gate, "on_fail") != "report" for gate in found)


def _items(value: Value) -> list[dict[str, Value]] | None:
    """Return the objects of a list with their fields, or None where the list is known only when it runs."""
    match value:
        case Literal(list() as items):
            return [_fields(Literal(item)) for item in items]
        case ListOf(items):
            return [_fields(item) for item in items]
        case Literal():
            return []
    return None


def _fields(value: Value) -> dict[str, Value]:
    match value:
        case Literal(dict() as known):
            return {name: Literal(item) for name, item in known.items()}
        case ObjectOf(fields):
            return dict(fields)
    return {}


@rule("PIPE506", "toothless-gate", needs_order=True, ignorable=Ignorable.PROJECT)
def toothless_gate(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A gate that no model can fail.

    Why: it looks like a check in every review, and stops nothing. An accuracy is never below 0, an error never below 0,
    and where no `champion` is given there is none to be better than.

    Bad:
        gates: [{metric: accuracy, minimum: 0}]

    Fix:
        gates: [{metric: accuracy, minimum: 0.9}]
    """
    for use in subject.pipeline.steps:
        interface = subject.graph.interfaces.get(use.name)
        gates = use.argument("gates")
        if not (interface and interface.role is Role.EVALUATE and gates and interface.parameter("gates")):
            continue
        nodes = gates.node.items if isinstance(gates.node, Sequence) else ()
        for at, gate in enumerate(_items(gates.value) or []):
            why = _toothless(gate, has_champion=use.argument("champion") is not None)
            if why:
                node = nodes[at] if at < len(nodes) else gates.node
                metric = _known(gate, "metric")
                advice = f"give it a bound that a bad model misses, such as `{_example(str(metric))}`"
                if "better_by" in gate and use.argument("champion") is None:
                    advice = f"give the step a `champion`, or the gate a bound: `{_example(str(metric))}`"
                yield rule.at(_bound(node), f"no model can fail this gate on `{metric}`: {why}", help=advice)


def _toothless(gate: dict[str, Value], *, has_champion: bool) -> str:
    """Return why a gate that stops can stop nothing; empty if it can, or if that is not known."""
    is_known = {"metric"} < set(gate) <= _KEYS and all(isinstance(value, Literal) for value in gate.values())
    if not is_known or _known(gate, "on_fail") == "report":
        return ""
    low, high = _RANGES.get(str(_known(gate, "metric")), Range(None, None))
    minimum, maximum, better_by = (_number(gate, name) for name in ("minimum", "maximum", "better_by"))
    if minimum is not None and (low is None or minimum > low):
        return ""
    if maximum is not None and (high is None or maximum < high):
        return ""
    if better_by is not None and has_champion and (low is None or high is None or better_by > low - high):
        return ""
    if minimum is not None or maximum is not None:
        ends = [(minimum, "below", low), (maximum, "above", high)]
        told = [f"never {side} {end:g}" for said, side, end in ends if said is not None and end is not None]
        return f"it is {' and '.join(told)}"
    return "it is that much worse than the champion at most" if has_champion else "no `champion` is given"


def _known(gate: dict[str, Value], name: str) -> object:
    value = gate.get(name)
    return value.value if isinstance(value, Literal) else None


def _number(gate: dict[str, Value], name: str) -> float | None:
    value = _known(gate, name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _example(metric: str) -> str:
    return (
        f"{{metric: {metric}, maximum: 0.5}}"
        if _RANGES.get(metric) == _ERROR
        else f"{{metric: {metric}, minimum: 0.9}}"
    )


def _bound(node: object) -> Loc:
    """Return the place of the bound of a gate, or of the gate."""
    if isinstance(node, MappingNode):
        for name in ("minimum", "maximum", "better_by"):
            if entry := node.entry(name):
                return entry.value.loc
    return node.loc  # type: ignore[attr-defined, no-any-return]


@rule("PIPE507", "statement-about-another", needs_order=True, ignorable=Ignorable.PROJECT)
def statement_about_another(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A step is given a model together with a report or an approval of another model.

    Why: a person would decide on figures of another model; the deploy would refuse it, but only after the approval.

    Bad:
        approve: {uses: approve, with: {model: "${{ steps.large.model }}", evidence: "${{ steps.judge-small.report }}"}}

    Fix:
        approve: {uses: approve, with: {model: "${{ steps.large.model }}", evidence: "${{ steps.judge-large.report }}"}}
    """
    graph = subject.graph
    approved = Judged(graph, Role.APPROVE)
    for use in subject.pipeline.steps:
        interface = graph.interfaces.get(use.name)
        if interface is None or interface.role not in (Role.APPROVE, Role.DEPLOY):
            continue
        given = list(artifact_edges(graph, use.name))
        models = {graph.origin(port) for declared, port, _ in given if declared.type is Artifact.MODEL}
        for declared, port, loc in given:
            if declared.type not in (Artifact.REPORT, Artifact.APPROVAL) or len(models) != 1:
                continue
            about = _about(graph, port)
            (model,) = models
            is_known = bool(model.step) and all(port.step for port in about)  # a location may hold the same
            if about and is_known and model not in about:
                if interface.role is Role.DEPLOY and subject.is_production and not approved.before(use.name, model):
                    continue  # PIPE501 tells that nobody approved this one
                told = f"`{port.task}.{port.output}` is about `{_listed(about)}`"
                note = Note(f"`{use.name}` is given its model here", _model_loc(graph, use))
                yield rule.at(loc, f"{told}, and `{use.name}` takes `{shown(model)}`",
                              help="give both of the same model", notes=[note])  # fmt: skip


def _about(graph: Graph, port: OutputRef) -> set[Port]:
    """Return the models about which a step states something: those that it must read; empty if none is known."""
    interface = graph.interfaces.get(port.task)
    if interface is None or interface.role not in (Role.EVALUATE, Role.APPROVE):
        return set()
    read = list(graph.artifact_inputs(port.task))
    models = [given for declared, given, _ in read if declared.type is Artifact.MODEL and not declared.optional]
    return set() if None in models else {graph.origin(given) for given in models if given}


def _listed(ports: set[Port]) -> str:
    return "`, `".join(sorted(shown(port) for port in ports))


def _model_loc(graph: Graph, use: StepUse) -> Loc:
    return next(loc for declared, _, loc in artifact_edges(graph, use.name) if declared.type is Artifact.MODEL)


@rule("PIPE509", "judged-on-its-own-data", severity=Severity.WARNING, needs_order=True, ignorable=Ignorable.PROJECT)
def judged_on_its_own_data(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A model is evaluated on the very rows that it learned from, and on no others.

    Why: it is praised for what it remembers; how it does on rows that are new to it stays unknown.

    Bad:
        train:    {uses: train, with: {data: "${{ steps.split.train }}", target: quality}}
        evaluate: {uses: evaluate, with: {model: "${{ steps.train.model }}", data: "${{ steps.split.train }}"}}

    Fix:
        evaluate: {uses: evaluate, with: {model: "${{ steps.train.model }}", data: "${{ steps.split.test }}"}}
    """
    graph = subject.graph
    judged: dict[Port, list[tuple[StepUse, Port, Loc]]] = {}
    for name, interface in graph.interfaces.items():
        if interface.role is not Role.EVALUATE:
            continue
        given = list(graph.artifact_inputs(name))
        data = [(origin_of(graph, name, i.name, port), loc) for i, port, loc in given if i.type is Artifact.DATASET]
        for declared, one, _ in given:
            if declared.type is not Artifact.MODEL or declared.optional:
                continue
            model = origin_of(graph, name, declared.name, one)
            judged.setdefault(model, []).extend((graph.steps[name], port, loc) for port, loc in data)
    for model, evaluations in judged.items():
        if not model.step:
            continue
        learned = {graph.origin(port): loc for i, port, loc in artifact_edges(graph, model.step) if i.fits}
        learned = {port: loc for port, loc in learned.items() if not _is_set_aside(graph, port)}  # PIPE503 tells those
        if evaluations and all(port in learned for _, port, _ in evaluations):
            for use, port, loc in evaluations:
                note = Note(f"`{model.step}` learns from them here", learned[port])
                yield rule.at(loc, f"`{use.name}` judges `{shown(model)}` on the rows that it learned from",
                              help="give it rows that were set aside, such as the `test` of a step `uses: split`",
                              notes=[note])  # fmt: skip


def _is_set_aside(graph: Graph, port: Port) -> bool:
    output = graph.output(port)
    return output is not None and output.split == "test"
