"""A registry of images on this machine: as much of the OCI distribution protocol as a push and a pull need.

Docker takes one on the loopback interface without a certificate. Nothing is kept, and nothing is refused.
"""

from __future__ import annotations

import hashlib
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_OBJECT = re.compile(r"/v2/(.+)/(blobs|manifests)/([^/]+)")


@contextmanager
def registry() -> Iterator[str]:
    """Yield the host and port of a registry that lives as long as the block."""
    handler = type("_Registry", (_Handler,), {"blobs": {}, "manifests": {}, "uploads": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    blobs: dict[str, bytes]
    manifests: dict[tuple[str, str], tuple[str, bytes]]  # by repository, and tag or digest: its type and text
    uploads: dict[str, bytes]

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        found = _OBJECT.fullmatch(self._path)
        if not found:
            return self._answer(200 if self._path == "/v2/" else 404)
        name, kind, reference = found.groups()
        if kind == "blobs":
            content = self.blobs.get(reference)
            return self._answer(404) if content is None else self._answer(200, content)
        held = self.manifests.get((name, reference))
        if held is None:
            return self._answer(404)
        return self._answer(200, held[1], {"Content-Type": held[0], "Docker-Content-Digest": _digest(held[1])})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self._body()
        upload = uuid.uuid4().hex
        self.uploads[upload] = b""
        self._answer(202, head={"Location": f"{self._path}{upload}", "Range": "0-0", "Docker-Upload-UUID": upload})

    def do_PATCH(self) -> None:
        upload = self._path.rpartition("/")[2]
        self.uploads[upload] += self._body()
        self._answer(202, head={"Location": self._path, "Range": f"0-{len(self.uploads[upload]) - 1}"})

    def do_PUT(self) -> None:
        body, found = self._body(), _OBJECT.fullmatch(self._path)
        if found and found[2] == "manifests":
            digest = _digest(body)
            held = (self.headers["Content-Type"], body)
            self.manifests[found[1], found[3]] = self.manifests[found[1], digest] = held
        else:
            content = self.uploads.pop(self._path.rpartition("/")[2]) + body
            digest = _digest(content)
            self.blobs[digest] = content
        self._answer(201, head={"Location": self._path, "Docker-Content-Digest": digest})

    @property
    def _path(self) -> str:
        return self.path.partition("?")[0]

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, code: int, body: bytes = b"", head: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {**(head or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
