"""`pipec serve`: an HTTP server that follows a release store and answers Open Inference Protocol v2 requests."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import unquote, urlsplit

from pipec.steps.ml.fault import AskFault
from pipec.steps.release import protocol
from pipec.steps.release.follow import Follower, Served
from pipec.steps.release.store import Store, checked

MAX_BODY_BYTES = 16 << 20  # about 100,000 rows of ten numbers
IDLE_S = 30  # a connection that says nothing for so long is closed
DRAIN_S = 10  # how long a stopping server waits for answers under way
ENDS = (signal.SIGTERM, signal.SIGINT)
POLL_S = {True: 1.0, False: 5.0}  # local folder or not: requests to an object store cost money
_MODEL = re.compile(r"/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?(?P<verb>/ready|/infer)?")


class _Http(ThreadingHTTPServer):
    daemon_threads = True  # an idle connection must not hold up the end
    request_queue_size = 128
    follower: Follower
    url: str

    def __init__(self, address: tuple[str, int]) -> None:
        self._busy, self._idle = 0, threading.Condition()
        super().__init__(address, _Handler)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Count an answer under way."""
        with self._idle:
            self._busy += 1
        try:
            yield
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def drain(self, timeout_s: float) -> None:
        """Wait until no answer is under way."""
        with self._idle:
            self._idle.wait_for(lambda: self._busy == 0, timeout_s)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a caller who hung up is no event."""


class ModelServer:
    """A server in threads of this process. Use as `with ModelServer(...) as server`, or `start` and `stop`.

    store: a full path or an fsspec URL. name: what to serve; None: everything in the store. port 0: any free one.
    """

    def __init__(
        self, store: str, name: str | None = None, host: str = "127.0.0.1", port: int = 0, *,
        poll_s: float | None = None, log: Callable[[str], None] = print,
    ) -> None:  # fmt: skip
        opened = Store(store)
        if name is not None:
            checked(name)
        try:
            self._http = _Http((host, port))
        except (OSError, OverflowError) as fault:  # the latter at a number that no port has
            why = fault.strerror if isinstance(fault, OSError) else "ports go from 0 to 65535"
            raise AskFault(f"port {port} of `{host}` cannot be used ({why}): choose another") from fault
        taken = self._http.server_address[1]
        self.url = self._http.url = f"http://{_shown_host(host)}:{taken}"
        server = re.sub(r"[^A-Za-z0-9-]", "-", f"{socket.gethostname()}-{os.getpid()}-{taken}")
        self.follower = self._http.follower = Follower(opened, name, server, self.url, log)
        self._poll_s = poll_s or POLL_S["://" not in store]
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._follow), threading.Thread(target=self._http.serve_forever)]

    def start(self) -> None:
        """Load what is there, then answer."""
        self.follower.turn()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish the answers under way, take back the status and close the port."""
        self._stop.set()
        self._http.shutdown()
        self._http.drain(DRAIN_S)
        self._http.server_close()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> ModelServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _follow(self) -> None:
        while not self._stop.wait(self._poll_s):
            self.follower.turn()
        self.follower.close()


