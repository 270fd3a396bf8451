"""`pipec-step NAME ...`: the command of every step's container, and of the engine's processes.

Help imports nothing heavy; a call decodes, runs one attempt and ends with its exit code.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from pipec.diagnostics import guess
from pipec.steps import catalog, runtime, store
from pipec.steps.again import again
from pipec.steps.command import Call
from pipec.steps.declare import CallerError
from pipec.steps.decode import decode_arguments
from pipec.steps.page import page
from pipec.values import Absent

FOREIGN = "--foreign"  # in the place of a name: the call brings its step with it
USAGE = """usage: pipec-step NAME --call FILE
       pipec-step --foreign --call FILE
       pipec-step NAME --order JSON --executor-input JSON [--root ROOT]
       pipec-step NAME --order JSON --root ROOT --run ID [--parameters JSON] [--scheduled-at TIME]
                  [--outcome OUTCOME] [--decision JSON]
       pipec-step NAME --help"""


class Stopped(BaseException):
    """The process was asked to end. Not an Exception: no step's own handler may swallow it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a step, or print help; return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        return 0 if arguments else 2
    name, *rest = arguments
    if name == FOREIGN:
        return _run("pipec-step", rest, lambda call: call.foreign is not None)
    if name not in catalog.names():
        near = guess(name, catalog.names())
        hint = f"did you mean `{near}`?" if near else f"there are {', '.join(sorted(catalog.names()))}"
        runtime.say(f"pipec-step: there is no step `{name}`: {hint}")
        return 2
    if {"-h", "--help"} & set(rest):
        found = catalog.find(name)
        assert found is not None, "main asks only for steps that the catalogue has"
        print(page(found))
        return 0
    return _run(name, rest, lambda call: call.foreign is None and call.step.partition("@")[0] == name)


def _run(name: str, rest: Sequence[str], is_meant: Callable[[Call], bool]) -> int:
    """Run the call that the arguments mean, if it is meant for this command. name: what messages begin with."""
    try:
        with _stoppable():
            return _call(name, rest, is_meant)
    except Stopped:
        runtime.say(f"{name}: stopped before it was done: run it again")
        return runtime.STOPPED


def _call(name: str, rest: Sequence[str], is_meant: Callable[[Call], bool]) -> int:
    try:
        call = decode_arguments(rest, os.environ, store.read_text)
        if not is_meant(call):
            raise CallerError(f"the call is for {call.step}, not for {name}: compile the pipeline again")
    except Absent as fault:
        runtime.say(f"{name}: `{fault.args[0]}` is wanted but is absent: the task that makes it left nothing")
        return CallerError.exit_code
    except OSError as fault:
        runtime.say(f"{name}: the call cannot be read: {(fault.strerror or str(fault)).lower()}")
        return CallerError.exit_code
    except Exception as fault:
        if os.environ.get("PIPEC_DEBUG"):
            traceback.print_exc()
        code, message = runtime.ending(fault)
        runtime.say(f"{name}: {message}")
        return code
    return again(lambda: runtime.execute(call), call.attempts, call.backoff_s)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Make SIGTERM end the process as an exception does, so that nothing temporary stays behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not cut the cleaning short
        raise Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _overview() -> str:
    lines = [f"  {interface.name:<14} {interface.summary}" for interface in catalog.interfaces()]
    return "\n".join([USAGE, "", "steps:", *lines])


if __name__ == "__main__":
    sys.exit(main())
