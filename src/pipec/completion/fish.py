"""Completion in fish: a line for each command, option and argument."""

from __future__ import annotations

from collections.abc import Iterator

from pipec.completion.words import Command, Kind, Option, Value

_HEAD = """\
# fish completion of pipec, written by `pipec completion fish`

function __pipec_at --description 'Say whether the command so far is this one'
    set -l words (commandline -opc)
    set -e words[1]
    set -l command ''
    for word in $words
        if not string match -q -- '-*' $word
            set command (string trim "$command $word")
            contains -- "$command" GROUPS; or break
        end
    end
    test "$command" = "$argv[1]"
end

complete -c pipec -f
"""


def script(commands: tuple[Command, ...]) -> str:
    """Return the script."""
    groups = " ".join(_quoted(command.name) for command in commands if command.is_group and command.name)
    lines = [
        *_HEAD.replace("GROUPS", groups).splitlines(),
        *(line for command in commands for line in _command(command)),
    ]
    return "".join(f"{line}\n" for line in lines)


def _command(command: Command) -> Iterator[str]:
    head = f"complete -c pipec -n {_quoted(f'__pipec_at {_quoted(command.name)}')}"
    for argument in command.arguments:
        yield from _fill(head, argument.value)
    for option in command.options:
        yield from _option(head, option)


def _option(head: str, option: Option) -> Iterator[str]:
    names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
    yield f"{head} {names}{_required(option.value)} -d {_quoted(option.help)}"


def _required(value: Value | None) -> str:
    """Return what an option says of its value. `-x`: there is one, and it is no file unless that is said."""
    match value:
        case None:
            return ""
        case Value(kind=Kind.FILE):
            return " -r -F"
        case Value(kind=Kind.FOLDER):
            return " -x -a '(__fish_complete_directories)'"
        case Value(kind=Kind.FREE):
            return " -x"
        case _:
            return f" -x -a '{' '.join(value.words)}'"


def _fill(head: str, value: Value) -> Iterator[str]:
    match value.kind:
        case Kind.FILE:
            yield f"{head} -F"
        case Kind.FOLDER:
            yield f"{head} -a '(__fish_complete_directories)'"
        case Kind.FREE:
            return
        case _:
            for word, told in value.words.items():
                yield f"{head} -a {word}" + (f" -d {_quoted(told)}" if told else "")


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
