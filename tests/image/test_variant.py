"""The variants: the command line offers them all, and each runs what the smaller ones do."""

from __future__ import annotations

import tomllib

from needs import ROOT

from pipec import __version__, cli
from pipec.image import variant
from pipec.steps import catalog


def test_the_command_line_offers_the_variants_there_are() -> None:
    assert tuple(variant.EXTRAS) == cli._VARIANTS
    assert variant.DEFAULT in variant.EXTRAS


def test_every_extra_of_a_variant_is_one_of_pipec() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {extra for extras in variant.EXTRAS.values() for extra in extras}
    assert named <= set(project["optional-dependencies"])


def test_a_larger_variant_runs_what_a_smaller_one_does_and_light_runs_all() -> None:
    assert set(variant.steps("core")) < set(variant.steps("light"))
    assert variant.steps("light") == variant.steps("gpu") == catalog.names()


def test_the_contents_say_the_version_and_the_interface_of_each_step() -> None:
    held = variant.contents("core")
    assert (held.pipec, held.variant, set(held.steps)) == (__version__, "core", set(variant.steps("core")))
    found = catalog.find("train")
    assert found is not None
    assert held.steps["train"].interface == found.digest
