"""Release safety by brute force: random pipelines, and what design section 8 says of them, read word by word.

Slow and plain on purpose, and written without a look at the rules it is held against: it keeps pipelines in a form of
its own, and takes from pipec only what the library declares of its steps. Shared by the tests and the soak.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pipec.compiler import graph, rule, rules
from pipec.diagnostics import Source
from pipec.schema import load, tree
from pipec.schema.fold import fold
from pipec.schema.model import Project
from pipec.steps import catalog
from pipec.steps.interface import Approval, Artifact, Dataset, Input, Interface, Model, Output, Report, Role

assert rules.__all__, "importing the rules fills the registry"
CODES = ("PIPE501", "PIPE502", "PIPE503", "PIPE504", "PIPE507", "PIPE508", "PIPE509")
SUBJECT = {"PIPE507": 2}  # which of the names in a message is the step that it is about; the first of others
N_WORLDS = 10  # in which each pipeline is run
LOCATIONS = ("s3://one", "s3://two")


def _interface(name: str, inputs: list[Input], outputs: list[Output], role: Role | None = None) -> Interface:
    return Interface(name=name, version="1", summary="", role=role, inputs=tuple(inputs), outputs=tuple(outputs))


# What the library does not have yet and the rules must bear: several inputs, optional ones, models made of models.
MORE = {
    interface.name: interface
    for interface in (
        _interface("merge", [Input(name="left", type=Dataset), Input(name="right", type=Dataset, optional=True)],
                   [Output(name="data", type=Dataset)]),
        _interface("enrich", [Input(name="data", type=Dataset), Input(name="hints", type=Report, optional=True)],
                   [Output(name="data", type=Dataset)]),
        _interface("score", [Input(name="model", type=Model), Input(name="data", type=Dataset)],
                   [Output(name="rows", type=Dataset)]),
        _interface("tune", [Input(name="base", type=Model, fits=True), Input(name="data", type=Dataset, fits=True)],
                   [Output(name="model", type=Model)]),
        _interface("sign", [Input(name="model", type=Model)], [Output(name="model", type=Model, same_as="model")]),
        _interface("census", [], [Output(name="data", type=Dataset, personal=True), Output(name="about", type=Report)]),
        _interface("mask", [Input(name="data", type=Dataset)], [Output(name="data", type=Dataset)], Role.ANONYMIZE),
        _interface("send", [Input(name="data", type=Dataset), Input(name="note", type=Report, optional=True)], [],
                   Role.EXPORT),
    )
}  # fmt: skip
LIBRARY = {name: found for name in catalog.names() if (found := catalog.find(name))}
KNOWN = {**LIBRARY, **MORE}
WEIGHTS = {
    "ingest": 2, "validate-data": 3, "split": 3, "train": 4, "evaluate": 4, "approve": 4, "deploy": 3, "monitor": 1,
    "select": 1, "fetch-model": 1, "rollback": 1, "notify": 1, "trigger": 1, "predict": 1,
    "merge": 1, "enrich": 1, "score": 2, "tune": 2, "sign": 1, "census": 3, "mask": 1, "send": 3,
}  # fmt: skip
SKELETON = ("ingest", "validate-data", "split", "train", "evaluate", "approve", "deploy")

Port = tuple[str, str]  # a step and its output; ("", location) for what comes from outside


@dataclass(frozen=True)
class Term:
    """A term of a `when`. state: of a status function, or empty for a comparison of a small output."""

    state: str
    step: str
    output: str = ""
    negated: bool = False

    def text(self) -> str:
        said = f"{self.state}({self.step})" if self.state else f"steps.{self.step}.{self.output} == 'x'"
        return f"not {said}" if self.negated else said


@dataclass
class Step:
    """A step of a random pipeline. junction: of the terms of its `when`."""

    name: str
    uses: str
    reads: dict[str, Port] = field(default_factory=dict)
    needs: list[str] = field(default_factory=list)
    when: list[Term] = field(default_factory=list)
    junction: str = "and"
    forgives: bool = False

    @property
    def interface(self) -> Interface:
        return KNOWN[self.uses]

    @property
    def asked(self) -> set[str]:
        """The steps about whose end `when` asks: for them, success is not waited for (rule 2)."""
        return {term.step for term in self.when if term.state}

    def text(self) -> str:
        given = [f'{name}: "{_written(port)}"' for name, port in self.reads.items()]
        parts = [f"uses: {self.uses}", f"with: {{{', '.join(given)}}}"]
        parts += [f"needs: [{', '.join(self.needs)}]"] * bool(self.needs)
        parts += [f'when: "{f" {self.junction} ".join(term.text() for term in self.when)}"'] * bool(self.when)
        parts += ["continue_on_error: true"] * self.forgives
        return f"  {self.name}: {{{', '.join(parts)}}}\n"


def _written(port: Port) -> str:
    return f"${{{{ steps.{port[0]}.{port[1]} }}}}" if port[0] else port[1]


Steps = Mapping[str, Step]  # in an order in which each step follows what it names


def pipeline(rng: random.Random, library: Mapping[str, Interface] = KNOWN) -> Steps:
    """Return a random pipeline: a lifecycle, more or less whole, and steps wired at random by type."""
    uses = [name for name in SKELETON if rng.random() < 0.85]
    names, weights = list(library), [WEIGHTS[name] for name in library]
    for name in rng.choices(names, weights, k=rng.randint(0, 6)):
        uses.insert(rng.randint(0, len(uses)), name)
    steps: dict[str, Step] = {}
    for number, name in enumerate(uses):
        made = Step(f"s{number}", name, forgives=rng.random() < 0.1)
        _wire(rng, made, steps)
        steps[made.name] = made
    return steps


def _wire(rng: random.Random, made: Step, before: Steps) -> None:
    for declared in made.interface.inputs:
        ports = _ports(before, declared.type)
        if declared.optional and (not ports or rng.random() < 0.4):
            continue
        # The newest makes chains; any other makes the mistakes that are looked for.
        far = not ports or rng.random() < 0.04
        made.reads[declared.name] = (
            ("", rng.choice(LOCATIONS)) if far else ports[-1] if rng.random() < 0.5 else rng.choice(ports)
        )
    others = list(before)
    made.needs = sorted(rng.sample(others, k=min(len(others), rng.choice((0, 0, 0, 1, 2)))))
    for _ in range(rng.choice((0, 0, 0, 0, 1, 2)) if others else 0):
        made.when.append(_term(rng, before))
    made.junction = rng.choice(("and", "or"))


def _ports(steps: Steps, wanted: Artifact) -> list[Port]:
    return [(step.name, output.name) for step in steps.values() for output in step.interface.outputs
            if output.type is wanted]  # fmt: skip


def _term(rng: random.Random, before: Steps) -> Term:
    step = rng.choice(list(before))
    texts = [o.name for o in before[step].interface.outputs if o.type == "string"]
    if texts and rng.random() < 0.4:
        return Term("", step, rng.choice(texts), rng.random() < 0.3)
    return Term(rng.choice(("succeeded", "failed", "skipped")), step, negated=rng.random() < 0.3)


def text(steps: Steps, order: list[str]) -> str:
    """Return the pipeline as YAML, its steps in `order`."""
    head = "apiVersion: pipec/v1alpha1\nkind: Pipeline\nmetadata: {name: p}\nimage: registry.example/steps:1\nsteps:\n"
    return head + "".join(steps[name].text() for name in order)


# --- what pipec says ---


def said(written: str) -> set[tuple[str, str]]:
    """Return code and subject of every finding of pipec's release rules on a pipeline, for production."""
    source = Source("p.yaml", written)
    (document,), found = tree.read(source)
    assert not found and isinstance(document, tree.Mapping), written
    loaded, more = load.pipeline(fold(document, {}, source), source, "", {}, {})
    assert not more, (more, written)
    built = graph.build(loaded.steps, {use.name: KNOWN[use.uses] for use in loaded.steps if use.uses in KNOWN})
    subject = rule.Subject(loaded, built, Project(), None, tuple(KNOWN))
    findings = [finding for finding in rule.of_release(subject) if finding.rule.code in CODES]
    return {(finding.rule.code, re.findall("`([^`]+)`", finding.message)[SUBJECT.get(finding.rule.code, 0)])
            for finding in findings}  # fmt: skip


