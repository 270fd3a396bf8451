from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pipec
from pipec import digest
from pipec.steps.ml import model
from pipec.steps.ml.fault import AskFault
from pipec.steps.release import protocol
from pipec.steps.release.server import MAX_BODY_BYTES, ModelServer
from pipec.steps.release.store import Release, Store


def put(root: Path, shelf: Path, which: str, name: str = "wine") -> Release:
    """Release a model of the shelf as the next generation."""
    store, model_digest = Store(str(root)), digest.of_path(shelf / which)
    store.keep(shelf / which, model_digest)
    newest = next(iter(store.generations(name)), 0)
    return store.release(Release(name=name, model_digest=model_digest), after=newest)


def call(url: str, path: str, body: object = None, raw: bytes | None = None, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    content = raw if raw is not None else None if body is None else json.dumps(body).encode()
    connection.request("GET" if content is None else "POST", path, content, headers)
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


def until(claim: Callable[[], bool]) -> None:
    """Wait until `claim` holds."""
    deadline = time.monotonic() + 20
    while not claim():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def tensors(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "shape": [len(rows)],
            "datatype": "BYTES" if name == "region" else "FP64",
            "data": rows[name].tolist(),
        }
        for name in ("alcohol", "hue", "region")
    ]


@pytest.fixture(scope="module")
def served(tmp_path_factory, shelf: Path) -> Iterator[str]:
    """The URL of a server of `wine` (generation 2), `plain` and `quantity`."""
    root = tmp_path_factory.mktemp("releases")
    put(root, shelf, "second")
    put(root, shelf, "first")
    put(root, shelf, "plain", "plain")
    put(root, shelf, "quantity", "quantity")
    with ModelServer(str(root), poll_s=0.05, log=lambda line: None) as server:
        yield server.url


# What the protocol asks for.


def test_the_server_tells_its_name_and_health(served: str):
    assert call(served, "/v2")[1]["name"] == "pipec"
    assert call(served, "/v2/health/live") == (200, {"live": True})
    assert call(served, "/v2/health/ready") == (200, {"ready": True})


@pytest.mark.parametrize("path", ["/v2/models/wine", "/v2/models/wine/versions/2"])
def test_a_model_tells_its_signature(path: str, served: str):
    assert call(served, path) == (
        200,
        {
            "name": "wine",
            "versions": ["2"],
            "platform": "sklearn_skops",
            "inputs": [
                {"name": "alcohol", "datatype": "FP64", "shape": [-1]},
                {"name": "hue", "datatype": "FP64", "shape": [-1]},
                {"name": "region", "datatype": "BYTES", "shape": [-1]},
            ],
            "outputs": [
                {"name": "label", "datatype": "BYTES", "shape": [-1]},
                {
                    "name": "probability",
                    "datatype": "FP64",
                    "shape": [-1, 3],
                    "parameters": {"classes": '["barbera", "barolo", "grignolino"]'},
                },
            ],
        },
    )


def test_a_model_tells_that_it_is_ready(served: str):
    for path in ("/v2/models/wine/ready", "/v2/models/wine/versions/2/ready"):
        assert call(served, path) == (200, {"name": "wine", "ready": True})


@pytest.mark.parametrize("path", ["/v2/models/wine/infer", "/v2/models/wine/versions/2/infer"])
def test_answers_are_those_of_the_model(path: str, served: str, shelf: Path, rows: pd.DataFrame):
    status, answer = call(served, path, {"id": "42", "inputs": tensors(rows)})
    wanted = model.predict(model.load(shelf / "first"), rows)
    assert status == 200
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("wine", "2", "42")
    label, probability = answer["outputs"]
    assert label == {"name": "label", "datatype": "BYTES", "shape": [178], "data": wanted.labels}
    assert (probability["datatype"], probability["shape"]) == ("FP64", [178, 3])
    assert np.array_equal(np.array(probability["data"]).reshape(178, 3), wanted.probabilities)


def test_one_wide_tensor_stands_for_all_number_columns(served: str, shelf: Path, rows: pd.DataFrame):
    x_nf = rows[["alcohol", "hue"]].head(5)
    wanted = model.predict(model.load(shelf / "plain"), x_nf).labels
    for data in (x_nf.to_numpy().tolist(), x_nf.to_numpy().ravel().tolist()):
        body = {"inputs": [{"name": "rows", "shape": [5, 2], "datatype": "FP64", "data": data}]}
        assert call(served, "/v2/models/plain/infer", body)[1]["outputs"][0]["data"] == wanted


