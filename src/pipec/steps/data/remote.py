"""The door to fsspec and obstore: URLs as file systems, and what their faults mean.

Plain code that knows nothing of pipec. Imports a driver only when a URL is met.
"""

from __future__ import annotations

import importlib.util
from typing import Any
from urllib.parse import urlsplit, urlunsplit

# obstore serves these without botocore, whose dependencies clash with ours; fsspec's own drivers serve the rest.
OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
# obstore's own words for what other drivers say with Python's exceptions (obstore.exceptions).
_ABSENT, _TAKEN, _DENIED = "NotFoundError", "AlreadyExistsError", ("PermissionDeniedError", "UnauthenticatedError")


def is_remote(location: str) -> bool:
    """Say whether a location is a URL that a driver must reach."""
    return "://" in location and not location.startswith("file://")


def shown(location: str) -> str:
    """Return a location as it may be printed: without user name, password, query and fragment."""
    if not is_remote(location):
        return location
    parts = urlsplit(location)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def system_of(url: str) -> tuple[Any, str]:
    """Return fsspec's file system for a URL, and the path in it.

    Raises ImportError where fsspec or the driver is not installed, and ValueError at a scheme that nobody knows.
    """
    import fsspec

    scheme = url.partition("://")[0]
    if scheme in OBJECT_STORES and importlib.util.find_spec("obstore"):
        from obstore.fsspec import register

        register(scheme)
    system, path = fsspec.core.url_to_fs(url)
    return system, str(path)


def create(system: Any, scheme: str, path: str, content: bytes) -> bool:
    """Write a file that must not exist yet, in one request; False if there is one already."""
    try:
        if type(system).__module__.startswith("obstore"):
            # Its fsspec form takes `mode` and ignores it (obstore 0.12): ask the store itself.
            import obstore
            from obstore.store import from_url

            bucket, _, key = path.removeprefix(f"{scheme}://").partition("/")
            obstore.put(from_url(f"{scheme}://{bucket}"), key, content, mode="create")
        else:
            system.pipe_file(path, content, mode="create")
    except Exception as fault:
        if isinstance(fault, FileExistsError) or type(fault).__name__ == _TAKEN:
            return False
        raise
    return True


def is_absent(fault: Exception) -> bool:
    """Say whether a driver's fault means that nothing is there."""
    return isinstance(fault, FileNotFoundError | NotADirectoryError) or type(fault).__name__ == _ABSENT


def is_denied(fault: Exception) -> bool:
    """Say whether a driver's fault means that the caller has no right to it."""
    return isinstance(fault, PermissionError) or type(fault).__name__ in _DENIED
