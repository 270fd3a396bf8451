"""A real S3 on this machine, and a proxy before it that misbehaves on request. Not a test module."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

from needs import ROOT, missing

PYTHON = Path(os.environ.get("PIPEC_S3_PYTHON", ROOT / ".venv-s3/bin/python"))
Kind = Literal["answer", "reset", "hang", "cut", "tag", "spoil"]


@dataclass
class Fault:
    """What the proxy does to the next `times` requests of a method whose path holds `part`.

    answer: says `status` and `body` itself. reset: hangs up. hang: says nothing until the client gives up. cut: sends
    half of the body. tag: puts another ETag. spoil: flips a byte of what it hands on or back.
    """

    kind: Kind
    method: str = ""
    part: str = ""
    times: int = 1
    status: int = 500
    body: bytes = b""


@dataclass
class Bucket:
    """The proxy, as tests see it. asked: methods and paths of all requests."""

    url: str
    faults: list[Fault] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def next(self, method: str, path: str) -> Fault | None:
        fits = (each for each in self.faults if each.times and each.method in ("", method) and each.part in path)
        fault = next(fits, None)
        if fault:
            fault.times -= 1
        self.asked.append(f"{method} {path}")  # last: who sees it may take the faults away
        return fault


@contextmanager
def server() -> Iterator[str]:
    """Run moto's server; give its address."""
    if not PYTHON.exists():
        missing(f"an S3 server: {PYTHON} does not exist (`make s3` makes it, or name another in PIPEC_S3_PYTHON)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(PYTHON), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(
                    urllib.request.Request(f"http://127.0.0.1:{port}/bucket", method="PUT"), timeout=5
                )
                break
            except OSError:
                assert process.poll() is None, "the S3 server ended before it answered"
                time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def proxy(behind: str) -> Iterator[Bucket]:
    """Run a proxy before a server; requests are handed on one by one, and what comes back is not looked into."""
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    httpd.daemon_threads = True
    bucket = Bucket(f"http://127.0.0.1:{httpd.server_port}")
    httpd.bucket, httpd.behind = bucket, behind  # type: ignore[attr-defined]
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield bucket
    httpd.shutdown()
    httpd.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.bucket.next(self.command, self.path)  # type: ignore[attr-defined]
        match fault.kind if fault else "":
            case "reset":
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            case "hang":
                self.connection.settimeout(60)
                self.connection.recv(1)  # until the client has had enough
                self.close_connection = True
                return
            case "answer":
                assert fault is not None
                self._send(fault.status, [], fault.body)
                return
            case "spoil" if self.command == "PUT":
                body = bytes([body[0] ^ 1]) + body[1:]
        self._hand_on(body, fault)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815

    def _hand_on(self, body: bytes, fault: Fault | None) -> None:
        link = http.client.HTTPConnection(self.server.behind, timeout=60)  # type: ignore[attr-defined]
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("connection", "expect")}
        link.request(self.command, self.path, body, headers)
        answer = link.getresponse()
        data = answer.read()
        link.close()
        dropped = ("connection", "transfer-encoding", "content-length", "date", "server")
        kept = [(k, v) for k, v in answer.getheaders() if k.lower() not in dropped]
        if fault and fault.kind == "tag":
            kept = [(k, '"0123456789abcdef0123456789abcdef"' if k.lower() == "etag" else v) for k, v in kept]
        if fault and fault.kind == "spoil" and self.command == "GET":
            data = bytes([data[0] ^ 1]) + data[1:]
        length = answer.getheader("Content-Length") if self.command == "HEAD" else None
        self._send(answer.status, kept, data, cut=bool(fault and fault.kind == "cut"), length=length)

    def _send(
        self, status: int, headers: list[tuple[str, str]], body: bytes, *, cut: bool = False, length: str | None = None
    ) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return
