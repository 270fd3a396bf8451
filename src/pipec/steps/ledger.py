"""What the tasks of a run left in its folder, as a final step reads it: who ended how, and where what they made lies.

Kubeflow tells an exit task one state for the whole run, and hands it nothing of tasks that may have been skipped.
Airflow knows how each task ended, and hands on nothing: every task reads there what those before it made.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from itertools import count, takewhile
from typing import Any

from pipec.steps.command import PLACES, RESULT, Ended, Location
from pipec.steps.declare import CallerError, StepError
from pipec.values import Json
from pipec.verdict import BAD, FAILED, REFUSED, SKIPPED, SUCCEEDED, together


class Ledger:
    """The results of a run. ends: its tasks. forgiven: those whose failure counts as a skip.

    folder: where they lie. read: returns the text at a location, or None if nothing is there. states: how the
    orchestrator saw tasks end, if it tells. That counts before any result, which an earlier attempt may have left;
    but it knows no refusals: a task that it saw fail was refused where its result says so.
    """

    def __init__(
        self,
        folder: str,
        ends: tuple[Ended, ...],
        forgiven: tuple[str, ...],
        read: Callable[[str], str | None],
        states: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder
        self._ends = {end.task: end for end in ends}
        self._forgiven = forgiven
        self._read = read
        self._states = states
        self._seen: dict[str, Any] = {}

    def __contains__(self, task: str) -> bool:
        return task in self._ends

    def state(self, task: str) -> str:
        """Return how a task of the run ended. One that left no word was skipped, or died before it could."""
        if self._states is not None:
            iterations = self.iterations(task)
            if iterations:
                return together(map(self.state, iterations))
            return self._seen_by_others(task, self._states.get(task, SKIPPED))
        told = self._result(task)
        if told is not None:
            return str(told["outcome"])
        if task not in self._ends:
            return SKIPPED
        # Once another has ended badly, Kubeflow starts nothing more: what left no word then has hardly begun.
        return FAILED if self._has_died(self._ends[task]) and set(self._told()).isdisjoint(BAD) else SKIPPED

    def iterations(self, loop: str) -> list[str]:
        """Return the tasks of a loop's iterations, in their order, as far as the orchestrator tells of them."""
        states = self._states or {}
        return list(takewhile(states.__contains__, (f"{loop}-{number}" for number in count())))

    def _seen_by_others(self, task: str, state: str) -> str:
        is_refused = state == FAILED and (self._result(task) or {}).get("outcome") == REFUSED
        return REFUSED if is_refused else state

    @cached_property
    def outcome(self) -> str:
        """What the run came to: a failure outweighs a refusal, and that a death without a word."""
        told = set(self._told())
        if FAILED in told:
            return FAILED
        if REFUSED in told:
            return REFUSED
        is_hurt = any(self._has_died(end) for end in self._ends.values() if end.task not in self._forgiven)
        return FAILED if is_hurt and self._states is None else SUCCEEDED

    def value(self, task: str, output: str) -> Json:
        """Return a small output of a task that succeeded. Raises CallerError if it has none of that name."""
        values = (self._result(task) or {}).get("values", {})
        if output not in values:
            raise CallerError(f"`{task}` left no output `{output}`: compile and deploy the pipeline again")
        found: Json = values[output]
        return found

    def digest(self, task: str, output: str) -> str | None:
        """Return the digest of an artifact that a task left, or None if it did not succeed or left it unwritten."""
        if self.state(task) != SUCCEEDED:
            return None
        artifact = (self._result(task) or {}).get("artifacts", {}).get(output)
        return str(artifact["digest"]) if artifact else None

    def location(self, task: str, output: str) -> Location | None:
        """Return where an artifact of a task that succeeded lies, or None if it was not written."""
        told = self._result(task)
        if told is None or told["outcome"] != SUCCEEDED or output not in told["artifacts"]:
            return None
        places = self._body(task, PLACES)
        if places is None or output not in places:
            return None
        return Location(str(places[output]), told["artifacts"][output]["digest"])

    def _told(self) -> Iterator[str]:
        for task in self._ends:
            told = self._word(task)
            if told and not (told in BAD and task in self._forgiven):
                yield told

    def _word(self, task: str) -> str:
        """Return how a task is said to have ended, or nothing where nobody says."""
        if self._states is not None:
            return self.state(task)
        return str((self._result(task) or {}).get("outcome", ""))

    def _has_died(self, end: Ended) -> bool:
        """Say whether a task that must have run left no word: killed with its whole pod, or it never started."""
        if end.is_conditional or self._result(end.task) is not None:
            return False
        return all((self._result(need) or {}).get("outcome") == SUCCEEDED for need in end.needs)

    def _result(self, task: str) -> Any:
        return self._body(task, RESULT)

    def _body(self, task: str, name: str) -> Any:
        place = f"{self._folder}/{task}/{name}"
        if place not in self._seen:
            text = self._read(place)
            try:
                self._seen[place] = None if text is None else json.loads(text)
            except ValueError as fault:
                raise StepError(f"what `{task}` left in the run's folder is damaged: run the pipeline again") from fault
        return self._seen[place]
