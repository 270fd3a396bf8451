"""One POST of JSON to a webhook. Its URL is a secret: no message of a fault holds any of it. Knows no step."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pipec.steps.ml.fault import AskFault
from pipec.steps.release.place import Unreachable

AGAIN = (408, 425, 429)  # "too slow", "too early", "too many": of the 4xx those that another try may heal (RFC 9110)


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows nothing: urllib would make the POST a GET, and the body would not arrive."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def post(url: str, body: Mapping[str, Any], timeout_s: float) -> None:
    """Deliver `body` to an http or https URL. Raises AskFault at what cannot heal, Unreachable at what may."""
    target = url.strip()  # secrets are often kept with the line's end
    try:
        is_http = urlsplit(target).scheme in ("http", "https") and bool(urlsplit(target).hostname)
        content, headers = json.dumps(body, allow_nan=False).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(target, data=content, method="POST", headers=headers) if is_http else None
    except ValueError:
        request = None
    if request is None:
        raise AskFault("the webhook is not a URL of http or https: look at the secret")
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=timeout_s):
            return
    except urllib.error.HTTPError as fault:
        fault.close()
        raise _answered(fault.code) from None  # its text and its context hold the URL
    except Exception as fault:
        raise Unreachable(f"the webhook cannot be reached ({_kind(fault)}): check the network and try again") from None


def _answered(code: int) -> Exception:
    if code >= 500 or code in AGAIN:
        return Unreachable(f"the webhook answered with {code}: try again later")
    if 300 <= code < 400:
        return AskFault(f"the webhook answered with {code}, a redirect: put the URL it leads to into the secret")
    return AskFault(f"the webhook answered with {code}: look at the secret, and at what the receiver takes")


def _kind(fault: Exception) -> str:
    """Return what is known of a fault without its text, which may quote the URL."""
    reason = getattr(fault, "reason", fault)
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror.lower()
    return type(reason).__name__ if isinstance(reason, Exception) else type(fault).__name__
