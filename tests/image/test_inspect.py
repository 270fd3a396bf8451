"""What an image says of itself: read from small imported ones, without running anything of theirs."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from needs import missing

from pipec import contents, docker
from pipec.contents import Contents, Version
from pipec.image import inspect
from pipec.image.fault import ImageFault

WHOLE = Contents(pipec="0.1.0", variant="core", python="3.11", steps={"train": Version("1", "sha256:ab")})


def packed(path: str, content: bytes = b"", *, link: str = "") -> bytes:
    """Return an archive of one file, or of one link."""
    member = tarfile.TarInfo(path.lstrip("/"))
    member.size = len(content)
    if link:
        member.type, member.linkname = tarfile.SYMTYPE, link
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture
def imported(tmp_path: Path) -> Iterator[Callable[[bytes], str]]:
    """Return a function that makes an image of an archive, and takes it away at the end."""
    try:
        docker.ask("version", wanted="docker")
    except docker.DockerFault:
        missing("a Docker daemon")
    names: list[str] = []

    def make(archive: bytes) -> str:
        names.append(f"pipec-test-{tmp_path.name.replace('_', '-').lower()}-{len(names)}:1")
        docker.ask("import", "--change", "LABEL a=b", "-", names[-1], given=archive, wanted="import")
        return names[-1]

    yield make
    for name in names:
        docker.ask("image", "rm", name, wanted="rm")


@pytest.mark.docker
def test_an_image_of_ours_says_what_it_holds(imported) -> None:
    assert inspect.contents_of(imported(packed(contents.FILE, WHOLE.text().encode()))) == WHOLE


@pytest.mark.docker
def test_another_image_is_not_one_of_ours(imported) -> None:
    assert inspect.contents_of(imported(packed("etc/hello", b"x"))) is None


@pytest.mark.docker
def test_reading_leaves_no_container_behind(imported) -> None:
    name = imported(packed(contents.FILE, WHOLE.text().encode()))
    inspect.contents_of(name)
    assert docker.ask("ps", "--all", "--quiet", "--filter", f"ancestor={name}", wanted="ps") == b""


@pytest.mark.docker
@pytest.mark.parametrize(
    ("content", "link", "told"),
    [
        (b"{", "", "does not say what it holds"),
        (b'{"format": "9"}', "", "format 9, and this pipec reads 1"),
        (b"", "/etc/shadow", "is no file of at most 64 MiB"),
    ],
    ids=["broken", "another format", "a link"],
)
def test_contents_that_cannot_be_read_are_told_in_one_line(imported, content: bytes, link: str, told: str) -> None:
    with pytest.raises(ImageFault, match=told) as fault:
        inspect.contents_of(imported(packed(contents.FILE, content, link=link)))
    assert "\n" not in str(fault.value)


@pytest.mark.docker
def test_the_bill_of_materials_is_read_as_it_lies(imported) -> None:
    assert inspect.sbom_of(imported(packed(contents.SBOM, b'{"a": 1}'))) == {"a": 1}
    with pytest.raises(ImageFault, match="has no bill of materials"):
        inspect.sbom_of(imported(packed("etc/hello", b"x")))


@pytest.mark.docker
def test_an_image_that_was_never_pushed_has_an_id_and_no_digest(imported) -> None:
    name = imported(packed("etc/hello", b"x"))
    found = inspect.of(name)
    assert (found.digest, found.labels, found.size, found.platform) == ("", {"a": "b"}, 1, "linux/amd64")
    assert found.id == inspect.id_of(name)
    assert found.id.startswith("sha256:") and len(found.layers) == 1
    assert inspect.digest_of(found.id) == ""


@pytest.mark.docker
def test_an_image_that_is_not_there_is_told(imported) -> None:
    for ask in (inspect.id_of, inspect.digest_of, inspect.contents_of):
        with pytest.raises(docker.DockerFault, match="`pipec-none:1` cannot be read: there is no such image: build or"):
            ask("pipec-none:1")


A, B = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


@pytest.mark.parametrize(
    ("reference", "known", "digest"),
    [
        ("r.example/steps:1", [f"r.example/steps@{A}", f"s.example/steps@{B}"], A),
        ("s.example/steps", [f"r.example/steps@{A}", f"s.example/steps@{B}"], B),
        ("localhost:5000/steps:1", [f"localhost:5000/steps@{A}"], A),
        ("steps:1", [f"docker.io/library/steps@{A}"], A),
        ("docker.io/team/steps:1", [f"team/steps@{A}"], A),
        ("t.example/steps:1", [f"r.example/steps@{A}"], ""),
        (f"r.example/steps@{B}", [f"r.example/steps@{A}"], B),
        ("sha256:0123", [f"r.example/steps@{A}", f"s.example/steps@{A}"], A),
        ("sha256:0123", [f"r.example/steps@{A}", f"s.example/steps@{B}"], ""),
        ("steps:1", [], ""),
    ],
)
def test_a_digest_is_that_of_the_registry_which_the_name_names(
    reference: str, known: list[str], digest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"Id": A, "RepoDigests": known, "Size": 1, "Os": "linux", "Architecture": "arm64", "Variant": "v8"}
    stand_in = tmp_path / "docker"
    stand_in.write_text(f"#!{sys.executable}\nprint({json.dumps([told])!r})\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv(docker.VARIABLE, str(stand_in))
    assert inspect.digest_of(reference) == digest
    assert inspect.of(reference).platform == "linux/arm64/v8"
