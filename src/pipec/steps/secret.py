"""Secrets and configs as they reach a step's process: in a variable, or in a file that a variable names.

What Kubernetes and Docker mount as files need not stand in the environment, where every child sees it. No message
here shows a value, or what a file holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipec.steps.command import config_variable, secret_variable
from pipec.steps.declare import CallerError

IN_FILE = "_FILE"  # ends the name of a variable that says where the value is
LIMIT = 1 << 20  # bytes: Kubernetes keeps no larger secret


def secret(name: str, environ: Mapping[str, str]) -> str:
    """Return the value of a secret. Raises CallerError if it did not arrive."""
    return _arrived(f"secret `{name}`", secret_variable(name), environ, "secrets")


def config(name: str, environ: Mapping[str, str]) -> str:
    """Return the value of a config. Raises CallerError if it did not arrive."""
    return _arrived(f"config `{name}`", config_variable(name), environ, "configs")


def known(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return all values that must not be told; a file that cannot be read here tells nothing."""
    found = set()
    for variable, value in environ.items():
        if not variable.startswith(secret_variable("")):
            continue
        found.add(value)  # of a variable that names a file too: a secret may itself be called `x-file`
        if variable.endswith(IN_FILE):
            try:
                found.add(_content(value))
            except (OSError, ValueError):
                continue
    return tuple(sorted(found))


def _arrived(what: str, variable: str, environ: Mapping[str, str], listed: str) -> str:
    if variable in environ:
        return environ[variable]
    named = variable + IN_FILE
    if named not in environ:
        raise CallerError(f"{what} did not arrive in {variable} or {named}: check the environment's `{listed}`")
    try:
        return _content(environ[named])
    except OSError as fault:
        why = (fault.strerror or "it cannot be read").lower()
    except UnicodeDecodeError:
        why = "it is not UTF-8 text"
    except ValueError as fault:
        why = str(fault)
    raise CallerError(f"{what} is not in the file that {named} names ({why}): check how it is mounted")


def _content(path: str) -> str:
    """Return the text of a file, without the one line end that editors put there. Raises OSError or ValueError."""
    place = Path(path)
    if place.exists() and not place.is_file():
        raise ValueError("it is no file")  # a pipe would be waited for
    with place.open("rb") as stream:
        data = stream.read(LIMIT + 1)
    if len(data) > LIMIT:
        raise ValueError(f"it is larger than {LIMIT >> 20} MiB")
    return data.decode("utf-8").removesuffix("\n").removesuffix("\r")
