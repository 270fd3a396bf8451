"""A short walk through texts that nobody should have written; the long one is `make soak`."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from fuzz import judge
from mutate import EXAMPLES, FORMS, PROJECT, Case, case

from pipec import api

N_CASES = 400  # about ten seconds
PLAIN = Case(b"", PROJECT.encode(), "", "kubeflow", {}, {})
IMAGE = "registry.example/steps@sha256:" + "0" * 64
HEAD = f"apiVersion: pipec/v1alpha1\nkind: Pipeline\nmetadata: {{name: p}}\nimage: {IMAGE}\n"
VALIDATE = "  v: {uses: validate-data, with: {data: s3://rows, expectations: %s}}\n"
PARAMETERS = """parameters:
  n: {type: number, default: 1}
  o: {type: object, default: {}}
  l: {type: list, default: [1], minItems: 1, items: {type: number}}
  s: {type: string, default: a}
steps:
  t:
    uses: train
    with: {data: s3://rows, target: "${{ parameters.s }}", hidden: "${{ parameters.l }}",
           learning_rate: "${{ parameters.n }}", hyperparameters: "${{ parameters.o }}"}
"""

# The smallest texts that once showed a fault, with what is to be told instead.
ONCE: dict[str, tuple[str, set[str]]] = {
    "a list where a file is to be named": (HEAD + "steps:\n" + VALIDATE % "[a.yaml]", {"PIPE103"}),
    "a mapping where a file is to be named": (HEAD + "steps:\n" + VALIDATE % "{a: b}", {"PIPE103"}),
    "a carriage return alone": ("a: 1\rb: [", {"PIPE004"}),
    "an end without a line end": ("a: [", {"PIPE001"}),
    "a line end inside a key": (HEAD + 'steps: {}\n"a\\nb": 1', {"PIPE101", "PIPE104"}),
    "a pattern that Python warns of": (
        HEAD + "parameters: {s: {type: string, default: a, pattern: '[[a]]'}}\nsteps: {s: {uses: ingest}}\n",
        {"PIPE111"},
    ),
    "a number of thousands of digits": (HEAD + "steps: {v: {uses: %s}}" % ("9" * 5000), {"PIPE008"}),
}

SPLIT = "steps:\n  s: {uses: split, with: {data: s3://rows}}\n"
# What an environment once made of a pipeline, with what is to be told instead.
OVERLAID: dict[str, tuple[str, set[str]]] = {
    "a step that the pipeline lacks": ("{steps: {t: {timeout: 1h}}}", {"PIPE101"}),
    "a step removed": ("{steps: {s: null}}", {"PIPE103"}),
    "all steps removed": ("{steps: null}", {"compiled"}),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLES, tmp_path / "project"))


@pytest.mark.parametrize("form", FORMS)
def test_any_text_is_answered_alike_in_time_and_in_place(form: str, folder: Path) -> None:
    verdicts = {number: judge(case(0, number), folder) for number in range(FORMS.index(form), N_CASES, len(FORMS))}
    assert {number: verdict.wrong for number, verdict in verdicts.items() if verdict.wrong} == {}
    told = set().union(*(verdict.told for verdict in verdicts.values()))
    assert len(told) > 2, "the walk says little where it always ends in the same place"
    assert "compiled" in told or form != "texts"


@pytest.mark.parametrize("name", ONCE)
def test_what_was_once_answered_wrongly_is_told_in_its_place(name: str, folder: Path) -> None:
    text, codes = ONCE[name]
    verdict = judge(replace(PLAIN, content=text.encode()), folder)
    assert (verdict.wrong, verdict.told) == (set(), codes)


@pytest.mark.parametrize("name", OVERLAID)
def test_an_environment_neither_adds_steps_nor_removes_them(name: str, folder: Path) -> None:
    overlay, told = OVERLAID[name]
    text = HEAD + f"environments: {{prod: {overlay}}}\n" + SPLIT
    verdict = judge(replace(PLAIN, content=text.encode(), environment="prod"), folder)
    assert (verdict.wrong, verdict.told) == (set(), told)


@pytest.mark.parametrize(
    ("declared", "code"),
    [("type: number, exclusiveMinimum: rate", "PIPE112"), ("type: number, pattern: '('", "PIPE111"),
     ("type: [number]", "PIPE104"), ("type: number, enum: 3", "PIPE103"), ("", "PIPE102")],
)  # fmt: skip
def test_a_value_for_a_parameter_that_is_declared_wrongly_is_not_held_to_it(
    declared: str, code: str, folder: Path
) -> None:
    text = HEAD + f"parameters: {{n: {{{declared}}}}}\nenvironments: {{prod: {{parameters: {{n: 2}}}}}}\n" + SPLIT
    for environment in ("", "prod"):
        for sets in ({}, {"n": "3"}):
            verdict = judge(replace(PLAIN, content=text.encode(), environment=environment, sets=sets), folder)
            assert (verdict.wrong, verdict.told - {"PIPE207"}) == (set(), {code})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("n=NaN", "is of type number, and `NaN` is not one in JSON"),
        ("n=1e999", "is of type number, and `1e999` is not one in JSON"),
        ("n=9007199254740993", "the integer `9007199254740993` cannot be carried exactly"),
        ("l=" + "[" * 100_000, "is of type list, and `[[[["),
        ("l=" + "[" * 100 + "]" * 100, "values are nested more than 64 deep"),
        ("l=[]", "`l` must have at least 1 item"),
        ('l=["a"]', "needs a number, but `a` is text"),
        ("s=a\udcff", "a character that cannot be seen stands here"),
        ("n=a\nb", r"and `a\nb` is not one"),
    ],
    ids=lambda text: text[:8].replace("\n", " ").replace("\udcff", "?"),
)
def test_nothing_enters_by_set_that_a_file_could_not_say(given: str, message: str) -> None:
    name, _, value = given.partition("=")
    with pytest.raises(api.UsageError) as caught:
        api.check(api.Request(path=Path("p.yaml"), content=(HEAD + PARAMETERS).encode(), sets={name: value}))
    told = str(caught.value)
    assert told.startswith("--set: ")
    assert message in told
    assert "\n" not in told
