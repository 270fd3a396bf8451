"""Make one layer of an image out of wheels, inside of the build, with the base's own Python and nothing else.

What it is told stands in `recipe.json`; the same recipe, wheels, base and SOURCE_DATE_EPOCH give the same bytes. It
runs as a script, alone: it must import nothing of pipec.
"""

from __future__ import annotations

import configparser
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import NamedTuple

ROOT = Path("/opt/pipec")  # as `pipec.contents.ROOT` says
MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
SITE = PurePosixPath(f"lib/python{MINOR}/site-packages")
UID = 10001
N_SHARES = 4  # fixed, not the machine's cores: what a share compiled before shows in the bytes of a module

# What an image that compiles nothing has no use for. Named packages only: others (such as triton) compile at run time.
STRIPPED = frozenset({"numpy", "scipy", "pandas", "pyarrow", "scikit_learn", "networkx"})
UNUSED = re.compile(
    r"/(tests|include|includes)/"
    r"|^pyarrow/src/"
    r"|\.(a|c|cpp|cxx|h|hpp|lib|pxd|pxi|pyi|pyx|tp)$"
    # The servers of Arrow: 35 MB that tables, files and datasets do not link to.
    r"|^pyarrow/(lib)?(arrow_python|arrow)?_flight\.|^pyarrow/_pyarrow_cpp_tests\."
)
COMPILE = """
import py_compile, sys
for line in sys.stdin.read().splitlines():
    path, shown = line.split("\\t")
    try:
        py_compile.compile(path, dfile=shown, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    except (py_compile.PyCompileError, ValueError):
        pass  # a template, or a file for another Python: whoever imports it is told
"""  # noqa: E501
CONTENTS = "import sys; from pipec.image import variant; sys.stdout.write(variant.contents(sys.argv[1]).text())"


class Layer(NamedTuple):
    """A tree on its way into an image. root: what becomes `/`. has_scripts: its wheels' commands are wanted."""

    root: Path
    has_scripts: bool

    @property
    def ours(self) -> Path:
        """Where `ROOT` is, in this layer."""
        return self.root / ROOT.relative_to("/")


def main(context: Path, out: Path) -> None:
    """Make `out` into the layer that `context` says: its recipe, its wheels, and files as they are."""
    recipe = json.loads((context / "recipe.json").read_text(encoding="utf-8"))
    if recipe["python"] != MINOR:
        fail(f"the wheels are for Python {recipe['python']}, but the base has {MINOR}: choose the wheels for this base")
    layer = Layer(out, recipe["has_scripts"])
    layer.ours.mkdir(parents=True)
    if recipe["is_lowest"]:
        found(layer)
    for name in recipe["wheels"]:
        unpack(context / "wheels" / name, layer)
    if (context / "files").is_dir():
        shutil.copytree(context / "files", layer.ours, dirs_exist_ok=True)
    if recipe["variant"]:
        tell_contents(layer, recipe["variant"])
    compile_all(layer)
    settle(out, int(os.environ.get("SOURCE_DATE_EPOCH") or 0))


def fail(message: str) -> None:
    """End the build with one line, which `pipec.image.build` looks for."""
    sys.exit(f"pipec: {message}")


def found(layer: Layer) -> None:
    """Begin a layer with a virtual environment, the user, and the folder that is written."""
    python = Path(os.path.realpath(sys.executable))
    (layer.ours / "bin").mkdir()
    for name in ("python", "python3"):
        (layer.ours / "bin" / name).symlink_to(python)
    version = ".".join(map(str, sys.version_info[:3]))
    config = f"home = {python.parent}\ninclude-system-site-packages = false\nversion = {version}\n"
    (layer.ours / "pyvenv.cfg").write_text(config, encoding="utf-8")
    (layer.ours / SITE).mkdir(parents=True)
    (layer.ours / "team").mkdir()
    (layer.root / "work").mkdir()
    (layer.root / "etc").mkdir()
    # Some libraries look their user up (torch does); a user that has no entry goes by USER.
    for name, line in (("passwd", f"pipec:x:{UID}:{UID}::/work:/usr/sbin/nologin"), ("group", f"pipec:x:{UID}:")):
        before = Path("/etc", name).read_text(encoding="utf-8")
        (layer.root / "etc" / name).write_text(f"{before.rstrip()}\n{line}\n", encoding="utf-8")


def unpack(wheel: Path, layer: Layer) -> None:
    """Unpack a wheel into a layer, as the Binary Distribution Format says, without what is not used."""
    distribution = wheel.name.partition("-")[0].lower()
    with zipfile.ZipFile(wheel) as archive:
        kept: set[str] = set()
        record = ""
        for member in archive.infolist():
            if member.is_dir() or (distribution in STRIPPED and UNUSED.search(member.filename)):
                continue
            if member.filename.endswith(".dist-info/RECORD"):
                record = member.filename
                continue
            if place := placed(member.filename, wheel):
                write(layer, place, archive.read(member), wheel, is_program=bool(member.external_attr >> 16 & 0o111))
                kept.add(member.filename)
        if not record:
            fail(f"`{wheel.name}` is no wheel: it has no list of its files")
        lines = archive.read(record).decode().splitlines(keepends=True)
        listed = "".join(line for line in lines if line.rsplit(",", 2)[0].strip('"') in kept)
        write(layer, SITE / record, listed.encode(), wheel, is_program=False)
        if layer.has_scripts:
            add_commands(archive, record.rpartition("/")[0], layer, wheel)


