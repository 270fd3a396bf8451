"""What can stand where on the command line, read off its parser."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum

from pipec.record import frozen

Words = Mapping[str, str]  # each with what it means, which may be empty
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Kind(StrEnum):
    """Of what a value is one. FREE: nothing that could be completed."""

    WORDS = "words"
    FILE = "file"
    FOLDER = "folder"
    FREE = "free"


@frozen
class Value:
    """What a person gives. label: as the help calls it. words: of Kind.WORDS, those that fit."""

    label: str
    kind: Kind
    words: Words


@frozen
class Option:
    """An option by all of its names. value: what follows it, if anything does."""

    names: tuple[str, ...]
    help: str
    value: Value | None
    is_repeatable: bool


@frozen
class Argument:
    """What stands at a place of its own. is_many: and at every later one."""

    value: Value
    is_many: bool


@frozen
class Command:
    """A command with what may follow it; the first of all is pipec itself, whose name here is empty.

    name: of one below another, both words. is_group: others are below it, and its one argument is which.
    """

    name: str
    help: str
    options: tuple[Option, ...]
    arguments: tuple[Argument, ...]
    is_group: bool = False


def commands(parser: argparse.ArgumentParser, known: Mapping[str, Words]) -> tuple[Command, ...]:
    """Return pipec itself and its commands, in the order of the help; those below another follow it."""
    return tuple(_commands("", "", parser, known))


def _commands(name: str, told: str, parser: argparse.ArgumentParser, known: Mapping[str, Words]) -> Iterator[Command]:
    # `_actions` is argparse's own list: it has no public way to what was added, and completion libraries read it too.
    choice = next((one for one in parser._actions if isinstance(one, argparse._SubParsersAction)), None)
    if choice is None:
        yield _command(name, told, parser, known)
        return
    helps = {action.dest: action.help or "" for action in choice._choices_actions}
    first = Argument(Value("command", Kind.WORDS, _safe({each: helps[each] for each in choice.choices})), is_many=False)
    yield Command(name, told, tuple(_options(name, parser, known)), (first,), is_group=True)
    for word, below in choice.choices.items():
        yield from _commands(f"{name} {word}".strip(), helps[word], below, known)


def _command(name: str, told: str, parser: argparse.ArgumentParser, known: Mapping[str, Words]) -> Command:
    placed = [action for action in parser._actions if not action.option_strings]
    arguments = tuple(Argument(_value(name, action, known), action.nargs in ("+", "*")) for action in placed)
    return Command(name, told, tuple(_options(name, parser, known)), arguments)


def _options(name: str, parser: argparse.ArgumentParser, known: Mapping[str, Words]) -> Iterator[Option]:
    for action in parser._actions:
        if action.option_strings:
            value = None if action.nargs == 0 else _value(name, action, known)
            repeatable = isinstance(action, argparse._AppendAction)
            yield Option(tuple(action.option_strings), action.help or "", value, repeatable)


def _value(command: str, action: argparse.Action, known: Mapping[str, Words]) -> Value:
    """Return what an action takes; that of files and folders is said by what the help calls them."""
    label = action.metavar if isinstance(action.metavar, str) else action.dest
    words = known.get(f"{command}.{action.dest}") or known.get(action.dest) or dict.fromkeys(action.choices or (), "")
    if words:
        return Value(label, Kind.WORDS, _safe(words))
    return Value(label, {"FILE": Kind.FILE, "DIR": Kind.FOLDER}.get(label, Kind.FREE), {})


def _safe(words: Words) -> Words:
    """Return words that mean nothing to any shell, and so need no quotes in any."""
    for word in words:
        assert _SAFE.fullmatch(word), f"completion.words got a word that a shell would read: {word!r}"
    return words
