"""The command line: arguments in, an exit code out. What a command prints is in `commands/`.

Each command's module is imported when it runs, so that `--help` and `--version` cost an argparse and nothing else.
Exit codes: 0 done, 1 findings, 2 usage, 3 refused by a gate or a person, 4 a step failed, 70 our fault, 75 parked.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any

from pipec import __version__

OUR_FAULT = 70
# What ends a command with one line and exit code 2; by name, so that naming them imports nothing.
_USAGE_ERRORS = ("UsageError", "OutputError", "EngineError", "AskFault", "Unreachable", "DockerFault", "ImageFault")

# As `report.FORMATS` and `completion.SHELLS` say: named here so that `--help` imports neither (a test compares them).
_FORMATS = ("text", "json", "sarif", "github", "gitlab", "junit")
_SHELLS = ("bash", "zsh", "fish")
_VARIANTS = ("core", "light", "gpu")  # as `image.variant.EXTRAS` says

# They read, answer and end, on trees that hold no cycles: looking for garbage took a fifth of their time (1,000 steps).
_SHORT_LIVED = ("compile", "show", "verify")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. No exception leaves it unless `PIPEC_DEBUG` is set."""
    options = _parser().parse_args(argv)
    module, _, function = options.command.partition(":")
    if module in _SHORT_LIVED:
        gc.disable()
    try:
        code = int(getattr(import_module(f"pipec.commands.{module}"), function)(options))
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return _fail(130, "interrupted")
    except Exception as fault:
        if os.environ.get("PIPEC_DEBUG"):
            raise
        if type(fault).__name__ in _USAGE_ERRORS:
            return _fail(2, str(fault))
        return _fail(
            OUR_FAULT, f"{type(fault).__name__}: {fault}; a fault of pipec: please report it with PIPEC_DEBUG=1"
        )


def _fail(code: int, message: str) -> int:
    print(f"pipec: {message}", file=sys.stderr)
    return code


def _formatter(prog: str) -> argparse.HelpFormatter:
    """Return what lays out help. argparse makes one for every argument, and would load all compressors for a width."""
    return argparse.HelpFormatter(prog, width=_columns() - 2)


@cache
def _columns() -> int:
    """Return the width of the terminal, as `shutil.get_terminal_size` finds it."""
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and int(said):
        return int(said)
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or 80  # type: ignore[union-attr]
    except (AttributeError, ValueError, OSError):
        return 80


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pipec",
        description="Check, compile and run the life of a model, written as one YAML file.",
        formatter_class=_formatter,
    )
    parser.add_argument("--version", action="version", version=f"pipec {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (
        _check, _compile, _run, _runs, _approve, _why, _serve, _graph, _render, _steps, _schema, _explain, _verify_ir,
        _image, _completion,
    ):  # fmt: skip
        add(commands)
    return parser


def _add(commands: Any, name: str, command: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text, formatter_class=_formatter)
    parser.set_defaults(command=command)
    return parser


def _about_file(parser: argparse.ArgumentParser, *, many: bool = False) -> None:
    if many:
        parser.add_argument("files", metavar="FILE", nargs="+", help="a pipeline's YAML file, or - for standard input")
    else:
        parser.add_argument("file", metavar="FILE", help="a pipeline's YAML file, or - for standard input")
    parser.add_argument("--env", default="", metavar="E", help="the environment to read the pipeline for")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="sets", help="give a parameter a value"
    )
    _about_color(parser)


def _about_color(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto",
        help="colour findings (default: on a terminal, unless NO_COLOR or FORCE_COLOR say otherwise)",
    )  # fmt: skip