# --- what the design says ---


def expected(steps: Steps) -> set[tuple[str, str]]:
    """Return what design section 8 finds: a deploy, or for PIPE503 a step that fits, under each code."""
    found = {("PIPE503", name) for name in _fits_on_test_data(steps)}
    found |= {("PIPE508", name) for name in _lets_out(steps)}
    found |= {("PIPE509", name) for name in _judges_what_was_learned(steps)}
    for name, step in steps.items():
        if step.interface.role is not Role.DEPLOY:
            continue
        model = origin(steps, name, "model")
        before = _behind(name, lambda at: hard(steps[at]))
        if not any(_treats(steps, other, Role.APPROVE, model) for other in before):
            found.add(("PIPE501", name))
        if not any(_treats(steps, other, Role.EVALUATE, model) for other in before):
            found.add(("PIPE502", name))
        if _is_learned_from_raw(steps, model):
            found.add(("PIPE504", name))
    misled = {("PIPE507", name) for name in _reads_of_another(steps)}
    return found | {one for one in misled if ("PIPE501", one[1]) not in found}  # what nobody approved is told as that


def hard(step: Step) -> set[str]:
    """The steps without whose success `step` does not run (rules 1 and 2)."""
    optional = {declared.name for declared in step.interface.inputs if declared.optional and not declared.hard}
    named = {port[0] for name, port in step.reads.items() if port[0] and name not in optional}
    return (named | set(step.needs) | {term.step for term in step.when if not term.state}) - step.asked


