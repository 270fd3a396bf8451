"""Completion of the command line by a shell, as a script that is whole: it calls no pipec while a person types.

Made from the parser itself, so that no option can be forgotten. It knows nothing of pipelines or findings: words that
the parser does not hold, such as names of steps, are handed in.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from pipec.completion import bash, fish, zsh
from pipec.completion.words import Command, Words, commands

_SHELLS: Mapping[str, Callable[[tuple[Command, ...]], str]] = {
    "bash": bash.script, "zsh": zsh.script, "fish": fish.script,
}  # fmt: skip
SHELLS = tuple(_SHELLS)


def script(shell: str, parser: argparse.ArgumentParser, known: Mapping[str, Words]) -> str:
    """Return the script for one of SHELLS. known: words for an argument, as `steps.name`, or for any of a name."""
    return _SHELLS[shell](commands(parser, known))
