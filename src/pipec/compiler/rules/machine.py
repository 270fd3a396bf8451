"""`PIPE401`, `403`, `404`, `406`, `408`, `409`, `417`: what steps ask of machines, and what is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache

from pipec.compiler.device import known, makes
from pipec.compiler.rule import Subject, rule
from pipec.compiler.rules.ask import Asked, asks
from pipec.diagnostics import Finding, Ignorable, Loc, Rule, Severity, suggest
from pipec.schema.model import Ask, Pool, StepUse
from pipec.schema.tree import Mapping as MappingNode
from pipec.steps.interface import Accelerator, Interface


@rule("PIPE401", "unusable-accelerator", ignorable=Ignorable.LINE)
def unusable_accelerator(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A step asks for a device that it cannot use.

    Why: the device would be paid for and stand idle.

    Bad:
        ingest: {uses: ingest, resources: {accelerator: {kind: gpu}}, with: {source: data/wine.csv}}

    Fix:
        ingest: {uses: ingest, with: {source: data/wine.csv}}
    """
    for asked in asks(subject):
        interface = subject.graph.interfaces.get(asked.use.name)
        accelerator = asked.ask.accelerator
        if interface is None or accelerator is None or accelerator.kind in interface.accelerators:
            continue
        usable = ", ".join(interface.accelerators) or "none"
        yield rule.at(asked.place("accelerator"), f"`{interface.name}` cannot use {_one(accelerator.kind)}",
                      help=f"remove `accelerator`; kinds that `{interface.name}` can use: {usable}")  # fmt: skip


