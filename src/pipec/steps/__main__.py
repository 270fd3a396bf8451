"""`pipec-step NAME ...`: the command of every step's container, and of the engine's processes.

Help imports nothing heavy; a call decodes, runs one attempt and ends with its exit code. As a program of its own it is
looked after (`supervise.py`), but for the engine, which does that itself.
"""

from __future__ import annotations

import atexit
import faulthandler
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from pipec.diagnostics import guess
from pipec.steps import catalog, mark, result, runtime, store, subject, workspace, xcom
from pipec.steps.again import again
from pipec.steps.attempt import Attempt
from pipec.steps.brief import split_name
from pipec.steps.command import ATTEMPT, Call
from pipec.steps.declare import CallerError
from pipec.steps.decode import decode_arguments
from pipec.steps.executor import Skipped
from pipec.steps.lines import say
from pipec.steps.page import page
from pipec.steps.supervise import Told, hear, heard
from pipec.steps.tries import looked_after
from pipec.steps.verdict import VERDICT, verdict
from pipec.values import Absent
from pipec.verdict import SKIPPED

HELP = {"-h", "--help"}
FOREIGN = "--foreign"  # in the place of a name: the call brings its step with it
SUBJECT = "--subject"  # before the name of an approval: what a person is to decide about is found out, nothing else
HAND = "--hand"  # before the name of a step of another image: what its arguments name is found out for it
PREPARE, KEEP = "--prepare", "--keep"  # and what is done before and after an orchestrator starts that image
_FOREIGN = {HAND: None, PREPARE: workspace.prepare, KEEP: workspace.keep}
USAGE = """usage: pipec-step NAME --call FILE
       pipec-step --foreign --call FILE
       pipec-step NAME --order JSON --executor-input JSON [--root ROOT]
       pipec-step NAME --order JSON --root ROOT --run ID [--parameters JSON] [--scheduled-at TIME]
                  [--outcome OUTCOME] [--ends JSON] [--decision JSON] [--xcom FILE|-]
       pipec-step NAME@VERSION:MARK JSON --pipeline NAME --task NAME --root ROOT --run ID ...
       pipec-step --subject NAME --order JSON --root ROOT --run ID --xcom FILE|-
       pipec-step --verdict [NAME] --executor-input JSON
       pipec-step --hand NAME --order JSON --executor-input JSON [--root ROOT]
       pipec-step --prepare NAME@VERSION:MARK JSON --interface JSON --root ROOT --run ID
                  --workspace FOLDER --attempts N [--variables JSON] --xcom FILE|-
       pipec-step --keep NAME@VERSION:MARK JSON --interface JSON --root ROOT --run ID
                  --workspace FOLDER --attempt N [--xcom FILE|-]
       pipec-step NAME --help"""


class Stopped(BaseException):
    """The process was asked to end. Not an Exception: no step's own handler may swallow it."""

    def __init__(self, number: int) -> None:
        self.code = 128 + number  # as a shell has it


def main(argv: Sequence[str] | None = None) -> int:
    """Run a step, or print help; return the exit code. argv: run in this very process."""
    if argv is not None:
        return _main(argv, Told())
    arguments, told = sys.argv[1:], Told()
    is_step = bool(arguments) and arguments[0] != VERDICT and not HELP & set(arguments)
    if is_step and ATTEMPT not in os.environ:
        made = looked_after(_called(arguments), arguments)
        if isinstance(made, int):
            return made
        told = made
    return _leave(_main(arguments, told))


def _called(arguments: Sequence[str]) -> str:
    """Return what messages begin with before the work says better."""
    name, *rest = arguments
    told = rest[0] if name in (*_FOREIGN, SUBJECT) and rest else name
    return "pipec-step" if name == FOREIGN else split_name([told])[0]


def _leave(code: int) -> NoReturn:
    """End this process without taking the interpreter apart.

    A driver's threads live on in native code, and one that finds the interpreter gone aborts a step that went well
    (obstore 0.12 beside fsspec's event loop: now and then, after an answer that was an error).
    """
    for number in heard():
        signal.signal(number, signal.SIG_IGN)  # all is told; what comes now must not make it another end
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


