"""What the arguments of another image name, found out before it starts: each as the text that stands there.

That image has no pipec in it, and an orchestrator may spell values in another way. Knows neither the command nor who
reads what is left here.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from pipec.record import frozen
from pipec.steps.argument import argument_name, as_argument
from pipec.steps.declare import Context
from pipec.steps.given import Given
from pipec.steps.interface import Interface
from pipec.values import Json


@frozen
class HandStep:
    """Parameters of a step in another image, and an output for each of them."""

    interface: Interface

    def run(self, given: Given, context: Context) -> Mapping[str, Json]:
        """Return the text of every parameter. A file goes into a folder, because programs look at its name."""
        texts: dict[str, Json] = {}
        for name, value in given.parameters.items():
            output = argument_name(name)
            if isinstance(value, Path):
                folder = given.outputs[output]
                folder.mkdir()
                shutil.copyfile(value, folder / value.name)
            else:
                texts[output] = as_argument(value, name)
        return texts