def origin(steps: Steps, reader: str, name: str) -> Port:
    """Where what an input reads was made: `same_as` outputs are their inputs; each read of a location is its own."""
    step, output = steps[reader].reads[name]
    if not step:
        return ("", f"{reader}.{name}")
    declared = steps[step].interface.output(output)
    assert declared is not None
    return (step, output) if declared.same_as is None else origin(steps, step, declared.same_as)


def _behind(start: str, before: object) -> set[str]:
    """Every step from which `start` is reached, the long way: until nothing is added."""
    reached = {start}
    while True:
        more = {other for at in reached for other in before(at)} - reached  # type: ignore[operator]
        if not more:
            return reached - {start}
        reached |= more


def _treats(steps: Steps, name: str, role: Role, model: Port) -> bool:
    """Whether a step has a role, and this model as its subject; an optional one, as a champion, is only compared."""
    step = steps[name]
    read = [declared.name for declared in step.interface.inputs if declared.type is Model and not declared.optional]
    return step.interface.role is role and any(origin(steps, name, given) == model for given in read)


def _is_learned_from_raw(steps: Steps, model: Port) -> bool:
    """Whether rows reach what made a model, once all validations are taken away."""
    if not model[0]:
        return False  # nothing here made it
    left = {name: step for name, step in steps.items() if step.interface.role is not Role.VALIDATE}

    def feeders(name: str) -> set[str]:
        return {port[0] for port in left[name].reads.values() if port[0] in left}

    behind = {model[0], *_behind(model[0], feeders)}
    return any(_is_source(left[name]) for name in behind)


def _is_source(step: Step) -> bool:
    """Whether rows enter here: a step that reads them from a location, or makes them of no other rows."""
    data = [step.reads[i.name] for i in step.interface.inputs if i.type is Dataset and i.name in step.reads]
    makes = any(output.type is Dataset for output in step.interface.outputs)
    return (makes and not data) or any(not port[0] for port in data)


def _fits_on_test_data(steps: Steps) -> Iterator[str]:
    """The steps that fit on what was made, however indirectly, of an output set aside for testing."""
    tainted: set[Port] = set()
    for step in steps.values():
        for output in step.interface.outputs:
            read = step.reads.values() if output.same_as is None else [step.reads[output.same_as]]
            if output.split == "test" or any(port in tainted for port in read):
                tainted.add((step.name, output.name))
    for step in steps.values():
        if any(declared.fits and step.reads.get(declared.name) in tainted for declared in step.interface.inputs):
            yield step.name


def _lets_out(steps: Steps) -> Iterator[str]:
    """The steps that release or export what was made, however indirectly, with data about people."""
    personal: set[Port] = set()
    for step in steps.values():
        for output in step.interface.outputs:
            read = step.reads.values() if output.same_as is None else [step.reads[output.same_as]]
            is_masked = step.interface.role is Role.ANONYMIZE
            if output.personal or (not is_masked and any(port in personal for port in read)):
                personal.add((step.name, output.name))
    for step in steps.values():
        if step.interface.role in (Role.DEPLOY, Role.EXPORT) and personal & set(step.reads.values()):
            yield step.name


