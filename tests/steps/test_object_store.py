"""An object store on this machine: the few requests of S3 that a step makes, spoken by a server in a thread."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from pipec.steps import store
from pipec.steps.declare import CallerError

pytest.importorskip("obstore")


class _Bucket(BaseHTTPRequestHandler):
    """GET, HEAD, PUT, DELETE and ListObjectsV2 over a dictionary; no signatures are checked."""

    objects: dict[str, bytes]
    protocol_version = "HTTP/1.1"

    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).lstrip("/").partition("/")[2]

    def _answer(self, code: int, body: bytes = b"", length: int | None = None) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.send_header("ETag", f'"{hashlib.md5(body).hexdigest()}"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_PUT(self) -> None:
        self.objects[self._key()] = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(200)

    def do_DELETE(self) -> None:
        self.objects.pop(self._key(), None)
        self._answer(204)

    def do_POST(self) -> None:  # DeleteObjects
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        keys = [part.partition("</Key>")[0] for part in body.split("<Key>")[1:]]
        for key in keys:
            self.objects.pop(key, None)
        told = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        self._answer(200, f"<DeleteResult>{told}</DeleteResult>".encode())

    def do_HEAD(self) -> None:
        found = self.objects.get(self._key())
        self._answer(404) if found is None else self._answer(200, found)

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        if "list-type" in query:
            self._answer(200, self._listing(query.get("prefix", [""])[0], query.get("delimiter", [""])[0]))
        elif self._key() in self.objects:
            self._answer(200, self.objects[self._key()])
        else:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    def _listing(self, prefix: str, delimiter: str) -> bytes:
        below = [key for key in sorted(self.objects) if key.startswith(prefix)]
        folders = sorted({prefix + key[len(prefix) :].partition("/")[0] + "/" for key in below
                          if delimiter and "/" in key[len(prefix) :]})  # fmt: skip
        files = [key for key in below if not (delimiter and "/" in key[len(prefix) :])]
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>x</ETag><Size>{len(self.objects[key])}</Size></Contents>" for key in files
        )  # fmt: skip
        entries += "".join(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in folders)
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    held: dict[str, bytes] = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bucket", (_Bucket,), {"objects": held}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}", "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "local",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    yield held
    server.shutdown()
    server.server_close()


def test_a_step_reads_and_writes_an_object_store(objects: dict[str, bytes], tmp_path: Path) -> None:
    assert store.read_text("s3://bucket/run/t/result.json") is None
    store.write_text("s3://bucket/run/t/result.json", "{}")
    assert objects == {"run/t/result.json": b"{}"}
    assert store.read_text("s3://bucket/run/t/result.json") == "{}"
    (tmp_path / "model" / "deep").mkdir(parents=True)
    (tmp_path / "model" / "deep" / "weights").write_bytes(b"w" * 100)
    (tmp_path / "model" / "card").write_bytes(b"c")
    (tmp_path / "note").write_bytes(b"n")
    store.push(tmp_path / "model", "s3://bucket/run/t/model")
    store.push(tmp_path / "note", "s3://bucket/run/t/note")
    assert set(objects) == {f"run/t/{name}" for name in ("result.json", "model/deep/weights", "model/card", "note")}
    (tmp_path / "down").mkdir()
    assert store.fetch("s3://bucket/run/t/note", tmp_path / "down").read_bytes() == b"n"
    model = store.fetch("s3://bucket/run/t/model", tmp_path / "down")
    assert sorted(p.relative_to(model).as_posix() for p in model.rglob("*") if p.is_file()) == ["card", "deep/weights"]
    store.push(tmp_path / "note", "s3://bucket/run/t/model")
    assert "run/t/model/card" not in objects
    assert objects["run/t/model"] == b"n"


def test_an_absent_object_is_the_callers_fault(objects: dict[str, bytes], tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="nothing is at `s3://bucket/none`: check the location"):
        store.fetch("s3://bucket/none", tmp_path)