def test_a_quantity_is_answered_as_predict(served: str, shelf: Path, rows: pd.DataFrame):
    hue = rows["hue"].head(3).tolist()
    for shape in ([3], [3, 1]):
        body = {"inputs": [{"name": "hue", "shape": shape, "datatype": "FP32", "data": hue}]}
        (output,) = call(served, "/v2/models/quantity/infer", body)[1]["outputs"]
        assert (output["name"], output["datatype"], output["shape"]) == ("predict", "FP64", [3])
        assert output["data"] == model.predict(model.load(shelf / "quantity"), rows.head(3)).labels


def test_null_is_a_missing_value_and_no_rows_give_no_answers(served: str, rows: pd.DataFrame):
    gap = [{**tensor, "shape": [1], "data": [None]} for tensor in tensors(rows)]
    assert call(served, "/v2/models/wine/infer", {"inputs": gap})[0] == 200
    none = [{**tensor, "shape": [0], "data": []} for tensor in tensors(rows)]
    answer = call(served, "/v2/models/wine/infer", {"inputs": none})[1]
    assert [output["shape"] for output in answer["outputs"]] == [[0], [0, 3]]


def test_only_the_outputs_that_are_asked_for_are_sent(served: str, rows: pd.DataFrame):
    body = {"inputs": tensors(rows), "outputs": [{"name": "probability"}]}
    assert [o["name"] for o in call(served, "/v2/models/wine/infer", body)[1]["outputs"]] == ["probability"]


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/v2/models/beer", "there is no model `beer` here"),
        ("/v2/models/wine/versions/1", "model `wine` has version 2 only"),
        ("/v2/models/wine/infer", "there is nothing to read here: /v2, /v2/health/ready, /v2/models/<name>"),
        ("/", "there is nothing to read here: /v2, /v2/health/ready, /v2/models/<name>"),
        ("/v2/models/..%2f..%2fetc", "there is no model `../../etc` here"),
    ],
)
def test_what_is_not_there_is_404(path: str, error: str, served: str):
    assert call(served, path) == (404, {"error": error})


def tensor(**changes: object) -> dict[str, object]:
    return {"name": "hue", "shape": [1], "datatype": "FP64", "data": [1.0], **changes}


@pytest.mark.parametrize(
    ("inputs", "error"),
    [
        (None, "`inputs` must be a list"),
        ([7], "every item of `inputs` is an object with `name`, `shape`, `datatype` and `data`"),
        ([], "`inputs` lacks `hue`: the model reads hue"),
        ([tensor(), tensor(name="ph")], "`inputs` holds `ph`, which the model does not read"),
        ([tensor(), tensor()], "`inputs` names a tensor twice"),
        ([tensor(shape=[2])], "input `hue` has 1 values, but its shape [2] wants another number"),
        ([tensor(shape=[-1])], "the shape of input `hue` must be one or two whole numbers"),
        ([tensor(shape=[1, 1, 1])], "the shape of input `hue` must be one or two whole numbers"),
        ([tensor(shape=[True])], "the shape of input `hue` must be one or two whole numbers"),
        ([tensor(datatype="BYTES", data=["a"])], "input `hue` must be numbers, not BYTES"),
        ([tensor(data=["a"])], "input `hue` is FP64, but holds something else"),
        ([tensor(data=[True])], "input `hue` is FP64, but holds something else"),
        ([tensor(datatype="INT64", data=[1.5])], "input `hue` is INT64, but holds something else"),
        ([tensor(data=[10**400])], "input `hue` holds a number that is too large"),
        ([tensor(data=[[[1]]])], "input `hue` is FP64, but holds something else"),
        ([tensor(name="x", shape=[1, 1])], None),
        ([tensor(name="x", shape=[1, 2], data=[1.0, 2.0])],
         "one tensor for all columns must be numbers of shape [rows, 1]"),
    ],
)  # fmt: skip
def test_a_request_that_does_not_fit_is_400(inputs: object, error: str | None, served: str):
    status, answer = call(served, "/v2/models/quantity/infer", {"inputs": inputs})
    assert (status, answer.get("error")) == ((400, error) if error else (200, None))


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"{", "the body is not JSON"),
        (b"\xff", "the body is not JSON"),
        (b'{"inputs": [NaN]}', "the body is not JSON (`NaN` is no JSON number)"),
        (b"[" * 100_000, "the body is not JSON"),
        (b"[]", "the body must be a JSON object with `inputs`"),
        (b'{"inputs": [{"name": "hue", "shape": [1], "datatype": "FP64", "data": [1e999]}]}',
         "column `hue` holds an infinite number: remove it or cap it first"),
    ],
)  # fmt: skip
def test_a_body_that_is_no_request_is_400(raw: bytes, error: str, served: str):
    status, answer = call(served, "/v2/models/quantity/infer", raw=raw)
    assert status == 400
    assert answer["error"].startswith(error)


