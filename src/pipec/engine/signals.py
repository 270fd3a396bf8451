"""Signals that ask a run to end, handed to the run instead of ending the process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def handed(interrupted: Callable[[int], None]) -> Iterator[None]:
    """Hand signals that ask to end to `interrupted`; elsewhere than on the main thread there are none to hand."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handler(number: int, frame: FrameType | None) -> None:
        interrupted(number)

    asked = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    before = {number: old for number, old in asked.items() if old not in (signal.SIG_IGN, None)}  # as nohup wants it
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
