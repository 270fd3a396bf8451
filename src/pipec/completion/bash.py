"""Completion in bash, of 3.2 (macOS) as of today's; bash-completion is not needed."""

from __future__ import annotations

from collections.abc import Iterator

from pipec.completion.words import Command, Kind, Value

# What comes before the cursor is walked once. `=` and `:` are words of their own to bash, so `--format=json` is three.
_HEAD = """\
# bash completion of pipec, written by `pipec completion bash`

_pipec_take() {
    local word
    while IFS= read -r word; do COMPREPLY+=("$word"); done
}

_pipec_words() { _pipec_take < <(compgen -W "$2" -- "$1"); }

_pipec_paths() {
    _pipec_take < <(compgen "$2" -- "$1")
    compopt -o filenames 2> /dev/null
}

_pipec() {
    local current=${COMP_WORDS[COMP_CWORD]} command='' option='' inside='' word i
    local -i count=0
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $word == [=:]* ]]; then
            [[ -n $option ]] || inside=yes
        elif [[ -n $inside ]]; then
            inside=''
        elif [[ -n $option ]]; then
            option=''
        elif [[ $word == -?* ]]; then
            case $command:$word in
"""
_MIDDLE = """\
            esac
        elif [[ -z $command ]]; then
            command=$word
        elif [[ $command == @(GROUPS) ]]; then
            command+=" $word"
        else
            count+=1
        fi
    done
    [[ -z $inside ]] || return 0
    if [[ $current == [=:]* ]]; then
        [[ -n $option ]] || return 0
        current=''
    fi
    if [[ -n $option ]]; then
        case $command:$option in
"""
_OPTIONS = """\
        esac
        return 0
    fi
    local options=''
    case $command in
"""
_PLACES = """\
    esac
    if [[ $current == -* ]]; then
        _pipec_words "$current" "$options"
        return 0
    fi
    case $command:$count in
"""
_TAIL = """\
        *) _pipec_words "$current" "$options" ;;
    esac
    return 0
}

complete -F _pipec pipec
"""


def script(commands: tuple[Command, ...]) -> str:
    """Return the script."""
    valued = [f"{_pattern(one)}:{name}" for one in commands for o in one.options if o.value for name in o.names]
    lines = [
        *_HEAD.splitlines(),
        f"                {'|'.join(valued)}) option=$word ;;",
        *_MIDDLE.replace("GROUPS", "|".join(one.name for one in commands if one.is_group and one.name)).splitlines(),
        *(line for command in commands for line in _after_options(command)),
        *_OPTIONS.splitlines(),
        *(
            f"        '{one.name}') options='{' '.join(name for o in one.options for name in o.names)}' ;;"
            for one in commands
        ),
        *_PLACES.splitlines(),
        *(line for command in commands for line in _places(command)),
        *_TAIL.splitlines(),
    ]
    return "".join(f"{line}\n" for line in lines)


def _after_options(command: Command) -> Iterator[str]:
    for option in command.options:
        if option.value and option.value.kind is not Kind.FREE:
            names = "|".join(f"{_pattern(command)}:{name}" for name in option.names)
            yield f"            {names}) {_fill(option.value)} ;;"


def _places(command: Command) -> Iterator[str]:
    for number, argument in enumerate(command.arguments):
        fill = "" if argument.value.kind is Kind.FREE else f"{_fill(argument.value)} "
        yield f"        {_pattern(command)}:{'*' if argument.is_many else number}) {fill};;"


def _pattern(command: Command) -> str:
    """Return a command's name as a pattern of `case` has it."""
    return command.name.replace(" ", "\\ ")


def _fill(value: Value) -> str:
    match value.kind:
        case Kind.FILE:
            return '_pipec_paths "$current" -f'
        case Kind.FOLDER:
            return '_pipec_paths "$current" -d'
        case _:
            return f"_pipec_words \"$current\" '{' '.join(value.words)}'"
