"""How the tasks of a drawn pipeline end, whoever runs them: the same here and on Kubeflow.

Both sides ask for a task's name in the plan and the numbers of the iterations that it is in. Knows no orchestrator.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from zlib import crc32

from pipec import digest
from pipec.engine.outcome import Stored
from pipec.steps.declare import Refused, StepError, TryAgain
from pipec.steps.interface import Artifact, Interface, Kind
from pipec.values import Json

Key = tuple[str, tuple[int, ...]]  # a task's name in the plan, and the numbers of the iterations that it is in
_CELL = re.compile(r"-[0-9]+(?=\.|$)")
POOLS: Mapping[Kind, tuple[Json, ...]] = {
    Kind.INTEGER: (0, 1, 2, 5), Kind.NUMBER: (0.0, 0.5, 1.0, 2.5), Kind.BOOLEAN: (True, False),
    Kind.STRING: ("pass", "it's", 'a "b" \\ {{x}}', ""), Kind.LIST: ([], ["a"], ["b", "a"], ["x", "y", "z"]),
    Kind.OBJECT: ({}, {"k": 1}),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class End:
    """How one task ends. codes: of its attempts, one after another; the last one stands for all further ones.

    pick: which values its small outputs have. writes: whether it writes its optional outputs.
    """

    codes: tuple[int, ...] = (0,)
    pick: int = 0
    writes: bool = True

    def attempt(self, number: int) -> None:
        """Make an attempt, counted from 0. Raises what a step would."""
        match self.codes[min(number, len(self.codes) - 1)]:
            case 0:
                return
            case Refused.exit_code:
                raise Refused("it was to refuse")
            case TryAgain.exit_code:
                raise TryAgain("it was to be tried again")
            case _:
                raise StepError("it was to fail")

    def values(self, interface: Interface) -> dict[str, Json]:
        """Return the small outputs."""
        found: dict[str, Json] = {}
        for at, output in enumerate(interface.small_outputs):
            pool = POOLS[Kind(output.type)]
            found[output.name] = pool[(self.pick + at) % len(pool)]
        return found

    def contents(self, interface: Interface, key: Key) -> Iterator[tuple[str, Artifact, str]]:
        """Yield the artifacts that are written: name, type, and what is in them."""
        for output in interface.artifacts:
            if self.writes or not output.optional:
                yield output.name, Artifact(output.type), f"{output.name} of {key[0]} {key[1]}"

    def artifacts(self, interface: Interface, key: Key) -> dict[str, Stored]:
        """Return what `contents` comes to where it is stored."""
        return {name: Stored(str(kind), digest.of_text(text)) for name, kind, text in self.contents(interface, key)}


@dataclass(frozen=True, slots=True)
class Script:
    """The ends of a whole run. ends: by the name of a step; its cells and iterations share them out.

    No step that is drawn has a name that ends like that of a cell.
    """

    ends: Mapping[str, tuple[End, ...]] = field(default_factory=dict)

    def end(self, key: Key) -> End:
        """Return how a task ends."""
        listed = self.ends.get(_CELL.sub("", key[0])) or (End(),)
        return listed[crc32(repr(key).encode()) % len(listed)]
