"""Schedules against timeouts, and triggers against each other."""

# ruff: noqa: E501  (a table with one case a line)
from __future__ import annotations

from pathlib import Path

import pytest
from documents import PROJECT, asked, pipeline, told

STEP = "{uses: ./mix.yaml%s}"


def schedule(cron: str, step: str = STEP % ", timeout: 2h", more: str = "") -> str:
    return f'triggers: [{{schedule: {{cron: "{cron}"}}}}]\n{more}steps:\n  one: {step}\n'


CALM = {
    "long enough": schedule("0 */2 * * *"),
    "over night": schedule("0 23,1 * * *"),
    "to the second": schedule("0 * * * *", STEP % ", timeout: 60m"),
    "weekly": schedule("0 3 * * 1", STEP % ", timeout: 6d"),
    "no timeout": schedule("* * * * *", STEP % ""),
    "one too many is left out": schedule("* * * * *", more="concurrency: {max: 1, on_conflict: skip}\n"),
    "the oldest is ended": schedule("* * * * *", more="concurrency: {on_conflict: cancel}\n"),
    "several at once": schedule("*/30 * * * *", more="concurrency: {max: 4}\n"),
    "a person is waited for": schedule("0 3 * * *", '{uses: approve, timeout: 7d, with: {model: s3://m, approvers: [a@example.org]}}'),
    "engines differ about the days": schedule("0 0 1 * */2", STEP % ", timeout: 2d"),
    "a year": schedule("0 0 29 2 *", STEP % ", timeout: 300d"),
    "no schedule": f"triggers: [{{data: {{uri: s3://rows}}}}]\nsteps: {{one: {STEP % ', timeout: 9d'}}}\n",
}  # fmt: skip
HASTY = {
    "two times a day": (schedule("0 2,3 * * *"), "1h", "2h"),
    "a second too long": (schedule("0 * * * *", STEP % ", timeout: 3601s"), "1h", "3601s"),
    "over night": (schedule("30 23,0 * * *"), "1h", "2h"),
    "every day": (schedule("0 3 * * *", STEP % ", timeout: 2d"), "1d", "2d"),
    "on neighbouring weekdays": (schedule("0 3 * * 5,7,1", STEP % ", timeout: 25h"), "1d", "25h"),
    "at the turn of a month": (schedule("0 3 1,31 * *", STEP % ", timeout: 25h"), "1d", "25h"),
    "the defaults of the pipeline": (schedule("*/5 * * * *", STEP % "", "defaults: {timeout: 10m}\n"), "5m", "10m"),
    "a line that grows": (schedule("*/30 * * * *", more="concurrency: {max: 2}\n", step=STEP % ", timeout: 90m"), "30m", "90m"),
}  # fmt: skip


@pytest.mark.parametrize("case", CALM)
def test_a_schedule_that_leaves_time_is_left_alone(case: str, tmp_path: Path) -> None:
    assert [line for line in told(asked(tmp_path, CALM[case])) if "PIPE41" in line] == []


@pytest.mark.parametrize("case", HASTY)
def test_a_schedule_that_leaves_no_time_is_told(case: str, tmp_path: Path) -> None:
    body, gap, timeout = HASTY[case]
    assert told(asked(tmp_path, body)) == [
        f"p.yaml:4 PIPE414 a run may start {gap} after another, and `one` alone may take {timeout}"
    ]


def test_a_default_of_the_project_is_no_promise_of_a_step(tmp_path: Path) -> None:
    files = {
        "pipec.yaml": PROJECT + "defaults: {timeout: 1h}\n",
        "p.yaml": pipeline(schedule("*/5 * * * *", STEP % "")),
    }
    assert told(asked(tmp_path, files)) == []


def file(*pipelines: tuple[str, str]) -> dict[str, str]:
    """Return a file of pipelines that start after others; each step is there for itself."""
    steps = "steps: {a: {uses: ./mix.yaml}, b: {uses: ingest, with: {source: s3://rows}}}\n"
    return {"p.yaml": "---\n".join(pipeline(f"triggers: [{after}]\n{steps}", name) for name, after in pipelines)}