def test_a_datatype_is_one_of_the_protocols(served: str):
    answer = call(served, "/v2/models/quantity/infer", {"inputs": [tensor(datatype="float")]})[1]
    assert answer["error"] == f"input `hue` needs a `datatype`, one of {', '.join(sorted(protocol.DATATYPES))}"


def talk(url: str, request: bytes) -> bytes:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(request)
        line.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: line.recv(65536), b""))


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /v2/models/quantity/infer HTTP/1.1\r\n\r\n", b"411"),
        (b"POST /v2/models/quantity/infer HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"411"),
        (b"POST /v2 HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", b"411"),
        (b"POST /v2 HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1), b"413"),
        (b"POST /v2 HTTP/1.1\r\nContent-Length: %s\r\n\r\n" % (b"9" * 5000), b"413"),
        (b"POST /v2 HTTP/1.1\r\nContent-Length: 9\r\n\r\n{}", b"400"),
        (b"POST /v2/models/quantity HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", b"404"),
        (b"DELETE /v2/models/wine HTTP/1.1\r\n\r\n", b"501"),
        (b"GET /v2 HTTP/1.1\r\nContent-Length: 30\r\n\r\nGET /v2/health/live HTTP/1.1\r\n\r\n", b"200"),
        (b"hello\r\n\r\n", b"400"),
    ],
)
def test_a_strange_request_gets_one_json_answer_and_the_line_is_closed(request_: bytes, status: bytes, served: str):
    answer = talk(served, request_)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert answer.count(b"HTTP/1.1 ") == (0 if request_.startswith(b"hello") else 1)
    assert status in (head + body).split(b"\r\n")[0] or request_.startswith(b"hello")
    assert b"Traceback" not in answer
    assert b"Python" not in answer


# Following the store.


