from __future__ import annotations

import json

import pytest

from pipec.contents import Contents, Version, of_json

WHOLE = Contents(
    pipec="0.1.0",
    variant="light",
    python="3.11",
    steps={"train": Version("1", "sha256:ab")},
    files={"churn/model.py": "sha256:cd"},
    functions={"churn.model": ("build", "tune")},
)


def test_contents_come_back_as_they_were_written() -> None:
    assert of_json(json.loads(WHOLE.text())) == WHOLE


@pytest.mark.parametrize("key", sorted(WHOLE.as_json()))
def test_contents_without_one_of_their_parts_are_refused(key: str) -> None:
    body = WHOLE.as_json()
    del body[key]
    with pytest.raises(ValueError, match="not the contents"):
        of_json(body)


@pytest.mark.parametrize("body", [None, [], "x", {**WHOLE.as_json(), "files": {"a": 1}}], ids=str)
def test_another_value_is_refused(body: object) -> None:
    with pytest.raises(ValueError, match="not the contents"):
        of_json(body)


def test_contents_of_another_format_are_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match="format 9, and this pipec reads 1"):
        of_json({**WHOLE.as_json(), "format": "9"})
