"""`pipec approve`: a person's decision about a step that waits, of a run here or below an artifact root."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from pipec.api import UsageError
from pipec.commands.run import home_of
from pipec.engine import history
from pipec.schema.files import project_root
from pipec.steps.command import run_folder


def approve(options: argparse.Namespace) -> int:
    """Write a person's decision about a waiting step."""
    said = "no" if options.reject else "yes"
    if options.store is not None:
        _below(options)
        print(f"{options.step}: {options.name} says {said}; the run goes on by itself")
        return 0
    if options.pipeline is not None:
        raise UsageError("--pipeline is for a run below --store: a run here has one pipeline")
    home = home_of(options, project_root(Path().absolute()))
    history.decide(home, options.run, options.step, by=options.name, approve=not options.reject, reason=options.reason)
    print(f"{options.step}: {options.name} says {said}; go on with `pipec run FILE --resume {options.run}`")
    return 0


def _below(options: argparse.Namespace) -> None:
    """Decide about a step that waits below an artifact root, such as one on Kubeflow. Raises UsageError."""
    from pipec.steps.ml.fault import AskFault, DataFault
    from pipec.steps.release import gate, place

    root = options.store if "://" in options.store else str(Path(options.store).absolute())
    run = run_folder("", "", options.run).rpartition("/")[2]
    try:
        store = place.at(root)
        folder, request = gate.find(store, run, options.step, options.pipeline)
        gate.decide(
            store, folder, request, by=options.name, approve=not options.reject, reason=options.reason,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
        )  # fmt: skip
    except (AskFault, DataFault, place.Unreachable) as fault:
        raise UsageError(str(fault)) from fault