def test_a_switch_leaves_no_request_failed_and_no_answer_mixed(tmp_path: Path, shelf: Path, rows: pd.DataFrame):
    models = {name: model.predict(model.load(shelf / name), rows) for name in ("first", "second")}
    put(tmp_path, shelf, "first")
    wrong, versions, stop = [], set(), threading.Event()

    def ask(url: str) -> None:
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
        body = json.dumps({"inputs": tensors(rows)})
        while not stop.is_set():
            connection.request("POST", "/v2/models/wine/infer", body)
            response = connection.getresponse()
            answer = json.loads(response.read())
            wanted = models["first" if int(answer.get("model_version", 0)) % 2 else "second"]
            label, probability = answer.get("outputs", ({}, {}))
            said = (label.get("data"), probability.get("data"))
            if response.status != 200 or said != (wanted.labels, wanted.probabilities.ravel().tolist()):
                wrong.append(answer)
            versions.add(answer.get("model_version"))
        connection.close()

    with ModelServer(str(tmp_path), "wine", poll_s=0.01, log=lambda line: None) as server:
        threads = [threading.Thread(target=ask, args=(server.url,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for generation in range(2, 8):
            put(tmp_path, shelf, "second" if generation % 2 == 0 else "first")
            until(lambda g=generation: str(g) in versions)
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert versions == {str(generation) for generation in range(1, 8)}


def test_a_generation_that_cannot_be_loaded_changes_nothing(tmp_path: Path, shelf: Path):
    log: list[str] = []
    put(tmp_path, shelf, "first")
    with ModelServer(str(tmp_path), "wine", poll_s=0.01, log=log.append) as server:
        broken = put_broken(tmp_path, shelf)
        until(lambda: any("generation 2" in line for line in log))
        assert call(server.url, "/v2/models/wine")[1]["versions"] == ["1"]
        until(lambda: status(tmp_path).failed_generation == 2)
        said = status(tmp_path)
        assert (said.generation, said.healthy) == (1, True)
        assert (
            said.failed_reason
            == f"the store's copy of {broken.model_digest[:19]}... is damaged: deploy the model again"
        )
        put(tmp_path, shelf, "second")
        until(lambda: call(server.url, "/v2/models/wine")[1]["versions"] == ["3"])


def put_broken(root: Path, shelf: Path) -> Release:
    made = put(root, shelf, "quantity")
    folder = root / "_models" / made.model_digest.replace(":", "-")
    (folder / "weights.skops").write_bytes(b"torn")
    return made


def status(root: Path):
    (said,) = Store(str(root)).statuses("wine").values()
    return said


def test_a_fresh_server_serves_the_newest_generation_that_works(tmp_path: Path, shelf: Path):
    put(tmp_path, shelf, "first")
    put_broken(tmp_path, shelf)
    with ModelServer(str(tmp_path), "wine", poll_s=0.01, log=lambda line: None) as server:
        assert call(server.url, "/v2/models/wine")[1]["versions"] == ["1"]
        assert (status(tmp_path).generation, status(tmp_path).failed_generation) == (1, 2)


def test_a_server_without_a_release_is_live_but_not_ready(tmp_path: Path, shelf: Path):
    with ModelServer(str(tmp_path), "wine", poll_s=0.01, log=lambda line: None) as server:
        assert call(server.url, "/v2/health/live")[0] == 200
        assert call(server.url, "/v2/health/ready") == (503, {"ready": False})
        assert call(server.url, "/v2/models/wine/ready") == (503, {"error": "model `wine` is not loaded yet"})
        put(tmp_path, shelf, "first")
        until(lambda: call(server.url, "/v2/health/ready")[0] == 200)


def test_the_status_moves_while_the_server_lives_and_goes_when_it_ends(tmp_path: Path, shelf: Path):
    made = put(tmp_path, shelf, "first")
    with ModelServer(str(tmp_path), "wine", poll_s=0.01, log=lambda line: None) as server:
        first = status(tmp_path)
        assert (first.url, first.generation, first.model_digest) == (server.url, 1, made.model_digest)
        until(lambda: status(tmp_path).beat > first.beat)
    assert Store(str(tmp_path)).statuses("wine") == {}


def is_gone(store: Path) -> bool:
    """Put a file in the place of a store, unless the server has just written there again."""
    try:
        shutil.rmtree(store, ignore_errors=True)
        store.write_text("no folder")
    except IsADirectoryError:
        return False
    return True


def test_a_store_that_goes_away_does_not_end_the_service(tmp_path: Path, shelf: Path):
    log: list[str] = []
    put(tmp_path / "store", shelf, "first")
    with ModelServer(str(tmp_path / "store"), "wine", poll_s=0.01, log=log.append) as server:
        until(lambda: is_gone(tmp_path / "store"))
        until(lambda: any(line.startswith("still serving what was loaded: ") for line in log))
        assert call(server.url, "/v2/models/wine")[1]["versions"] == ["1"]


def test_a_taken_port_is_told(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(AskFault, match=f"port {port} of `127.0.0.1` cannot be used"):
            ModelServer(str(tmp_path), port=port)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_ends_cleanly_at_a_signal(number: signal.Signals, tmp_path: Path, shelf: Path):
    put(tmp_path, shelf, "quantity", "quantity")
    code = (
        "import sys; from pipec.steps.release.server import serve; "
        "serve(sys.argv[1], None, '127.0.0.1', 0, lambda line: print(line, flush=True))"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(pipec.__file__).parents[1])}
    command = [sys.executable, "-c", code, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    try:
        line = next(line for line in process.stdout if line.startswith("serving every release of "))
        assert call(line.split()[-1], "/v2/models/quantity/ready")[0] == 200
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, out, err) == (0, "stopping\n", "")
    assert Store(str(tmp_path)).statuses("quantity") == {}
