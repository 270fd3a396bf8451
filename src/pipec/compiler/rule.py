"""What a rule is: one decorated function whose docstring is its page.

    @rule("PIPE210", "dependency-cycle")
    def cycle(subject: Subject) -> Iterator[Finding]:
        '''Steps wait for each other. ... Why: ... Bad: ... Fix: ...'''

Rules are placed once, in `rules/<topic>.py`; the registry is filled by importing that package.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field

from pipec.compiler.arguments import Attachments
from pipec.compiler.graph import Graph
from pipec.compiler.nested import Opened
from pipec.contents import Contents
from pipec.diagnostics import Finding, Ignorable, Rule, Severity, bounded
from pipec.record import frozen
from pipec.schema.lock import Lock
from pipec.schema.model import Environment, Pipeline, Places, Project, Reference, StepUse


@frozen
class Subject:
    """All that a rule may look at: a document, or the flat pipeline that it becomes.

    environment: the chosen one, or None. steps: the names the library offers. secrets, configs: where each lies.
    elsewhere: the two by environment, chosen or not. composite: the steps that are pipelines of their own. uses: what
    each step of the document uses, opened. others: the pipelines of the same file, with their graphs. unread: the names
    of those that are too broken for that. attached: the files that travel with the plan, of a flat pipeline. lock: what
    the project's images are.
    """

    pipeline: Pipeline
    graph: Graph
    project: Project
    environment: Environment | None
    steps: tuple[str, ...]
    secrets: Places = field(default_factory=dict)
    configs: Places = field(default_factory=dict)
    elsewhere: Mapping[str, tuple[Places, Places]] = field(default_factory=dict)
    composite: frozenset[str] = frozenset()
    uses: Mapping[str, Opened] = field(default_factory=dict)
    others: Mapping[str, tuple[Pipeline, Graph]] = field(default_factory=dict)
    attached: Attachments = field(default_factory=dict)
    unread: frozenset[str] = frozenset()
    lock: Lock = Lock()

    def places(self, reference: Reference) -> tuple[Places, Places]:
        """Return where secrets and configs lie for who says a name: an environment may lay it over the pipeline."""
        return self.elsewhere.get(reference.elsewhere, (self.secrets, self.configs))

    @property
    def is_production(self) -> bool:
        """Whether a release of this pipeline counts as one to production; assumed where no environment is chosen."""
        return self.environment.production if self.environment else True

    def image(self, use: StepUse) -> str | None:
        """Return the image that a step runs in, as it is said; None where none is, or the step is a pipeline."""
        interface = self.graph.interfaces.get(use.name)
        if interface is None or use.name in self.composite:
            return None
        own = use.image or (interface.container.image if interface.container else None) or use.defaults.image
        return own or self._said_for_all

    @property
    def usual_image(self) -> str | None:
        """The image of steps that nothing nearer says one of, pinned where the lock knows its digest."""
        return self.lock.pinned(self._said_for_all) if self._said_for_all else None

    @property
    def _said_for_all(self) -> str | None:
        return (self.environment.image if self.environment else None) or self.project.image

    def contents(self, use: StepUse) -> Contents | None:
        """Return what the image of a step holds, as far as it is locked and pipec's own."""
        return self.lock.contents(self.image(use))


Check = Callable[[Rule, Subject], Iterator[Finding]]


@frozen
class Registered:
    """A rule and its function.

    needs_order: it walks the flat pipeline, and runs only on a graph without cycles. twice: it looks at each document,
    and again at a flat pipeline into which others were brought, for what only the whole shows.
    """

    rule: Rule
    check: Check
    needs_order: bool
    twice: bool


REGISTRY: list[Registered] = []


def rule(
    code: str,
    name: str,
    *,
    severity: Severity = Severity.ERROR,
    needs_order: bool = False,
    twice: bool = False,
    ignorable: Ignorable | None = None,
    hides: bool = False,
) -> Callable[[Check], Check]:
    """Register a function as the rule `code`; it is given its own `Rule`, to build findings with.

    ignorable: on its line if it warns, and nowhere if it is an error, unless said otherwise.
    """
    if ignorable is None:
        ignorable = Ignorable.LINE if severity is Severity.WARNING else Ignorable.NOWHERE

    def register(check: Check) -> Check:
        made = Rule(code, name, inspect.cleandoc(check.__doc__ or ""), severity, hides, ignorable)
        REGISTRY.append(Registered(made, check, needs_order, twice))
        return check

    return register


def of_document(subject: Subject) -> Iterator[Finding]:
    """Yield what the rules find that look at one document, with what it uses as steps left whole."""
    for registered in REGISTRY:
        if not registered.needs_order:
            yield from bounded(registered.check(registered.rule, subject))


def of_release(subject: Subject) -> Iterator[Finding]:
    """Yield what the rules find that follow models and data through the flat pipeline, or need the whole of it."""
    for registered in REGISTRY:
        is_wanted = registered.needs_order or (registered.twice and subject.graph.composites)
        if is_wanted and not subject.graph.cycle:
            yield from bounded(registered.check(registered.rule, subject))
