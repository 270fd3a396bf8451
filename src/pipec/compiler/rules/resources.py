"""`PIPE402`, `PIPE405`, `PIPE407`, `PIPE419`: what a step is given that it must not have, or not so."""

from __future__ import annotations

from collections.abc import Iterator

from pipec.compiler.rule import Subject, rule
from pipec.diagnostics import Finding, Ignorable, Loc, Note, Rule, Severity
from pipec.schema.lock import LOCK_FILE, pin
from pipec.schema.model import StepUse
from pipec.schema.tree import Entry, Mapping, Scalar
from pipec.steps.interface import Role


@rule("PIPE402", "retried-refusal")
def retried_refusal(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A step that waits for a person's decision is to be tried again.

    Why: a refusal is an answer; asking again would ask until somebody gives in.

    Bad:
        approve: {uses: approve, retry: {attempts: 3}, with: {model: "${{ steps.train.model }}"}}

    Fix:
        approve: {uses: approve, with: {model: "${{ steps.train.model }}"}}
    """
    asking = {name for name, interface in subject.graph.interfaces.items() if interface.role is Role.APPROVE}
    for name, said in _said_of_steps(subject.pipeline.document, "retry") if asking else ():
        attempts = said.value.entry("attempts") if isinstance(said.value, Mapping) else None
        count = attempts.value.value if attempts and isinstance(attempts.value, Scalar) else None
        if name in asking and isinstance(count, int) and count > 1:
            message = f"`{name}` asks a person, and a refusal is never tried again"
            yield rule.at(said.key_loc, message, help="remove `retry`")


def _said_of_steps(document: Mapping, key: str) -> Iterator[tuple[str, Entry]]:
    """Yield what a document says of each step under a key, and what its environments do."""
    environments = document.get("environments")
    overlays = [entry.value for entry in environments.entries] if isinstance(environments, Mapping) else []
    for around in (document, *(overlay for overlay in overlays if isinstance(overlay, Mapping))):
        for section in ("steps", "finally"):
            steps = around.get(section)
            for step in steps.entries if isinstance(steps, Mapping) else ():
                said = step.value.entry(key) if isinstance(step.value, Mapping) else None
                if said:
                    yield step.key, said


@rule("PIPE405", "setting-of-pipeline")
def setting_of_pipeline(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A step that is a pipeline of its own is given what only the steps inside can have.

    Why: it is not one container, so it has no image, machine, clock or cache; its own steps have.

    Bad:
        features: {uses: ./features.yaml, retry: {attempts: 3}}

    Fix:
        # features.yaml
        defaults: {retry: {attempts: 3}}
    """
    for use in subject.pipeline.steps:
        if use.name not in subject.composite:
            continue
        for key in ("resources", "volumes", "retry", "timeout", "cache", "env", "image"):
            loc = subject.pipeline.locate("steps", use.name, key)
            if loc != subject.pipeline.locate("steps", use.name):
                yield rule.at(loc, f"`{use.name}` is a pipeline, and `{key}` is for its steps to say",
                              help=f"move `{key}` into `{use.uses}`")  # fmt: skip


@rule("PIPE407", "unpinned-image", ignorable=Ignorable.PROJECT)
def unpinned_image(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A step runs in production in an image of which neither the text nor `pipec.lock` says the digest.

    Why: a tag is moved by whoever pushes next, so what was approved is not what runs. It is asked when the environment
    that is chosen says `production: true`. `pipec image lock` writes the digests of all images of a project.

    Bad:
        image: registry.example/pipec-steps:1.4

    Fix:
        image: registry.example/pipec-steps:1.4@sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b
    """
    environment = subject.environment
    if environment is None or not environment.production:
        return
    note = Note(f"environment `{environment.name}` is production", environment.production_loc)
    for image, loc in _unpinned(subject):
        message = f"`{image}` is named without a digest, and may be another image tomorrow"
        yield rule.at(loc, message, help=f"run `pipec image lock`, or write `{image}@sha256:...`", notes=[note])


@rule("PIPE419", "unlocked-image", severity=Severity.WARNING)
def unlocked_image(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A project locks its images, and a step runs in one that is not locked.

    Why: it was likely added after the others were locked, and stays the only one that may be another tomorrow. In
    production that is an error: PIPE407. A project without `pipec.lock` is not asked.

    Bad:
        # pipec.lock has registry.example/steps:1.4 alone
        train: {uses: train, image: "registry.example/train:2"}

    Fix:
        # after `pipec image lock`, pipec.lock has registry.example/train:2 too
        train: {uses: train, image: "registry.example/train:2"}
    """
    if not subject.lock.exists or (subject.environment and subject.environment.production):
        return
    for image, loc in _unpinned(subject):
        message = f"`{image}` is named without a digest, and {LOCK_FILE} does not have it"
        yield rule.at(loc, message, help="run `pipec image lock`")


def _unpinned(subject: Subject) -> Iterator[tuple[str, Loc]]:
    """Yield the images of which nothing says the digest, with where each is said."""
    told: set[tuple[str, Loc]] = set()
    for use in subject.pipeline.steps:
        image = subject.image(use)
        if image is None or pin(subject.lock.pinned(image)):
            continue
        loc = _place(subject, use)
        if (image, loc) not in told:
            told.add((image, loc))
            yield image, loc


def _place(subject: Subject, use: StepUse) -> Loc:
    """Return where the image is said that a step runs in."""
    if use.image:
        return subject.pipeline.locate("finally" if use.is_final else "steps", use.name, "image")
    container = subject.graph.interfaces[use.name].container
    if container and container.image:
        return use.uses_loc
    if use.defaults.image:
        return subject.pipeline.locate("image")
    around = subject.environment if subject.environment and subject.environment.image else subject.project
    return around.image_loc or use.loc
