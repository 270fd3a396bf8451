"""The script that makes an image's layers: what of a wheel goes where, and what ends a build."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import made
import pytest

from pipec.steps.container import prepare
from pipec.steps.container.prepare import SITE, Layer


@pytest.fixture
def layer(tmp_path: Path) -> Layer:
    found = Layer(tmp_path / "layer", has_scripts=True)
    found.ours.mkdir(parents=True)
    return found


def paths(layer: Layer) -> list[str]:
    return sorted(path.relative_to(layer.ours).as_posix() for path in layer.ours.rglob("*") if path.is_file())


def test_a_wheel_is_unpacked_as_the_format_says(tmp_path: Path, layer: Layer) -> None:
    files = {
        "a-1.0.data/scripts/tool": b"#!python\nprint(1)\n", "a-1.0.data/purelib/pure.py": b"",
        "a-1.0.data/data/share/a.txt": b"x", "a-1.0.data/headers/a.h": b"",
        "a-1.0.dist-info/entry_points.txt": b"[console_scripts]\nRun-It = a:main.now [extra]\n",
    }  # fmt: skip
    prepare.unpack(made.wheel(tmp_path, "a", files=files), layer)
    info = [f"{SITE}/a-1.0.dist-info/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt")]
    assert paths(layer) == sorted(["bin/Run-It", "bin/tool", f"{SITE}/a.py", f"{SITE}/pure.py", "share/a.txt", *info])
    assert (layer.ours / "bin" / "tool").read_text().startswith("#!/opt/pipec/bin/python\n")
    command = (layer.ours / "bin" / "Run-It").read_text()
    assert command == "#!/opt/pipec/bin/python\nimport sys\n\nfrom a import main\n\nsys.exit(main.now())\n"


def test_what_nothing_uses_at_run_time_is_left_out_of_known_packages_only(tmp_path: Path, layer: Layer) -> None:
    unused = {"x/tests/test_a.py": b"", "x/include/a.h": b"", "x/lib.a": b"", "x/a.pyx": b""}
    prepare.unpack(made.wheel(tmp_path, "numpy", files=unused), layer)
    assert [path for path in paths(layer) if "dist-info" not in path] == [f"{SITE}/numpy.py"]
    listed = (layer.ours / SITE / "numpy-1.0.dist-info" / "RECORD").read_text()
    assert "numpy.py," in listed and "x/lib.a" not in listed
    prepare.unpack(made.wheel(tmp_path, "triton", files=unused), layer)
    assert f"{SITE}/x/include/a.h" in paths(layer)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a\\..\\b"])
def test_a_file_outside_of_a_wheels_own_folder_ends_the_build(tmp_path: Path, layer: Layer, name: str) -> None:
    with pytest.raises(SystemExit, match=r"pipec: `a-1.0-py3-none-any.whl` has a file .*, outside of its own folder"):
        prepare.unpack(made.wheel(tmp_path, "a", files={name: b""}), layer)


def test_two_wheels_with_one_file_end_the_build_unless_it_is_the_same(tmp_path: Path, layer: Layer) -> None:
    prepare.unpack(made.wheel(tmp_path, "a", files={"shared.py": b"x = 1\n"}), layer)
    prepare.unpack(made.wheel(tmp_path, "b", files={"shared.py": b"x = 1\n"}), layer)
    with pytest.raises(SystemExit, match=r"`c-1.0-py3-none-any.whl` brings `.*shared.py`, which is there already"):
        prepare.unpack(made.wheel(tmp_path, "c", files={"shared.py": b"x = 2\n"}), layer)


def test_an_archive_that_is_no_wheel_ends_the_build(tmp_path: Path, layer: Layer) -> None:
    path = tmp_path / "a-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.py", "")
    with pytest.raises(SystemExit, match="is no wheel: it has no list of its files"):
        prepare.unpack(path, layer)


def build(tmp_path: Path, out: str, epoch: str = "1000000000") -> Path:
    """Run the script as the build does: alone, on a context of one small wheel and a team's file."""
    context = tmp_path / "context"
    made.wheel(context / "wheels", "a")
    (context / "files" / "team" / "work").mkdir(parents=True, exist_ok=True)
    (context / "files" / "team" / "work" / "m.py").write_text("def f(): return {'b', 'a'}\n")
    recipe = {
        "python": prepare.MINOR, "wheels": ["a-1.0-py3-none-any.whl"], "has_scripts": True, "variant": "",
        "is_lowest": False,
    }  # fmt: skip
    (context / "recipe.json").write_text(json.dumps(recipe))
    command = [sys.executable, "-I", str(Path(prepare.__file__)), str(context), str(tmp_path / out)]
    environ = {**os.environ, "SOURCE_DATE_EPOCH": epoch}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return tmp_path / out


def test_a_layer_has_the_same_bytes_rights_and_times_twice(tmp_path: Path) -> None:
    def shown(out: Path) -> list[tuple[str, str, int, bytes]]:
        found = ((path, path.lstat()) for path in sorted(out.rglob("*")))
        return [
            (
                str(path.relative_to(out)),
                stat.filemode(s.st_mode),
                int(s.st_mtime),
                path.read_bytes() if path.is_file() else b"",
            )
            for path, s in found
        ]

    one, two = shown(build(tmp_path, "one")), shown(build(tmp_path, "two"))
    assert one == two
    assert {time for _, _, time, _ in one} == {1000000000}
    assert {mode for _, mode, _, _ in one} == {"drwxr-xr-x", "-rw-r--r--"}


def test_modules_are_compiled_for_where_they_will_lie_and_never_checked_against_their_sources(tmp_path: Path) -> None:
    out = build(tmp_path, "out")
    tag = sys.implementation.cache_tag
    content = (out / "opt/pipec/team/work/__pycache__" / f"m.{tag}.pyc").read_bytes()
    assert int.from_bytes(content[4:8], "little") == 0b01  # PEP 552: by hash, unchecked
    assert b"/opt/pipec/team/work/m.py" in content
    assert str(tmp_path).encode() not in content


def test_wheels_for_another_python_end_the_build_with_both(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text('{"python": "3.9"}')
    with pytest.raises(
        SystemExit, match=rf"pipec: the wheels are for Python 3.9, but the base has {prepare.MINOR}: choose"
    ):
        prepare.main(tmp_path, tmp_path / "out")
