"""The door to fsspec and obstore: URLs as file systems.

Plain code that knows nothing of pipec. Imports a driver only when a URL is met.
"""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from obstore.store import RetryConfig

# obstore serves these without botocore, whose dependencies clash with ours; fsspec's own drivers serve the rest.
OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
_TAKEN = "AlreadyExistsError"  # obstore's own word for FileExistsError
# Of one request, by obstore itself; who transfers whole files tries again around it. Its defaults go on for 3 minutes.
_RETRIES: RetryConfig = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=30),
    "backoff": {"init_backoff": timedelta(seconds=0.2), "max_backoff": timedelta(seconds=2), "base": 2},
}


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
        system, path = fsspec.core.url_to_fs(url, retry_config=_RETRIES)
        return system, str(path)
    system, path = fsspec.core.url_to_fs(url)
    return system, str(path)


def is_object_store(system: Any) -> bool:
    """Say whether obstore serves this file system: objects appear whole, and ranges of them can be asked for."""
    return type(system).__module__.startswith("obstore")


def put_parts(system: Any, path: str, parts: Iterator[bytes], part_size: int, *, is_small: bool) -> None:
    """Write an object of an object store from its parts, each of `part_size` but the last. is_small: it is but one."""
    import fsspec.asyn
    import obstore
    from obstore.store import from_url

    protocol = system.protocol if isinstance(system.protocol, str) else system.protocol[0]
    bucket, _, key = path.removeprefix(f"{protocol}://").partition("/")
    store = from_url(f"{protocol}://{bucket}", retry_config=_RETRIES)

    async def one_by_one() -> AsyncIterator[bytes]:
        for part in parts:  # a plain iterator would be emptied into memory first (obstore 0.12)
            yield part

    async def put() -> None:
        if is_small:
            await obstore.put_async(store, key, next(parts), use_multipart=False)
            return
        await obstore.put_async(store, key, one_by_one(), chunk_size=part_size, max_concurrency=4)

    # On fsspec's own thread, whose caller can be interrupted: a signal must not wait for a slow server.
    fsspec.asyn.sync(system.loop, put)


def create(system: Any, scheme: str, path: str, content: bytes) -> bool:
    """Write a file that must not exist yet, in one request; False if there is one already."""
    try:
        if is_object_store(system):
            # Its fsspec form takes `mode` and ignores it (obstore 0.12): ask the store itself.
            import obstore
            from obstore.store import from_url

            bucket, _, key = path.removeprefix(f"{scheme}://").partition("/")
            obstore.put(from_url(f"{scheme}://{bucket}", retry_config=_RETRIES), key, content, mode="create")
        else:
            system.pipe_file(path, content, mode="create")
    except Exception as fault:
        if isinstance(fault, FileExistsError) or type(fault).__name__ == _TAKEN:
            return False
        raise
    return True
