"""`PIPE6xx`: what a target cannot say. Declared once for all targets; each says in its own words what and why."""

from __future__ import annotations

from pipec.diagnostics import Rule

UNSUPPORTED = Rule(
    "PIPE601",
    "unsupported-by-target",
    """The pipeline says something that the chosen target cannot carry out.

Why: a target that drops a field in silence runs another pipeline than the one reviewed. Every field is emitted,
emulated or refused at its place; the README's table says which.

Bad:
    triggers: [{schedule: {cron: "0 3 * * 1", timezone: Europe/Vienna}}]     # compiled for Kubeflow

Fix:
    triggers: [{schedule: {cron: "0 2 * * 1", timezone: UTC}}]
""",
)
RULES = (UNSUPPORTED,)
