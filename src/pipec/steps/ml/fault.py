"""The two ways in which model code says no, and how a caller tells them apart.

This folder knows nothing of steps: a step names the exceptions that it wants them told as.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class AskFault(ValueError):
    """What was asked for cannot be done with any data. The message is one line: cause and next action."""


class DataFault(ValueError):
    """The data or the model cannot be worked with. The message is one line: cause and next action."""


@contextmanager
def told_as(ask: type[Exception], data: type[Exception]) -> Iterator[None]:
    """Raise `ask` in place of an AskFault and `data` in place of a DataFault."""
    try:
        yield
    except AskFault as fault:
        raise ask(str(fault)) from fault
    except DataFault as fault:
        raise data(str(fault)) from fault
