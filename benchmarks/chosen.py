"""A pytest plugin: runs the tests that a file names, quickest first, within limits; or notes what each test covers."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import coverage
import hypothesis
import pytest

# A mutant may ask for memory without end.
MEMORY_BYTES = 6 << 30


class Chosen:
    """Runs the tests of a list, in its order, and no others."""

    def __init__(self, names: list[str]) -> None:
        self.order = {name: at for at, name in enumerate(names)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (each for each in items if each.nodeid in self.order), key=lambda each: self.order[each.nodeid]
        )


class Measured:
    """Writes the lines that each test runs, to `coverage`, and the seconds that it takes, to `seconds.json`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.seconds = folder, dict[str, float]()
        self.cover = coverage.Coverage(data_file=str(folder / "coverage"), source=["src/pipec"], config_file=False)
        self.cover.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.cover.switch_context(item.nodeid)
        try:
            return (yield)
        finally:
            self.cover.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration

    def pytest_sessionfinish(self) -> None:
        self.cover.stop()
        self.cover.save()
        (self.folder / "seconds.json").write_text(json.dumps(self.seconds), encoding="utf-8")


def pytest_configure(config: pytest.Config) -> None:
    # The same examples for every mutant, none kept from the last one, and no verdict by the clock.
    hypothesis.settings.register_profile("mutants", derandomize=True, database=None, deadline=None)
    hypothesis.settings.load_profile("mutants")
    folder = Path(os.environ["CHOSEN_FOLDER"])
    if limit := os.environ.get("CHOSEN_SECONDS"):
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit) + 5))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        names = json.loads((folder / "chosen.json").read_text(encoding="utf-8"))
        config.pluginmanager.register(Chosen(names))
    else:
        config.pluginmanager.register(Measured(folder))
