"""What must not be read in what is told: the values of secrets, blotted out of texts and of streams.

Below engine and steps because both carry what a process says, and must hide alike. Knows values, not where they lie.
"""

from __future__ import annotations

from collections.abc import Iterable

BLOT = b"***"
SHORTEST = 4  # characters: a shorter secret would blot out half of every log


def redacted(data: bytes, secrets: Iterable[str]) -> bytes:
    """Return `data` with `***` in place of every secret that is long enough to be told from other text."""
    return _without(data, _known(secrets))


def _known(secrets: Iterable[str]) -> list[bytes]:
    """Return the secrets to look for, longest first: one that holds another is blotted out whole."""
    known = {secret.encode("utf-8", "surrogateescape") for secret in secrets if len(secret) >= SHORTEST}
    return sorted(known, key=lambda secret: (-len(secret), secret))


def _without(data: bytes, secrets: list[bytes]) -> bytes:
    for secret in secrets:
        data = data.replace(secret, BLOT)
    return data


class Redactor:
    """Blots secrets out of a stream, also where one is cut by the end of a chunk."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = _known(secrets)
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Return what may be told so far; the end of it is held back while it may be the beginning of a secret."""
        data = _without(self._held + data, self._secrets)
        cut = len(data) - max((_n_begun(data, secret) for secret in self._secrets), default=0)
        self._held = data[cut:]
        return data[:cut]

    def rest(self) -> bytes:
        """Return what was held back, at the end of the stream."""
        return self._held


def _n_begun(data: bytes, secret: bytes) -> int:
    """Return how many bytes at the end of `data` are the beginning of `secret`."""
    at = data.find(secret[:1], max(0, len(data) - len(secret) + 1))
    while at >= 0:
        if secret.startswith(data[at:]):
            return len(data) - at
        at = data.find(secret[:1], at + 1)
    return 0
