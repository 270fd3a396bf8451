"""Secrets that stand in a document by their value are told in their place, and never shown again."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipec import api
from pipec.diagnostics import Source
from pipec.schema import secret
from pipec.schema.tree import read

LETTERS = "0123456789abcdefghijABCDEFGHIJ0123456789abcdefghijABCDEFGHIJ"  # no key, but as long as one


def told(text: str) -> list[tuple[str, str]]:
    """Return what is told of a text: the words before `stands`, and what is pointed at."""
    source = Source("p.yaml", text)
    (document,), _ = read(source)
    lines = text.split("\n")
    return [
        (
            finding.message.removesuffix(" stands here for all to read"),
            lines[finding.loc.span.line - 1][finding.loc.span.column - 1 : finding.loc.span.end_column - 1],
        )
        for finding in secret.inlined(source, document)
    ]


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("AKIAIOSFODNN7EXAMPLE", "an AWS access key"),
        ("ghp_" + LETTERS[:36], "a GitHub token"),
        ("glpat-" + LETTERS[:20], "a GitLab token"),
        ("xoxb-" + LETTERS[:24], "a Slack token"),
        ("AIza" + LETTERS[:35], "a Google API key"),
        ("hf_" + LETTERS[:34], "a Hugging Face token"),
        ("sk-" + LETTERS[:40], "an API key"),
        ("sk-proj-" + LETTERS[:40], "an API key"),
        ("npm_" + LETTERS[:36], "an npm token"),
        (f"eyJ{LETTERS[:20]}.eyJ{LETTERS[:20]}.{LETTERS[:20]}", "a signed token"),
        ("-----BEGIN RSA PRIVATE KEY-----", "a private key"),
    ],
)
def test_a_key_is_known_by_the_form_of_its_issuer(value: str, what: str) -> None:
    ((seen, text),) = told(f'a: [1, {{b: "x {value} y"}}]\n')
    assert seen == what
    assert text == value


@pytest.mark.parametrize(
    "start",
    ["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "xoxa-", "xoxb-", "xoxe-", "xoxo-", "xoxp-", "xoxr-",
     "xoxs-", "pypi-AgEIcHlwaS5vcmc"],
)  # fmt: skip
def test_every_beginning_that_an_issuer_uses_is_known(start: str) -> None:
    ((_, text),) = told(f"a: {start}{LETTERS[:40]}\n")
    assert text == start + LETTERS[:40]


def test_a_webhook_is_a_secret_too() -> None:
    hook = f"hooks.slack.com/services/T{'0A' * 4}/B{'0A' * 4}/{LETTERS[:20]}"
    assert told(f"a: https://{hook}\n") == [("a Slack webhook", hook)]


@pytest.mark.parametrize(
    "text",
    [
        "a: akiaiosfodnn7example\n",
        "a: XAKIAIOSFODNN7EXAMPLE\n",
        "a: ghp_short\n",
        f"a: task-{LETTERS}\n",
        f"a: sha256:{'ab' * 32}\n",
        f"a: s3://bucket/{LETTERS}\n",
        "a: http://db.example:5432/x\n",
        "a: https://${{ secrets.user }}:${{ secrets.password }}@db.example/x\n",
        "a: me@example.org\n",
        "a: -----BEGIN PUBLIC KEY-----\n",
        "env: {TOKEN_PATH: x, MAX_TOKENS: '5', TOKENIZER: bpe, PASSWORD: '', SECRET: '${{ secrets.x }}'}\n",
        "env: {API_TOKEN: /run/secrets/token, DB_PASSWORD: 'file:/run/x'}\n",
        "env: {PAD_TOKEN: '<pad>', eos_token: '</s>', CLS_TOKEN: cls, DB_PASSWORD: '<yours>'}\n",
        "parameters: {unknown_token: {type: string, default: '[UNK]'}}\n",
        "steps: {token: {description: secret}}\n",
        "secrets: {token: {env: HF_TOKEN}, password: {kubernetes: {name: pw, key: password}}}\n",
        "with: {token: 3}\n",
        "description: the password of the token is secret\n",
    ],
)
def test_what_only_looks_like_a_secret_is_left_alone(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("env: {HF_TOKEN: abc}\n", [("the value of `HF_TOKEN`", "abc")]),
        ("env: {db-password: abc}\n", [("the value of `db-password`", "abc")]),
        ("with: {api_key: abc}\n", [("the value of `api_key`", "abc")]),
        ("with: {parameters: {secret: abc}}\n", [("the value of `secret`", "abc")]),
        ("parameters: {password: {type: string, default: abc}}\n", [("the value of `password`", "abc")]),
        ("configs: {access_key: {value: abc}}\n", [("the value of `access_key`", "abc")]),
        ("a: postgresql://me:abc@db/x\n", [("a password in a URL", "me:abc")]),
        ("a: |\n  one\n  AKIAIOSFODNN7EXAMPLE\n", [("an AWS access key", "AKIAIOSFODNN7EXAMPLE")]),
        ('a: "AKIA\\x49OSFODNN7EXAMPLE"\n', [("an AWS access key", '"AKIA\\x49OSFODNN7EXAMPLE"')]),
        ('{a: "one\nAKIAIOSFODNN7EXAMPLE two"}\n', [("an AWS access key", "AKIAIOSFODNN7EXAMPLE")]),
    ],
)
def test_a_secret_is_pointed_at_where_it_stands(text: str, seen: list[tuple[str, str]]) -> None:
    assert told(text) == seen


def test_a_secret_is_told_in_a_pipeline_of_which_nothing_can_be_made_and_in_the_project(tmp_path: Path) -> None:
    head = "apiVersion: pipec/v1alpha1\nkind: %s\nmetadata: {name: p}\n"
    inlined = "environments: {dev: {configs: {token: {value: abc}}}}\n"
    (tmp_path / "pipec.yaml").write_text(head % "Project" + inlined)
    (tmp_path / "p.yaml").write_text(head % "Pipeline" + "steps: {a: {use: ingest, env: {TOKEN: abc}}}\n")
    report = api.check(api.Request(path=tmp_path / "p.yaml")).report
    assert {finding.rule.code for finding in report.findings} == {"PIPE310"}
    (tmp_path / "pipec.yaml").write_text(
        head % "Project" + inlined.replace("\n", " # pipec: ignore[PIPE310] a sample\n")
    )
    report = api.check(api.Request(path=tmp_path / "p.yaml")).report
    assert {finding.rule.code for finding in report.findings} == {"PIPE101", "PIPE102", "PIPE310"}
    assert [one.finding.loc.path for one in report.ignored] == [str(tmp_path / "pipec.yaml")]
