"""All attempts of a task that tells its end, made in one pod, by the process that looks after the step.

Kubeflow's own retries would repeat a refusal, and nobody would be left to tell of what was killed. Plain tasks make one
attempt here, and their exit code is their end.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path

from pipec.record import frozen
from pipec.steps import executor, result, secret, xcom
from pipec.steps.again import pause_s
from pipec.steps.command import STATE, Call, Order, parse_order
from pipec.steps.declare import Refused, StepError, TryAgain
from pipec.steps.join import json_object
from pipec.steps.lines import say
from pipec.steps.supervise import KILLED, End, Told, heard, supervise
from pipec.verdict import FAILED, REFUSED

_HEALS = (TryAgain.exit_code, KILLED)  # design.md 3.1.7; `supervise` ends what took too long as worth trying again


@frozen
class Account:
    """A task whose end is told, whatever becomes of the process that works. call: without its values."""

    order: Order
    call: Call

    @property
    def attempts(self) -> int:
        """How many attempts this process makes; the process that works repeats by itself what only ends with 75."""
        return self.order.attempts if self.order.report else 1

    @property
    def timeout_s(self) -> int | None:
        return self.order.report.timeout_s if self.order.report else None

    @property
    def is_told(self) -> bool:
        """Whether the end of this attempt lies where Kubeflow reads it."""
        return STATE in self.call.small_outputs and os.path.lexists(self.call.small_outputs[STATE])

    def forget(self) -> None:
        """Take back what an earlier attempt told."""
        if STATE in self.call.small_outputs:
            with suppress(FileNotFoundError):
                Path(self.call.small_outputs[STATE]).unlink()

    def goes_on(self, end: End, *, is_last: bool) -> bool:
        """Say whether another attempt follows."""
        return not is_last and not end.is_stopped and end.code in _HEALS

    def settle(self, end: End, *, is_last: bool) -> None:
        """Tell how the last attempt ended, where the process that worked could not. A stop from outside is no end."""
        if not end.code or end.is_stopped or self.goes_on(end, is_last=is_last):
            return
        state = REFUSED if end.code == Refused.exit_code and not end.said else FAILED
        last = end.last.removeprefix(f"{end.title}: ")
        reason = end.said or last or f"it ended with exit code {end.code} and said nothing"
        try:
            if STATE in self.call.small_outputs and (end.said or not self.is_told):
                result.tell_end(self.call, state, reason)
            if self.call.ledger and (end.said or not end.is_told):
                result.keep(self.call, result.text(state, reason))
        except (StepError, OSError) as fault:
            why = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault)
            say(f"{end.title}: the result could not be written either: {why.lower()}")


def account_of(name: str, arguments: Sequence[str]) -> Account | None:
    """Return the account that a step's arguments ask for; None of a plain call, and of one that says too little."""
    given = dict(pairwise(arguments))
    order = _order(name, given.get("--order", ""))
    try:
        body = json_object(given["--executor-input"], "--executor-input")
        call = executor.placed(order, body, given.get("--root"))
    except (StepError, LookupError, TypeError, AttributeError):
        return None
    is_asked = order.report or order.ledger or STATE in call.small_outputs
    return Account(order, call) if is_asked else None


def _order(name: str, text: str) -> Order:
    """Return the order; of one that cannot be read, as from another version, what suffices to say so."""
    try:
        return parse_order(text)
    except StepError:
        return Order(pipeline="", task=name, step=name, interface="")


def looked_after(name: str, arguments: Sequence[str]) -> int | Told:
    """Return twice, as `supervise` does: in a process that works, and here, when the last one has ended, its exit code.

    name: what messages begin with before the work says better.
    """
    secrets = secret.known(os.environ)
    account = account_of(name, arguments)
    if account is None:
        place = dict(pairwise(arguments)).get(xcom.XCOM)
        _one_stream(place)
        made = supervise(name, secrets)
        return made if isinstance(made, Told) else _handed_over(made, place)
    hidden = (os.environ[variable] for variable in account.call.hidden if variable in os.environ)
    return _tried(account, name, (*secrets, *hidden))


def _one_stream(place: str | None) -> None:
    """Let everything go one way where the last line counts: two streams of a container have no order between them."""
    if place == xcom.LINE:
        os.dup2(1, 2)


def _handed_over(end: End, place: str | None) -> int:
    """Return the exit code, once what the step left for Airflow is where it looks: nobody else speaks any more."""
    if place is None or end.code or end.handed is None:
        return end.code
    return xcom.leave(place, end.handed, end.title)


def _tried(account: Account, name: str, secrets: tuple[str, ...]) -> int | Told:
    for number in range(account.attempts):
        is_last = number == account.attempts - 1
        account.forget()
        made = supervise(name, secrets, account.timeout_s, partial(account.settle, is_last=is_last))
        if isinstance(made, Told):
            made.is_last = is_last
            return made
        if not account.goes_on(made, is_last=is_last):
            return made.code if made.is_stopped or not account.is_told else 0
        stop = signal.sigtimedwait(heard(), pause_s(account.order.backoff_s, number))  # `supervise` left them blocked
        if stop:
            say(f"{name}: stopped before it was tried again: run it again")
            return 128 + stop.si_signo
    raise AssertionError("an order without attempts (the plan's retry counts the first)")
