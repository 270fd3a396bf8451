"""`pipec image`: what is wrong with a call is told in one line, before anything is fetched or built."""

from __future__ import annotations

import pytest

from pipec import cli, docker


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--with src", "an image with your own code needs a name of its own: say --tag NAME"),
        ("--tag x --from y", "--from is for an image with your own code: say --with DIR or --requirements FILE too"),
        ("--torch cpu", "variant `light` has no torch: say --variant gpu too, or leave --torch out"),
        ("--tag x --with src --base y", "--base is for the image below: build that first, and name it with --from"),
    ],
)
def test_options_that_would_have_no_effect_are_refused(words: str, told: str, capsys) -> None:
    assert cli.main(["image", "build", *words.split()]) == 2
    assert capsys.readouterr().err == f"pipec: {told}\n"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("build --base b:1", "`b:1` cannot be the base"),
        ("inspect b:1", "`b:1` cannot be read"),
        ("build --tag x --with . --from b:1", "`b:1` cannot be read"),
    ],
)
def test_a_machine_without_a_container_engine_is_told(
    words: str, wanted: str, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(docker.VARIABLE, "no-such-docker")
    assert cli.main(["image", *words.split()]) == 2
    why = "`no-such-docker` is not installed here: install it, or name another command in PIPEC_DOCKER"
    assert capsys.readouterr().err == f"pipec: {wanted}: {why}\n"