ENDING = {
    "a condition": (("one", "{after: {pipeline: two, when: steps.a.n > 1}}"), ("two", "{after: {pipeline: one}}")),
    "a rest": (("one", "{after: {pipeline: two, cooldown: 1h}}"), ("two", "{after: {pipeline: one}}")),
    "a failure": (("one", "{after: {pipeline: two, outcome: failed}}"), ("two", "{after: {pipeline: one}}")),
    "a file that may skip": (("one", "{after: {pipeline: two, step: a}}"), ("two", "{after: {pipeline: one}}")),
    "a line": (("one", "{data: {uri: s3://rows}}"), ("two", "{after: {pipeline: one}}"), ("three", "{after: {pipeline: two}}")),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDING)
def test_a_chain_that_can_end_is_left_alone(case: str, tmp_path: Path) -> None:
    assert told(asked(tmp_path, file(*ENDING[case]))) == []


ENDLESS = {
    "two": ((("one", "{after: {pipeline: two}}"), ("two", "{after: {pipeline: one}}")), "one -> two -> one"),
    "three": (
        (("x", "{data: {uri: s3://rows}}"), ("one", "{after: {pipeline: three, outcome: any}}"), ("two", "{after: {pipeline: one, when: true}}"), ("three", "{after: {pipeline: two}}")),
        "one -> two -> three -> one",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDLESS)
def test_a_chain_that_cannot_end_is_told_once(case: str, tmp_path: Path) -> None:
    pipelines, around = ENDLESS[case]
    (line,) = told(asked(tmp_path, file(*pipelines)))
    assert line.split(" ", 1)[1] == f"PIPE415 pipelines start each other without end: {around}"


TWICE = {
    "the same times in other words": ('{schedule: {cron: "0 0 * * sun"}}, {schedule: {cron: "0 0 * * 7", timezone: UTC}}', 1),
    "another zone": ('{schedule: {cron: "0 0 * * 0"}}, {schedule: {cron: "0 0 * * 0", timezone: Europe/Vienna}}', 0),
    "another time": ('{schedule: {cron: "0 0 * * 0"}}, {schedule: {cron: "0 1 * * 0"}}', 0),
    "the same place": ("{data: {uri: s3://a}}, {data: {uri: s3://a}}", 1),
    "another place": ("{data: {uri: s3://a}}, {data: {uri: s3://b}}", 0),
    "the same run, resting": ("{after: {pipeline: q}}, {after: {pipeline: q, cooldown: 1h}}", 1),
    "the run and a step of it": ("{after: {pipeline: q}}, {after: {pipeline: q, step: a}}", 0),
    "another answer": ("{after: {pipeline: q, when: steps.a.n > 1}}, {after: {pipeline: q, when: steps.a.n < 0}}", 0),
    "another value": ("{after: {pipeline: q, parameters: {k: 1}}}, {after: {pipeline: q, parameters: {k: 2}}}", 0),
}  # fmt: skip


@pytest.mark.parametrize("case", TWICE)
def test_a_trigger_that_stands_twice_is_told(case: str, tmp_path: Path) -> None:
    triggers, n_told = TWICE[case]
    one = pipeline(
        f'parameters: {{k: {{type: integer, default: 0}}}}\ntriggers: [{triggers}]\nsteps: {{a: {{uses: ./mix.yaml, with: {{n: "${{{{ parameters.k }}}}"}}}}}}\n'
    )
    other = pipeline("steps: {a: {uses: ./mix.yaml}}\n", "q")
    assert [line.split()[1] for line in told(asked(tmp_path, {"p.yaml": f"{one}---\n{other}"}))] == ["PIPE416"] * n_told


@pytest.mark.parametrize(
    ("name", "near"),
    [("Europe/Wien", "Europe/Vienna"), ("utc", "UTC"), ("europe/vienna", "Europe/Vienna"), ("Mars/Base", None),
     ("UTC", ""), ("Etc/GMT-14", ""), ("US/Pacific", ""), ("EST5EDT", "")],
)  # fmt: skip
def test_a_time_zone_is_one_of_the_list(name: str, near: str | None, tmp_path: Path) -> None:
    text = f'triggers: [{{schedule: {{cron: "0 3 * * 1", timezone: {name}}}}}]\nsteps: {{one: {STEP % ""}}}\n'
    found = [finding for finding in asked(tmp_path, text).report.findings if finding.rule.code == "PIPE418"]
    wanted = f"did you mean `{near}`?" if near else "write a name of the IANA's list, such as `Europe/Vienna`"
    assert [finding.help for finding in found] == ([] if near == "" else [wanted])
