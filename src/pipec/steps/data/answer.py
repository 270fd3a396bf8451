"""What a driver's fault means: nothing there, no right, credentials that are too old, or something that may heal.

Drivers agree on little: Python's own exceptions, obstore's names, aiohttp's numbers, and what a server wrote. Plain
code that knows nothing of pipec.
"""

from __future__ import annotations

import errno
import re

# obstore's own words for what other drivers say with Python's exceptions (obstore.exceptions).
_ABSENT, _DENIED, _UNKNOWN = "NotFoundError", "PermissionDeniedError", "UnauthenticatedError"
_CODE = re.compile(r"<Code>(\w{1,64})</Code>")
_STATUS = re.compile(r"status code: (\d{3})( [A-Za-z -]{1,40})?")
# S3's words (API reference, "Error responses"); the last is where obstore looks for credentials when it was given none.
_STALE = re.compile(
    r"\b(ExpiredToken|ExpiredTokenException|TokenRefreshRequired|InvalidToken|InvalidAccessKeyId|SignatureDoesNotMatch|"
    r"RequestExpired|RequestTimeTooSkewed|InvalidClientTokenId|AuthFailure)\b|169\.254\.169\.254"
)
_WORTH_A_TRY = (408, 409, 425, 429)  # time-outs, conflicts and throttling, among what is else the caller's fault
_FULL = (errno.ENOSPC, errno.EDQUOT)


def is_absent(fault: BaseException) -> bool:
    """Say whether nothing is there."""
    return isinstance(fault, FileNotFoundError | NotADirectoryError) or type(fault).__name__ == _ABSENT


def is_stale(fault: BaseException) -> bool:
    """Say whether the credentials are missing, unknown or too old, so that others would do."""
    unknown = type(fault).__name__ == _UNKNOWN or status(fault) == 401
    return unknown or bool(_STALE.search(str(fault)))


def is_denied(fault: BaseException) -> bool:
    """Say whether the caller is known, but has no right to it."""
    return isinstance(fault, PermissionError) or type(fault).__name__ == _DENIED or status(fault) == 403


def is_full(fault: BaseException) -> bool:
    """Say whether a disk of this machine is full."""
    return isinstance(fault, OSError) and fault.errno in _FULL


def heals(fault: BaseException) -> bool:
    """Say whether the same request may go better a little later."""
    if is_absent(fault) or is_stale(fault) or is_denied(fault) or is_full(fault):
        return False
    if isinstance(fault, ImportError | TypeError | NotImplementedError | MemoryError):
        return False
    number = status(fault)
    return number is None or number >= 500 or number in _WORTH_A_TRY


def status(fault: BaseException) -> int | None:
    """Return the HTTP status that a fault tells of, or None."""
    given = getattr(fault, "status", None)
    if isinstance(given, int):
        return given
    found = _STATUS.search(str(fault))
    return int(found[1]) if found else None


def reason(fault: BaseException) -> str:
    """Return why, in few words that are the same each time: without addresses and durations."""
    text = str(fault).strip() or type(fault).__name__
    if found := _STATUS.search(text):
        code = _CODE.search(text)
        return f"the server answered {found[1]}{found[2] or ''}".rstrip() + (f", {code[1]}" if code else "")
    return text.split("\n", 1)[0].rpartition(" - ")[2].rstrip(".")
