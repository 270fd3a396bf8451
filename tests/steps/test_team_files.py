"""A file of the step's image: opened below the team's folder, over no link, and only if it is the locked one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import runtime_probe as probes

from pipec import contents, digest

TEXT = "select *\nfrom wine\n"
DIGEST, OTHER = digest.of_text(TEXT), digest.of_text(f"{TEXT}\n")


@pytest.fixture
def team(tmp_path: Path, monkeypatch) -> Path:
    """The team's folder, named by the variable; it holds one file."""
    folder = tmp_path / "team"
    (folder / "queries").mkdir(parents=True)
    (folder / "queries" / "big.sql").write_text(TEXT)
    monkeypatch.setenv(contents.TEAM_VARIABLE, str(folder))
    probes.register(monkeypatch)
    return folder


def run(root: Path, path: str = "queries/big.sql", wanted: str = DIGEST) -> int:
    return probes.probe(root / "run", parameters={"attached": {"path": path, "digest": wanted}})


def test_the_step_reads_the_file_of_its_image_under_its_name(team: Path, tmp_path: Path) -> None:
    assert run(tmp_path) == 0
    assert probes.result(tmp_path / "run")["values"]["seen"]["attached"] == ["big.sql", TEXT]


def _gone(team: Path) -> None:
    (team / "queries" / "big.sql").unlink()


def _other(team: Path) -> None:
    (team / "queries" / "big.sql").write_text(TEXT + "\n")


def _link(team: Path) -> None:
    (team / "queries" / "big.sql").rename(team / "other.sql")
    (team / "queries" / "big.sql").symlink_to("../other.sql")


def _linked_folder(team: Path) -> None:
    (team / "queries").rename(team / "kept")
    (team / "queries").symlink_to("kept")


def _pipe(team: Path) -> None:
    _gone(team)
    os.mkfifo(team / "queries" / "big.sql")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_gone, "this image lacks `queries/big.sql`, which pipec.lock says it has: build it again, and run "
                "`pipec image lock`"),
        (_other, f"`queries/big.sql` is another file in this image than in pipec.lock "
                 f"({OTHER[:19]}, not {DIGEST[:19]}): run `pipec image lock`, and compile again"),
        (_link, "`queries/big.sql` in this image cannot be read, for a link or its rights (too many levels of symbolic "
                "links): build it again, and lock it"),
        (_linked_folder, "`queries/big.sql` in this image cannot be read, for a link or its rights (not a directory): "
                         "build it again, and lock it"),
        (_pipe, "`queries/big.sql` in this image is not a file: build the image again, and run `pipec image lock`"),
    ],
)  # fmt: skip
def test_another_file_than_the_locked_one_ends_in_one_line(
    spoil, told: str, team: Path, tmp_path: Path, capsys
) -> None:
    spoil(team)
    assert run(tmp_path) == 2
    assert capsys.readouterr().err.splitlines() == [f"t (probe@1): {told}"]
    assert probes.result(tmp_path / "run")["message"] == told


@pytest.mark.parametrize("path", ["../run/data", "/etc/hostname", "queries/../queries/big.sql", "", "queries//big.sql"])
def test_a_path_that_could_leave_the_folder_is_refused(path: str, team: Path, tmp_path: Path, capsys) -> None:
    assert run(tmp_path, path) == 2
    assert "is not the path of a team's file: run `pipec image lock`" in capsys.readouterr().err


def test_without_an_image_the_line_names_the_two_ways_to_go_on(team: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv(contents.TEAM_VARIABLE, str(tmp_path / "none"))
    assert run(tmp_path) == 2
    assert capsys.readouterr().err.splitlines() == [
        "t (probe@1): `queries/big.sql` lies in the step's image, and none is here: use `pipec run --containers`, or "
        "set PIPEC_TEAM to the folder that was built into it"
    ]
