"""What an image is, as the container engine knows it, and what it holds, as it says itself in `contents.FILE`.

Nothing of the image is run: a hostile one is read like any other. Knows no registry: a digest is what a push or a pull
left with the engine.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pipec import contents, docker
from pipec.contents import Contents
from pipec.image.fault import ImageFault
from pipec.record import frozen

LARGEST = 64 << 20  # bytes of the contents: some 300,000 files of a team; an image that says more is not ours
_MIB = 1 << 20


@frozen
class Image:
    """An image that the container engine has.

    digest: of the manifest in the registry that `reference` names; empty if it was never pushed or pulled. size: in
    bytes, all layers unpacked. labels: `org.opencontainers.image.*` and what else it says of itself.
    layers: the digests of its layers, unpacked, lowest first.
    """

    reference: str
    id: str
    digest: str
    size: int
    platform: str
    user: str
    created: str
    labels: Mapping[str, str]
    layers: tuple[str, ...]


def of(reference: str) -> Image:
    """Return what the engine knows of an image. Raises DockerFault if it has none of that name."""
    told = docker.inspected("image", reference)
    config = told.get("Config") or {}
    variant = f"/{told['Variant']}" if told.get("Variant") else ""
    return Image(
        reference=reference,
        id=told["Id"] if ":" in told["Id"] else f"sha256:{told['Id']}",  # podman leaves the algorithm out
        digest=_digest(reference, told.get("RepoDigests") or ()),
        size=told["Size"],
        platform=f"{told['Os']}/{told['Architecture']}{variant}",
        user=config.get("User") or "",
        created=told.get("Created") or "",
        labels=dict(sorted((config.get("Labels") or {}).items())),
        layers=tuple((told.get("RootFS") or {}).get("Layers") or ()),
    )


def id_of(reference: str) -> str:
    """Return the id of an image, `sha256:...`: the digest of its configuration on this machine. Raises DockerFault."""
    return of(reference).id


def digest_of(reference: str) -> str:
    """Return the digest by which a registry knows the image; empty if it was never pushed or pulled by that name.

    Raises DockerFault.
    """
    return of(reference).digest


def contents_of(reference: str) -> Contents | None:
    """Return what an image says it holds; None: it is not one of ours. Raises DockerFault, ImageFault."""
    with _created(reference) as container:
        told = _file(reference, container, contents.FILE)
    if told is None:
        return None
    try:
        return contents.of_json(json.loads(told))
    except ValueError as fault:
        raise ImageFault(f"`{reference}` does not say what it holds ({fault}): build it again") from fault


def sbom_of(reference: str) -> Any:
    """Return the bill of materials of an image of ours, as JSON. Raises DockerFault, ImageFault."""
    with _created(reference) as container:
        told = _file(reference, container, contents.SBOM)
    try:
        return json.loads(told or b"")
    except ValueError as fault:
        raise ImageFault(f"`{reference}` has no bill of materials at `{contents.SBOM}`: build it again") from fault


def _digest(reference: str, known: Sequence[str]) -> str:
    """Return the digest of the repository that `reference` names. An id names none: then any, if all are the same.

    Another repository's digest is none for this one: the same image may be packed otherwise there, or be absent.
    """
    if "@" in reference:
        return reference.partition("@")[2]
    digests = {_whole(name): digest for name, _, digest in (each.partition("@") for each in known)}
    if found := digests.get(_whole(reference)):
        return found
    is_id = reference.startswith("sha256:")
    return next(iter(digests.values())) if is_id and len(set(digests.values())) == 1 else ""


def _whole(reference: str) -> str:
    """Return the full name of a repository: docker leaves its own registry out, and a tag says nothing here."""
    place, _, last = reference.rpartition("/")
    name = f"{place}/{last.partition(':')[0]}" if place else last.partition(":")[0]
    first = name.partition("/")[0]
    if "/" not in name:
        return f"docker.io/library/{name}"
    if "." in first or ":" in first or first == "localhost":
        return name
    return f"docker.io/{name}"


@contextmanager
def _created(reference: str) -> Iterator[str]:
    """Yield a container of the image that is never started: what one copies from. An image alone has no files."""
    wanted = f"`{reference}` cannot be read"
    made = docker.ask("create", "--pull=never", "--network=none", "--", reference, "pipec", wanted=wanted)
    container = made.decode().split()[-1]
    try:
        yield container
    finally:
        docker.ask("rm", "--force", container, wanted="a container that was made to read an image cannot be removed")


def _file(reference: str, container: str, path: str) -> bytes | None:
    """Return the content of a file of a container, or None if it has none there. Raises ImageFault, DockerFault."""
    try:
        packed = docker.ask("cp", f"{container}:{path}", "-", wanted=f"`{reference}` cannot be read")
    except docker.DockerFault as fault:
        if path in str(fault):  # the engine's words for a file that is not there, which differ, all name it
            return None
        raise
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        member = next(iter(archive), None)
        stream = archive.extractfile(member) if member is not None and member.isreg() else None
        if stream is None or member is None or member.size > LARGEST:
            raise ImageFault(
                f"`{path}` of `{reference}` is no file of at most {LARGEST // _MIB} MiB: take an image that pipec built"
            )
        return stream.read()
