"""Which wheels a set of requirements needs on the base: decided by the base's own answers to markers.

pip evaluates markers for the Python that it runs on, also where it downloads for another one; so what it brought is
looked through again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipec.image.fault import ImageFault
from pipec.image.wheel import Wheel
from pipec.record import frozen


@frozen
class Closure:
    """wheels: those needed, by name. lacking: requirements that no wheel is there for. edges: who needs whom."""

    wheels: tuple[Wheel, ...]
    lacking: tuple[Requirement, ...]
    edges: Mapping[str, tuple[str, ...]]


def of(
    roots: Iterable[Requirement], wheels: Iterable[Wheel], markers: Mapping[str, str], there: Mapping[str, str]
) -> Closure:
    """Return what `roots` need. there: versions of what the image has already, by name.

    Raises ImageFault at a version that does not do.
    """
    known = {wheel.name: wheel for wheel in wheels}
    asked: set[tuple[str, str]] = set()
    edges: dict[str, set[str]] = {}
    lacking: dict[str, Requirement] = {}
    waiting = [("", each) for each in roots]
    while waiting:
        by, requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        edges.setdefault(by, set()).add(name)
        version = known[name].version if name in known else there.get(name)
        if version is None:
            lacking[str(requirement)] = requirement
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            raise ImageFault(_conflict(by, requirement, version))
        if name not in known:
            continue
        for extra in {"", *requirement.extras}:
            if (name, extra) not in asked:
                asked.add((name, extra))
                waiting += [(name, each) for each in known[name].requires if _counts(each.marker, markers, extra)]
    used = {name for name, _ in asked}
    return Closure(
        wheels=tuple(known[name] for name in sorted(used)),
        lacking=tuple(lacking[text] for text in sorted(lacking)),
        edges={by: tuple(sorted(names)) for by, names in sorted(edges.items()) if by},
    )


def _conflict(by: str, requirement: Requirement, version: str) -> str:
    whose = f"`{by}` needs" if by else "what is asked for is"
    return f"{whose} `{requirement}`, but there is {requirement.name} {version}: take versions that go together"


def _counts(marker: Marker | None, markers: Mapping[str, str], extra: str) -> bool:
    return marker is None or marker.evaluate({**markers, "extra": extra})
