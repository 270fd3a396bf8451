"""`pipec.lock`: which image each name stands for, and what our own hold, as `pipec image lock` found it.

A machine writes it, people review it, and compile believes it: so it is read with the guards of every other document.
Knows no registry, and not where the file lies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from pipec.contents import Contents, of_json
from pipec.diagnostics import Finding, Source, has_error
from pipec.record import frozen
from pipec.schema import check, hidden, tree
from pipec.schema import findings as kinds

LOCK_FILE = "pipec.lock"
IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._/:@-]{0,254}")  # as documents may say one
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PIN = re.compile(r"@(sha256:[0-9a-f]{64})$")


@frozen
class Locked:
    """What one name stands for. digest: as a registry knows it. contents: None for an image that is not pipec's."""

    digest: str
    contents: Contents | None = None


@frozen
class Lock:
    """The images of a project, by their names as the documents say them. exists: whether the project has the file."""

    images: Mapping[str, Locked] = field(default_factory=dict)
    exists: bool = False

    def pinned(self, image: str) -> str:
        """Return an image with its digest: what the text says counts, then what is locked under that very name.

        The tag stays, for people: Docker, containerd and Kubernetes look up `name:tag@digest` by the digest alone.
        """
        found = None if pin(image) else self.images.get(image)
        return f"{image}@{found.digest}" if found else image

    def contents(self, image: str | None) -> Contents | None:
        """Return what an image holds, known by its digest where it has one, else by its name; None: not known."""
        digest = pin(image or "")
        if not digest:
            found = self.images.get(image or "")
            return found.contents if found else None
        return next((each.contents for each in self.images.values() if each.digest == digest and each.contents), None)

    def text(self) -> str:
        """Return the text of the file, the same for equal locks."""
        images = {
            name: {"digest": each.digest, "contents": each.contents.as_json() if each.contents else None}
            for name, each in sorted(self.images.items())
        }
        body = {"apiVersion": check.API_VERSION, "kind": "Lock", "images": images}
        return json.dumps(body, indent=1, ensure_ascii=False) + "\n"


def pin(image: str) -> str:
    """Return the digest that an image is named with, or an empty text."""
    found = _PIN.search(image)
    return found[1] if found else ""


def named(document: tree.Tree) -> Iterator[str]:
    """Yield the images that a document of any kind names, for itself, its steps and its environments."""
    if not isinstance(document, tree.Mapping):
        return
    image = document.get("image")
    if isinstance(image, tree.Scalar) and isinstance(image.value, str):
        yield image.value
    for section in ("steps", "finally", "environments"):
        below = document.get(section)
        for entry in below.entries if isinstance(below, tree.Mapping) else ():
            yield from named(entry.value)


def read(source: Source) -> tuple[Lock, tuple[Finding, ...]]:
    """Return the lock that a text is, or what is wrong with it. Never raises for any text."""
    known = _as_written(source)
    return (known, ()) if known else _as_document(source)


def _as_written(source: Source) -> Lock | None:
    """Return the lock if a text is, to the byte, what `text` writes.

    A team's image may hold thousands of files, and to place each value takes fifteen times as long as to read it (170
    and 8 ms for 5,000): so that is left to texts in which something may have to be told.
    """
    if len(source.text) > tree.MAX_BYTES or "\\u" in source.text:
        return None
    try:
        lock = _lock(json.loads(source.text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    is_same = lock.text() == source.text and _is_sound(lock)
    # JSON writes the controls of ASCII as escapes, all but one; looking for the hidden characters is the dearest part.
    is_plain = source.text.isascii() and "\x7f" not in source.text
    return lock if is_same and (is_plain or hidden.in_text(source) is None) else None


def _is_sound(lock: Lock) -> bool:
    known = [each.contents for each in lock.images.values() if each.contents]
    digests = [each.digest for each in lock.images.values()]
    digests += [digest for each in known for digest in each.files.values()]
    digests += [step.interface for each in known for step in each.steps.values()]
    return all(map(IMAGE.fullmatch, lock.images)) and all(map(DIGEST.fullmatch, digests))


def _as_document(source: Source) -> tuple[Lock, tuple[Finding, ...]]:
    documents, found = tree.read(source)
    if has_error(found):
        return Lock(), found
    if len(documents) > 1:
        message = "a lock is one document"
        return Lock(), (kinds.WRONG_KIND.at(documents[1].loc, message, help="write it again: `pipec image lock`"),)
    wrong = [*check.header(documents[0], "Lock")]
    if not has_error(wrong):
        wrong += check.shape(documents[0], check.schema("lock"))
    if has_error(wrong):
        return Lock(), (*found, *wrong)
    return _lock(tree.as_json(documents[0])), found


def _lock(body: Any) -> Lock:
    images = {
        name: Locked(each["digest"], None if each["contents"] is None else of_json(each["contents"]))
        for name, each in body["images"].items()
    }
    return Lock(images, exists=True)
