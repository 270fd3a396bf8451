"""Gates on figures: what each wants, what was observed, and whether it holds. Knows no model and no rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pipec.steps.ml.metric import ERRORS, Figures

DIGITS = 12  # of a difference: 0.9 - 0.8 must pass for 0.1


def difference(name: str, figures: Figures, champion: Figures) -> float | None:
    """Return a figure less the champion's, or None where either has none."""
    ours, theirs = _finite(figures.get(name)), _finite(champion.get(name))
    return None if ours is None or theirs is None else round(ours - theirs, DIGITS)


def gain(name: str, figures: Figures, champion: Figures) -> float | None:
    """Return by how much a figure is better than the champion's (below 0: worse), or None where either has none."""
    found = difference(name, figures, champion)
    return -found if found is not None and name in ERRORS else found


def judged(gate: Mapping[str, Any], figures: Figures, champion: Figures | None = None) -> dict[str, Any]:
    """Return the gate with what was observed and whether it holds; without a finite observation it does not.

    A gate that wants a model better than the champion holds where there is none: the first model has nobody to beat.
    """
    name, better_by = gate["metric"], gate.get("better_by")
    observed = _finite(figures.get(name))
    bounds = [gate.get("minimum", -math.inf), gate.get("maximum", math.inf)]
    held = observed is not None and bounds[0] <= observed <= bounds[1]
    gained = None if champion is None else gain(name, figures, champion)
    if better_by is not None and champion is not None:
        held = held and gained is not None and gained >= better_by
    return {
        "metric": name, "minimum": gate.get("minimum"), "maximum": gate.get("maximum"), "better_by": better_by,
        "on_fail": gate.get("on_fail", "stop"), "observed": observed, "known": name in figures, "passed": held,
        "champion": None if champion is None else _finite(champion.get(name)), "has_champion": champion is not None,
    }  # fmt: skip


def told(gate: Mapping[str, Any]) -> str:
    """Return a judged gate as one line: metric, observed, wanted."""
    bounds = [("at least", gate["minimum"]), ("at most", gate["maximum"])]
    words = [f"{word} {bound:g}" for word, bound in bounds if bound is not None]
    if gate["better_by"] is not None and gate["has_champion"]:
        theirs = "which has no value" if gate["champion"] is None else f"{gate['champion']:.12g}"
        words.append(f"at least {gate['better_by']:g} better than the champion's, {theirs},")
    wanted = f"{' and '.join(words)} is wanted" if words else ""
    if gate["better_by"] is not None and not gate["has_champion"]:
        wanted = f"{wanted}{', and ' if wanted else ''}there is no champion to beat"
    if not gate["known"]:
        return f"gate `{gate['metric']}` fails: there is no such figure for this model ({wanted})"
    seen = "has no value on these rows" if gate["observed"] is None else f"is {gate['observed']:.12g}"
    return f"gate `{gate['metric']}` {'holds' if gate['passed'] else 'fails'}: it {seen}, {wanted}"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
