"""The imports of a DAG file: what it uses and nothing else, since the processor loads all of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pipec.targets.airflow.source import Call, Name, Source

_PROVIDERS = "airflow.providers"
_FROM = {
    "DockerOperator": f"{_PROVIDERS}.docker.operators.docker",
    "EmptyOperator": f"{_PROVIDERS}.standard.operators.empty",
    "KubernetesPodOperator": f"{_PROVIDERS}.cncf.kubernetes.operators.pod",
    "PythonOperator": f"{_PROVIDERS}.standard.operators.python",
    "Secret": f"{_PROVIDERS}.cncf.kubernetes.secret",
    "timedelta": "datetime",
}


def imports(
    words: Iterable[str], values: Iterable[Source], modules: Iterable[str], places: Mapping[str, str]
) -> list[str]:
    """Return the import lines, sorted as ruff sorts them, with an empty one between the standard library and Airflow.

    words: names that the file uses beside those in `values`. modules: of the standard library, imported whole.
    places: the modules of names that are not the same in all versions of Airflow.
    """
    known = {**_FROM, **places}
    used = {*words, *(name for value in values for name in named(value))}
    whole = {*modules, *(name.partition(".")[0] for name in used if name.islower() and "." in name)}
    found: dict[str, list[str]] = {}
    for name in sorted(used & known.keys(), key=lambda each: (not each.isupper(), each)):
        found.setdefault(known[name], []).append(name)
    lines = [f"from {module} import {', '.join(found[module])}" for module in sorted(found)]
    standard = [f"import {module}" for module in sorted(whole)]
    standard += [line for line in lines if not line.startswith("from airflow")]
    others = [line for line in lines if line.startswith("from airflow")]
    return [*standard, *([""] if standard else []), *others]


def named(value: Source) -> Iterator[str]:
    """Yield every name that a value calls or refers to."""
    match value:
        case Name(name):
            yield name
        case Call(name, keywords, plain):
            yield name
            for item in plain:
                yield from named(item)
            for _, item in keywords:
                yield from named(item)
        case Mapping():
            for item in value.values():
                yield from named(item)
        case list() | tuple():
            for item in value:
                yield from named(item)
