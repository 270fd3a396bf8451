"""What several tasks of a file are told alike, said once: a reader sees what is special.

What most are told goes into the DAG's `default_args`, and what is long into a constant.

Knows calls and their keywords, not what these mean: which may be shared is a list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pipec.targets.airflow.source import Call, Keywords, Name, Source, write

# Keywords that every operator of a file is told, or is told with the next: without one of them it would have another.
SHARED = (
    "image", "container_resources", "cpus", "mem_limit", "active_deadline_seconds", "retries", "retry_delay",
    "retry_exponential_backoff", "max_retry_delay", "shm_size", "pod_template_dict",
)  # fmt: skip


def shared(calls: Sequence[Call]) -> dict[str, Source]:
    """Return the keywords, of those that may be shared, that most calls have with one and the same value.

    A keyword that some call lacks is shared only by those that it means nothing to: they do not retry.
    """
    found: dict[str, Source] = {}
    for name in SHARED:
        told = [value for call in calls for key, value in call.keywords if key == name]
        if not told or (name in _OF_ALL and len(told) < len(calls)):
            continue
        texts = Counter(write(value) for value in told)
        text, n_told = texts.most_common(1)[0]
        if n_told > 1 and 2 * n_told > len(calls):
            found[name] = next(value for value in told if write(value) == text)
    return found


# What a task is called with, and how it comes to run, stands with it.
_OWN = frozenset({"arguments", "command", "trigger_rule", "needs", "any_of", "siblings", "when", "prepared"})
_OF_ALL = frozenset(SHARED) - {"retry_delay", "retry_exponential_backoff", "max_retry_delay"}


def alike(calls: Sequence[Call]) -> dict[str, Source]:
    """Return the keywords that all of several calls have with one and the same value, but for `_OWN`."""
    if len(calls) < 2:
        return {}
    first, *others = [{key: write(value) for key, value in call.keywords} for call in calls]
    return {
        key: value
        for key, value in calls[0].keywords
        if key not in _OWN and all(told.get(key) == first[key] for told in others)
    }


def without(call: Call, said: Mapping[str, Source]) -> Call:
    """Return a call without the keywords that `default_args` says already."""
    known = {name: write(value) for name, value in said.items()}
    keywords: Keywords = tuple(
        (key, value) for key, value in call.keywords if key not in known or known[key] != write(value)
    )
    return Call(call.name, keywords, call.plain)


def constants(calls: Sequence[Call], keyword: str, name: str) -> dict[str, Source]:
    """Return the values that calls have for a keyword, each once, by names that begin with `name`."""
    found: list[Source] = []
    for call in calls:
        found += [value for key, value in call.keywords if key == keyword and value not in found]
    return {name if number == 1 else f"{name}_{number}": value for number, value in enumerate(found, 1)}


def referring(call: Call, keyword: str, said: Mapping[str, Source]) -> Call:
    """Return a call that has the constant for a keyword of which `said` has the value."""
    named = {key: next((Name(name) for name, known in said.items() if known == value), value)
             for key, value in call.keywords if key == keyword}  # fmt: skip
    return Call(call.name, tuple((key, named.get(key, value)) for key, value in call.keywords), call.plain)
