"""A checked project document to a typed one."""

from __future__ import annotations

from typing import Any

from pipec.diagnostics import Loc
from pipec.schema import part
from pipec.schema.model import Environment, Pool, Project
from pipec.schema.tree import Entry, Mapping, Tree, as_json


def project(tree: Mapping, targets: frozenset[str]) -> Project:
    """Return the project that a checked document describes; `targets`: names whose settings environments may hold."""
    body: Any = as_json(tree)
    environments = tree.get("environments")
    entries = environments.entries if isinstance(environments, Mapping) else ()
    return Project(
        name=body["metadata"]["name"],
        owner=body["metadata"].get("owner", ""),
        image=body.get("image"),
        image_loc=_place(tree, "image"),
        defaults=part.defaults(body.get("defaults")),
        roles={name: tuple(people) for name, people in body.get("roles", {}).items()},
        secrets=body.get("secrets", {}),
        configs=body.get("configs", {}),
        pools=_pools(body.get("pools", {})),
        environments=tuple(_environment(entry, targets) for entry in entries),
    )


def _environment(entry: Entry, targets: frozenset[str]) -> Environment:
    body: Any = as_json(entry.value) or {}
    production = entry.value.entry("production") if isinstance(entry.value, Mapping) else None
    return Environment(
        name=entry.key,
        loc=entry.key_loc,
        production=body.get("production", False),
        production_loc=production.key_loc if production else None,
        artifacts=body.get("artifacts"),
        image=body.get("image"),
        image_loc=_place(entry.value, "image"),
        defaults=part.defaults(body.get("defaults")),
        secrets=body.get("secrets", {}),
        configs=body.get("configs", {}),
        pools=_pools(body.get("pools", {})),
        volumes=body.get("volumes", {}),
        settings={name: body[name] for name in sorted(targets) if name in body},
    )


def _place(tree: Tree, key: str) -> Loc | None:
    value = tree.get(key) if isinstance(tree, Mapping) else None
    return value.loc if value else None


def _pools(body: Any) -> dict[str, Pool]:
    return {
        name: Pool(
            part.accelerator(said["accelerator"]) if "accelerator" in said else None,
            {key: value for key, value in said.items() if key != "accelerator"},
        )
        for name, said in body.items()
    }
