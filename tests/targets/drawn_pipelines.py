"""Small pipelines that hypothesis draws, with how each of their steps ends: about what runs when, and nothing else.

Steps are given what earlier ones of the right type make; conditions, loops, cells, pipelines used as steps and what
runs at the end come as often as they may stand there. What no rule allows is left to the compiler to refuse.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from scripted import End, Script

Draw = Any  # hypothesis's own function: it returns what a strategy gives
ROWS = "file://PLACE/rows.csv"
N_DRAWN = int(os.environ.get("PIPEC_N_DRAWN", "500"))
NAMES = ("a", "b", "c", "d", "e", "f", "g", "h", "i")
PARAMETERS = {
    "n": {"type": "integer", "default": 1}, "share": {"type": "number", "default": 0.5},
    "go": {"type": "boolean", "default": True}, "mode": {"type": "string", "default": "it's"},
    "names": {"type": "list", "default": ["x", "y"]}, "none": {"type": "list", "default": []},
    "seeds": {"type": "list", "default": [1, 2]},
}  # fmt: skip
LITERALS: Mapping[str, tuple[object, ...]] = {
    "integer": (0, 1, 2, 5), "number": (0.5, 1, 2.5), "string": ("pass", "it's", "", 'a "b" \\ {{x}}'),
    "boolean": (True, False),
}  # fmt: skip
CODES = ((0,), (0,), (0,), (0,), (1,), (3,), (75, 0), (75,), (75, 1))
FILLED = ([3, 4], [5], ["p", "q"], "${{ parameters.names }}", "${{ parameters.seeds }}")
FORMS = ("status", "value", "status", "value", "not", "and", "or")
NO_STATUS = 10  # depths from here on are of conditions that ask values alone
# Of each step: what it must read, what it may read, what it makes, what it is told in any case.
Row = tuple[dict[str, str], dict[str, str], dict[str, str], dict[str, object]]
STEPS: Mapping[str, Row] = {
    "ingest": ({}, {}, {"data": "rows", "n_rows": "integer"}, {"source": ROWS}),
    "split": ({"data": "rows"}, {}, {"train": "rows", "test": "rows"}, {}),
    "train": ({"data": "rows"}, {}, {"model": "model"}, {"target": "y"}),
    "fetch-model": ({}, {}, {"model": "model", "found": "boolean", "generation": "integer", "digest": "string"},
                    {"name": "m"}),
    "evaluate": ({"model": "model", "data": "rows"}, {"champion": "model"},
                 {"model": "model", "report": "report", "verdict": "string", "score": "number", "better": "boolean"},
                 {"gates": [{"metric": "f1_macro", "minimum": 0.5}]}),
    "monitor": ({"batch": "rows"}, {"reference": "rows"},
                {"report": "report", "verdict": "string", "drifted": "list"}, {}),
    "predict": ({"model": "model", "data": "rows"}, {}, {"predictions": "rows", "n_rows": "integer"}, {}),
    "notify": ({}, {"report": "report"}, {"sent": "boolean"}, {"channel": "ml", "message": "hello"}),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Drawn:
    """texts: of the files of a project, by name; `p.yaml` is what is run."""

    texts: Mapping[str, str]
    script: Script

    def __repr__(self) -> str:
        """Return what a person wants to see of a pipeline that showed a fault."""
        ends = "\n".join(f"{name}: {listed}" for name, listed in self.script.ends.items())
        return "\n".join(["", *(f"# {name}\n{text}" for name, text in self.texts.items()), ends])


@dataclass(slots=True)
class _Scope:
    """What is being drawn. made: references by type. ended: steps by name, with how they are spread out.

    ends: what every step does, by its name from the outermost pipeline on. depth: of pipelines around. has_loops:
    whether steps may go over lists; where not, cells are counted instead, and steps wait for more than one.
    """

    draw: Draw
    prefix: str = ""
    made: dict[str, list[str]] = field(default_factory=dict)
    many: dict[str, list[str]] = field(default_factory=dict)
    steps: dict[str, dict[str, object]] = field(default_factory=dict)
    parameters: dict[str, dict[str, object]] = field(default_factory=dict)
    is_last: bool = False
    has_loops: bool = True

    def one_in(self, most: int) -> bool:
        """Say so once in `most`; what is simplest says no."""
        return bool(self.draw(st.integers(0, most - 1)) == most - 1)

    def choose(self, found: Any) -> Any:
        return self.draw(st.sampled_from(list(found)))

    def reference(self, kind: str) -> str | None:
        listed = self.made.get(kind)
        return f"${{{{ {self.choose(listed)} }}}}" if listed else None


def _step(scope: _Scope, name: str) -> dict[str, object]:
    uses = scope.choose(("notify",) if scope.is_last else STEPS)
    must, may, makes, told = STEPS[uses]
    given: dict[str, object] = dict(told)
    for key, kind in must.items():
        found = scope.reference(kind)
        if found is None and kind != "rows":
            return _step_of(scope, name, "ingest", {"source": ROWS}, STEPS["ingest"][2])
        given[key] = ROWS if found is None or scope.one_in(5) else found
    for key, kind in may.items():
        found = scope.reference(kind)
        if found and not scope.one_in(3):
            given[key] = found
    if uses == "predict" and scope.one_in(2):  # a list of small values
        lists = [*scope.many.get("string", ()), *scope.made.get("list", ())]
        given |= {"keep": f"${{{{ {scope.choose(lists)} }}}}"} if lists else {}
    return _step_of(scope, name, uses, given, makes)


def _step_of(
    scope: _Scope, name: str, uses: str, given: dict[str, object], makes: Mapping[str, str]
) -> dict[str, object]:
    step: dict[str, object] = {"uses": uses, "with": given}
    spread = _spread(scope, step, uses, given)
    _settings(scope, step)
    if uses == "notify" and scope.is_last and scope.one_in(2):
        given["message"] = "it is ${{ run.outcome }}"
    elif uses == "notify" and scope.made.get("integer") and scope.one_in(3):
        given["message"] = f"n is {scope.reference('integer')}"
    for output, kind in makes.items():
        if spread:
            where = scope.made if spread == "made" else scope.many
            where.setdefault(kind, []).append(f"steps.{name}{'[*]' if spread == 'many' else ''}.{output}")
    return step


def _spread(scope: _Scope, step: dict[str, object], uses: str, given: dict[str, object]) -> str:
    """Make cells or a loop of a step; return where what it makes is listed, which is nowhere if there may be none."""
    key = {"split": "seed", "train": "seed", "notify": "message", "fetch-model": "name"}.get(uses)
    if key is None or not scope.one_in(4):
        return "made"
    if not scope.has_loops or scope.one_in(2):
        values: list[object] = ["u", "v"] if key != "seed" else [1, 2]
        step["matrix"] = {"axes": {"x": values}, **({"fail_fast": False} if scope.one_in(2) else {})}
        if not scope.has_loops and scope.one_in(2):
            values.append("w" if key != "seed" else 3)
            step["matrix"] |= {"max_parallel": scope.choose((1, 2))}  # type: ignore[operator]
        given[key] = "${{ matrix.x }}"
        return "many"
    lists: list[object] = (
        [[3, 4], [5]] if key == "seed" else [["p", "q"], [], "${{ parameters.names }}", "${{ parameters.none }}"]
    )
    if key == "seed":
        lists.append("${{ parameters.seeds }}")
    elif scope.made.get("list"):
        lists.append(scope.reference("list"))
    step["for_each"] = scope.choose(lists)
    given[key] = "${{ item }}"
    # Nobody reads what a loop without iterations left: on Kubeflow, that fails.
    return "many" if step["for_each"] in FILLED else ""


def _settings(scope: _Scope, step: dict[str, object]) -> None:
    """Add what decides on when a step runs, and what becomes of its end."""
    before = [*scope.steps]
    if before and not scope.is_last and scope.one_in(5):
        step["needs"] = [scope.choose(before)]
        if not scope.has_loops:
            step["needs"] = list(dict.fromkeys([*step["needs"], scope.choose(before)]))  # type: ignore[misc]
    if scope.one_in(3):
        # A loop whose `when` asks how a step ended: the engine's iterations then ask that step's success once more.
        step["when"] = _condition(scope, 0 if "for_each" not in step else NO_STATUS)
    if scope.one_in(7):
        step["continue_on_error"] = True
    if scope.one_in(8):
        step["retry"] = {"attempts": 2, "backoff": "1s"}


def _condition(scope: _Scope, depth: int) -> str:
    forms = ("value", "not", "and", "or") if depth >= NO_STATUS else FORMS
    form = scope.choose(forms) if depth % NO_STATUS < 2 else "value"
    match form:
        case "not":
            return f"not ({_condition(scope, depth + 1)})"
        case "and" | "or":
            return f"({_condition(scope, depth + 1)}) {form} ({_condition(scope, depth + 1)})"
        case "status" if scope.steps:
            return f"{scope.choose(('succeeded', 'failed', 'skipped'))}({scope.choose(scope.steps)})"
    if scope.is_last and scope.one_in(2):
        return f"run.outcome == '{scope.choose(('succeeded', 'failed', 'refused'))}'"
    return _compared(scope)


def _compared(scope: _Scope) -> str:
    kinds = [kind for kind in LITERALS if scope.made.get(kind)] if not scope.one_in(3) else []
    named = [
        (spec["type"], f"parameters.{name}") for name, spec in scope.parameters.items() if spec["type"] in LITERALS
    ]
    if kinds:
        kind = scope.choose(kinds)
        left = scope.choose(scope.made[kind])
    elif named:
        kind, left = scope.choose(named)
    else:
        kind, left = "integer", "1"
    if kind == "boolean":
        return str(left)
    if scope.one_in(6) and "go" in scope.parameters:  # of a pipeline that is run: a list of which nothing is known
        return f"{left} in parameters.names"
    others = [each for each in scope.made.get(kind, ()) if each != left]
    others += [each for other, each in named if other == kind and each != left]
    if others and scope.one_in(4):
        return f"{left} {scope.choose(('==', '!='))} {scope.choose(others)}"
    right = json.dumps(scope.choose(LITERALS[kind])) if kind != "string" else _quoted(scope.choose(LITERALS[kind]))
    if scope.one_in(4):
        return f"{left} in [{right}]"
    return f"{left} {scope.choose(('==', '!=', '<', '>=', '>', '<='))} {right}"


def _quoted(text: str) -> str:
    return f'"{text}"' if "'" in text else f"'{text}'"


def _inner(scope: _Scope, name: str, file: str, makes: Mapping[str, str]) -> dict[str, object]:
    """Return a step that is another pipeline."""
    given: dict[str, object] = {"rows": scope.reference("rows") or ROWS}
    step: dict[str, object] = {"uses": f"./{file}", "with": given}
    is_loop = scope.has_loops and scope.one_in(4)
    if is_loop:
        step["for_each"] = scope.choose(([1, 2], "${{ parameters.seeds }}"))
        given["n"] = "${{ item }}"
    elif scope.one_in(2) and scope.made.get("integer"):
        given["n"] = scope.reference("integer")
    _settings(scope, step)
    step.pop("retry", None)
    if is_loop:
        step.pop("when", None)  # it has no edge from the step whose value it asks, where that was skipped
    for output, kind in makes.items():
        where = scope.many if is_loop else scope.made
        where.setdefault(kind, []).append(f"steps.{name}{'[*]' if is_loop else ''}.{output}")
    return step


def _body(scope: _Scope, most: int, below: tuple[str, Mapping[str, str]] | None) -> None:
    """Draw the steps of a pipeline, one after another."""
    for name in NAMES[: scope.draw(st.integers(1, most))]:
        models = scope.many.get("model")
        if below and scope.one_in(4):
            scope.steps[name] = _inner(scope, name, *below)
        elif models and scope.one_in(2):
            step: dict[str, object] = {"uses": "select", "with": {"models": f"${{{{ {scope.choose(models)} }}}}"}}
            if scope.many.get("report") and scope.one_in(2):
                step["with"]["reports"] = f"${{{{ {scope.choose(scope.many['report'])} }}}}"  # type: ignore[index]
            _settings(scope, step)
            scope.steps[name] = step
            scope.made.setdefault("model", []).append(f"steps.{name}.model")
            scope.made.setdefault("integer", []).append(f"steps.{name}.index")
        else:
            scope.steps[name] = _step(scope, name)


def _used(
    draw: Draw, file: str, most: int, below: tuple[str, Mapping[str, str]] | None, *, has_loops: bool
) -> tuple[str, dict[str, str]]:
    """Return the text of a pipeline that is used as a step, and what it gives out."""
    declared = {
        "n": PARAMETERS["n"],
        "seeds": PARAMETERS["seeds"],
        "names": PARAMETERS["names"],
        "none": PARAMETERS["none"],
    }
    scope = _Scope(draw, made={"rows": ["inputs.rows"]}, parameters=dict(declared), has_loops=has_loops)
    _body(scope, most, below)
    outputs, makes = {}, {}
    for kind in ("rows", "integer", "model"):
        own = [each for each in scope.made.get(kind, ()) if each.startswith("steps.")]
        if own:
            outputs[f"o_{kind}"], makes[f"o_{kind}"] = f"${{{{ {scope.choose(own)} }}}}", kind
    body = {
        "apiVersion": "pipec/v1alpha1", "kind": "Pipeline", "metadata": {"name": file.removesuffix(".yaml")},
        "inputs": {"rows": {"type": "Dataset"}}, "parameters": declared, "steps": scope.steps,
    }  # fmt: skip
    return _written(body | ({"outputs": outputs} if outputs else {})), makes


def _written(body: Mapping[str, object]) -> str:
    """Return a document with a line for each step."""
    lines, used = [], json.dumps([body["steps"], body.get("finally")])
    for key, value in body.items():
        if key == "parameters" and isinstance(value, dict):
            value = {name: spec for name, spec in value.items() if name == "n" or f"parameters.{name}" in used}  # noqa: PLW2901
        if key in ("steps", "finally") and isinstance(value, dict):
            lines += [f"{key}:", *(f"  {name}: {json.dumps(step)}" for name, step in value.items())]
        else:
            lines.append(f"{key}: {json.dumps(value)}")
    return "\n".join(lines) + "\n"


@st.composite
def drawn(draw: Draw, *, has_loops: bool = True) -> Drawn:
    """Return a pipeline with the pipelines that it uses, and how its steps end."""
    texts: dict[str, str] = {}
    below: tuple[str, Mapping[str, str]] | None = None
    names: list[str] = []
    for file, most in (("deep.yaml", 2), ("inner.yaml", 3)):
        if draw(st.integers(0, 2)) == 2:
            text, makes = _used(draw, file, most, below, has_loops=has_loops)
            texts[file], below = text, (file, makes)
    scope = _Scope(draw, parameters=dict(PARAMETERS), has_loops=has_loops)
    _body(scope, 7, below)
    body: dict[str, object] = {
        "apiVersion": "pipec/v1alpha1", "kind": "Pipeline", "metadata": {"name": "p"}, "parameters": PARAMETERS,
        "steps": scope.steps,
    }  # fmt: skip
    if draw(st.integers(0, 2)) == 2:
        last = _Scope(
            draw, made={"report": scope.made.get("report", [])}, steps=dict(scope.steps),
            parameters=dict(PARAMETERS), is_last=True, has_loops=has_loops,
        )  # fmt: skip
        body["finally"] = {name: _step(last, name) for name in ("y", "z")[: draw(st.integers(1, 2))]}
    texts["p.yaml"] = _written(body)
    names = [*scope.steps, "y", "z", *(f"{a}.{b}" for a in scope.steps for b in NAMES[:3])]
    names += [f"{a}.{b}.{c}" for a in scope.steps for b in NAMES[:3] for c in NAMES[:2]] if len(texts) > 2 else []
    ends = {}
    for name in names if below else [*scope.steps, "y", "z"]:
        if draw(st.integers(0, 2)) == 2:
            ends[name] = tuple(
                End(draw(st.sampled_from(CODES)), draw(st.integers(0, 3)), draw(st.booleans()))
                for _ in range(draw(st.integers(1, 2)))
            )
    return Drawn(texts, Script(ends))


def walk(inputs: Callable[[], None]) -> None:
    """Ask a test that is given drawn inputs about N_DRAWN of them.

    PIPEC_N_DRAWN with PIPEC_DRAWN_SEED goes further; without a seed, every commit is asked about the same ones.
    """
    seed = os.environ.get("PIPEC_DRAWN_SEED")
    if seed:
        inputs = seeded(seed)(inputs)
    settings(
        max_examples=N_DRAWN, derandomize=not seed, database=None, deadline=None,
        phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck),
    )(inputs)()  # fmt: skip
