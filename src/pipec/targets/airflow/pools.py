"""The pool that an environment's tasks take their slots from, as the file that `airflow pools import` reads.

Airflow makes no pool by itself, and tasks of one that is missing wait for ever.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from pipec.compiler.plan import Plan
from pipec.targets.base import Feature, File, Options, Refusal, Use

DEFAULT = "default_pool"  # it is always there, and how large it is is the site's business
SLOTS = 128  # as many as Airflow gives its own default pool (`core.default_pool_task_slot_count`)


def pools_file(plan: Plan, options: Options) -> tuple[File, ...]:
    """Return `<pipeline>.pools.json` where the environment names a pool; it is the same for all its pipelines."""
    pool = options.settings.get("pool")
    if not pool or (pool == DEFAULT and "pool_slots" not in options.settings):
        return ()
    said = {
        "slots": options.settings.get("pool_slots", SLOTS),
        "description": "Tasks of pipelines that pipec compiled.",
        "include_deferred": False,  # no task of a file is ever deferred; an import without the word says the same
    }
    text = json.dumps({str(pool): said}, indent=2)
    return (File(f"{plan.pipeline}.pools.json", f"{text}\n"),)


def refuse_slots(options: Options) -> Iterator[Refusal]:
    """Yield slots of no pool: those of Airflow's default pool are not an environment's to say."""
    if "pool_slots" in options.settings and not options.settings.get("pool"):
        yield Refusal(
            Use(Feature.POOL, None, ()),
            "the environment says `pool_slots` for airflow, and names no `pool` that would have them",
            "say `pool: <name>` beside it, or leave it out",
        )
