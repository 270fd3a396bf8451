"""Built images: how large, who runs in them, what they may write, that they hold what they say, and the same bytes.

Each variant is built once (tests/images.py); torch in `gpu` is a build for CPUs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import images
import made
import pytest
import test_layers
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from needs import ROOT
from packaging.utils import canonicalize_name

from pipec import __version__, cli, docker
from pipec.image import build, inspect, sbom, variant, wheels
from pipec.image.build import Order
from pipec.image.wheels import Sources

pytestmark = pytest.mark.docker
LIMITS_MB = {"core": 600, "light": 1200}  # of 10^6 bytes, base and all; `gpu` has none: CUDA alone is gigabytes
SITE = f"/opt/pipec/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
# The pipeline of the README's first block, for what `core` has: all but validate-data.
SMALLEST = """\
apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: smallest}
steps:
  ingest:   {uses: ingest, with: {source: data/wine.csv}}
  split:    {uses: split, with: {data: "${{ steps.ingest.data }}", stratify: cultivar}}
  train:    {uses: train, with: {data: "${{ steps.split.train }}", target: cultivar}}
  evaluate: {uses: evaluate, with: {model: "${{ steps.train.model }}", data: "${{ steps.split.test }}"}}
"""
EVERY = pytest.mark.parametrize("name", [*variant.EXTRAS])


@EVERY
def test_an_image_says_what_it_is(name: str) -> None:
    image = inspect.of(images.built(name))
    labels = {key.removeprefix("org.opencontainers.image."): text for key, text in image.labels.items()}
    assert labels["title"] == f"pipec steps ({name})"
    assert labels["version"] == __version__
    assert labels["created"] == "2020-02-02T00:00:00Z"
    assert labels["base.name"] == images.base()
    assert "description" in labels
    held = inspect.contents_of(image.reference)
    assert held is not None
    assert (held.variant, tuple(held.steps)) == (name, tuple(sorted(variant.steps(name))))
    assert held == replace(variant.contents(name), python=held.python)


@pytest.mark.parametrize("name", LIMITS_MB)
def test_an_image_is_no_larger_than_it_may_be(name: str) -> None:
    assert inspect.of(images.built(name)).size <= LIMITS_MB[name] * 10**6


def test_an_image_runs_as_nobody_and_kubeflow_may_put_its_launcher_before_the_command() -> None:
    told = json.loads(docker.ask("image", "inspect", images.built("core"), wanted="x"))[0]["Config"]
    assert (told["User"], told["WorkingDir"], told["Entrypoint"]) == ("10001:10001", "/work", None)


@pytest.mark.parametrize("user", ["10001:10001", "12345", "0"])
def test_any_user_may_run_the_commands(user: str) -> None:
    code = "import getpass, os; print(getpass.getuser(), os.environ['HOME'], os.getcwd())"
    for argv, told in (
        (["pipec", "--version"], f"pipec {__version__}"),
        (["pipec-step", "--help"], "usage: pipec-step NAME"),
        (["python", "-c", code], "pipec /work /work"),
    ):
        done = images.hardened(images.built("core"), argv, user=user)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(told)


def test_the_user_has_an_entry_and_may_write_in_one_folder_alone() -> None:
    image = images.built("core")
    done = images.hardened(image, ["sh", "-c", "id -un && id -gn"], user="10001:10001")
    assert done.stdout.split() == ["pipec", "pipec"]
    # Asked of a root that is not read-only, where rights alone decide; these three are everybody's by custom.
    argv = ["find", "/", "-xdev", "-writable", "-not", "-type", "l", "-not", "-path", "/proc/*"]
    told = subprocess.run(
        [docker.command(), "run", "--rm", "--network=none", image, *argv], capture_output=True, text=True, check=False
    ).stdout.split()
    shared = {"/tmp", "/var/tmp", "/run/lock", "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom",
              "/dev/tty", "/dev/shm", "/dev/mqueue", "/dev/ptmx", "/dev/pts/ptmx"}  # fmt: skip
    assert {path for path in told if path not in shared and not path.startswith("/dev/")} == {"/work"}


@EVERY
def test_a_life_of_a_model_runs_without_a_right_a_network_or_a_place_to_write_but_one(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "smallest.yaml").write_text(SMALLEST, encoding="utf-8")
    argv = [
        "sh",
        "-c",
        "mkdir p && cp -r /data /smallest.yaml p && cd p && pipec run smallest.yaml && pipec runs latest",
    ]
    mounts = [
        f"--volume={ROOT}/examples/pipelines/data:/data:ro",
        f"--volume={tmp_path}/smallest.yaml:/smallest.yaml:ro",
    ]
    done = images.hardened(images.built(name), argv, "--mount", images.WORK, *mounts)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("succeeded") >= 4


@EVERY
def test_the_steps_of_an_image_are_those_whose_packages_it_has(name: str) -> None:
    needed = {step: sorted(packages(step)) for step in variant.steps("gpu")}
    done = images.hardened(images.built(name), ["python", "-W", "ignore", "-c", PROBE, json.dumps(needed)])
    assert done.returncode == 0, done.stderr
    lacking = json.loads(done.stdout)
    assert [step for step, names in lacking.items() if not names] == list(variant.steps(name))


# Prints what of a table of modules cannot be imported, by step.
PROBE = """
import importlib, json, sys
def is_here(name):
    try:
        return importlib.import_module(name) is not None
    except ImportError:
        return False
