"""One attempt of a step: what it is given, what others see of it, and how it ends."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest
import runtime_probe as probes

from pipec import digest
from pipec.steps import runtime
from pipec.steps.command import Location
from pipec.steps.declare import interface_of

DEBUG = "set PIPEC_DEBUG=1 to see where"
NO_FILE = "is a link or a device; an artifact holds plain files only"


@pytest.fixture(autouse=True)
def _probe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    probes.register(monkeypatch)
    monkeypatch.delenv("PIPEC_DEBUG", raising=False)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))


def test_a_step_that_ends_well_leaves_outputs_and_a_result(tmp_path: Path) -> None:
    assert probes.probe(tmp_path) == 0
    assert probes.visible(tmp_path) == ["data", "t/folder/in", "t/note", "t/result.json", "t/same"]
    kept = {name: digest.of_path(tmp_path / "t" / name) for name in ("same", "note", "folder")}
    assert probes.result(tmp_path) == {
        "format": "1",
        "outcome": "succeeded",
        "message": "",
        "values": {"size": 3, "seen": {"attached": None, "number": 1, "many": 0, "threads": 1}},
        "artifacts": {
            "same": {"type": "Dataset", "digest": kept["same"]},
            "note": {"type": "File", "digest": kept["note"]},
            "folder": {"type": "Directory", "digest": kept["folder"]},
        },
        "inputs": {"data": [kept["same"]], "many": []},
    }


def test_results_of_two_places_are_the_same_bytes(tmp_path: Path) -> None:
    for place in ("one", "two"):
        assert probes.probe(tmp_path / place, run_id=place) == 0
    one, two = ((tmp_path / place / "t" / "result.json").read_bytes() for place in ("one", "two"))
    assert one == two


@pytest.mark.parametrize(
    ("act", "code", "outcome", "message"),
    [
        ("refuse", 3, "refused", "the rows say no: bring others"),
        ("caller", 2, "failed", "the words are wrong"),
        ("again", 75, "failed", "nobody has answered"),
        ("bug", 1, "failed", rf"the step stopped unexpectedly (KeyError: 'here\nand there'): {DEBUG}"),
        ("exit", 1, "failed", f"the step stopped unexpectedly (SystemExit: 9): {DEBUG}"),
        ("memory", 1, "failed", "the step ran out of memory: give it more under `resources`"),
        ("nothing", 1, "failed", "the step ended without writing output `note`: mend the step"),
        ("forget", 1, "failed", "the step ended without giving output `size`: mend the step"),
        ("mistype", 1, "failed", "output `size` needs a whole number, but got `big`, which is text: mend the step"),
        ("extra", 1, "failed", "the step wrote `more`, which it does not declare: mend the step"),
        ("link", 1, "failed", f"output `folder` cannot be kept: out {NO_FILE}"),
        ("fifo", 1, "failed", f"output `folder` cannot be kept: pipe {NO_FILE}"),
        ("change", 3, "refused", "`data` was changed while the step read it: run again when nobody writes to it"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isalpha() else "",
)  # fmt: skip
def test_a_bad_end_gives_its_code_one_line_and_no_output(
    act: str, code: int, outcome: str, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert probes.probe(tmp_path, act) == code
    assert capfd.readouterr().err.splitlines() == [f"t (probe@1): {message}"]
    told = probes.result(tmp_path)
    assert (told["outcome"], told["message"], told["artifacts"], told["values"]) == (outcome, message, {}, {})
    assert probes.visible(tmp_path) == ["data", "t/result.json"]


def test_a_traceback_is_shown_to_those_who_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIPEC_DEBUG", "1")
    assert probes.probe(tmp_path, "bug") == 1
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].startswith("t (probe@1): the step stopped unexpectedly")


def test_a_second_attempt_takes_the_place_of_the_first(tmp_path: Path) -> None:
    assert probes.probe(tmp_path) == 0
    (tmp_path / "t" / "folder" / "stale").write_text("of an older attempt")
    assert probes.probe(tmp_path) == 0
    assert probes.visible(tmp_path) == ["data", "t/folder/in", "t/note", "t/result.json", "t/same"]


def test_an_optional_output_is_in_the_result_if_it_was_written(tmp_path: Path) -> None:
    assert probes.probe(tmp_path / "with", "spare") == 0
    assert probes.result(tmp_path / "with")["artifacts"]["spare"]["digest"] == digest.of_text("spare")
    assert probes.probe(tmp_path / "without") == 0
    assert set(probes.result(tmp_path / "without")["artifacts"]) == {"same", "note", "folder"}


def test_an_attempt_that_leaves_an_output_out_does_not_name_that_of_the_one_before(tmp_path: Path) -> None:
    assert probes.probe(tmp_path, "spare") == 0
    assert probes.probe(tmp_path) == 0
    assert "spare" not in probes.result(tmp_path)["artifacts"]


def test_a_failed_attempt_leaves_the_outputs_of_the_one_before(tmp_path: Path) -> None:
    assert probes.probe(tmp_path) == 0
    assert probes.probe(tmp_path, "nothing") == 1
    assert (tmp_path / "t" / "note").read_text() == "noted"
    assert probes.result(tmp_path)["outcome"] == "failed"


@pytest.mark.parametrize("is_artifact", [False, True], ids=["users-file", "artifact"])
def test_a_users_file_is_copied_and_an_artifact_is_linked(is_artifact: bool, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("rows")
    known = digest.of_path(tmp_path / "data") if is_artifact else None
    assert probes.probe(tmp_path, inputs={"data": (Location(str(tmp_path / "data"), known),)}) == 0
    assert (tmp_path / "t" / "same").samefile(tmp_path / "data") is is_artifact


@pytest.mark.parametrize("is_artifact", [False, True], ids=["users-folder", "artifact"])
def test_a_folder_is_passed_on_whole(is_artifact: bool, tmp_path: Path) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "rows").write_text("rows")
    known = digest.of_path(tmp_path / "data")
    place = Location(str(tmp_path / "data"), known if is_artifact else None)
    assert probes.probe(tmp_path, inputs={"data": (place,)}) == 0
    assert probes.result(tmp_path)["artifacts"]["same"]["digest"] == known
    assert (tmp_path / "t/same/deep/rows").samefile(tmp_path / "data/deep/rows") is is_artifact


def test_an_input_that_is_not_what_was_made_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").write_text("rows")
    wanted = digest.of_text("other rows")
    assert probes.probe(tmp_path, inputs={"data": (Location(str(tmp_path / "data"), wanted),)}) == 3
    found = digest.of_text("rows")
    (line,) = capfd.readouterr().err.splitlines()
    assert (
        line == f"t (probe@1): `data` is not what was made: it should be {wanted}, but is {found}: run its step again"
    )


def test_an_absent_input_says_where_it_should_be_but_the_result_does_not(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    assert probes.probe(tmp_path, inputs={"data": (Location(str(gone)),)}) == 2
    tail = "check the path, and the task that makes it"
    assert capfd.readouterr().err.splitlines() == [f"t (probe@1): `data` is not at `{gone}`: {tail}"]
    assert probes.result(tmp_path)["message"] == f"`data` is not at its place: {tail}"


def test_a_link_is_no_input(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "data")
    assert probes.probe(tmp_path, inputs={"data": (Location(str(tmp_path / "link")),)}) == 3
    assert probes.result(tmp_path)["message"].startswith("`data` cannot be read: link is a link")


@pytest.mark.parametrize(
    ("uri", "base", "message"),
    [
        ("rows.csv", None, "`rows.csv` is relative, and here is no project folder: give a full path or a URL"),
        ("../data", "inner", "`../data` may leave the project folder: name a path below it, without `..`"),
        (
            "in/data",
            "inner",
            "`in/data` leads over a link, `in`: put the files themselves into the project",
        ),
        ("", "inner", "a location is empty: give a path or a URL"),
        ("rows.csv", "inner", "`data` is not at `rows.csv`: check the path, and the task that makes it"),
    ],
    ids=["no-base", "above", "link", "empty", "absent"],
)
def test_a_relative_location_stays_below_the_base(uri: str, base: str | None, message: str, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "in").symlink_to(tmp_path)
    place = None if base is None else str(tmp_path / base)
    assert probes.probe(tmp_path, inputs={"data": (Location(uri),)}, base=place) == 2
    assert probes.result(tmp_path)["message"] == message


def test_a_relative_location_is_read_from_the_base(tmp_path: Path) -> None:
    assert probes.probe(tmp_path, inputs={"data": (Location("data"),)}, base=str(tmp_path)) == 0
    assert probes.result(tmp_path)["inputs"]["data"] == [digest.of_text("rows")]


def test_a_location_parameter_is_fetched_and_its_digest_noted(tmp_path: Path) -> None:
    assert probes.probe(tmp_path, parameters={"source": (tmp_path / "data").as_uri()}) == 0
    assert probes.result(tmp_path)["inputs"]["source"] == [digest.of_text("rows")]


def test_an_attachment_becomes_a_file_of_its_name_whatever_path_it_claims(tmp_path: Path) -> None:
    attached = {"name": "../../up/list.yaml", "text": "ä: 1\n"}
    assert probes.probe(tmp_path, parameters={"attached": attached}) == 0
    assert probes.result(tmp_path)["values"]["seen"]["attached"] == ["list.yaml", "ä: 1\n"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"step": "prob@1"}, "this image has no step `prob`: it has "),
        ({"step": "probe@2"}, "the pipeline wants probe@2, this image has probe@1: use the image"),
        ({"interface": "sha256:0"}, "the pipeline wants probe@1 with interface sha256:0, this image has sha256:"),
        ({"inputs": {"rows": ()}}, "there is no input `rows`; there are: data, many"),
        ({"outputs": {"note": "/x"}}, "the caller does not say where output `same` goes: compile and deploy"),
        ({"parameters": {"nmber": 1}}, "there is no parameter `nmber`; there are: act, attached, number"),
        ({"parameters": {"number": 0}}, "`number` is 0.0, but must be above 0"),
        ({"parameters": {"number": "many"}}, "`number` needs a number, but got `many`, which is text"),
        ({"parameters": {"secret": "hunter2"}}, "the secret given for `secret` is not of the declared form"),
        ({"parameters": {"attached": "list.yaml"}}, "`attached` must be a file beside the pipeline"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)  # fmt: skip
def test_a_call_that_does_not_fit_is_the_callers_fault(
    fields: dict[str, object], message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert probes.probe(tmp_path, **fields) == 2  # type: ignore[arg-type]
    (line,) = capfd.readouterr().err.splitlines()
    assert message in line
    assert probes.result(tmp_path)["message"].startswith(message)


def test_two_artifacts_do_not_fit_an_input_for_one(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("rows")
    places = (Location(str(tmp_path / "data")),) * 2
    assert probes.probe(tmp_path, inputs={"data": places}) == 2
    assert probes.result(tmp_path)["message"] == "input `data` takes one artifact, but got 2"
    assert probes.probe(tmp_path, inputs={"data": places[:1], "many": places}) == 0
    assert probes.result(tmp_path)["values"]["seen"]["many"] == 2


def test_threads_are_set_before_a_step_can_import_anything(tmp_path: Path) -> None:
    assert probes.probe(tmp_path, threads=3) == 0
    assert os.environ["OMP_NUM_THREADS"] == os.environ["OPENBLAS_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "3"


def test_kubeflow_gets_files_for_small_outputs_and_the_executor_output(tmp_path: Path) -> None:
    outputs = {name: str(tmp_path / "deep" / name / "at") for name in ("same", "note", "folder", "spare")}
    small = {name: str(tmp_path / "small" / name) for name in ("size", "seen")}
    uris = {"note": "s3://bucket/note"}
    out = tmp_path / "far" / "executor_output.json"
    code = probes.probe(
        tmp_path, outputs=outputs, small_outputs=small, uris=uris, kubeflow_output=str(out), result=None
    )
    assert code == 0
    assert (tmp_path / "small" / "size").read_text() == "3"
    body = json.loads(out.read_text())
    assert body["parameterValues"] == {"size": 3, "seen": json.loads((tmp_path / "small" / "seen").read_text())}
    assert body["artifacts"]["note"] == {
        "artifacts": [{"name": "note", "uri": "s3://bucket/note", "metadata": {"digest": digest.of_text("noted")}}]
    }
    assert body["artifacts"]["same"]["artifacts"][0]["uri"] == outputs["same"]
    assert set(body["artifacts"]) == {"same", "note", "folder"}


def test_remote_artifacts_go_up_whole_and_the_result_comes_last(tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    root = "memory://bucket/run/t"
    assert probes.probe(tmp_path, outputs={"*": root}, result=f"{root}/result.json") == 0
    assert sorted(memory.find("/bucket/run")) == [
        f"/bucket/run/t/{name}" for name in ("folder/in", "note", "result.json", "same")
    ]
    told = json.loads(memory.cat_file("/bucket/run/t/result.json"))
    again = {
        "data": (Location(f"{root}/same", told["artifacts"]["same"]["digest"]),),
        "many": (Location(f"{root}/folder"),),
    }
    assert probes.probe(tmp_path, inputs=again) == 0
    assert probes.result(tmp_path)["inputs"] == {
        "data": [told["artifacts"]["same"]["digest"]],
        "many": [told["artifacts"]["folder"]["digest"]],
    }


def test_nothing_temporary_stays_behind(tmp_path: Path) -> None:
    for act in ("well", "extra", "bug"):
        probes.probe(tmp_path, act)
    assert list((tmp_path / "scratch").iterdir()) == []
    assert not list(tmp_path.rglob(".pipec-*"))


def test_a_result_that_cannot_be_written_is_told_but_changes_no_code(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert probes.probe(tmp_path, "refuse", result=str(tmp_path / "file" / "result.json")) == 3
    first, last = capfd.readouterr().err.splitlines()
    assert first.startswith("[t] the result could not be written either: the machine refused")
    assert last == "t (probe@1): the rows say no: bring others"


@pytest.mark.parametrize(
    ("module", "extra", "image"),
    [("pandas.core", "steps", "light"), ("torch", "torch", "gpu")],
    ids=["pandas", "torch"],
)
def test_a_package_that_is_not_installed_is_named_with_its_extra_and_image(module: str, extra: str, image: str) -> None:
    code, message = runtime.ending(ModuleNotFoundError(name=module))
    package = module.split(".")[0]
    assert code == 1
    remedy = f"install `pipec[{extra}]`, or take the `{image}` image"
    assert message == f"the step needs `{package}`, which is not installed here: {remedy}"


def test_a_message_is_one_printable_line_of_bounded_length() -> None:
    _, message = runtime.ending(RuntimeError("a\x1b[31m\n" * 5000))
    assert message.isprintable()
    assert len(message) == runtime.LONGEST


def test_the_probe_is_declared_as_the_tests_think() -> None:
    assert [output.name for output in interface_of(probes.Probe).artifacts] == ["same", "note", "folder", "spare"]
