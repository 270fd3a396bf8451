"""A container of the step library in the place of Docker's: it is given the same, and tells its end by the same code.

All of the way in and out is the real one: the judgement of a task that reports, values, inputs, results, the notes of
ends for good. Only the step itself is a script. What the supervising process does is told in `_tried` once more, since
that cannot be had without a process.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from itertools import count, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from ir_container import Exit, Pod
from ir_trace import numbers_in
from scripted import End, Key, Script

from pipec import digest
from pipec.steps import argument, catalog, inputs, mark, result, runtime, store
from pipec.steps.again import again
from pipec.steps.attempt import Attempt
from pipec.steps.brief import split_name
from pipec.steps.command import STATE, Call, parse_order
from pipec.steps.declare import TryAgain
from pipec.steps.decode import decode_arguments
from pipec.steps.executor import Skipped
from pipec.steps.supervise import End as Ended
from pipec.steps.tries import Account, account_of
from pipec.steps.verdict import VERDICT, verdict
from pipec.values import Absent, Json
from pipec.verdict import SKIPPED


@dataclass(frozen=True, slots=True)
class Given:
    """What a step was given when it began: parameters, digests of what it reads, and how the run stands."""

    parameters: Mapping[str, Json]
    inputs: Mapping[str, tuple[str, ...]]
    outcome: str


@dataclass(slots=True)
class Containers:
    """Starts containers. given: what each step got that was begun."""

    script: Script
    given: dict[Key, Given] = field(default_factory=dict)
    starts: dict[Key, count[int]] = field(default_factory=dict)

    def __call__(self, pod: Pod) -> Exit:
        """Run a container to its end."""
        name, *rest = pod.argv[1:]
        if name == VERDICT:
            with _QUIET, redirect_stderr(io.StringIO()):
                code = verdict(rest)
            return _exit(code, "")
        key = (parse_order(dict(pairwise(rest))["--order"]).task, numbers_in(pod.path))
        return self._tried(_Work(self, key, rest, pod.env), account_of(name, rest))

    def airflow(self, key: Key, arguments: list[str]) -> tuple[int, Mapping[str, Json] | None]:
        """Run a container that Airflow starts; return its exit code, and what it hands on."""
        work = _Work(self, key, split_name(arguments)[1], {})
        code = work.attempt(is_last=True)
        return code, None if code or "--xcom" not in arguments else work.values

    def _tried(self, work: _Work, account: Account | None) -> Exit:
        """Make all attempts that a pod makes, as `tries.py` has them."""
        if account is None:
            return _exit(work.attempt(is_last=True), work.log)
        for number in range(account.attempts):
            is_last = number == account.attempts - 1
            account.forget()
            code = work.attempt(is_last=is_last)
            end = Ended(
                code=code, title=work.title, said="", last=work.last, is_told=work.is_told, is_stopped=False
            )  # fmt: skip
            account.settle(end, is_last=is_last)
            if not account.goes_on(end, is_last=is_last):
                return _exit(0 if account.is_told else code, work.log)
        raise AssertionError("an order has one attempt at least")


_QUIET = threading.Lock()  # what is said goes to one stream, which others may be taking too


def _exit(code: int, log: str) -> Exit:
    return Exit(code, f"exit code {code}" if code else "", log)


@dataclass(slots=True)
class _Work:
    """The process that works. is_told: it has told its end by itself. values: the small outputs that it made."""

    around: Containers
    key: Key
    arguments: list[str]
    environ: Mapping[str, str]
    log: str = ""
    last: str = ""
    is_told: bool = False
    values: Mapping[str, Json] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return self.key[0]

    def _say(self, line: str) -> None:
        self.last = line
        self.log += f"{line}\n"

    def attempt(self, *, is_last: bool) -> int:
        """Do what the command does (`steps/__main__.py`); return its exit code."""
        self.is_told = False
        try:
            call = decode_arguments(self.arguments, self.environ, store.read_text)
        except Skipped as skip:
            result.tell_end(skip.call, SKIPPED, skip.reason)
            self._say(f"{skip.call.task} ({skip.call.step}): skipped: {skip.reason}")
            return 0
        except Absent as fault:
            self._say(f"`{fault.args[0]}` is wanted but is absent")
            return 2
        except Exception as fault:
            code, message = runtime.ending(fault)
            self._say(message)
            return code
        if call.mark and (code := mark.found(call)):
            return code
        left = iter(range(call.attempts - 1, -1, -1))
        code = again(lambda: self._run(call, is_last=is_last and not next(left)), call.attempts, 0)
        if call.mark:
            mark.leave(call, code)
        return code

    def _run(self, call: Call, *, is_last: bool) -> int:
        """Run one attempt, as `runtime.execute` does."""
        number = next(self.around.starts.setdefault(self.key, count()))
        end = self.around.script.end(self.key)
        with TemporaryDirectory() as folder:
            work = Attempt(call, Path(folder), self._say)
            try:
                self._begin(work)
                end.attempt(number)
                self._succeed(call, end)
            except Exception as fault:
                self._fail(call, fault, is_last=is_last)
                self.is_told = True
                return runtime.ending(fault)[0]
        self.is_told = True
        return 0

    def _begin(self, work: Attempt) -> None:
        interface = runtime.identify(work.call).interface
        inputs.inputs(work, interface)
        self.around.given[self.key] = Given(
            argument.arguments(interface, work.call.parameters),
            {name: tuple(one.digest for one in found) for name, found in work.inputs.items() if found},
            work.call.outcome,
        )

    def _succeed(self, call: Call, end: End) -> None:
        interface = catalog.find(call.step.partition("@")[0])
        assert interface is not None
        values = self.values = end.values(interface)
        for name, _, text in end.contents(interface, self.key):
            store.write_text(call.outputs.get(name) or f"{call.outputs['*']}/{name}", text, call.base)
        written = end.artifacts(interface, self.key)
        result.tell_kubeflow(call, values, {name: one.digest for name, one in written.items()})
        typed = {name: (kind, digest.of_text(text)) for name, kind, text in end.contents(interface, self.key)}
        result.keep(call, result.text("succeeded", values=values, artifacts=typed))

    def _fail(self, call: Call, fault: Exception, *, is_last: bool) -> None:
        code, message = runtime.ending(fault)
        state = "refused" if code == 3 else "failed"
        if STATE in call.small_outputs:
            result.tell_end(call, state, message)
        if is_last or code != TryAgain.exit_code or call.ledger != "bad":
            result.keep(call, result.text(state, message))
        self._say(f"{call.task} ({call.step}): {message}")
