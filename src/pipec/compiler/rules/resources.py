"""`PIPE401` to `PIPE405`: what is asked of machines."""

from __future__ import annotations

from collections.abc import Iterator

from pipec.compiler.rule import Subject, rule
from pipec.compiler.rules.names import suggest
from pipec.diagnostics import Finding, Rule


@rule("PIPE401", "unusable-accelerator")
def unusable_accelerator(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A step asks for a device that it cannot use.

    Why: the device would be paid for and stand idle.

    Bad:
        ingest: {uses: ingest, resources: {accelerator: {kind: gpu}}, with: {source: data/wine.csv}}

    Fix:
        ingest: {uses: ingest, with: {source: data/wine.csv}}
    """
    for use in subject.pipeline.steps:
        interface = subject.graph.interfaces.get(use.name)
        accelerator = use.ask.accelerator
        if interface is None or accelerator is None or accelerator.kind in interface.accelerators:
            continue
        loc = subject.pipeline.locate("steps", use.name, "resources", "accelerator")
        usable = ", ".join(interface.accelerators) or "none"
        yield rule.at(loc, f"`{interface.name}` cannot use a {accelerator.kind}",
                      help=f"remove `accelerator`; kinds that `{interface.name}` can use: {usable}")  # fmt: skip


@rule("PIPE402", "retried-refusal")
def retried_refusal(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A step that waits for a person's decision is to be tried again.

    Why: a refusal is an answer; asking again would ask until somebody gives in.

    Bad:
        approve: {uses: approve, retry: {attempts: 3}, with: {model: "${{ steps.train.model }}"}}

    Fix:
        approve: {uses: approve, with: {model: "${{ steps.train.model }}"}}
    """
    for use in subject.pipeline.steps:
        interface = subject.graph.interfaces.get(use.name)
        if interface and interface.role == "approve" and use.retry and use.retry.attempts > 1:
            loc = subject.pipeline.locate("steps", use.name, "retry")
            yield rule.at(loc, f"`{use.name}` asks a person, and a refusal is never tried again", help="remove `retry`")


@rule("PIPE403", "unknown-place")
def unknown_place(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A step names a pool or a volume that the project or its environment does not have.

    Why: nobody could say on which machine it runs, or what is mounted.

    Bad:
        train: {uses: train, resources: {pool: a10}}

    Fix:
        train: {uses: train, resources: {pool: a100}}
    """
    pools = subject.project.pools_in(subject.environment)
    environments = (subject.environment,) if subject.environment else subject.project.environments
    volumes = {name for environment in environments for name in environment.volumes}
    for use in subject.pipeline.steps:
        if use.ask.pool and use.ask.pool not in pools:
            loc = subject.pipeline.locate("finally" if use.is_final else "steps", use.name, "resources", "pool")
            yield rule.at(loc, f"there is no pool `{use.ask.pool}`", help=suggest(use.ask.pool, pools, "pools:"))
        for volume in use.volumes:
            if volume.name not in volumes:
                where = f"environment `{subject.environment.name}`" if subject.environment else "no environment"
                message = f"{where} {'has no' if subject.environment else 'has a'} volume `{volume.name}`"
                yield rule.at(volume.loc, message, help=suggest(volume.name, volumes, "volumes:"))


@rule("PIPE404", "contradictory-resources")
def contradictory_resources(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A step asks for devices that its pool does not have.

    Why: it would wait for a machine that never comes.

    Bad:
        # pools: {a100: {accelerator: {kind: gpu, model: a100}}}
        train: {uses: train, resources: {pool: a100, accelerator: {kind: gpu, model: h100}}}

    Fix:
        train: {uses: train, resources: {pool: a100, accelerator: {kind: gpu}}}
    """
    pools = subject.project.pools_in(subject.environment)
    for use in subject.pipeline.steps:
        asked, pool = use.ask.accelerator, pools.get(use.ask.pool or "")
        if asked is None or pool is None or pool.accelerator is None:
            continue
        for what in ("kind", "vendor", "model"):
            wanted, there = getattr(asked, what), getattr(pool.accelerator, what)
            if wanted and there and wanted != there:
                loc = subject.pipeline.locate("steps", use.name, "resources", "accelerator", what)
                yield rule.at(loc, f"`{use.name}` asks for `{wanted}`, and pool `{use.ask.pool}` has `{there}`",
                              help=f"leave `{what}` out, or choose another pool")  # fmt: skip


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
