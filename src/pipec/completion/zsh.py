"""Completion in zsh: one `_arguments` for each command. It can be sourced, or lie in `fpath` as `_pipec`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipec.completion.words import Argument, Command, Kind, Option, Value

_HEAD = """\
#compdef pipec
# zsh completion of pipec, written by `pipec completion zsh`

_pipec() {
    local context state state_descr line curcontext="$curcontext"
    typeset -A opt_args
"""
_MIDDLE = """\
[[ $state == argument ]] || return 0
curcontext="${curcontext%:*:*}:pipec-$words[1]:"
case $words[1] in
"""
_LAST = "'*::argument:->argument'"
_TAIL = """\
}

if [[ $funcstack[1] == _pipec ]]; then
    _pipec "$@"
else
    compdef _pipec pipec
fi
"""


def script(commands: tuple[Command, ...]) -> str:
    """Return the script."""
    whole, *below = commands
    lines = [*_HEAD.splitlines(), *_group(whole, below, 4), *_TAIL.splitlines()]
    return "".join(f"{line}\n" for line in lines)


def _group(group: Command, commands: Sequence[Command], indent: int) -> Iterator[str]:
    """Yield what completes a group of commands: its own options, then whichever command follows."""
    yield from _arguments(group, indent, flags=" -C", last=_LAST)
    yield from (f"{' ' * indent}{line}" for line in _MIDDLE.splitlines())
    inside = f"{group.name} ".lstrip()
    for command in commands:
        name = command.name.removeprefix(inside)
        if not command.name.startswith(inside) or " " in name:
            continue
        yield f"{' ' * indent}    {name})"
        if command.is_group:
            yield f"{' ' * indent}        state=''"
            yield from _group(command, commands, indent + 8)
        else:
            yield from _arguments(command, indent + 8)
        yield f"{' ' * indent}        ;;"
    yield f"{' ' * indent}esac"


def _arguments(command: Command, indent: int, flags: str = "", last: str = "") -> Iterator[str]:
    specs = [_option(option) for option in command.options]
    specs += [_place(number, argument) for number, argument in enumerate(command.arguments, 1)]
    specs += [last] if last else []
    yield f"{' ' * indent}_arguments{flags} \\"
    for number, spec in enumerate(specs, 1):
        yield f"{' ' * (indent + 4)}{spec}{'' if number == len(specs) else ' ' + chr(92)}"


def _option(option: Option) -> str:
    """Return an option's specification; its names exclude each other, unless it may be said again."""
    others = f"'({' '.join(option.names)})'" if not option.is_repeatable else "'*'"
    sign = {True: "=", False: "+"}
    named = [name + (sign[name.startswith("--")] if option.value else "") for name in option.names]
    names = "{" + ",".join(named) + "}" if len(named) > 1 else named[0]
    value = f":{_text(option.value.label)}:{_action(option.value)}" if option.value else ""
    return f"{others}{names}'[{_text(option.help)}]{value}'"


def _place(number: int, argument: Argument) -> str:
    at = "*" if argument.is_many else number
    return f"'{at}:{_text(argument.value.label)}:{_action(argument.value)}'"


def _action(value: Value) -> str:
    match value.kind:
        case Kind.FILE:
            return "_files"
        case Kind.FOLDER:
            return "_files -/"
        case Kind.FREE:
            return " "
        case _ if any(value.words.values()):
            told = (f"{word}\\:{_told(about)}" for word, about in value.words.items())
            return f"(({' '.join(told)}))"
        case _:
            return f"({' '.join(value.words)})"


def _text(text: str) -> str:
    """Return a text for a description or a label, which end at a bracket or a colon."""
    return _escaped(text, "\\[]:")


def _told(text: str) -> str:
    """Return what is told of a word: the list of words is evaluated once more, so it stands there in double quotes."""
    return '"' + _escaped(text, '\\":$`') + '"'


def _escaped(text: str, special: str) -> str:
    """Return a text for within single quotes, with a backslash before the characters that are special there."""
    return "".join(f"\\{char}" if char in special else char for char in text).replace("'", "'\\''")
