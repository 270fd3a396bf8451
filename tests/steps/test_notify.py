"""What is said arrives, or it is told why not; the URL is told to nobody."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import runtime_probe as probes
from given import context, step

from pipec.steps import runtime
from pipec.steps.declare import CallerError, TryAgain, interface_of
from pipec.steps.notify import Notify

SECRET = "s3cr3t-path"


class Receiver(HTTPServer):
    """Answers every request with `code`, and keeps what it was sent."""

    code = 200
    location = ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[tuple[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/{SECRET}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.server.got.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
        self.send_response(self.server.code)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.end_headers()

    def do_GET(self) -> None:
        self.server.got.append((self.path, None))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        return


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def notify(tmp_path: Path, log: list[str] | None = None, **fields: Any) -> Notify:
    made = step(Notify, tmp_path, **{"channel": "ml-alerts", "message": "it drifted", **fields})
    made.run(context(log, environment="prod", outcome="failed"))
    return made


def test_it_belongs_to_no_cache_and_needs_no_root() -> None:
    interface = interface_of(Notify)
    assert (interface.world, interface.rooted, [o.name for o in interface.outputs]) == (True, False, ["sent"])
    webhook = interface.parameter("webhook")
    assert webhook is not None
    assert webhook.secret


def test_without_a_webhook_the_log_tells(tmp_path: Path) -> None:
    log: list[str] = []
    assert notify(tmp_path, log, level="warning").sent is False
    assert log == ["warning for ml-alerts: it drifted"]


def test_a_webhook_gets_who_what_and_how_it_went(receiver: Receiver, tmp_path: Path) -> None:
    log: list[str] = []
    (tmp_path / "report").write_text('{"verdict": "drift"}')
    assert notify(tmp_path, log, webhook=receiver.url + "\n", report=tmp_path / "report", level="error").sent is True
    assert receiver.got == [
        (f"/{SECRET}", {
            "format_version": "1.0", "channel": "ml-alerts", "level": "error", "message": "it drifted",
            "pipeline": "wine", "run_id": "run-1", "environment": "prod", "outcome": "failed",
            "report": {"verdict": "drift"},
        }),
    ]  # fmt: skip
    assert log == ["error for ml-alerts: it drifted"]


@pytest.mark.parametrize(
    ("content", "told"),
    [("x" * 65537, "the report is too large to be attached"), ("NaN", "the report is not JSON, so it is not attached"),
     ("{", "the report is not JSON, so it is not attached")],
    ids=["large", "nan", "torn"],
)  # fmt: skip
def test_a_report_that_cannot_be_attached_is_left_out(
    content: str, told: str, receiver: Receiver, tmp_path: Path
) -> None:
    log: list[str] = []
    (tmp_path / "report").write_text(content)
    assert notify(tmp_path, log, webhook=receiver.url, report=tmp_path / "report").sent
    assert log[1] == told
    assert "report" not in receiver.got[0][1]


@pytest.mark.parametrize(
    ("code", "fault", "message"),
    [
        (400, CallerError, "the webhook answered with 400: look at the secret, and at what the receiver takes"),
        (404, CallerError, "the webhook answered with 404: look at the secret, and at what the receiver takes"),
        (429, TryAgain, "the webhook answered with 429: try again later"),
        (500, TryAgain, "the webhook answered with 500: try again later"),
        (503, TryAgain, "the webhook answered with 503: try again later"),
        (304, CallerError, "the webhook answered with 304, a redirect: put the URL it leads to into the secret"),
    ],
)
def test_what_the_receiver_says_decides_whose_fault_it_is(
    code: int, fault: type[Exception], message: str, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.code = code
    with pytest.raises(fault) as told:
        notify(tmp_path, webhook=receiver.url)
    assert str(told.value) == message


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["file:///etc/hostname", "ftp://127.0.0.1/x", "same"])
def test_no_redirect_is_followed(code: int, location: str, receiver: Receiver, tmp_path: Path) -> None:
    receiver.code, receiver.location = code, receiver.url if location == "same" else location
    with pytest.raises(CallerError, match=f"answered with {code}, a redirect"):
        notify(tmp_path, webhook=receiver.url)
    assert len(receiver.got) == 1


@pytest.mark.parametrize(
    "url",
    [f"file:///{SECRET}", f"ftp://host/{SECRET}", SECRET, f"http:///{SECRET}", f"http://[{SECRET}", f"https:{SECRET}"],
)
def test_what_is_no_url_of_the_web_is_the_callers_fault(url: str, tmp_path: Path) -> None:
    with pytest.raises(CallerError) as told:
        notify(tmp_path, webhook=url)
    assert str(told.value) == "the webhook is not a URL of http or https: look at the secret"


@pytest.mark.parametrize("rest", [f"/{SECRET}", f"/{SECRET} with a space", f":99999/{SECRET}", f"/{SECRET}\x7f"])
def test_nobody_at_home_is_worth_another_try_and_the_url_is_not_told(
    rest: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = "" if rest.startswith(":") else f":{free.getsockname()[1]}"
        parameters = {"channel": "c", "message": "m", "webhook": f"http://127.0.0.1{port}{rest}"}
        monkeypatch.setenv("PIPEC_DEBUG", "1")
        code = runtime.execute(probes.call(interface_of(Notify), tmp_path, parameters=parameters))
    told = capfd.readouterr()
    assert code == 75
    assert "the webhook cannot be reached (" in told.err
    assert SECRET not in told.err + told.out + json.dumps(probes.result(tmp_path))


@pytest.mark.parametrize("fields", [{"channel": ""}, {"message": ""}, {"level": "loud"}, {"timeout_s": 0}])
def test_bounds_are_held(fields: dict[str, Any], tmp_path: Path) -> None:
    parameters = {"channel": "c", "message": "m", **fields}
    assert runtime.execute(probes.call(interface_of(Notify), tmp_path, parameters=parameters)) == 2
