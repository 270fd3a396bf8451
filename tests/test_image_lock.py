"""`pipec image lock`: every image that the project names is asked for, and the file is written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipec.api import UsageError
from pipec.commands.lock import Engine, locked
from pipec.contents import Contents, Version
from pipec.diagnostics import Source
from pipec.docker import DockerFault
from pipec.output import OutputError
from pipec.schema import lock as locks
from pipec.schema.lock import Lock, Locked

ONE, TWO, THREE = (f"sha256:{digit * 64}" for digit in "123")
OURS = Contents(pipec="0.1.0", variant="core", python="3.11", steps={"ingest": Version("1", ONE)})
ABSENT = "cannot be read: there is no such image: build or pull it, or mend its name"
VERSION = "apiVersion: pipec/v1alpha1\n"
PROJECT = f"""{VERSION}kind: Project
metadata: {{name: wine}}
image: steps:1
environments: {{dev: {{image: steps:dev}}, prod: {{}}}}
"""
PIPELINE = f"""{VERSION}kind: Pipeline
metadata: {{name: wine}}
image: wine:1
steps: {{a: {{uses: ingest}}, b: {{uses: train, image: train:1}}}}
finally: {{c: {{uses: notify, image: notify:1}}}}
environments: {{prod: {{image: wine:2, steps: {{a: {{image: a:1}}}}}}}}
"""
STEP = f"{VERSION}kind: Step\nmetadata: {{name: s, version: '1'}}\nimage: score:1\ncommand: [s]\n"
NAMES = ("a:1", "notify:1", "score:1", "steps:1", "steps:dev", "train:1", "wine:1", "wine:2")


@dataclass(slots=True)
class Images:
    """A container engine, as far as it is asked: images by name. asked: what it was asked for."""

    has: Mapping[str, tuple[str, Contents | None]]
    asked: list[str] = field(default_factory=list)

    @property
    def engine(self) -> Engine:
        return Engine(lambda name: self._of(name)[0], lambda name: self._of(name)[1])

    def _of(self, name: str) -> tuple[str, Contents | None]:
        self.asked.append(name)
        if name not in self.has:
            raise DockerFault(f"`{name}` {ABSENT}")
        return self.has[name]


EVERY = Images(dict.fromkeys(NAMES, (ONE, OURS)))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {
        "pipec.yaml": PROJECT, "pipelines/wine.yaml": PIPELINE, "pipelines/steps/score.yml": STEP,
        "values.yaml": "image: chart:1\n", "many.yaml": f"kind: Deployment\n---\n{STEP.replace('score:1', 'a:1')}",
        ".pipec/kept.yaml": STEP.replace("score", "hidden"), "other/pipec.yaml": PROJECT.replace("steps", "other"),
        "broken.yaml": "a: [", "notes.txt": STEP.replace("score", "notes"),
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "link.yaml").symlink_to("notes.txt")
    return tmp_path


def run(folder: Path, *images: str, engine: Images = EVERY, check: bool = False) -> int:
    return locked(folder, images, engine.engine, is_asked=check)


def read(folder: Path) -> Mapping[str, Locked]:
    lock, found = locks.read(Source("pipec.lock", (folder / "pipec.lock").read_text()))
    assert not found
    return lock.images


def test_every_image_that_a_document_of_the_project_names_is_locked(project: Path, capsys) -> None:
    assert run(project / "pipelines") == 0
    assert read(project) == dict.fromkeys(NAMES, Locked(ONE, OURS))
    *lines, last = capsys.readouterr().err.splitlines()
    assert lines == [f"`{name}` is sha256:111111111111, 1 step, 0 files" for name in NAMES]
    assert last == f"wrote {project / 'pipec.lock'}"


def test_an_image_that_is_not_pipecs_is_locked_by_its_digest_alone(project: Path) -> None:
    assert run(project, engine=Images({**EVERY.has, "score:1": (TWO, None)})) == 0
    assert read(project)["score:1"] == Locked(TWO, None)


def test_the_same_images_leave_the_file_as_it_is(project: Path, capsys) -> None:
    run(project)
    before = (project / "pipec.lock").stat()
    capsys.readouterr()
    assert run(project) == 0
    assert (project / "pipec.lock").stat().st_mtime_ns == before.st_mtime_ns
    assert capsys.readouterr().err == f"{project / 'pipec.lock'} is current\n"


def test_what_changed_is_said_and_what_nobody_names_any_more_is_dropped(project: Path, capsys) -> None:
    run(project)
    capsys.readouterr()
    (project / "pipelines" / "steps" / "score.yml").unlink()
    grown = Contents(pipec="0.1.0", variant="core", python="3.11", files={"a.py": ONE})
    assert run(project, engine=Images({**EVERY.has, "a:1": (THREE, OURS), "wine:2": (ONE, grown)})) == 0
    assert capsys.readouterr().err.splitlines()[:-1] == [
        "`a:1` is sha256:333333333333, 1 step, 0 files; it was sha256:111111111111",
        "`score:1` is named no more",
        "`wine:2` holds something else than is written down: 0 steps, 1 file",
    ]


def test_named_images_are_locked_and_the_others_stay_as_they_were(project: Path) -> None:
    run(project)
    asked = Images({"a:1": (TWO, None)})
    assert run(project, "a:1", engine=asked) == 0
    assert read(project) == dict.fromkeys(NAMES, Locked(ONE, OURS)) | {"a:1": Locked(TWO, None)}
    assert set(asked.asked) == {"a:1"}


def test_a_name_that_no_document_says_is_refused_with_the_nearest(project: Path) -> None:
    with pytest.raises(UsageError, match=r"names the image `train:2`: did you mean `train:1`\?"):
        run(project, "train:2")
    assert not (project / "pipec.lock").exists()


def test_an_image_that_no_registry_has_is_refused_with_what_to_do(project: Path) -> None:
    with pytest.raises(UsageError) as fault:
        run(project, engine=Images({**EVERY.has, "steps:dev": ("", OURS)}))
    assert str(fault.value) == (
        "`steps:dev` has no digest in a registry, because it was neither pushed nor pulled: push it "
        "(`docker push steps:dev`), or name the images to lock"
    )
    assert not (project / "pipec.lock").exists()


def test_an_image_that_is_not_here_leaves_the_lock_as_it_was(project: Path) -> None:
    run(project)
    before = (project / "pipec.lock").read_bytes()
    with pytest.raises(DockerFault, match="`a:1` cannot be read: there is no such image"):
        run(project, engine=Images({}))
    assert (project / "pipec.lock").read_bytes() == before


def test_what_the_text_pins_is_asked_for_once(project: Path) -> None:
    (project / "pipec.yaml").write_text(PROJECT.replace("steps:1", f"steps:1@{TWO}"))
    name = f"steps:1@{TWO}"
    assert run(project, engine=Images({**EVERY.has, name: ("", OURS)})) == 0
    assert read(project)[name] == Locked(TWO, OURS)
    again = Images(EVERY.has)
    assert run(project, engine=again) == 0
    assert name not in again.asked


def test_a_document_that_cannot_be_read_may_name_an_image(project: Path) -> None:
    (project / "broken.yaml").write_text(f"{VERSION}a: [")
    with pytest.raises(UsageError, match=r"`broken.yaml` cannot be read, .*: `pipec check broken.yaml` says why"):
        run(project)


def test_what_is_no_name_of_an_image_never_reaches_the_engine(project: Path) -> None:
    (project / "pipelines" / "wine.yaml").write_text(PIPELINE.replace("train:1", "--privileged"))
    asked = Images(EVERY.has)
    with pytest.raises(UsageError, match=r"`pipelines/wine.yaml` names an image `--privileged`"):
        run(project, engine=asked)
    assert asked.asked == []


def test_outside_of_a_project_there_is_nothing_to_lock(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no pipec.yaml here or above"):
        run(tmp_path)
    (tmp_path / "pipec.yaml").write_text(f"{VERSION}kind: Project\nmetadata: {{name: a}}\n")
    with pytest.raises(UsageError, match="so there is nothing to lock"):
        run(tmp_path)


def test_a_broken_lock_is_written_anew_but_never_added_to(project: Path) -> None:
    (project / "pipec.lock").write_text("{}")
    with pytest.raises(UsageError, match=r"pipec.lock:1: `apiVersion` is missing: `pipec image lock` without names"):
        run(project, "a:1")
    assert run(project) == 0
    assert list(read(project)) == list(NAMES)


def test_a_folder_in_the_place_of_the_lock_is_told(project: Path) -> None:
    (project / "pipec.lock").mkdir()
    with pytest.raises(OutputError, match=r"something else than a file has that name; .* mend that and lock again"):
        run(project)


@pytest.mark.parametrize(
    ("before", "has", "code", "last", "told"),
    [
        (Lock(dict.fromkeys(NAMES, Locked(ONE, OURS)), True), EVERY.has, 0, "is current", []),
        (Lock(dict.fromkeys(NAMES[1:], Locked(ONE, OURS)), True), EVERY.has, 1, "is not current",
         ["`a:1` is sha256:111111111111, 1 step, 0 files"]),
        (None, EVERY.has, 1, "is not current", [f"`{n}` is sha256:111111111111, 1 step, 0 files" for n in NAMES]),
        (Lock(dict.fromkeys(NAMES, Locked(ONE, OURS)), True), {}, 0, "is current",
         [f"only the name was compared: `{n}` {ABSENT}" for n in NAMES]),
        (Lock(dict.fromkeys(NAMES[1:], Locked(ONE, OURS)), True), dict.fromkeys(NAMES[1:], (ONE, OURS)), 1,
         "is not current",
         [f"only the name was compared: `a:1` {ABSENT}",
          "`a:1` is not locked"]),
        (Lock({n: Locked(ONE, OURS) for n in (*NAMES, "old:1")}, True), EVERY.has, 1, "is not current",
         ["`old:1` is named no more"]),
    ],
    ids=["current", "added", "absent", "no image here", "new and not here", "dropped"],
)  # fmt: skip
def test_check_says_whether_the_lock_is_current_and_writes_nothing(
    project: Path, capsys, before: Lock | None, has, code: int, last: str, told: list[str]
) -> None:
    if before:
        (project / "pipec.lock").write_text(before.text())
    assert run(project, engine=Images(has), check=True) == code
    assert capsys.readouterr().err.splitlines() == [
        *told, f"pipec.lock {last}" + (": run `pipec image lock`, and commit it" if code else ""),
    ]  # fmt: skip
    assert (project / "pipec.lock").exists() is (before is not None)


def test_check_of_a_broken_lock_says_where(project: Path, capsys) -> None:
    (project / "pipec.lock").write_text("{}")
    assert run(project, check=True) == 1
    assert capsys.readouterr().err.splitlines()[0] == "pipec.lock:1: `apiVersion` is missing"
