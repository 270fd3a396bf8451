"""The one way in which building or reading an image ends without it. Apart, so that every module here may raise it."""

from __future__ import annotations


class ImageFault(Exception):
    """No image was made or read. The message is one line: cause and next action."""