def _main(arguments: Sequence[str], told: Told) -> int:
    if not arguments or arguments[0] in HELP:
        print(_overview())
        return 0 if arguments else 2
    name, rest = split_name(arguments)
    if name == VERDICT:
        return verdict(rest)
    if name == FOREIGN:
        return _run("pipec-step", rest, lambda call: call.foreign is not None, told)
    if name in _FOREIGN and rest:
        step, rest = split_name(rest)
        return _run(step, rest, lambda call: call.foreign is not None and _is_of(call, step), told, _FOREIGN[name])
    work = None
    if name == SUBJECT and rest:
        (name, rest), work = split_name(rest), subject.show
    if name not in catalog.names():
        near = guess(name, catalog.names())
        hint = f"did you mean `{near}`?" if near else f"there are {', '.join(sorted(catalog.names()))}"
        say(f"pipec-step: there is no step `{name}`: {hint}")
        return 2
    if HELP & set(rest):
        found = catalog.find(name)
        assert found is not None, "main asks only for steps that the catalogue has"
        print(page(found))
        return 0
    return _run(name, rest, lambda call: call.foreign is None and _is_of(call, name), told, work)


def _is_of(call: Call, name: str) -> bool:
    return call.step.partition("@")[0] == name


def _run(
    name: str,
    rest: Sequence[str],
    is_meant: Callable[[Call], bool],
    told: Told,
    work: Callable[[Attempt], None] | None = None,
) -> int:
    """Run the call that the arguments mean, if it is meant for this command. name: what messages begin with.

    work: what is done instead of the step's own work.
    """
    if os.environ.get("PIPEC_DEBUG"):
        faulthandler.enable()  # where native code ended the process
    try:
        with _stoppable():
            return _call(name, rest, is_meant, told, work)
    except Stopped as stop:
        say(f"{name}: stopped before it was done: run it again")
        return stop.code


def _call(
    name: str,
    rest: Sequence[str],
    is_meant: Callable[[Call], bool],
    told: Told,
    work: Callable[[Attempt], None] | None,
) -> int:
    try:
        call = decode_arguments(rest, os.environ, store.read_text)
        if not is_meant(call):
            raise CallerError(f"the call is for {call.step}, not for {name}: compile the pipeline again")
    except Skipped as skip:
        return _skipped(skip)
    except Absent as fault:
        what, *why = fault.args
        say(f"{name}: `{what}` is wanted but is absent{why[0] if why else ': the task that makes it left nothing'}")
        return CallerError.exit_code
    except OSError as fault:
        say(f"{name}: the call cannot be read: {(fault.strerror or str(fault)).lower()}")
        return CallerError.exit_code
    except Exception as fault:
        if os.environ.get("PIPEC_DEBUG"):
            traceback.print_exc()
        code, message = runtime.ending(fault)
        say(f"{name}: {message}")
        return code

    left = iter(range(call.attempts - 1, -1, -1))

    if call.mark and (code := mark.found(call)):
        return code

    def attempt() -> int:
        is_last = told.is_last and not next(left)
        told.begins(f"{call.task} ({call.step})", call.result, call.base, call.hidden)
        code = runtime.execute(call, is_last=is_last, work=work, hand=told.hands)
        told.ended()
        return code

    code = again(attempt, call.attempts, call.backoff_s)
    if not code and told.is_alone and call.xcom and told.handed is not None:
        return xcom.leave(call.xcom, told.handed, name)
    if call.mark:
        mark.leave(call, code)
    return code


def _skipped(skip: Skipped) -> int:
    """Tell that a step does not run, and why; Kubeflow wants a file of each small output all the same."""
    title = f"{skip.call.task} ({skip.call.step})"
    try:
        result.tell_end(skip.call, SKIPPED, skip.reason)
    except OSError as fault:
        say(f"{title}: that it is skipped could not be written: {(fault.strerror or str(fault)).lower()}")
        return 1
    say(f"{title}: skipped: {skip.reason}")
    return 0


@contextmanager
def _stoppable() -> Iterator[None]:
    """Make a signal to end do so as an exception does, so that nothing temporary stays behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = heard()

    def stop(number: int, frame: FrameType | None) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)  # a second one must not cut the cleaning short
        raise Stopped(number)

    before = hear(dict.fromkeys(numbers, stop))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _overview() -> str:
    lines = [f"  {interface.name:<14} {interface.summary}" for interface in catalog.interfaces()]
    return "\n".join([USAGE, "", "steps:", *lines])


if __name__ == "__main__":
    sys.exit(main())
