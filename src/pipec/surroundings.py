"""What lies around a pipeline's file: the project's root, its `pipec.yaml`, its `pipec.lock`, and other files there."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pipec.diagnostics import START, Finding, Ignored, Loc, Source, has_error
from pipec.record import frozen
from pipec.schema import check as shape
from pipec.schema import findings as kinds
from pipec.schema import ignore, secret, tree
from pipec.schema import lock as locks
from pipec.schema.files import PROJECT_FILE, UnreadableError, has_file, has_project_file, read_below
from pipec.schema.lock import LOCK_FILE, Lock
from pipec.schema.model import Environment, Project
from pipec.schema.overlay import without_overlay_nulls
from pipec.schema.project import project as typed
from pipec.values import Json


@frozen
class Place:
    """Where a file lies. folder: its own, relative to the root. shown: how messages begin the paths beside it."""

    root: Path
    folder: str
    shown: str

    def show(self, path: str) -> str:
        """Return what messages call a path relative to the root."""
        return posixpath.normpath(posixpath.join(self.shown, posixpath.relpath(f"/{path}", f"/{self.folder}")))

    def read(self, folder: str, name: str, limit: int) -> str:
        """Return the text of a file by the folder that names it, relative to the root. Raises UnreadableError."""
        return read_below(self.root, folder, name, limit)


@frozen(kw_only=True)
class Surroundings:
    """The project of a file and the environment chosen in it; without a `pipec.yaml`, both are empty.

    layers: what stands behind a pipeline's image and defaults: the environment's and the project's, as written.
    ignores: what it answers for. ignored: what was found in it, and is answered for. lock: what its images are.
    lock_source: its text, where something is told of it.
    """

    project: Project = Project()
    environment: Environment | None = None
    source: Source | None = None
    findings: tuple[Finding, ...] = ()
    layers: tuple[tree.Mapping, ...] = ()
    ignores: tuple[ignore.Ignore, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    lock: Lock = Lock()
    lock_source: Source | None = None


def surroundings(place: Place, environment: str, settings: Mapping[str, Mapping[str, Json]]) -> Surroundings:
    """Read `pipec.yaml` at the root, if there is one, and the lock beside it.

    settings: the schema of what a project may say to each target.
    """
    if not has_project_file(place.root):
        return Surroundings()
    around = _project(place, environment, settings)
    return _with_lock(around, place) if has_file(place.root, LOCK_FILE) else around


def _with_lock(around: Surroundings, place: Place) -> Surroundings:
    path = place.show(LOCK_FILE)
    try:
        source = Source(path, place.read("", LOCK_FILE, tree.MAX_BYTES))
    except UnreadableError as fault:
        return replace(around, findings=(*around.findings, kinds.NOT_TEXT.at(Loc(path, START), str(fault))))
    lock, found = locks.read(source)
    return replace(
        around, lock=lock, findings=(*around.findings, *found), lock_source=source if found else None
    )  # fmt: skip


def _project(place: Place, environment: str, settings: Mapping[str, Mapping[str, Json]]) -> Surroundings:
    path = place.show(PROJECT_FILE)
    try:
        source = Source(path, place.read("", PROJECT_FILE, tree.MAX_BYTES))
    except UnreadableError as fault:
        return Surroundings(findings=(kinds.NOT_TEXT.at(Loc(path, START), str(fault)),))
    documents, problems = tree.read(source)
    if has_error(problems):
        return Surroundings(source=source, findings=problems)
    document, found = documents[0], [*problems, *shape.header(documents[0], "Project")]
    if not has_error(found) and isinstance(document, tree.Mapping):
        document = without_overlay_nulls(document)
        found += shape.shape(document, shape.project_schema(settings))
    if len(documents) > 1:
        found.append(kinds.WRONG_KIND.at(documents[1].loc, "a project is one document"))
    if has_error(found) or not isinstance(document, tree.Mapping):
        return Surroundings(source=source, findings=(*found, *secret.inlined(source, document)))
    said, wrong = ignore.of_text(source)
    ignores = (*ignore.of_project(document, place.show), *said)
    kept, ignored = ignore.Ignores(ignores).sift([*found, *secret.inlined(source, document)], ())
    found = [*wrong, *kept]
    project = typed(document, frozenset(settings))
    environments = document.get("environments")
    chosen = environments.get(environment) if isinstance(environments, tree.Mapping) else None
    return Surroundings(
        project=project,
        environment=project.environment(environment),
        source=source,
        findings=tuple(found),
        layers=(chosen, document) if isinstance(chosen, tree.Mapping) else (document,),
        ignores=ignores,
        ignored=tuple(ignored),
    )
