"""What a build says: of its end, of a clock that is none, of a torch that is another than was asked for."""

from __future__ import annotations

from pathlib import Path

import made
import pytest
from packaging.requirements import Requirement

from pipec.image import build, closure, wheel
from pipec.image.fault import ImageFault


@pytest.mark.parametrize(
    "said",
    [
        "Step 4/9 : RUN x\n\x1b[91mpipec: two wheels quarrel: leave one out\x1b[0m\x1b[91m\nThe command returned 1",
        "#8 [built 4/6] RUN x\n#8 0.312 pipec: two wheels quarrel: leave one out\n#8 ERROR: process did not complete",
        "pipec: two wheels quarrel: leave one out",
    ],
    ids=["classic", "buildkit", "podman"],
)
def test_a_build_that_ends_says_why_in_our_own_words(said: str) -> None:
    assert build.explained(said) == "two wheels quarrel: leave one out"


def test_a_build_that_the_engine_ends_says_what_its_words_mean() -> None:
    assert build.explained("write /x: no space left on device").startswith("the container engine's disk is full")


@pytest.mark.parametrize(
    ("version", "needs", "wanted", "told"),
    [
        (
            "2.13.0",
            ["nvidia-cudnn-cu13"],
            "cpu",
            "torch 2.13.0 comes with CUDA: name an index of CPU builds with --index",
        ),
        ("2.13.0+cpu", [], "cuda", "torch 2.13.0+cpu comes without CUDA: say `--torch cpu`, or name an index of CUDA"),
        ("2.13.0+cpu", [], "cpu", ""),
        ("2.13.0", ["cuda-toolkit"], "cuda", ""),
    ],
)
def test_torch_is_the_build_that_was_asked_for(
    tmp_path: Path, version: str, needs: list[str], wanted: str, told: str
) -> None:
    paths = [made.wheel(tmp_path, "torch", version, requires=needs), *(made.wheel(tmp_path, each) for each in needs)]
    closed = closure.of([Requirement("torch")], [wheel.read(path) for path in paths], {}, {})
    if not told:
        build.check_torch(wanted, closed)
        return
    with pytest.raises(ImageFault) as fault:
        build.check_torch(wanted, closed)
    assert str(fault.value).startswith(told)