def placed(name: str, wheel: Path) -> PurePosixPath | None:
    """Return where a file of a wheel goes, below `ROOT`; None: nowhere."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name:
        fail(f"`{wheel.name}` has a file `{name}`, outside of its own folder: take another wheel")
    if not path.parts[0].endswith(".data"):
        return None if "__pycache__" in path.parts else SITE / path
    scheme, below = path.parts[1], PurePosixPath(*path.parts[2:])
    return {"purelib": SITE / below, "platlib": SITE / below, "scripts": "bin" / below, "data": below}.get(scheme)


def write(layer: Layer, place: PurePosixPath, content: bytes, wheel: Path, *, is_program: bool) -> None:
    """Write a file of a wheel. Another content at its place, in this layer or below it, ends the build."""
    is_script = place.parts[0] == "bin"
    if is_script and not layer.has_scripts:
        return
    if is_script and content.startswith(b"#!python"):
        content = f"#!{ROOT}/bin/python".encode() + content[len(b"#!python") :]
    for there in (layer.ours / place, ROOT / place):
        if os.path.lexists(there) and (not there.is_file() or there.read_bytes() != content):
            fail(f"`{wheel.name}` brings `{place}`, which is there already with another content: leave one of them out")
    target = layer.ours / place
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    target.chmod(0o755 if is_program or is_script else 0o644)


def add_commands(archive: zipfile.ZipFile, info: str, layer: Layer, wheel: Path) -> None:
    """Write the commands that a wheel declares."""
    name = f"{info}/entry_points.txt"
    if name not in archive.namelist():
        return
    declared = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    declared.optionxform = str  # type: ignore[assignment, method-assign]  # names keep their case
    declared.read_file(io.TextIOWrapper(archive.open(name), encoding="utf-8"))
    for command, place in declared["console_scripts"].items() if "console_scripts" in declared else ():
        module, _, function = place.partition("[")[0].strip().partition(":")
        top = function.partition(".")[0]
        text = f"#!{ROOT}/bin/python\nimport sys\n\nfrom {module} import {top}\n\nsys.exit({function}())\n"
        write(layer, PurePosixPath("bin", command), text.encode(), wheel, is_program=True)


def tell_contents(layer: Layer, variant: str) -> None:
    """Let the unpacked pipec itself say which steps it has: a given wheel may be another than the one that builds."""
    command = [sys.executable, "-B", "-c", CONTENTS, variant]
    environ = {"PYTHONPATH": str(layer.ours / SITE), "PATH": os.environ.get("PATH", "")}
    told = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if told.returncode:
        fail(
            f"the wheel of pipec does not say what it holds ({told.stderr.strip().splitlines()[-1]}): give a newer one"
        )
    (layer.ours / "contents.json").write_text(told.stdout, encoding="utf-8")


def compile_all(layer: Layer) -> None:
    """Compile all modules of a layer. Never checked against their sources, which in an image cannot change.

    In shares of a fixed order, each in a process of its own: a module's bytes depend on what was compiled before it.
    """
    paths = sorted(path for path in layer.ours.rglob("*.py") if path.parent != layer.ours / "bin")
    lines = [f"{path}\t/{path.relative_to(layer.root)}" for path in paths]
    command = [sys.executable, "-S", "-W", "ignore", "-c", COMPILE]
    environ = {"PYTHONHASHSEED": "0", "PATH": os.environ.get("PATH", "")}

    def share(number: int) -> int:
        given = "\n".join(lines[number::N_SHARES])
        return subprocess.run(command, input=given, text=True, env=environ, check=False).returncode

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        if any(pool.map(share, range(N_SHARES))):
            fail("the packages cannot be compiled: see above")


def settle(out: Path, epoch: int) -> None:
    """Give everything one time and one set of rights, folders last: what lies in them changes theirs."""
    for path in (*below(out), out):
        if path.is_symlink():
            pass
        elif path.is_dir():
            path.chmod(0o1777 if path.name == "work" and path.parent == out else 0o755)
        else:
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
        os.utime(path, (epoch, epoch), follow_symlinks=False)


def below(folder: Path) -> Iterator[Path]:
    """Yield what is in a folder, what lies in a folder before the folder itself."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            yield from below(path)
        yield path


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except OSError as fault:
        fail(f"the layer cannot be made: {(fault.strerror or str(fault)).lower()}: make room for the container engine")