print(json.dumps({step: [n for n in names if not is_here(n)] for step, names in json.loads(sys.argv[1]).items()}))
"""
# One estimator of `train` alone needs torch; it is asked for by name, and says so where it is not.
CHOSEN = {"pipec.steps.ml.mlp", "pipec.steps.ml.device"}


def packages(step: str) -> set[str]:
    """Return the packages of others that a step imports, itself and through what it imports."""
    seen: set[str] = set()
    waiting = {f"pipec.steps.{step.replace('-', '_')}", "pipec.steps.runtime"}
    while waiting:
        module = waiting.pop()
        if module in seen | CHOSEN:
            continue
        seen.add(module)
        waiting |= test_layers.IMPORTS.get(module, set())
    return {m for m in seen if m.split(".")[0] not in {*sys.stdlib_module_names, "pipec"}}


def test_gpu_has_torch_and_the_others_say_which_image_has_it() -> None:
    done = images.hardened(images.built("gpu"), ["python", "-c", "import torch; print(torch.zeros(2).sum().item())"])
    assert (done.stdout.strip(), done.returncode) == ("0.0", 0)
    code = (
        "from pipec.steps.runtime import ending\ntry:\n    import {}\nexcept ImportError as e:\n    print(ending(e)[1])"
    )
    for name, package, wanted in (("light", "torch", "gpu"), ("core", "great_expectations", "light")):
        told = images.hardened(images.built(name), ["python", "-c", code.format(package)]).stdout
        assert told.startswith(f"the step needs `{package}`, which is not installed here: install ")
        assert told.strip().endswith(f"or take the `{wanted}` image")


def test_modules_come_compiled_and_nothing_is_compiled_again() -> None:
    argv = ["python", "-v", "-c", "import pipec.steps.train, pipec.steps.ml.classic, pipec.steps.data.table"]
    done = images.hardened(images.built("core"), argv)
    ours = [line for line in done.stderr.splitlines() if line.startswith("# code object from") and "/opt/pipec" in line]
    assert len([line for line in done.stderr.splitlines() if "matches /opt/pipec" in line]) > 500
    assert [line for line in ours if not line.rstrip("'").endswith(".pyc")] == []


@EVERY
def test_the_bill_of_materials_is_true_and_whole(name: str) -> None:
    bill = inspect.sbom_of(images.built(name))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill)) is None
    argv = ["python", "-c", "import importlib.metadata as m; [print(d.name, d.version) for d in m.distributions()]"]
    told = images.hardened(images.built(name), argv).stdout
    installed = dict(line.split() for line in told.splitlines())
    held = {canonicalize_name(key): at for key, at in installed.items()}
    assert held == sbom.versions(bill)
    lines = wheels.constraints().read_text(encoding="utf-8").splitlines()
    pinned = {canonicalize_name(key): at for key, found, at in (line.partition("==") for line in lines) if found}
    assert {key: at.partition("+")[0] for key, at in held.items() if key != "pipec"}.items() <= pinned.items()


def test_a_second_build_has_the_same_layers() -> None:
    first = inspect.of(images.built("core"))
    order = Order(
        tag="pipec-test-again:1", sources=Sources(wheels.constraints()), variant="core", base=images.base(),
        is_fresh=True,
    )  # fmt: skip
    try:
        again = build.library(order, lambda line: None)
        assert again.image.layers == first.layers
        assert sbom.text(again.bill) == sbom.text(inspect.sbom_of(first.reference))
    finally:
        docker.ask("image", "rm", order.tag, wanted="rm")


CODE = {"churn/__init__.py": "", "churn/model.py": "import extra\n\ndef build():\n    return extra.NAME\n"}


@pytest.fixture
def team(tmp_path: Path) -> Iterator[list[str]]:
    """Return the words of `pipec image build` for a team's layer whose packages lie in a folder."""
    for name, text in CODE.items():
        path = tmp_path / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "requirements.txt").write_text("extra==1.0\nnumpy\n", encoding="utf-8")
    script = {"extra-1.0.data/scripts/extra-tool": b"#!python\nprint('tool')\n"}
    made.wheel(tmp_path / "wheels", "extra", requires=["pandas>=2"], files=script)
    for name in ("numpy", "pandas"):  # what the image has must be there for pip to choose it, and does not go in again
        made.wheel(tmp_path / "wheels", name, sbom.versions(inspect.sbom_of(images.built("core")))[name])
    tag = f"pipec-test-team-{tmp_path.parent.name}:{tmp_path.name[-12:].strip('_')}".lower()
    yield ["image", "build", "--tag", tag, "--from", images.built("core"), "--wheels", str(tmp_path / "wheels"),
           "--with", str(tmp_path / "src"), "--requirements", str(tmp_path / "requirements.txt")]  # fmt: skip
    subprocess.run([docker.command(), "image", "rm", tag], capture_output=True, check=False)


