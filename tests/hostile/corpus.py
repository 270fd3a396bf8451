"""Texts made to hurt who reads them, each with the one code that it must be answered with, and harmless look-alikes.

The traps are those of YAML readers, of names that become something else elsewhere, and of values that a reader, a
printer or a validator works on for too long. Each is a whole pipeline but for the one thing that is wrong with it.
"""

# ruff: noqa: E501  (a table with one case a line)
from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from pipec.diagnostics import MAX_ALIKE

MIB = 1 << 20
TOP = "apiVersion: pipec/v1alpha1\nkind: Pipeline\n"
HEAD = TOP + "metadata: {name: p}\nimage: registry.example/steps:1\n"
SPLIT = "steps:\n  s: {uses: split, with: {data: s3://rows/a.csv}}\n"
GOOD = HEAD + SPLIT
DATA = "data: s3://rows/a.csv"


def described(text: str) -> str:
    """Return a good pipeline whose description is written so."""
    return TOP + f"metadata: {{name: p, description: {text}}}\nimage: registry.example/steps:1\n{SPLIT}"


def named(name: str) -> str:
    return HEAD + f"steps:\n  {name}: {{uses: split, with: {{{DATA}}}}}\n"


def valued(value: str) -> str:
    """Return a good pipeline with a number written so."""
    return HEAD + f"steps:\n  s: {{uses: split, with: {{{DATA}, seed: {value}}}}}\n"


def declared(parameter: str, default: str) -> str:
    return HEAD + f"parameters:\n  q: {{{parameter}, default: {default}}}\n" + SPLIT


def _merges() -> str:
    """Seven levels of merge keys over ten aliases each: 17 s in a loader that follows them."""
    levels = ["a0: &a0 {k: v}"]
    levels += [f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 8)]
    return "\n".join(levels) + "\n" + GOOD


def _aliases() -> str:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    return "\n".join(levels) + "\n" + GOOD


