"""What the YAML parser stumbles over, in the words of who wrote the text.

libyaml speaks of block mappings and flow nodes. Its problems are few and fixed (scanner.c and parser.c of libyaml 0.2),
so each is told by what most often makes it; what is not listed is told as the parser says it.
"""

from __future__ import annotations

from pipec.record import frozen

_FLOW = "a `{` is not closed, or a `,` is missing"
_LIST = "a `[` is not closed, or a `,` is missing"
_QUOTE = "a quote is not closed"
# By how a problem begins: what to say, and what to do.
_TOLD: tuple[tuple[str, str, str], ...] = (
    ("did not find expected ',' or '}'", _FLOW, "close it with `}`; put texts with `,`, `{` or `: ` in quotes"),
    ("did not find expected ',' or ']'", _LIST, "close it with `]`; put texts with `,`, `[` or `: ` in quotes"),
    ("did not find expected key", "this line is not indented as those beside it",
     "begin it in the column of the keys beside it"),
    ("did not find expected '-' indicator", "this line is no item of the list above it",
     "begin it with `- ` in the column of the other items"),
    ("mapping values are not allowed", "a `:` is not expected here",
     "begin a new line, or put a text that holds `: ` in quotes"),
    ("block sequence entries are not allowed", "a list cannot begin here", "begin a new line before `- `"),
    ("mapping keys are not allowed", "a `?` is not expected here", "put the text in quotes"),
    ("could not find expected ':'", "a key without a `:`", "write `: ` behind the key"),
    ("found unexpected end of stream", _QUOTE, "write the closing quote"),
    ("found unexpected document indicator", _QUOTE, "write the closing quote before `---` or `...`"),
    ("found unknown escape character", "the character behind `\\` makes no escape",
     "write `\\\\` for a backslash, or use single quotes"),
    ("did not find expected hex", "digits are missing in this escape", "write `\\x41`, `\\u0041` or `\\U00000041`"),
    ("found character that cannot start any token", "no value begins with this character",
     "put the text in quotes"),
    ("did not find expected node content", "a value is missing here", "write it, or remove what stands around it"),
    ("did not find expected <document start>", "this belongs to no document",
     "part documents by a line `---`, and begin the keys of one in the same column"),
    ("did not find expected alphabetic", "`*` and `&` begin an alias or an anchor, which are not read",
     "put the text in quotes"),
    ("found undefined tag handle", "`!` begins a tag, which is not read", "put the text in quotes"),
    ("did not find the expected ':'", "a key without a `:`", "write `: ` behind the key"),
    ("did not find expected comment or line break", "nothing but a comment may stand behind `|` or `>`",
     "begin the text on the next line"),
    ("found an indentation indicator", "`0` does not say how far a text is indented", "write `|` or `>` alone"),
    ("found unexpected non-alphabetical", "`%` at the beginning of a line is no text",
     "put the text in quotes, or indent it"),
    ("could not find expected directive name", "`%` at the beginning of a line is no text",
     "put the text in quotes, or indent it"),
    ("found invalid Unicode", "this escape stands for no character", "write the character itself"),
    ("found unexpected ':'", "a `:` cannot stand here", "put the text in quotes"),
    ("did not find expected whitespace", "`!` begins a tag, which is not read", "put the text in quotes"),
    *((start, "directives are not read", "remove the line") for start in (
        "found incompatible YAML", "did not find expected version", "did not find expected '!'", "found duplicate %",
    )),
    ("control characters are not allowed", "a character that cannot be seen stands here", "remove it"),
)  # fmt: skip


@frozen
class Misread:
    """What to say of a problem, and what to do. has_begun: what could not be ended begins at a place of its own.

    is_at_start: and there the text is to be changed, rather than where the parser stopped.
    """

    message: str
    help: str = ""
    has_begun: bool = False
    is_at_start: bool = False


def told(problem: str, context: str, before: str, char: str) -> Misread:
    """Return what to say of a problem of the parser. before, char: of its line, what it read, and where it stopped."""
    if char == "\t":
        return Misread("this is not YAML: a tab cannot indent", "indent with spaces")
    if problem == "did not find expected key" and before.strip():
        message = "this is not YAML: nothing may stand behind a closing quote or bracket"
        return Misread(message, "put all of the text into one pair of quotes")
    for start, said, advice in _TOLD:
        if problem.startswith(start):
            has_begun = context.endswith(("a flow mapping", "a flow sequence", "a quoted scalar"))
            is_at_start = problem.startswith("found unexpected")
            return Misread(f"this is not YAML: {said}", advice, has_begun and "escape" not in said, is_at_start)
    words = " ".join(part for part in (problem, context) if part).replace("'", "`")
    return Misread(f"this is not YAML: {words}")
