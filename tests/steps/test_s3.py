"""Artifacts on a real S3 server, and over a line that breaks: what heals, what is told, and what is never seen."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import bucket as s3
import pytest
import runtime_probe as probes
import supervised
from bucket import Bucket, Fault
from needs import small_disk

from pipec import digest
from pipec.steps import store
from pipec.steps.command import Location
from pipec.steps.data import transfer
from pipec.steps.declare import CallerError, StepError, TryAgain

pytest.importorskip("obstore")
EXPIRED = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
NEW = "give the step new ones"


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with s3.server() as address:
        yield address


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Bucket]:
    """The bucket behind a proxy; each test has a folder of its own in it, at `root`."""
    with s3.proxy(server) as made:
        for name, value in {
            "AWS_ENDPOINT_URL": made.url, "AWS_ALLOW_HTTP": "true", "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1", "AWS_TIMEOUT": "1s",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(transfer, "FIRST_WAIT_S", 0.001)
        import fsspec

        fsspec.config.conf.clear()
        for cls in (fsspec.get_filesystem_class("s3"),) if "s3" in fsspec.registry else ():
            cls.clear_instance_cache()  # file systems remember the address they were made with
        yield made


@pytest.fixture
def root(request: pytest.FixtureRequest) -> str:
    return f"s3://bucket/{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]}"


def body(n: int) -> bytes:
    """Return bytes that do not repeat within a part."""
    return b"".join(hashlib.sha256(str(i).encode()).digest() for i in range(n // 32 + 1))[:n]


def put(folder: Path, location: str, content: bytes) -> None:
    (folder / "up").write_bytes(content)
    store.push(folder / "up", location)


def got(folder: Path, location: str) -> bytes:
    into = folder / f"down-{len(list(folder.iterdir()))}"
    into.mkdir()
    return store.fetch(location, into).read_bytes()


@pytest.mark.parametrize("size", [0, 1, transfer.PART, transfer.PART + 1, transfer.RANGE, transfer.RANGE + 1, 3 << 23])
def test_a_file_of_any_size_comes_back_as_it_went(size: int, bucket: Bucket, root: str, tmp_path: Path) -> None:
    put(tmp_path, f"{root}/file", body(size))
    assert got(tmp_path, f"{root}/file") == body(size)


def test_a_folder_takes_the_place_of_one_with_other_files(bucket: Bucket, root: str, tmp_path: Path) -> None:
    for names in (("a", "deep/b"), ("a", "deep/c")):
        folder = tmp_path / names[1].replace("/", "-")
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(names[1])
        store.push(folder, f"{root}/folder")
    (tmp_path / "down").mkdir()
    found = store.fetch(f"{root}/folder", tmp_path / "down")
    assert {f.relative_to(found).as_posix(): f.read_text() for f in found.rglob("*") if f.is_file()} == {
        "a": "deep/c", "deep/c": "deep/c",
    }  # fmt: skip
    put(tmp_path, f"{root}/folder", b"now a file")
    assert got(tmp_path, f"{root}/folder") == b"now a file"
    assert store.read_text(f"{root}/folder/a") is None


HEALS = {
    "500": Fault("answer", status=500, times=4),
    "503-slow-down": Fault("answer", status=503, body=b"<Error><Code>SlowDown</Code></Error>", times=4),
    "429": Fault("answer", status=429, times=4),
    "reset": Fault("reset", times=4),
    "hang": Fault("hang", times=1),
    "cut": Fault("cut", method="GET", times=3),
}


@pytest.mark.parametrize("name", HEALS)
def test_a_line_that_heals_costs_only_time(name: str, bucket: Bucket, root: str, tmp_path: Path) -> None:
    put(tmp_path, f"{root}/file", body(1000))
    bucket.faults.append(HEALS[name])
    assert got(tmp_path, f"{root}/file") == body(1000)
    assert HEALS[name].times == 0


@pytest.mark.parametrize("name", [name for name in HEALS if name != "cut"])
def test_an_upload_over_a_line_that_heals_arrives(name: str, bucket: Bucket, root: str, tmp_path: Path) -> None:
    fault = HEALS[name]
    bucket.faults.append(Fault(fault.kind, status=fault.status, body=fault.body, method="PUT", times=2))
    put(tmp_path, f"{root}/file", body(1000))
    assert got(tmp_path, f"{root}/file") == body(1000)


def test_a_broken_range_costs_that_range_alone(bucket: Bucket, root: str, tmp_path: Path) -> None:
    put(tmp_path, f"{root}/file", body(3 * transfer.RANGE))
    bucket.asked.clear()
    bucket.faults.append(Fault("answer", method="GET", part="file", status=400, body=b"<Code>RequestTimeout</Code>"))
    bucket.faults.append(Fault("reset", method="GET", part="file", times=1))
    with pytest.raises(CallerError, match="the server answered 400 Bad Request, RequestTimeout"):
        got(tmp_path, f"{root}/file")
    assert got(tmp_path, f"{root}/file") == body(3 * transfer.RANGE)
    assert len([line for line in bucket.asked if line.startswith("GET")]) == 1 + 4


ENDS: dict[str, tuple[Fault, type[StepError], str]] = {
    "500-for-ever": (Fault("answer", status=500, times=999), TryAgain,
                     "(the server answered 500 Internal Server Error): check the connection and try again"),
    "503-for-ever": (Fault("answer", method="GET", status=503, body=b"<Code>SlowDown</Code>", times=999), TryAgain,
                     "(the server answered 503 Service Unavailable, SlowDown): check the connection and try again"),
    "expired": (Fault("answer", status=400, body=EXPIRED, times=999), CallerError,
                f"have expired (the server answered 400 Bad Request, ExpiredToken): {NEW}"),
    "unknown-key": (Fault("answer", status=403, body=b"<Code>InvalidAccessKeyId</Code>", times=999), CallerError,
                    f"have expired (the server answered 403 Forbidden, InvalidAccessKeyId): {NEW}"),
    "signature": (Fault("answer", status=403, body=b"<Code>SignatureDoesNotMatch</Code>", times=999), CallerError,
                  f"have expired (the server answered 403 Forbidden, SignatureDoesNotMatch): {NEW}"),
    "401": (Fault("answer", status=401, times=999), CallerError,
            f"have expired (the server answered 401 Unauthorized): {NEW}"),
    "denied": (Fault("answer", status=403, body=b"<Code>AccessDenied</Code>", times=999), CallerError,
               "may not be read with this step's rights: check its account"),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
def test_what_does_not_heal_is_told_in_one_line(name: str, bucket: Bucket, root: str, tmp_path: Path) -> None:
    fault, kind, words = ENDS[name]
    put(tmp_path, f"{root}/file", b"here")
    bucket.faults.append(fault)
    bucket.asked.clear()
    with pytest.raises(kind) as told:
        got(tmp_path, f"{root}/file")
    assert str(told.value).startswith(f"`{root}/file` ")
    assert str(told.value).endswith(words)
    assert "127.0.0.1" not in str(told.value)
    if kind is CallerError:
        assert len(bucket.asked) <= 3  # one to look, one to be told why


def test_an_upload_with_credentials_that_expired_is_told(bucket: Bucket, root: str, tmp_path: Path) -> None:
    bucket.faults.append(Fault("answer", method="PUT", status=400, body=EXPIRED, times=999))
    with pytest.raises(CallerError, match=r"could not be written: the credentials .*ExpiredToken\): give the step new"):
        put(tmp_path, f"{root}/file", b"here")


def test_an_object_that_is_not_there_is_asked_for_once(bucket: Bucket, root: str, tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="nothing is at"):
        got(tmp_path, f"{root}/none")
    assert len([line for line in bucket.asked if line.startswith("HEAD")]) == 1


def test_a_tag_that_is_no_checksum_is_no_fault(bucket: Bucket, root: str, tmp_path: Path) -> None:
    """As objects have that the server encrypts: what is there is read again instead."""
    bucket.faults.append(Fault("tag", times=999))
    put(tmp_path, f"{root}/file", body(1000))
    assert [line for line in bucket.asked if line.startswith("GET") and line.endswith("/file")]
    assert got(tmp_path, f"{root}/file") == body(1000)


def test_a_byte_that_was_spoilt_on_its_way_up_is_sent_again(bucket: Bucket, root: str, tmp_path: Path) -> None:
    bucket.faults.append(Fault("spoil", method="PUT", times=1))
    put(tmp_path, f"{root}/file", body(1000))
    assert got(tmp_path, f"{root}/file") == body(1000)
    bucket.faults.append(Fault("spoil", method="PUT", times=999))
    with pytest.raises(TryAgain, match=r"could not be written \(what arrived is not what was sent\)"):
        put(tmp_path, f"{root}/file", body(1000))


def test_a_byte_that_was_spoilt_on_its_way_down_is_fetched_again(bucket: Bucket, root: str, tmp_path: Path) -> None:
    put(tmp_path, f"{root}/data", b"rows")
    where = {"data": (Location(f"{root}/data", digest.of_text("rows")),)}
    bucket.faults.append(Fault("spoil", method="GET", part="/data", times=1))
    assert probes_run(tmp_path, where) == 0
    bucket.faults.append(Fault("spoil", method="GET", part="/data", times=2))
    assert probes_run(tmp_path, where) == 3


def probes_run(folder: Path, inputs: dict[str, tuple[Location, ...]]) -> int:
    from pipec.steps import runtime
    from pipec.steps.declare import interface_of

    with pytest.MonkeyPatch.context() as patch:
        probes.register(patch)
        return runtime.execute(probes.call(interface_of(probes.Probe), folder, inputs=inputs))


def run(root: str, folder: Path, act: str = "well", **fields: object) -> subprocess.CompletedProcess[str]:
    """Run the probe as a container does, with all that it reads and writes in the bucket."""
    places = {"outputs": {"*": f"{root}/t"}, "result": f"{root}/t/result.json"}
    return supervised.run(folder, act, **{**places, **fields})  # type: ignore[arg-type]


def test_a_step_in_a_process_of_its_own_reads_and_writes_the_bucket(bucket: Bucket, root: str, tmp_path: Path) -> None:
    done = run(root, tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(store.read_text(f"{root}/t/result.json") or "")
    inputs = {"data": [{"uri": f"{root}/t/same", "digest": told["artifacts"]["same"]["digest"]}]}
    done = run(root, tmp_path, inputs=inputs, parameters={"source": f"{root}/t/none"})
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"t (probe@1): nothing is at `{root}/t/none`: check the location"
    assert json.loads(store.read_text(f"{root}/t/result.json") or "")["outcome"] == "failed"


@pytest.mark.parametrize(
    ("method", "part"), [("HEAD", "/data"), ("GET", "/data"), ("PUT", "/note"), ("PUT", "result.json")]
)
def test_sigterm_during_a_transfer_leaves_no_half_artifact(
    method: str, part: str, bucket: Bucket, root: str, tmp_path: Path
) -> None:
    """The server is silent at one request; the step is asked to end there."""
    put(tmp_path, f"{root}/data", b"rows")
    bucket.asked.clear()
    bucket.faults.append(Fault("hang", method=method, part=part, times=999))
    argv = supervised.command(
        tmp_path, "well", inputs={"data": [{"uri": f"{root}/data"}]}, outputs={"*": f"{root}/t"},
        result=str(tmp_path / "t" / "result.json") if part != "result.json" else f"{root}/t/result.json",
    )  # fmt: skip
    env = supervised.environ(tmp_path, AWS_TIMEOUT="60s", PIPEC_GRACE_S="20")
    with subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, text=True) as process:
        while not [line for line in bucket.asked if line.startswith(method) and part in line]:
            time.sleep(0.01)
        bucket.faults.clear()
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said.splitlines()[-1]) == (143, "probe: stopped before it was done: run it again")
    assert list((tmp_path / "scratch").iterdir()) == []
    place = str(tmp_path / "t" / "result.json") if part != "result.json" else f"{root}/t/result.json"
    assert json.loads(store.read_text(place) or "{}")["outcome"] == "failed"
    for name in ("note", "same"):
        assert store.read_text(f"{root}/t/{name}") in (None, "noted", "rows")


def test_a_large_file_passes_through_in_bounded_memory(bucket: Bucket, root: str, tmp_path: Path) -> None:
    """200 MB up and down, in a process whose peak is looked at: the interpreter and its drivers are some 70 MiB."""
    with (tmp_path / "large").open("wb") as stream:
        for n in range(200):
            stream.write(hashlib.sha256(str(n).encode()).digest() * (1_000_000 // 32))
    code = (
        "import re, sys; from pathlib import Path; from pipec.steps import store;"
        f"store.push(Path({str(tmp_path / 'large')!r}), {root + '/large'!r});"
        f"store.fetch({root + '/large'!r}, Path({str(tmp_path / 'down')!r}));"
        # Not getrusage: that peak is inherited from the process of the tests.
        "print(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]);"
        "sys.stdout.flush(); import os; os._exit(0)"
    )
    (tmp_path / "down").mkdir()
    env = supervised.environ(tmp_path, AWS_TIMEOUT="60s")
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert digest.of_path(tmp_path / "down" / "large") == digest.of_path(tmp_path / "large")
    assert int(done.stdout) < 130 << 10  # KiB


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as place:
        yield place


def test_a_file_that_does_not_fit_says_how_much_it_needs(bucket: Bucket, root: str, tmp_path: Path, disk: Path) -> None:
    put(tmp_path, f"{root}/file", body(3 << 20))
    with pytest.raises(StepError) as told:
        store.fetch(f"{root}/file", disk)
    assert str(told.value) == (
        f"`{root}/file` does not fit here: it needs 3 MiB and 1 MiB are free: "
        "make room where temporary files go (TMPDIR)"
    )
    assert list(disk.iterdir()) == []


def test_a_long_transfer_says_how_far_it_is(
    bucket: Bucket, root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PROGRESS_S", 0.0)
    lines: list[str] = []
    (tmp_path / "up").write_bytes(body(3 * transfer.RANGE))
    store.push(tmp_path / "up", f"{root}/file", lines.append)
    assert lines[-1] == f"`{root}/file`: 24 MiB of 24 MiB"
    lines.clear()
    store.fetch(f"{root}/file", tmp_path, lines.append)
    assert lines == [f"`{root}/file`: {n} MiB of 24 MiB" for n in (8, 16, 24)]


def test_work_taken_from_an_earlier_run_does_not_leave_the_store(bucket: Bucket, root: str, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("rows")
    inputs = {"data": [{"uri": str(tmp_path / "data"), "digest": digest.of_text("rows")}]}
    for run_id in ("one", "two"):
        bucket.asked.clear()
        places = {"outputs": {"*": f"{root}/runs/{run_id}/t"}, "result": f"{root}/runs/{run_id}/t/result.json"}
        done = supervised.run(tmp_path, "well", inputs=inputs, cache=f"{root}/cache", run_id=run_id, **places)
        assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "[t] taken from run one: nothing that it is made of has changed"
    read = {line.rpartition("/")[2] for line in bucket.asked if line.startswith("GET") and "?" not in line}
    assert not read & {"note", "same", "in"}
    for name in ("note", "same", "folder/in", "result.json"):
        texts = [store.read_text(f"{root}/runs/{run_id}/t/{name}") for run_id in ("one", "two")]
        assert texts[0] == texts[1] is not None
