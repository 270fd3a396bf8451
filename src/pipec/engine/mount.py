"""What of this machine a container sees: the attempt's own folder to write to, and what its call reads.

Every path is mounted where it is. A link is not followed: mounted, what it leads to would look as if it lay there, and
the step, which refuses links, could not tell.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from pipec.engine.launcher import Start
from pipec.record import frozen
from pipec.steps.interface import Role

# Variables that name a file with credentials or authorities, which the step must find where it is told.
NAMING_FILES = (
    "AWS_CA_BUNDLE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AZURE_FEDERATED_TOKEN_FILE", "CURL_CA_BUNDLE", "GOOGLE_APPLICATION_CREDENTIALS", "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
)  # fmt: skip


@frozen
class Mount:
    """A file or folder of this machine, and where the container sees it."""

    source: Path
    target: str
    is_read_only: bool = True

    @property
    def word(self) -> str:
        """The argument of `docker run`, in which any path may stand: its fields are those of a line of CSV."""
        fields = ["type=bind", f"source={self.source}", f"target={self.target}"]
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow([*fields, *(["readonly"] if self.is_read_only else [])])
        return f"--mount={line.getvalue()}"


def mounts(start: Start, environ: Mapping[str, str]) -> tuple[Mount, ...]:
    """Return what the container of an attempt sees. environ: what it is handed of this process's variables."""
    found = [
        *_written(start),
        *(_same(path) for path in sorted({*_read(start), *_told(start, environ)})),
        *(Mount(Path(start.volumes[name]), mount, is_read_only=False) for mount, name in start.task.volumes),
    ]
    return tuple({mount.target: mount for mount in reversed(found)}.values())[::-1]


def _same(path: Path, *, is_read_only: bool = True) -> Mount:
    return Mount(path, str(path), is_read_only)


def _written(start: Start) -> Iterator[Mount]:
    """Yield what the attempt may write: its own folder, and where a step of the world keeps what outlives it."""
    yield _same(start.folder, is_read_only=False)
    interface = start.task.interface
    if interface.container is None and (interface.rooted or interface.role is Role.DEPLOY):
        for place in (start.call.releases, start.call.triggers):
            path = _here(place, None) if place else None
            if path is not None:
                path.mkdir(parents=True, exist_ok=True)
                yield _same(path, is_read_only=False)


def _read(start: Start) -> Iterator[Path]:
    """Yield what the call reads of this machine, as far as it is there: what is not, the step tells."""
    call, interface = start.call, start.task.interface
    places = [place.uri for listed in call.inputs.values() for place in listed]
    for parameter in interface.parameters:
        value = call.parameters.get(parameter.name)
        if parameter.location and isinstance(value, str):
            places.append(value)
    for place in places:
        path = _here(place, call.base)
        if path is not None and path.exists():
            yield path
    if interface.role is Role.APPROVE and call.decision:
        yield Path(call.decision).parent  # the folder: the decision may come after the container was made ready


def _told(start: Start, environ: Mapping[str, str]) -> Iterator[Path]:
    for name in NAMING_FILES:
        path = Path(environ.get(name, ""))
        if path.is_absolute() and path.is_file():
            yield path


def _here(location: str, base: str | None) -> Path | None:
    """Return the path of this machine that a location means, or None if it is elsewhere or leads over a link."""
    if not location or ("://" in location and not location.startswith("file://")):
        return None
    path = Path(unquote(urlsplit(location).path)) if location.startswith("file://") else Path(location)
    if path.is_absolute():
        return None if path.is_symlink() else path
    if base is None or ".." in path.parts:
        return None
    below = Path(base)
    for part in PurePosixPath(location).parts:
        below = below / part
        if below.is_symlink():
            return None
    return below