def test_a_teams_code_is_one_thin_layer_that_says_what_it_holds(team: list[str], tmp_path: Path, capsys) -> None:
    bill = tmp_path / "bill.json"
    assert cli.main([*team, "--sbom", str(bill)]) == 0
    told = capsys.readouterr().out.split()
    below, image = inspect.of(images.built("core")), inspect.of(team[3])
    assert told[:2] == [image.reference, image.id]
    assert image.layers[:-1] == below.layers
    assert image.size - below.size < 1_000_000
    held = inspect.contents_of(image.reference)
    before = inspect.contents_of(below.reference)
    assert held is not None and before is not None
    assert sorted(held.files) == sorted(CODE)
    assert held.functions == {"churn": (), "churn.model": ("build",)}
    assert (held.steps, held.pipec, held.variant) == (before.steps, before.pipec, before.variant)
    assert json.loads(bill.read_text()) == inspect.sbom_of(image.reference)
    added = set(sbom.versions(inspect.sbom_of(image.reference)).items()) - set(
        sbom.versions(inspect.sbom_of(below.reference)).items()
    )
    assert added == {("extra", "1.0")}
    code = "import churn.model, numpy; print(churn.model.build(), churn.model.__cached__)"
    done = images.hardened(image.reference, ["sh", "-c", f"extra-tool && id -u && python -c '{code}'"], user="10001")
    assert done.stdout.split()[:3] == ["tool", "10001", "extra"], done.stderr
    assert done.stdout.strip().startswith("tool") and done.stdout.strip().endswith(".pyc")


def test_a_teams_layer_has_the_same_bytes_twice(team: list[str]) -> None:
    assert cli.main(team) == 0
    first = inspect.of(team[3]).layers
    assert cli.main([*team, "--no-cache"]) == 0
    assert inspect.of(team[3]).layers == first


def test_a_package_that_would_change_the_image_ends_the_build_in_one_line(
    team: list[str], tmp_path: Path, capsys
) -> None:
    made.wheel(tmp_path / "wheels", "extra", files={"numpy/__init__.py": b"print('mine')\n"})
    assert cli.main(team) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith(
        f"cannot be built: `extra-1.0-py3-none-any.whl` brings `{SITE.removeprefix('/opt/pipec/')}/numpy/__init__.py`, "
        "which is there already with another content: leave one of them out"
    )
    with pytest.raises(docker.DockerFault, match="there is no such image"):
        inspect.id_of(team[3])


def test_a_layer_goes_on_an_image_of_ours_that_has_none_yet(team: list[str], capsys) -> None:
    assert cli.main(team) == 0
    assert cli.main([*team[:3], "pipec-test-none:1", "--from", team[3], *team[6:]]) == 2
    assert "holds a team's files already: name the image that it was built on" in capsys.readouterr().err
    assert cli.main([*team[:3], "pipec-test-none:1", "--from", images.base(), *team[6:]]) == 2
    assert "is not an image of pipec: build one with `pipec image build`" in capsys.readouterr().err


def test_an_image_is_told_in_words_and_in_json(capsys) -> None:
    image = images.built("core")
    assert cli.main(["image", "inspect", image]) == 0
    told = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert (told["image"], told["user"], told["team"]) == (image, "10001:10001", "nothing")
    assert told["digest"] == "none: never pushed or pulled"
    assert told["pipec"].startswith(f"{__version__} (core), Python 3.")
    assert cli.main(["image", "inspect", images.base(), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["contents"] is None