@rule("PIPE403", "unknown-place")
def unknown_place(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A step names a pool or a volume that the project or its environment does not have.

    Why: nobody could say on which machine it runs, or what is mounted.

    Bad:
        train: {uses: train, resources: {pool: a10}}

    Fix:
        train: {uses: train, resources: {pool: a100}}
    """
    known_pools = _pools(subject)
    for asked in asks(subject):
        pools = known_pools(asked.environment)
        if asked.ask.pool and asked.ask.pool not in pools:
            help_text = suggest(asked.ask.pool, pools, "pools:")
            yield rule.at(asked.place("pool"), f"there is no pool `{asked.ask.pool}`", help=help_text)
    environments = (subject.environment,) if subject.environment else subject.project.environments
    volumes = {name for environment in environments for name in environment.volumes}
    for use in subject.pipeline.steps:
        for volume in use.volumes:
            if volume.name not in volumes:
                where = f"environment `{subject.environment.name}`" if subject.environment else "no environment"
                message = f"{where} {'has no' if subject.environment else 'has a'} volume `{volume.name}`"
                yield rule.at(volume.loc, message, help=suggest(volume.name, volumes, "volumes:"))


def _pools(subject: Subject) -> Callable[[str], Mapping[str, Pool]]:
    """Return what tells the pools of an environment by its name; of an empty one, those in force."""

    @cache
    def pools(environment: str) -> Mapping[str, Pool]:
        return subject.project.pools_in(
            subject.project.environment(environment) if environment else subject.environment
        )

    return pools


def _asks_with_pool(subject: Subject) -> Iterator[tuple[Asked, Accelerator | None]]:
    """Yield what each step asks for, with the devices of the pool that it names."""
    pools = _pools(subject)
    for asked in asks(subject):
        pool = pools(asked.environment).get(asked.ask.pool) if asked.ask.pool else None
        yield asked, pool.accelerator if pool else None


@rule("PIPE404", "contradictory-resources", ignorable=Ignorable.LINE)
def contradictory_resources(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A step asks for devices that its pool does not have.

    Why: it would wait for a machine that never comes.

    Bad:
        # pools: {a100: {accelerator: {kind: gpu, model: a100}}}
        train: {uses: train, resources: {pool: a100, accelerator: {kind: gpu, model: h100}}}

    Fix:
        train: {uses: train, resources: {pool: a100, accelerator: {kind: gpu}}}
    """
    for asked, there in _asks_with_pool(subject):
        wanted = asked.ask.accelerator
        if wanted is None or there is None:
            continue
        opening = f"`{asked.use.name}` asks for"
        for what in ("kind", "vendor", "model"):
            mine, its = getattr(wanted, what), getattr(there, what)
            if mine and its and mine != its:
                message = f"{opening} `{mine}`, and pool `{asked.ask.pool}` has `{its}`"
                help_text = f"leave `{what}` out, or choose another pool"
                yield rule.at(asked.place("accelerator", what), message, help=help_text)
        if wanted.memory_mib and there.memory_mib and wanted.memory_mib > there.memory_mib:
            sizes = f"devices of {_size(wanted.memory_mib)}, and those of pool `{asked.ask.pool}` have"
            yield rule.at(asked.place("accelerator", "memory"), f"{opening} {sizes} {_size(there.memory_mib)}",
                          help="leave `memory` out, or choose another pool")  # fmt: skip


def _size(memory_mib: int) -> str:
    return f"{memory_mib // 1024}Gi" if memory_mib % 1024 == 0 else f"{memory_mib}Mi"


@rule("PIPE406", "machines-without-launcher")
def machines_without_launcher(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A step is to work on several machines, and its program does not find its peers there.

    Why: each machine would do the whole work alone, and all would write the same output.

    Bad:
        train: {uses: train, resources: {machines: 4}}

    Fix:
        # fit.yaml is a Step with `distributed: true`: its program joins its peers by itself
        train: {uses: ./fit.yaml, resources: {machines: 4}}
    """
    told_default = False
    silent = {use.name for use in subject.pipeline.steps}
    for asked in asks(subject):
        if not asked.environment and asked.ask.machines:
            silent.discard(asked.use.name)
        if (asked.ask.machines or 1) > 1 and _is_alone(subject, asked.use.name):
            yield _alone(rule, subject, asked.use.name, asked.ask.machines, asked.place("machines"))
    for use in subject.pipeline.steps:
        number = next((m for layer in _layers(subject, use.defaults.resources) if (m := layer.machines)), 1)
        if number > 1 and use.name in silent and _is_alone(subject, use.name) and not told_default:
            told_default = True  # one place to change, whatever the number of steps
            own = use.defaults.resources and use.defaults.resources.machines
            loc = subject.pipeline.locate("defaults", "resources", "machines") if own else use.loc
            yield _alone(rule, subject, use.name, number, loc)


def _alone(rule: Rule, subject: Subject, step: str, machines: int | None, loc: Loc) -> Finding:
    name = subject.graph.interfaces[step].name
    return rule.at(loc, f"`{step}` would run on {machines} machines, and `{name}` does not find its peers on them",
                   help="leave `machines` out, or use a step whose manifest says `distributed: true`")  # fmt: skip


def _is_alone(subject: Subject, step: str) -> bool:
    interface = subject.graph.interfaces.get(step)
    return interface is not None and step not in subject.composite and not interface.distributed


def _layers(subject: Subject, own: Ask | None) -> Iterator[Ask]:
    """Yield what steps ask that say nothing, the nearest first."""
    environment = subject.environment.defaults.resources if subject.environment else None
    for layer in (own, environment, subject.project.defaults.resources):
        if layer is not None:
            yield layer


def _has_accelerator(subject: Subject, use: StepUse, own: Ask, interface: Interface) -> bool:
    """Say whether a step asks for a device, or anything around it does."""
    around = [own, *_layers(subject, use.defaults.resources)]
    return any(layer.accelerator for layer in around) or interface.resources.accelerator is not None


@rule("PIPE408", "idle-accelerator", severity=Severity.WARNING)
def idle_accelerator(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A step is sent to machines with accelerators, and asks for none.

    Why: it takes the place of work that needs one, and cannot use it: a device that is not asked for is not given.

    Bad:
        # pools: {a100: {accelerator: {kind: gpu, model: a100}}}
        train: {uses: train, resources: {pool: a100}}

    Fix:
        train: {uses: train, resources: {pool: a100, accelerator: {kind: gpu}}}
    """
    for asked, there in _asks_with_pool(subject):
        use = asked.use
        interface = subject.graph.interfaces.get(use.name)
        if asked.environment or there is None or interface is None or use.name in subject.composite:
            continue  # what an environment that was not chosen has by default is not known here
        if not _has_accelerator(subject, use, asked.ask, interface):
            message = f"`{use.name}` asks for no {there.kind}, and the machines of pool `{asked.ask.pool}` have one"
            ask_for = f"add `accelerator: {{kind: {there.kind}}}`, or " if there.kind in interface.accelerators else ""
            yield rule.at(asked.place("pool"), message, help=f"{ask_for}choose a pool without accelerators")


@rule("PIPE417", "missing-accelerator", ignorable=Ignorable.LINE)
def missing_accelerator(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A step that needs a device asks for none.

    Why: it would wait for its turn, fetch its data and fail, or crawl where it was meant to run.

    Bad:
        # fit.yaml is a Step with `accelerators: [gpu]` and `needs_accelerator: true`
        fit: {uses: ./fit.yaml}

    Fix:
        fit: {uses: ./fit.yaml, resources: {accelerator: {kind: gpu}}}
    """
    needing = {name for name, interface in subject.graph.interfaces.items() if interface.needs_accelerator}
    # Where no environment is chosen, it is enough that one of them gives what the pipeline itself does not.
    others = (asked for asked in asks(subject) if asked.environment) if needing else ()
    given = {asked.use.name for asked in others if asked.ask.accelerator}
    for use in subject.pipeline.steps:
        if use.name not in needing or (use.name in given and subject.environment is None):
            continue
        interface = subject.graph.interfaces[use.name]
        if not _has_accelerator(subject, use, use.ask, interface):
            kinds = ", ".join(f"`{kind}`" for kind in interface.accelerators)
            message = f"`{use.name}` asks for no accelerator, and `{interface.name}` needs one: {kinds}"
            advice = f"add `resources: {{accelerator: {{kind: {interface.accelerators[0]}}}}}`"
            yield rule.at(use.uses_loc, message, help=advice)


@rule("PIPE409", "impossible-resources", ignorable=Ignorable.LINE)
def impossible_resources(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A step asks for a device that nobody makes: one with more memory than its model has, or of another maker.

    Why: it would wait for a machine that never comes. Models that pipec does not know are taken as they are said.

    Bad:
        train: {uses: train, resources: {accelerator: {kind: gpu, model: a100, memory: 96Gi}}}

    Fix:
        train: {uses: train, resources: {accelerator: {kind: gpu, model: a100, memory: 80Gi}}}
    """
    for asked, there in _asks_with_pool(subject):
        if asked.ask.accelerator:
            yield from _impossible(rule, asked, asked.ask.accelerator, there)
    own = next((use.defaults.resources for use in subject.pipeline.steps), None)
    defaults = subject.pipeline.tree.get("defaults") if own and own.accelerator else None
    said = defaults.get("resources") if isinstance(defaults, MappingNode) else None
    if own and own.accelerator and said:
        pool = _pools(subject)("").get(own.pool) if own.pool else None
        everybody = Asked(subject.pipeline.steps[0], own, said, "")
        yield from _impossible(rule, everybody, own.accelerator, pool.accelerator if pool else None)


def _impossible(rule: Rule, asked: Asked, wanted: Accelerator, there: Accelerator | None) -> Iterator[Finding]:
    """Find what contradicts itself in the devices that are asked for. there: those of the pool.

    That a pool has others is told by PIPE404, so of a pool that names its model only the memory counts here.
    """
    vendor = wanted.vendor or (there.vendor if there and not there.model else None)
    mine = known(wanted.model)
    at_vendor = asked.place("accelerator", "vendor") if wanted.vendor else asked.place("accelerator")
    if mine and wanted.kind != mine.kind:
        message = f"`{wanted.model}` is {_one(mine.kind)}, not {_one(wanted.kind)}"
        yield rule.at(asked.place("accelerator", "kind"), message, help=f"write `kind: {mine.kind}`")
    elif mine and vendor and vendor != mine.vendor:
        message = f"`{wanted.model}` is made by {mine.vendor}, not by {vendor}"
        yield rule.at(at_vendor, message, help=f"write `vendor: {mine.vendor}`, or leave it out")
    elif not wanted.model and vendor and not makes(vendor, wanted.kind):
        yield rule.at(at_vendor, f"{vendor} makes no {wanted.kind}", help="leave `vendor` out, or choose another kind")
    model = wanted.model or (there.model if there else None)
    device = known(model)
    if device and wanted.memory_mib and wanted.memory_mib > device.memory_gib * 1024:
        message = (
            f"a device of {_size(wanted.memory_mib)} is asked for, and `{model}` has {device.memory_gib}Gi at most"
        )
        yield rule.at(asked.place("accelerator", "memory"), message, help="ask for less, or for another model")


def _one(kind: str) -> str:
    """Return a kind of device with its article: the letters are spoken, so it is an fpga."""
    return f"{'an' if kind[0] in 'fn' else 'a'} {kind}"