# Nests, bombs and sizes.
BOMBS: dict[str, tuple[str, str]] = {
    "lists in lists": ("PIPE003", "[" * 100_000),
    "lists in lists, closed": ("PIPE003", GOOD + "x: " + "[" * 30_000 + "]" * 30_000),
    "maps in maps": ("PIPE003", "{a: " * 100_000),
    "keys in keys": ("PIPE009", "? " * 100_000),
    "items in items": ("PIPE003", "- " * 100_000),
    "items in lines": ("PIPE003", "".join(" " * n + "-\n" for n in range(2000))),
    "maps in lines": ("PIPE003", "".join(" " * n + "a:\n" for n in range(2000))),
    "lists in a value": ("PIPE003", described("[" * 5000 + "]" * 5000)),
    "levels, one too many": ("PIPE003", GOOD + "x: " + "[" * 64 + "]" * 64),
    "merge keys": ("PIPE005 x4", _merges()),
    "aliases": ("PIPE005 x3", _aliases()),
    "an alias to itself": ("PIPE005 x2", GOOD + "x: &x [*x]\n"),
    "an alias to nothing": ("PIPE005", GOOD + "x: *nothing\n"),
    "an anchor": ("PIPE005", described("&a text")),
    "a merge key": ("PIPE005", GOOD + "<<: {a: b}\n"),
    "300,000 values": ("PIPE003", GOOD + "x: [" + "a," * 300_000 + "]\n"),
    "8 MiB of values": ("PIPE003", GOOD + "x: [" + "a," * (4 * MIB - 200) + "]\n"),
    "8 MiB of lists": ("PIPE003", GOOD + "x: [" + "[]," * (2 * MIB) + "]\n"),
    "8 MiB of keys": ("PIPE003", GOOD + "x:\n" + "".join(f" k{n}: v\n" for n in range(700_000))),
    "8 MiB of items": ("PIPE003", GOOD + "x:\n" + "-\n" * (4 * MIB - 200)),
    "8 MiB of one value": ("PIPE101", GOOD + "x: '" + "x" * (8 * MIB - 300) + "'\n"),
    "8 MiB of one line of quotes": ("PIPE101", GOOD + "x: '" + "''" * (4 * MIB - 300) + "'\n"),
    "8 MiB of escapes": ("PIPE101", GOOD + 'x: "' + "\\u0041" * (MIB + MIB // 4) + '"\n'),
    "8 MiB of spaces": ("PIPE101", GOOD + "x: y" + " " * (8 * MIB - 300) + "\n"),
    "8 MiB of empty lines": ("PIPE101", GOOD + "x: |\n" + "\n" * (8 * MIB - 300) + "  y\n"),
    "8 MiB of folded lines": ("PIPE101", GOOD + "x: >\n" + "  y\n" * (2 * MIB - 300)),
    "8 MiB of comments": ("PIPE101", GOOD + "#\n" * (4 * MIB - 300) + "x: y\n"),
    "8 MiB of a comment": ("PIPE101", GOOD + "#" * (8 * MIB - 300) + "\nx: y\n"),
    "8 MiB of tabs": ("PIPE001", GOOD + "x:\n" + "\t" * (8 * MIB - 300) + "a: b\n"),
    "8 MiB of carriage returns": ("PIPE004", GOOD + "x: " + "\r" * (8 * MIB - 300)),
    "8 MiB of brackets in a text": ("PIPE101", GOOD + "x: '" + "[{" * (4 * MIB - 300) + "'\n"),
    "8 MiB of an open quote": ("PIPE001", GOOD + 'x: "' + "y" * (8 * MIB - 300)),
    "8 MiB of a key": ("PIPE001", GOOD + "x" * (8 * MIB - 300) + ": y\n"),
    "8 MiB of a quoted key": ("PIPE001", GOOD + '"' + "x" * (8 * MIB - 300) + '": y\n'),
    "8 MiB of an explicit key": ("PIPE009", GOOD + '? "' + "x" * (8 * MIB - 300) + '"\n: y\n'),
    "8 MiB of a tag": ("PIPE006", GOOD + "x: !<" + "x" * (8 * MIB - 300) + "> y\n"),
    "8 MiB of an anchor": ("PIPE005", GOOD + "x: &" + "x" * (8 * MIB - 300) + " y\n"),
    "8 MiB of a number": ("PIPE008", GOOD + "x: " + "9" * (8 * MIB - 300) + "\n"),
    "8 MiB of a fraction": ("PIPE101", GOOD + "x: 0." + "1" * (8 * MIB - 300) + "\n"),
    "8 MiB of an expression": ("PIPE120", GOOD.replace("s3://rows/a.csv", '"${{ ' + "x." * (4 * MIB - 300) + ' }}"')),
    "8 MiB of a description": ("PIPE004", described('"' + "x" * (8 * MIB - 400) + '\\u202e"')),
    "a byte more than 8 MiB": ("PIPE002", GOOD + "#" * (8 * MIB + 1 - len(GOOD))),
    "9 MiB": ("PIPE002", GOOD + "#" * (9 * MIB)),
    "65 documents": ("PIPE003", "---\n" + ("--- a\n" * 64) + GOOD),
    "64 documents": ("PIPE105", "---\n".join([*(GOOD.replace("name: p", f"name: p{n}") for n in range(63)), GOOD.replace("name: p", "name: P")])),
    "8 MiB of documents": ("PIPE003", "---\n" * (2 * MIB - 10)),
    "a million stars": ("PIPE001", "*" * MIB),
    "a million question marks": ("PIPE007 xMANY", "? a\n" * MIB),
    "a million bangs": ("PIPE006 xMANY", "[" + "!a b, " * 300_000 + "]"),
    "a million percent signs": ("PIPE006", "%" * MIB),
    "directives": ("PIPE006", "".join(f"%TAG !t{n}! tag:example.org,{n}:\n" for n in range(50_000)) + "---\n" + GOOD),
}  # fmt: skip

# What two readers see differently, or nobody sees.
TEXTS: dict[str, tuple[str, str | bytes]] = {
    "nothing": ("PIPE010", ""),
    "a comment": ("PIPE010", "# pipeline\n"),
    "a NUL in a value": ("PIPE004", described('"a\0b"')),
    "an escaped NUL": ("PIPE004", described('"a\\0b"')),
    "a NUL in a key": ("PIPE004", GOOD + "a\0b: 1\n"),
    "an escape to the terminal": ("PIPE004", described('"\x1b[31mred"')),
    "an escaped escape": ("PIPE004", described('"\\e[31mred"')),
    "a bell in a comment": ("PIPE004", GOOD + "# \x07\n"),
    "a delete": ("PIPE004", described('"\x7f"')),
    "a C1 control": ("PIPE004", described('"\x9b31m"')),
    "a next line": ("PIPE004", described("a\x85b")),
    "an escaped next line": ("PIPE004", described('"a\\Nb"')),
    "a line separator": ("PIPE004", described("a\u2028b")),
    "an escaped paragraph separator": ("PIPE004", described('"a\\Pb"')),
    "an override of direction": ("PIPE004", described("a\u202eb")),
    "an isolate of direction": ("PIPE004", described("a\u2066b")),
    "a mark of direction in a comment": ("PIPE004", GOOD + "# \u200f\n"),
    "an Arabic letter mark": ("PIPE004", described("a\u061cb")),
    "a zero-width space in a name": ("PIPE004", named("s\u200bplit")),
    "a zero-width joiner": ("PIPE004", described("a\u200db")),
    "a word joiner": ("PIPE004", described("a\u2060b")),
    "a soft hyphen in a name": ("PIPE105", named("s\u00adplit")),
    "a tag character": ("PIPE004", described("a\U000e0041b")),
    "a Hangul filler in a name": ("PIPE004", named("\u3164")),
    "a byte order mark in the body": ("PIPE004", described("a\ufeffb")),
    "two byte order marks": ("PIPE004", "\ufeff\ufeff" + GOOD),
    "a noncharacter": ("PIPE004", described("a\ufdd0b")),
    "the last code point of a plane": ("PIPE004", described("a\U0001ffffb")),
    "the last code point": ("PIPE004", described('"\\U0010ffff"')),
    "a surrogate as an escape": ("PIPE001", described('"\\ud800"')),
    "a pair of surrogates as escapes": ("PIPE001", described('"\\ud83d\\ude00"')),
    "beyond Unicode": ("PIPE001", described('"\\U00110000"')),
    "a surrogate as bytes": ("PIPE002", described("a@b").encode().replace(b"@", b"\xed\xa0\x80")),
    "an overlong slash": ("PIPE002", described("a@b").encode().replace(b"@", b"\xc0\xaf")),
    "a lone continuation": ("PIPE002", described("a@b").encode().replace(b"@", b"\x80")),
    "an unfinished character": ("PIPE002", GOOD.encode() + b"# \xe2\x82"),
    "UTF-16": ("PIPE002", GOOD.encode("utf-16")),
    "UTF-16 without a mark": ("PIPE004", GOOD.encode("utf-16-le")),
    "UTF-32": ("PIPE002", GOOD.encode("utf-32")),
    "UTF-7": ("PIPE105", GOOD.replace("name: p", "name: +AAo-")),
    "latin-1": ("PIPE002", described("\u00e9").encode("latin-1")),
    "a gzip": ("PIPE002", b"\x1f\x8b\x08\x00" + bytes(range(256))),
    "all bytes": ("PIPE002", bytes(range(256))),
    "a carriage return alone": ("PIPE004", "a: 1\rb: 2\n"),
    "a form feed": ("PIPE004", GOOD + "\x0c\n"),
    "a key twice": ("PIPE007", GOOD + "image: registry.example/other:1\n"),
    "a step twice": ("PIPE007", GOOD + f"  s: {{uses: split, with: {{{DATA}}}}}\n"),
    "a key twice, quoted": ("PIPE007", GOOD + '"image": registry.example/other:1\n'),
    "a key twice, escaped": ("PIPE007", GOOD + '"\\x69mage": registry.example/other:1\n'),
    "a key twice after composition": ("PIPE007", GOOD + "x: {\u00e9: 1, e\u0301: 2}\n"),
    "a key twice, signed": ("PIPE007", GOOD + "x: {\u212b: 1, \u00c5: 2}\n"),
    "a list as a key": ("PIPE009", GOOD + "? [a]\n: b\n"),
    "nothing as a key": ("PIPE009", GOOD + "null: b\n"),
    "a tag of Python": ("PIPE006", described('!!python/object/apply:os.system ["id"]')),
    "a tag of a Python name": ("PIPE006", described("!!python/name:os.system ''")),
    "a tag of Ruby": ("PIPE006", described("!ruby/object:Gem::Installer {i: x}")),
    "a tag of Java": ("PIPE006 x2", described('!!javax.script.ScriptEngineManager [!!java.net.URL ["http://127.0.0.1/"]]')),
    "a tag of text": ("PIPE006", described("!!str text")),
    "a tag alone": ("PIPE006", described("! text")),
    "binary": ("PIPE006", described("!!binary aGVsbG8=")),
    "a set": ("PIPE006", GOOD + "x: !!set {a, b}\n"),
    "a version directive": ("PIPE006", "%YAML 1.1\n---\n" + GOOD),
    "a version of the future": ("PIPE006", "%YAML 3.0\n---\n" + GOOD),
    "a tag directive": ("PIPE006", "%TAG ! tag:yaml.org,2002:python/\n---\n" + GOOD),
    "an unknown directive": ("PIPE006", "%FOO bar\n---\n" + GOOD),
    "jinja as YAML": ("PIPE009", GOOD + "x: {{ x }}\n"),
    "a second document in a text": ("PIPE001", GOOD + "x: 'a\n--- b'\n"),
}  # fmt: skip

NUMBERS: dict[str, tuple[str, str]] = {
    "2^53": ("PIPE008", valued("9007199254740992")),
    "2^53 + 1": ("PIPE008", valued("9007199254740993")),
    "minus 2^53": ("PIPE008", valued("-9007199254740992")),
    "5,000 digits": ("PIPE008", valued("9" * 5000)),
    "5,000 digits after zeros": ("PIPE008", valued("0" * 5000 + "1")),
    "hexadecimal of 5,000 digits": ("PIPE008", valued("0x" + "f" * 5000)),
    "octal of 5,000 digits": ("PIPE008", valued("0o" + "7" * 5000)),
    "infinity": ("PIPE008", valued(".inf")),
    "minus infinity": ("PIPE008", valued("-.INF")),
    "not a number": ("PIPE008", valued(".NaN")),
    "too large an exponent": ("PIPE008", valued("1e999")),
    "a huge exponent": ("PIPE008", valued("1e99999999999999999999")),
    "minus too large an exponent": ("PIPE008", valued("-1.0e+999")),
    "infinity as JavaScript says it": ("PIPE112", valued("Infinity")),
    "nan as Python says it": ("PIPE112", valued("nan")),
    "a date": ("PIPE112", valued("2024-13-45")),
    "a moment": ("PIPE112", valued("2001-12-14t21:59:43.10+99:99")),
    "sixty-based": ("PIPE112", valued("1:30")),
    "grouped digits": ("PIPE112", valued("1_000")),
    "hexadecimal of nothing": ("PIPE112", valued("0x_")),
    "a Norwegian": ("PIPE112", valued("no")),
    "Arabic digits": ("PIPE112", valued("\u0661\u0662")),
    "wide digits": ("PIPE112", valued("\uff11")),
    "a fraction for a whole number": ("PIPE103", valued("1.5")),
}

NAMES: dict[str, tuple[str, str]] = {
    **{f"the step {name!r}": (code, named(name)) for name, code in {
        "..": "PIPE105", "../evil": "PIPE105", "a/b": "PIPE105", "/etc/passwd": "PIPE105", "a.b": "PIPE105",
        "CON": "PIPE105", "A": "PIPE105", "-a": "PIPE105", "a-": "PIPE105", "a" * 41: "PIPE105", "a_b": "PIPE105",
        "c\u0430t": "PIPE105", "\u0441at": "PIPE105", "\uff41b": "PIPE105", "\u0131d": "PIPE105", "stra\u00dfe": "PIPE105",
        "\U0001d41a": "PIPE105", "\u00e9": "PIPE105", "1a": "PIPE105", "'a b'": "PIPE105", "'a\\nb'": "PIPE105",
        "\"a\\nb\"": "PIPE105", "'{{ x }}'": "PIPE105", "'a; import os'": "PIPE105", "\"a'); import os #\"": "PIPE105",
        "__class__": "PIPE105", "__init__": "PIPE105", "'${{ secrets.x }}'": "PIPE105", "$(id)": "PIPE105", "'*'": "PIPE105",
        "class": "PIPE205", "lambda": "PIPE205", "import": "PIPE205", "async": "PIPE205", "dag": "PIPE205",
        "root": "PIPE205", "exit-hook": "PIPE205", "system": "PIPE205", "a-driver": "PIPE205",
    }.items()},
    "a pipeline called like a path": ("PIPE105", GOOD.replace("name: p", "name: ../../p")),
    "a pipeline called like a root": ("PIPE105", GOOD.replace("name: p", "name: /p")),
    "a pipeline called like a file": ("PIPE105", GOOD.replace("name: p", "name: p.py")),
    "a pipeline of 5,000 characters": ("PIPE105", GOOD.replace("name: p", "name: " + "p" * 5000)),
    "a pipeline called by a number": ("PIPE103", GOOD.replace("name: p", "name: 7")),
    "two pipelines of one name": ("PIPE105", GOOD + "---\n" + GOOD),
    "steps that become one": ("PIPE208", HEAD + f"steps:\n  s: {{uses: split, matrix: {{axes: {{seed: [1]}}}}, with: {{{DATA}}}}}\n  s-1: {{uses: split, with: {{{DATA}}}}}\n"),
    "a parameter of Python": ("PIPE105", HEAD + "parameters:\n  __class__: {type: string, default: a}\n" + SPLIT),
    "a label with a line": ("PIPE104", GOOD.replace("{name: p}", '{name: p, labels: {a: "b\\nc"}}')),
    "a label's name with a path": ("PIPE105", GOOD.replace("{name: p}", '{name: p, labels: {"../a": b}}')),
    "a variable with an equals sign": ("PIPE105", GOOD.replace("uses: split", 'uses: split, env: {"A=B": c}')),
    "a variable with a NUL": ("PIPE004", GOOD.replace("uses: split", 'uses: split, env: {"A\\0": c}')),
    "an image with a space": ("PIPE104", GOOD.replace("steps:1", "steps:1 --privileged")),
    "an image with a line": ("PIPE104", GOOD.replace("registry.example/steps:1", '"registry.example/steps:1\\n"')),
    "an image with a placeholder": ("PIPE104", GOOD.replace("registry.example/steps:1", "\"x{{$.inputs.parameters['a']}}\"")),
    "a time zone that is a path": ("PIPE104", GOOD + "triggers: [{schedule: {cron: '0 0 * * *', timezone: Europe/../../../etc/passwd}}]\n"),
    "an absolute time zone": ("PIPE104", GOOD + "triggers: [{schedule: {cron: '0 0 * * *', timezone: /etc/passwd}}]\n"),
    "a cron with a line": ("PIPE410", GOOD + 'triggers: [{schedule: {cron: "0 0 * * *\\n* * * * *"}}]\n'),
    "a cron of 100,000 fields": ("PIPE410", GOOD + f"triggers: [{{schedule: {{cron: '{'* ' * 100_000}'}}}}]\n"),
    "a cron of 100,000 parts": ("PIPE410", GOOD + f"triggers: [{{schedule: {{cron: '{'0,' * 100_000}x * * * *'}}}}]\n"),
    "a cron of a huge range": ("PIPE410", GOOD + "triggers: [{schedule: {cron: '0-99999999999 * * * *'}}]\n"),
    "a cron of a huge stride": ("PIPE410", GOOD + f"triggers: [{{schedule: {{cron: '*/{'9' * 5000} * * * *'}}}}]\n"),
    "a duration of a million years": ("PIPE104", GOOD.replace("uses: split", "uses: split, timeout: 99999999999d")),
    "a memory of all there is": ("PIPE104", GOOD.replace("uses: split", "uses: split, resources: {memory: 99999999999Ti}")),
}  # fmt: skip


def _wide(n: int, line: Callable[[int], str]) -> str:
    return "".join(line(number) for number in range(n))


# What a validator or a search for a better word works on for too long.
SLOW: dict[str, tuple[str, str]] = {
    "a pattern that backtracks": ("PIPE111", declared('type: string, pattern: "^(a+)+$"', "a" * 40 + "!")),
    "a pattern that backtracks in a choice": ("PIPE111", declared('type: string, pattern: "^(a|a)*$"', "a" * 40 + "!")),
    "a pattern that backtracks in a tail": ("PIPE111", declared('type: string, pattern: "(.*)*x$"', "a" * 40)),
    "a pattern of many stars": ("PIPE111", declared(f'type: string, pattern: "^{"a*" * 30}b$"', "a" * 2000)),
    "a pattern that counts": ("PIPE111", declared('type: string, pattern: "^(a{1,100}){1,100}$"', "a" * 200 + "!")),
    "a pattern that counts too far": ("PIPE111", declared('type: string, pattern: "^((((a{9}){9}){9}){9}){999}$"', "a")),
    "a pattern over a long text": ("PIPE111", declared('type: string, pattern: "^([a-z]+[0-9]?)+$"', "a" * 200_000 + "!")),
    "a long pattern": ("PIPE111", declared(f'type: string, pattern: "^({"a?" * 5000}){"a" * 5000}$"', "a" * 2000)),
    "a pattern that looks back": ("PIPE111", declared('type: string, pattern: "(?<=a)b"', "ab")),
    "a pattern that refers back": ("PIPE111", declared('type: string, pattern: "^(a+)\\\\1+$"', "a" * 50 + "b")),
    "a pattern that backtracks in a list": (
        "PIPE111", declared('type: list, items: {type: string, pattern: "^(a+)+$"}', f'[{"a" * 40}!]')),
    "patterns of names": (
        "PIPE101", declared('type: object, properties: {a: {patternProperties: {"^(a+)+$": {}}}}', f'{{a: {{{"a" * 40}!: 1}}}}')),
    "a schema from the network": (
        "PIPE101", declared('type: list, items: {$ref: "http://127.0.0.1:9/evil.json"}', "[1]")),
    "a schema from a file": ("PIPE101", declared('type: list, items: {$ref: "file:///etc/passwd"}', "[1]")),
    "a schema from its dialect": (
        "PIPE101", declared('type: list, items: {$ref: "https://json-schema.org/draft/2019-09/schema"}', "[1]")),
    "a schema in itself": ("PIPE101", declared('type: list, items: {$ref: "#"}', "[[[1]]]")),
    "a schema in itself by another way": (
        "PIPE101 x2", declared('type: list, items: {$defs: {a: {$ref: "#/items/$defs/a"}}, $ref: "#/items/$defs/a"}', "[1]")),
    "a schema of another dialect": (
        "PIPE101", declared('type: list, items: {$schema: "http://127.0.0.1:9/s", type: number}', "[a]")),
    "a schema of many choices": (
        "PIPE101", declared("type: list, items: " + '{anyOf: [{type: "null"}, ' * 20 + "{}" + "]}" * 20, "[1]")),
    "a schema of branches in branches": (
        "PIPE101", declared("type: list, items: " + "{allOf: [" * 18 + "{type: string}" + "]}" * 18, f"[{'1, ' * 5000}1]")),
    "unique items, quadratic": (
        "PIPE101", declared("type: list, items: {uniqueItems: true}",
                            "[[" + ", ".join(f"{{a: {n}}}" for n in range(3000)) + ", {a: 0}]]")),
    "a choice of thousands, for thousands": (
        "PIPE111 xMANY", declared(f"type: list, items: {{enum: [{', '.join(f'{{a: {n}}}' for n in range(3000))}]}}",
                            "[" + ", ".join(f"{{a: x{n}}}" for n in range(3000)) + "]")),
    "2,000 unknown keys": ("PIPE101 xMANY", GOOD + _wide(2000, lambda n: f"unknown{n}: 1\n")),
    "50,000 unknown keys": ("PIPE101 xMANY", GOOD + _wide(50_000, lambda n: f"unknown{n}: 1\n")),
    "50,000 unknown parameters": (
        "PIPE110 xMANY", HEAD + f"steps:\n  s:\n    uses: split\n    with:\n      {DATA}\n" + _wide(50_000, lambda n: f"      p{n}: 1\n")),
    "2,000 unknown steps": (
        "PIPE201 xMANY", HEAD + "steps:\n" + _wide(2000, lambda n: f"  s{n}: {{uses: spilt{n}}}\n")),
    "2,000 unknown names among 2,000": (
        "PIPE202 xMANY", HEAD + "steps:\n" + _wide(2000, lambda n: f"  step{n}: {{uses: split, with: {{{DATA}}}, needs: [setp{n}]}}\n")),
    "20,000 unknown needs": (
        "PIPE202 xMANY", HEAD + f"steps:\n  s: {{uses: split, with: {{{DATA}}}, needs: [{', '.join(f'x{n}' for n in range(20_000))}]}}\n"),
    "10,000 wrong values": (
        "PIPE103 xMANY", HEAD + "steps:\n" + _wide(10_000, lambda n: f"  s{n}: {{uses: [split]}}\n")),
    "a word of 200,000 letters unknown": ("PIPE009", GOOD + "? " + "paramater" * 20_000 + "\n: 1\n"),
    "a choice of 200,000 letters": ("PIPE104", GOOD.replace("uses: split", f"uses: split, resources: {{accelerator: {{kind: {'gpu' * 60_000}}}}}")),
    "a cycle of 2,000": (
        "PIPE210", HEAD + "steps:\n" + _wide(2000, lambda n: f"  s{n}: {{uses: split, with: {{{DATA}}}, needs: [s{(n + 1) % 2000}]}}\n")),
    "100,000 openings": ("PIPE120", GOOD.replace("s3://rows/a.csv", '"' + "${{" * 100_000 + '"')),
    "100,000 escapes": ("PIPE101", GOOD.replace("s3://rows/a.csv", '"' + "$${{" * 100_000 + '"') + "x: 1\n"),
    "101 expressions": ("PIPE120", GOOD.replace("s3://rows/a.csv", '"' + "${{ run.id }}" * 101 + '"')),
    "100,000 parentheses": ("PIPE120", GOOD.replace("uses: split", f"uses: split, when: '{'(' * 8000}'")),
    "a condition of 100,000 characters": ("PIPE120", GOOD.replace("uses: split", f"uses: split, when: \"{'1 == 1 and ' * 10_000}1 == 1\"")),
    "8,000 characters of not": ("PIPE120", GOOD.replace("uses: split", f"uses: split, when: '{'not ' * 2000}true'")),
    "a number of 8,000 digits in a condition": ("PIPE120", GOOD.replace("uses: split", f"uses: split, when: '1 == {'9' * 8000}'")),
    "a matrix of a million cells": (
        "PIPE123", HEAD + f"steps:\n  s: {{uses: split, matrix: {{axes: {{{', '.join(f'a{n}: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]' for n in range(6))}}}}}, with: {{{DATA}}}}}\n"),
    "a matrix of 10^40 cells": (
        "PIPE123", HEAD + f"steps:\n  s: {{uses: split, matrix: {{axes: {{{', '.join(f'a{n}: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]' for n in range(40))}}}}}, with: {{{DATA}}}}}\n"),
    "a range that is not one": ("PIPE111", declared("type: list, minItems: 9007199254740991", "[]")),
    "a pattern as a list": ("PIPE103", declared("type: string, pattern: [a]", "a")),
    "a bound as a text": ("PIPE112", declared("type: number, minimum: a", "1")),
    "2,000 environments": ("PIPE101 xMANY", GOOD + "environments:\n" + _wide(2000, lambda n: f"  e{n}: {{steps: {{t: {{timeout: 1h}}}}}}\n")),
}  # fmt: skip


def texts() -> Iterator[tuple[str, list[str], bytes]]:
    """Yield each hostile text: its name, the codes it must be answered with, its bytes."""
    for table in (BOMBS, TEXTS, NUMBERS, NAMES, SLOW):
        for name, (told, text) in table.items():
            code, _, times = told.partition(" x")
            yield (
                name,
                [code] * (MAX_ALIKE if times == "MANY" else int(times or 1)),
                text if isinstance(text, bytes) else text.encode(),
            )


# What only looks like a trap: each is data, and must arrive as it was written.
HARMLESS = (
    "5 {{ 3", "it's", "C:\\new\\table", "a {% raw %} b", "{{ x }}", "{{ macros.uuid.os.popen('id').read() }}", "{{ ''.__class__ }}",
    "{{$}}", "{{$.inputs.parameters['secret']}}", "$(id)", "`id`", "$HOME ${HOME} %HOME%", "-*- coding: unicode_escape -*-", "# coding: utf-7 +AAo-",
    "__import__('os').system('id')", "'''\"\"\"", "\\x00 \\u202e", "</script><script>", "' or 'a'=='a", "../../etc/passwd is a path", "1; DROP TABLE",
    "no", "yes", "012", "1e3", "~", "null", "2024-01-01", "é ñ 漢字 العربية עברית", "\U0001f9ea emoji", "e\u0301", "a: b", "- a", "? a", "[a", "{a",
    "a #b", "&a *b !c", "<<", "%YAML", "---", "...", "@a", "|", ">", "=", "x" * 1000, "$${{ secrets.x }}", "tab\there", "line\nline",
)  # fmt: skip


def harmless(text: str) -> str:
    """Return a pipeline with a text in every place that takes any: a description, a parameter, a variable, a value."""
    said = json.dumps(text, ensure_ascii=False)
    plain = json.dumps(text.replace("$${{", "${ {"), ensure_ascii=False)  # where no expression is read, none is escaped
    return (
        TOP + f"metadata: {{name: p, description: {plain}}}\nimage: registry.example/steps:1\n"
        f"parameters: {{q: {{type: string, default: {plain}}}}}\n"
        f"steps:\n  s: {{uses: ingest, description: {plain}, env: {{A: {said}}}, with: {{source: s3://rows/a.csv}}}}\n"
        f'  n: {{uses: notify, with: {{channel: "${{{{ parameters.q }}}}", message: {said}}}}}\n'
    )