def _about_pipeline(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pipeline", metavar="NAME", help="of a file with several pipelines, this one")


def _about_target(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument("-t", "--target", required=required, metavar="T", help="the engine: kubeflow or airflow")
    parser.add_argument(
        "-O", action="append", default=[], metavar="NAME=VALUE", dest="options", help="an option of the target"
    )


def _about_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--home", metavar="DIR", help="where runs are kept (default: .pipec at the project's root)")


def _check(commands: Any) -> None:
    parser = _add(commands, "check", "compile:check", "Check pipelines, and tell every mistake at its place.")
    _about_file(parser, many=True)
    _about_target(parser, required=False)
    _about_pipeline(parser)
    parser.add_argument("--format", choices=_FORMATS, default="text", help="how findings are printed")
    parser.add_argument("--strict", action="store_true", help="take warnings for errors")


def _compile(commands: Any) -> None:
    parser = _add(commands, "compile", "compile:compile_", "Compile a pipeline to the files of an engine.")
    _about_file(parser)
    _about_target(parser, required=True)
    _about_pipeline(parser)
    parser.add_argument("-o", "--output", default=".", metavar="DIR", help="the folder to write to, or - to print")
    parser.add_argument("--check", action="store_true", help="write nothing; say whether the files are current")


def _run(commands: Any) -> None:
    parser = _add(commands, "run", "run:run", "Run a pipeline on this machine.")
    _about_file(parser)
    _about_pipeline(parser)
    _about_run(parser)
    parser.add_argument("--resume", metavar="RUN", help="go on with this run (or `latest`)")
    parser.add_argument("--jobs", type=int, metavar="N", help="tasks at once (default: as many as cores)")
    parser.add_argument("--approve-as", metavar="NAME", help="approve in this person's name")
    parser.add_argument(
        "--containers", action="store_true", help="run every step in a container of its image, with Docker"
    )


def _runs(commands: Any) -> None:
    parser = _add(commands, "runs", "run:runs", "List the runs of this project, or show one.")
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run's id, or `latest`")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how runs are printed")
    _about_run(parser)


def _approve(commands: Any) -> None:
    parser = _add(commands, "approve", "approve:approve", "Decide about a run that waits for a person.")
    parser.add_argument("run", metavar="RUN", help="the run's id, or `latest`")
    parser.add_argument("step", metavar="STEP", help="the step that waits")
    parser.add_argument("--as", dest="name", required=True, metavar="NAME", help="who decides")
    parser.add_argument("--reject", action="store_true", help="say no")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why, for the record")
    parser.add_argument("--store", metavar="ROOT", help="the artifact root below which a run elsewhere waits")
    parser.add_argument("--pipeline", metavar="NAME", help="below a --store with such a run of several, this one")
    _about_run(parser)


def _why(commands: Any) -> None:
    parser = _add(commands, "why", "run:why", "Tell why a step ran, was skipped, failed or missed the cache.")
    parser.add_argument("run", metavar="RUN", help="the run's id, or `latest`")
    parser.add_argument("step", metavar="STEP", help="a step of the run")
    _about_run(parser)


def _serve(commands: Any) -> None:
    parser = _add(commands, "serve", "run:serve", "Serve what is released here, over the Open Inference Protocol v2.")
    parser.add_argument("--store", metavar="DIR", help="the release store (default: .pipec/releases of this project)")
    parser.add_argument("--name", metavar="NAME", help="serve this model only")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--port", type=int, default=8080, help="the port to listen on; 0 takes a free one")


def _graph(commands: Any) -> None:
    parser = _add(commands, "graph", "show:graph", "Draw a pipeline.")
    _about_file(parser)
    _about_pipeline(parser)
    parser.add_argument("--format", choices=("mermaid",), default="mermaid", help="the form of the drawing")


def _render(commands: Any) -> None:
    parser = _add(commands, "render", "show:render", "Print a pipeline as it is in an environment.")
    _about_file(parser)
    _about_pipeline(parser)


def _steps(commands: Any) -> None:
    parser = _add(commands, "steps", "show:steps", "List the steps of the library, or show one.")
    parser.add_argument("name", nargs="?", metavar="NAME", help="a step of the library")


def _schema(commands: Any) -> None:
    parser = _add(commands, "schema", "show:schema", "Print the JSON Schema that editors use.")
    parser.add_argument(
        "--kind", choices=("Pipeline", "Project", "Step"), default="Pipeline", help="of which documents"
    )


def _explain(commands: Any) -> None:
    parser = _add(commands, "explain", "show:explain", "Explain a kind of finding.")
    parser.add_argument("code", nargs="?", metavar="CODE", help="such as PIPE210; without it, all are listed")


def _verify_ir(commands: Any) -> None:
    text = "Verify compiled pipelines of Kubeflow, whoever compiled them."
    parser = _add(commands, "verify-ir", "verify:verify_ir", text)
    parser.add_argument("files", metavar="FILE", nargs="+", help="a compiled pipeline, or - for standard input")
    parser.add_argument("--format", choices=_FORMATS, default="text", help="how findings are printed")
    parser.add_argument(
        "--size-limit", type=_limit, default="backend", metavar="BYTES", help="or none, or backend (the default)"
    )
    _about_color(parser)


def _limit(text: str) -> str:
    if text in ("backend", "none") or (text.isascii() and text.isdigit() and int(text[:12]) > 0 and len(text) <= 12):
        return text
    raise argparse.ArgumentTypeError(f"cannot be `{text}`; allowed: backend, none, or a number of bytes")


def _image(commands: Any) -> None:
    text = "Build the images that steps run in, and look into them."
    parser: argparse.ArgumentParser = commands.add_parser(
        "image", help=text, description=text, formatter_class=_formatter
    )
    below = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (_image_build, _image_lock, _image_inspect):
        add(below)


def _image_build(commands: Any) -> None:
    parser = _add(commands, "build", "image:build", "Build an image of the step library, or of your code on one.")
    parser.add_argument("--variant", choices=_VARIANTS, default="light", help="what it holds (default: light)")
    parser.add_argument(
        "--tag", default="", metavar="NAME", help="the image's name (default: pipec-steps:VERSION-VARIANT)"
    )
    parser.add_argument("--base", default="", metavar="IMAGE", help="the image below it (default: python:VERSION-slim)")
    parser.add_argument(
        "--torch", choices=("cpu", "cuda"), default="", help="the build of torch in gpu (default: cuda)"
    )
    parser.add_argument(
        "--with", dest="code", default="", metavar="DIR", help="add the code of this folder, as a layer"
    )
    parser.add_argument("--requirements", default="", metavar="FILE", help="add these packages, as a layer")
    parser.add_argument("--from", dest="below", default="", metavar="IMAGE", help="the image of pipec below your layer")
    parser.add_argument("--wheel", default="", metavar="FILE", help="pipec's own wheel, in place of this pipec's")
    parser.add_argument(
        "--wheels", default="", metavar="DIR", help="take packages from this folder, and none elsewhere"
    )
    parser.add_argument("--index", default="", metavar="URL", help="look for packages in this index too")
    parser.add_argument("--sbom", default="", metavar="FILE", help="write the bill of materials beside the image")
    parser.add_argument("--no-cache", action="store_true", help="use nothing of an earlier build")


def _image_lock(commands: Any) -> None:
    parser = _add(commands, "lock", "lock:lock", "Write down the digests and contents of images in pipec.lock.")
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="these images (default: those of the project)")
    parser.add_argument("--check", action="store_true", help="write nothing; say whether the file is current")


def _image_inspect(commands: Any) -> None:
    parser = _add(commands, "inspect", "image:inspect_", "Tell what an image is and what it holds.")
    parser.add_argument("image", metavar="IMAGE", help="an image that the container engine has")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how it is printed")


def _completion(commands: Any) -> None:
    parser = _add(commands, "completion", "show:completion", "Print a script with which a shell completes this.")
    parser.add_argument("shell", choices=_SHELLS, help="such as bash: source <(pipec completion bash)")
    parser.set_defaults(parser=_parser)
