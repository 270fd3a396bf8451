from __future__ import annotations

import io
import re

import pytest
from engine_bench import Bench, plan, task

from pipec.engine.outcome import RunOutcome, State, TaskOutcome
from pipec.engine.progress import MOST_LINES, Lines, Live, choose, clock, told


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def ended(name: str, state: State = State.SUCCEEDED, **more: object) -> TaskOutcome:
    return TaskOutcome(name=name, step=name, state=state, **more)  # type: ignore[arg-type]


def screen(text: str) -> list[str]:
    """What a terminal shows after `text`: it knows the two movements that the view uses."""
    lines = [""]
    for up, erase, line in re.findall(r"\x1b\[(\d+)A\r|(\x1b\[J)|([^\x1b]+|\x1b\[[0-9;]*m)", text):
        if up:
            del lines[len(lines) - 1 - int(up) :]
            lines.append("")
        elif line and not erase:
            first, *rest = line.split("\n")
            lines[-1] += first
            lines += rest
    return lines


def test_a_pipe_gets_one_line_for_each_thing(shop: Bench) -> None:
    stream = io.StringIO()
    outcome = shop.run(plan(task("bad", say={"fails": 1}), task("after", needs=["bad"])), choose(stream, {}))
    assert stream.getvalue().split("\n") == [
        f"run {outcome.run_id}: 2 tasks",
        "bad: started",
        "bad: failed: it broke: mend it",
        "after: skipped: `bad` failed",
        f"run {outcome.run_id}: failed",
        "",
    ]


def test_cached_work_is_not_said_to_start(shop: Bench) -> None:
    work = plan(task("a", writes=["data"]))
    shop.run(work)
    stream = io.StringIO()
    shop.run(work, choose(stream, {}))
    assert stream.getvalue().split("\n")[1] == "a: cached"


def test_a_terminal_shows_what_runs_below_what_ended() -> None:
    stream = Terminal()
    view = Live(stream, is_colored=False)
    view.begin("r", 3)
    view.started("a", 1)
    view.started("b", 2)
    view.ended(ended("a", duration_s=1.25))
    assert screen(stream.getvalue()) == [
        "run r: 3 tasks", "a: succeeded in 1.2 s", "  b 0.0 s (attempt 2)", "1 of 3 done, 0.0 s", "",
    ]  # fmt: skip
    view.ended(ended("b"))
    view.finish(RunOutcome(run_id="r", pipeline="p", status="succeeded"))
    assert screen(stream.getvalue()) == [
        "run r: 3 tasks", "a: succeeded in 1.2 s", "b: succeeded in 0.0 s", "run r: succeeded", "",
    ]  # fmt: skip


def test_more_than_fits_is_counted() -> None:
    stream = Terminal()
    view = Live(stream, is_colored=False)
    view.begin("r", 100)
    for n in range(20):
        view.started(f"t{n}", 1)
    shown = screen(stream.getvalue())
    assert len(shown) == 1 + MOST_LINES + 2
    assert shown[MOST_LINES] == "  and 13 more"


@pytest.mark.parametrize(("environ", "is_colored"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color_takes_the_colour(environ: dict[str, str], is_colored: bool) -> None:
    stream = Terminal()
    choose(stream, environ).ended(ended("a", State.FAILED, reason="x"))
    assert ("\x1b[31m" in stream.getvalue()) is is_colored


@pytest.mark.parametrize(
    ("stream", "environ", "view"),
    [
        (io.StringIO(), {}, Lines),
        (Terminal(), {"TERM": "dumb"}, Lines),
        (Terminal(), {"CI": "true"}, Lines),
        (Terminal(), {"TERM": "xterm"}, Live),
    ],
)
def test_the_view_fits_the_stream(stream: io.StringIO, environ: dict[str, str], view: type) -> None:
    assert type(choose(stream, environ)) is view


def test_nobody_reading_does_not_stop_a_run(shop: Bench) -> None:
    assert shop.run(plan(task("a")), Lines(Broken())).status == "succeeded"


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (ended("a", is_kept=True), "done before"),
        (ended("a", is_cached=True), "cached"),
        (ended("a", duration_s=75), "succeeded in 1:15"),
        (ended("a", State.SKIPPED, reason="`when` is false"), "skipped: `when` is false"),
        (ended("a", State.REFUSED, reason="no"), "refused: no"),
        (ended("a", State.PARKED, reason="r"), "waits for a person: r"),
    ],
)
def test_an_end_is_told_in_a_few_words(outcome: TaskOutcome, text: str) -> None:
    assert told(outcome) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0.0 s"), (0.44, "0.4 s"), (9.96, "10 s"), (59.7, "1:00"), (3599.6, "1:00:00"), (3723, "1:02:03")],
)
def test_a_length_of_time_reads_well(seconds: float, text: str) -> None:
    assert clock(seconds) == text