def serve(store: str, name: str | None, host: str, port: int, log: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. Call it on the main thread. Raises AskFault at a store or port of no use."""
    # A pipe, not an Event: the handler runs on this very thread, which may hold the lock that `set` would wait for.
    reader, writer = os.pipe()
    previous = {number: signal.signal(number, lambda *_: _wake(writer)) for number in ENDS}
    try:
        with ModelServer(store, name, host, port, log=log) as server:
            log(f"serving {name or 'every release'} of {server.follower.store.shown} at {server.url}")
            os.read(reader, 1)
            log("stopping")
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


def _wake(writer: int) -> None:
    os.write(writer, b".")


class _Handler(BaseHTTPRequestHandler):
    """One connection. Every answer is JSON, faults too; no fault of ours tells more than that it is one."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "pipec", ""
    timeout = IDLE_S
    server: _Http

    def do_GET(self) -> None:
        if {"Content-Length", "Transfer-Encoding"} & set(self.headers):
            self.close_connection = True  # a body that nobody reads is no next request
        with self.server.busy():
            self._answer(*self._guarded(lambda: _read(self.server.follower, self._path())))

    def do_POST(self) -> None:
        with self.server.busy():
            self._answer(*self._guarded(self._infer))

    def _infer(self) -> tuple[int, protocol.Body]:
        follower = self.server.follower
        matched = _MODEL.fullmatch(self._path())
        content = self._body()
        if matched is None or matched["verb"] != "/infer":
            raise _Refusal(404, "POST goes to /v2/models/<name>/infer")
        # Taken once: the whole answer comes from one generation, whatever is switched meanwhile.
        served = _served(follower, unquote(matched["name"]), matched["version"])
        return 200, protocol.infer(served.release.name, served.release.generation, served.model, content)

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length")
        keep, self.close_connection = self.close_connection, True  # what is left of a body is no next request
        if length is None or not (length.isascii() and length.isdigit()) or "Transfer-Encoding" in self.headers:
            raise _Refusal(411, "a request needs a Content-Length, and no Transfer-Encoding")
        if int(length[:12]) > MAX_BODY_BYTES:
            raise _Refusal(413, f"a request may have {MAX_BODY_BYTES} bytes: send fewer rows at once")
        if "Inference-Header-Content-Length" in self.headers:
            raise _Refusal(400, "binary tensors are not spoken here: send JSON")
        content = self.rfile.read(int(length))
        if len(content) < int(length):
            raise _Refusal(400, "the body ended early")
        self.close_connection = keep
        return content

    def _path(self) -> str:
        return urlsplit(self.path).path

    def _guarded(self, work: Callable[[], tuple[int, protocol.Body]]) -> tuple[int, protocol.Body]:
        try:
            return work()
        except _Refusal as refusal:
            return refusal.status, {"error": str(refusal)}
        except protocol.BadRequest as fault:
            return 400, {"error": str(fault)}
        except TimeoutError:
            return 408, {"error": "the request did not arrive in time"}
        except Exception as fault:  # the last door: a client never sees a traceback, the log sees its kind
            self.close_connection = True
            self.log_error("an answer ended by %s", type(fault).__name__)
            return 500, {"error": "the server could not answer: its log says more"}

    def _answer(self, status: int, body: protocol.Body) -> None:
        content = json.dumps(body, allow_nan=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what the base class refuses (methods, malformed lines) in the same form as everything else."""
        self.close_connection = True
        self._answer(code, {"error": message or explain or "the request cannot be read"})

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log no requests: they may be many, and their paths are the callers' words."""

    def log_error(self, format: str, *args: Any) -> None:  # noqa: A002
        self.server.follower.log(format % args)


class _Refusal(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def _read(follower: Follower, path: str) -> tuple[int, protocol.Body]:
    """Answer a GET."""
    match path.rstrip("/"):
        case "/v2":
            return 200, {"name": "pipec", "version": _version(), "extensions": []}
        case "/v2/health/live":
            return 200, {"live": True}
        case "/v2/health/ready":
            return (200 if follower.is_ready else 503), {"ready": follower.is_ready}
    matched = _MODEL.fullmatch(path.rstrip("/"))
    if matched is None or matched["verb"] == "/infer":
        raise _Refusal(404, "there is nothing to read here: /v2, /v2/health/ready, /v2/models/<name>")
    served = _served(follower, unquote(matched["name"]), matched["version"])
    if matched["verb"] == "/ready":
        return 200, {"name": served.release.name, "ready": True}
    return 200, protocol.model_metadata(served.release.name, served.release.generation, served.model.card)


def _served(follower: Follower, name: str, wanted: str | None) -> Served:
    served = follower.served.get(name)
    if served is None and name in follower.names:
        raise _Refusal(503, f"model `{name}` is not loaded yet")
    if served is None:
        raise _Refusal(404, f"there is no model `{name}` here")
    if wanted not in (None, str(served.release.generation)):
        raise _Refusal(404, f"model `{name}` has version {served.release.generation} only")
    return served


def _version() -> str:
    try:
        return version("pipec")
    except PackageNotFoundError:  # run from a source tree
        return "0"


def _shown_host(host: str) -> str:
    """Return a host that others can call: the machine's name where the server listens everywhere."""
    return socket.gethostname() if host in ("", "0.0.0.0", "::") else host