def _judges_what_was_learned(steps: Steps) -> Iterator[str]:
    """The evaluations of a model of which every evaluation is on rows that it learned from, and that are no test."""
    for maker in steps.values():
        for made in maker.interface.outputs:
            if made.type is not Model or made.same_as:
                continue
            fits = [i.name for i in maker.interface.inputs if i.fits and i.name in maker.reads]
            learned = {origin(steps, maker.name, name) for name in fits}
            learned = {port for port in learned if not port[0] or _declared(steps, port).split != "test"}
            judges = [name for name in steps if _treats(steps, name, Role.EVALUATE, (maker.name, made.name))]
            rows = [origin(steps, name, i.name) for name in judges for i in steps[name].interface.inputs
                    if i.type is Dataset and i.name in steps[name].reads]  # fmt: skip
            if rows and all(port in learned for port in rows):
                yield from judges


def _reads_of_another(steps: Steps) -> Iterator[str]:
    """The approvals and releases of one model that are given a report or an approval of another."""
    for name, step in steps.items():
        if step.interface.role not in (Role.APPROVE, Role.DEPLOY):
            continue
        model = origin(steps, name, "model")
        if model[0] == "":
            continue
        for declared in step.interface.inputs:
            if declared.type not in (Report, Approval) or declared.name not in step.reads:
                continue
            writer = steps.get(step.reads[declared.name][0])
            if writer is None or writer.interface.role not in (Role.EVALUATE, Role.APPROVE):
                continue
            about = origin(steps, writer.name, "model")
            if about[0] and about != model:
                yield name


def _declared(steps: Steps, port: Port) -> Output:
    found = steps[port[0]].interface.output(port[1])
    assert found is not None
    return found


# --- what a run would do ---

Ends = dict[str, str]


def run(rng: random.Random, steps: Steps) -> Ends:
    """Return how each step ends in a random world, by rules 1 and 2; a forgiven failure is told apart."""
    ends: Ends = {}
    luck = rng.choice((0.5, 0.8, 0.95))
    for name, step in steps.items():
        ends[name] = _end(rng, step, ends, luck)
    return ends


def _end(rng: random.Random, step: Step, ends: Ends, luck: float) -> str:
    bad = "forgiven" if step.forgives else "failed"
    seen = {name: "skipped" if end == "forgiven" else end for name, end in ends.items()}
    softly = {port[0] for port in step.reads.values() if port[0]} - hard(step) - step.asked
    if any(seen[name] != "succeeded" for name in hard(step)) or any(seen[name] == "failed" for name in softly):
        return "skipped"
    for term in step.when:
        if term.state:
            holds = (seen[term.step] == term.state) != term.negated
        elif seen[term.step] != "succeeded":
            return bad  # an absent value is a failure
        else:
            holds = (rng.random() < luck) != term.negated
        if holds != (step.junction == "and"):
            break  # the first term that decides; the others are not looked at
    else:
        holds = step.junction == "and" or not step.when
    if not holds:
        return "skipped"
    return "succeeded" if rng.random() < luck else bad


def escapes(steps: Steps, ends: Ends, found: set[tuple[str, str]]) -> Iterator[str]:
    """Tell of every release in a run that no approval or no evaluation preceded, though no rule said so."""
    for name, step in steps.items():
        if step.interface.role is not Role.DEPLOY or ends[name] == "skipped":
            continue
        model = origin(steps, name, "model")
        for code, role in (("PIPE501", Role.APPROVE), ("PIPE502", Role.EVALUATE)):
            done = (other for other, end in ends.items() if end == "succeeded")
            if (code, name) not in found and not any(_treats(steps, other, role, model) for other in done):
                yield f"{name} ran without a step of role {role}, and {code} was not found"


def disagreements(seed: int, number: int) -> tuple[list[str], set[str]]:
    """Return what is wrong with pipec's findings on one random pipeline, and the codes that it found."""
    rng = random.Random(f"release:{seed}:{number}")
    steps = pipeline(rng)
    order = rng.sample(list(steps), k=len(steps))
    written = text(steps, order)
    told, wanted = said(written), expected(steps)
    wrong = [f"{code} about {name} is missing" for code, name in sorted(wanted - told)]
    wrong += [f"{code} about {name} is told and should not be" for code, name in sorted(told - wanted)]
    for _ in range(N_WORLDS):
        wrong += escapes(steps, run(rng, steps), told)
    return sorted(set(wrong)), {code for code, _ in told} or {"none"}
