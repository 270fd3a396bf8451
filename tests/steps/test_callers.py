"""One order, three callers: Kubeflow, Airflow and the engine get the same outputs and digests from a real process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipec.steps import catalog
from pipec.steps.command import Call, Order, order_text, parse_order
from pipec.steps.interface import Interface
from pipec.values import (
    Attachment,
    ImageFile,
    Json,
    ListOf,
    Literal,
    ObjectOf,
    OutputRef,
    ParameterRef,
    RunRef,
    Text,
    Value,
)

SOURCE = Path(__file__).parents[2] / "src"


def interface_of(name: str) -> Interface:
    found = catalog.find(name)
    assert found is not None
    return found


def ingest_order() -> Order:
    """The source is a text with a parameter in it, so that every caller has something to resolve."""
    return Order(
        pipeline="wine",
        task="ingest",
        step="ingest@1",
        interface=interface_of("ingest").digest,
        parameters=(("source", Text((ParameterRef("folder"), Literal("/rows.csv")))), ("format", Literal("csv"))),
    )


def split_order() -> Order:
    return Order(
        pipeline="wine",
        task="split",
        step="split@1",
        interface=interface_of("split").digest,
        parameters=(("seed", ParameterRef("seed")), ("stratify", Literal("kind")), ("test_size", Literal(0.25))),
        inputs=(("data", (OutputRef("ingest", "data"),)),),
    )


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipec.steps", *arguments]
    environ = os.environ | {"PYTHONPATH": str(SOURCE)}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    lines = [f"{number},{'ab'[number % 2]}" for number in range(40)]
    (tmp_path / "rows.csv").write_text("\n".join(["n,kind", *lines]) + "\n")
    return tmp_path


def by_engine(folder: Path) -> dict[str, str]:
    """Run both steps from call files; return the digests of all artifacts."""
    digests: dict[str, str] = {}
    parameters: dict[str, dict[str, Json]] = {
        "ingest": {"source": "rows.csv", "format": "csv"},
        "split": {"seed": 7, "stratify": "kind", "test_size": 0.25},
    }
    for task, given_ in parameters.items():
        interface = interface_of(task)
        inputs: dict[str, Any] = {}
        if task == "split":
            inputs = {"data": [{"uri": str(folder / "engine/ingest/data"), "digest": digests["data"]}]}
        call = Call(
            pipeline="wine", task=task, step=f"{task}@1", interface=interface.digest, run_id="e", parameters=given_,
            outputs={"*": str(folder / "engine" / task)}, result=str(folder / "engine" / task / "result.json"),
            base=str(folder),
        )  # fmt: skip
        body = json.loads(call.as_json()) | {"inputs": inputs}
        (folder / "call.json").write_text(json.dumps(body))
        done = run(task, "--call", str(folder / "call.json"))
        assert done.returncode == 0, done.stderr
        told = json.loads((folder / "engine" / task / "result.json").read_text())
        digests |= {name: artifact["digest"] for name, artifact in told["artifacts"].items()}
    return digests


def airflow(folder: Path, order: Order) -> subprocess.CompletedProcess[str]:
    given_ = json.dumps({"folder": str(folder), "seed": 7})
    where = ["--root", str(folder / "airflow"), "--run", "scheduled__2026-01-01T00:00:00+00:00"]
    return run(order.task, "--order", order_text(order), *where, "--parameters", given_)


def by_airflow(folder: Path) -> dict[str, str]:
    digests: dict[str, str] = {}
    for order in (ingest_order(), split_order()):
        done = airflow(folder, order)
        assert done.returncode == 0, done.stderr
        (result,) = (folder / "airflow").glob(f"runs/wine/*/{order.task}/result.json")
        told = json.loads(result.read_text())
        digests |= {name: artifact["digest"] for name, artifact in told["artifacts"].items()}
    return digests


def by_kubeflow(folder: Path) -> dict[str, str]:
    """Every number arrives as a double, and artifacts carry the digest that the step before handed over."""
    digests: dict[str, str] = {}
    artifacts: dict[str, Any] = {}
    for order in (ingest_order(), split_order()):
        place = folder / "kubeflow" / order.task
        outputs = {o.name: {"artifacts": [{"name": o.name, "uri": str(place / o.name)}]}
                   for o in interface_of(order.task).artifacts}  # fmt: skip
        small = {o.name: {"outputFile": str(place / "small" / o.name)} for o in interface_of(order.task).small_outputs}
        told = place / "executor_output.json"
        executor_input = {
            "inputs": {"parameterValues": {"parameter-folder": str(folder), "parameter-seed": 7.0},
                       "artifacts": artifacts},
            "outputs": {"artifacts": outputs, "parameters": small, "outputFile": str(told)},
        }  # fmt: skip
        done = run(order.task, "--order", order_text(order), "--executor-input", json.dumps(executor_input))
        assert done.returncode == 0, done.stderr
        listed = json.loads(told.read_text())["artifacts"]
        digests |= {name: one["artifacts"][0]["metadata"]["digest"] for name, one in listed.items()}
        artifacts = {f"output-{order.task}-{name}": one for name, one in listed.items()}
    return digests


def test_three_callers_get_the_same_digests(rows: Path) -> None:
    engine, airflow, kubeflow = by_engine(rows), by_airflow(rows), by_kubeflow(rows)
    assert set(engine) == {"data", "train", "test"}
    assert engine == airflow == kubeflow
    assert (rows / "kubeflow/ingest/small/n_rows").read_text() == "40"
    (result,) = (rows / "airflow").glob("runs/wine/*/split/result.json")
    assert result.read_bytes() == (rows / "engine/split/result.json").read_bytes()


def test_airflow_takes_work_from_an_earlier_run_of_its_root(rows: Path) -> None:
    """Two runs of two tasks: the second is told where its work was done, and nothing of it can be told apart."""
    said = []
    for run_id in ("first", "second"):
        for order in (ingest_order(), split_order()):
            text = order_text(replace(order, cache=True))
            where = ["--root", str(rows / "airflow"), "--run", run_id]
            given_ = json.dumps({"folder": str(rows), "seed": 7})
            done = run(order.task, "--order", text, *where, "--parameters", given_)
            assert done.returncode == 0, done.stderr
            said.append(done.stderr.splitlines()[-1])
    assert said[2:] == [
        f"[{task}] taken from run first: nothing that it is made of has changed" for task in ("ingest", "split")
    ]
    first, second = (
        {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (rows / "airflow/runs/wine/first", rows / "airflow/runs/wine/second")
    )
    assert first == second


def test_a_flipped_byte_between_two_steps_is_noticed(rows: Path) -> None:
    assert airflow(rows, ingest_order()).returncode == 0
    (data,) = (rows / "airflow").glob("runs/wine/*/ingest/data")
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    done = airflow(rows, split_order())
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith("split (split@1): `data` is not what was made: it should be sha256:")


def _from_engine(folder: Path, order: Order) -> list[str]:
    call = Call(
        pipeline="wine", task="ingest", step=order.step, interface=order.interface, run_id="e",
        parameters={"source": "rows.csv", "format": "csv"}, outputs={"*": str(folder / "out")},
        result=str(folder / "out" / "result.json"), base=str(folder),
    )  # fmt: skip
    (folder / "call.json").write_text(call.as_json())
    return ["--call", str(folder / "call.json")]


def _from_airflow(folder: Path, order: Order) -> list[str]:
    where = ["--root", str(folder / "out"), "--run", "1", "--parameters", json.dumps({"folder": str(folder)})]
    return ["--order", order_text(order), *where]


def _from_kubeflow(folder: Path, order: Order) -> list[str]:
    outputs = {"data": {"artifacts": [{"name": "data", "uri": str(folder / "out" / "data")}]}}
    small = {o.name: {"outputFile": str(folder / "out" / o.name)} for o in interface_of("ingest").small_outputs}
    executor_input = {
        "inputs": {"parameterValues": {"parameter-folder": str(folder)}},
        "outputs": {"artifacts": outputs, "parameters": small, "outputFile": str(folder / "out" / "told.json")},
    }
    return ["--order", order_text(order), "--executor-input", json.dumps(executor_input)]


@pytest.mark.parametrize("caller", [_from_engine, _from_airflow, _from_kubeflow])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"interface": f"sha256:{'ab' * 32}"}, "the pipeline wants ingest@1 with interface sha256:abababababab, this "
         f"image has {interface_of('ingest').digest[:19]}"),
        ({"step": "ingest@2"}, "the pipeline wants ingest@2, this image has ingest@1"),
    ],
    ids=["interface", "version"],
)  # fmt: skip
def test_a_step_that_was_compiled_otherwise_refuses_at_start(
    caller: Callable[[Path, Order], list[str]], change: dict[str, Any], told: str, rows: Path
) -> None:
    done = run("ingest", *caller(rows, replace(ingest_order(), **change)))
    remedy = "use the image of the pipec that compiled it, or compile again"
    assert done.stderr.splitlines() == [f"ingest ({change.get('step', 'ingest@1')}): {told}: {remedy}"]
    assert done.returncode == 2
    assert not list(rows.glob("out/**/data"))


ORDERS = {"ingest": order_text(ingest_order()), "split": order_text(split_order())}


@pytest.mark.parametrize(
    ("line", "last"),
    [
        ("ingst", "pipec-step: there is no step `ingst`: did you mean `ingest`?"),
        ("ingest", "ingest: a step needs `--call FILE`, or `--order JSON` with"),
        ("ingest --order {} --root ROOT --run 1", "ingest: --order is not an order that pipec wrote"),
        ("ingest --call /none", "ingest: the call cannot be read: no such file or directory"),
        ("split --order SPLIT --root ROOT --run 1", "split: the caller gave no parameter `seed`"),
        ('split --order INGEST --root ROOT --run 1 --parameters {"folder":"/x"}', "split: the call is for ingest@1"),
        ('split --order SPLIT --root ROOT --run 1 --parameters {"seed":1}', "split (split@1): input `data` is missing"),
        ('split --order SPLIT --root r --run 1 --parameters {"seed":1}',
         "split: `r/runs/wine/1/ingest/result.json` is relative, and here is no project folder"),
    ],
    ids=["unknown", "nothing", "no-order", "no-file", "no-parameter", "other-step", "no-input", "relative-root"],
)  # fmt: skip
def test_a_call_that_cannot_be_decoded_ends_in_one_line(line: str, last: str, tmp_path: Path) -> None:
    words = {"ROOT": str(tmp_path), "INGEST": ORDERS["ingest"], "SPLIT": ORDERS["split"]}
    done = run(*(words.get(word, word) for word in line.split()))
    assert (done.returncode, done.stdout) == (2, "")
    (told,) = done.stderr.splitlines()
    assert told.startswith(last)


HEAVY = ("numpy", "pandas", "torch", "sklearn", "great_expectations", "pyarrow", "scipy", "yaml", "fsspec")


@pytest.mark.parametrize(
    "statement",
    ["from pipec.steps import catalog; catalog.find('ingest'); catalog.find('monitor'); catalog.find('validate-data')",
     "from pipec.steps.__main__ import main; main(['split', '--help'])"],
    ids=["catalogue", "help"],
)  # fmt: skip
def test_reading_interfaces_loads_nothing_heavy(statement: str) -> None:
    code = f"{statement}\nimport sys; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(SOURCE)},
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_shows_the_interface() -> None:
    done = run("split", "--help")
    first, *rest = done.stdout.splitlines()
    assert (done.returncode, first) == (0, f"split@1: {interface_of('split').summary}")
    line = (
        "  test_size: number, exclusiveMinimum 0, exclusiveMaximum 1, default 0.2. "
        "Share of the rows that are kept for the test."
    )
    assert line in rest


def test_sigterm_ends_a_step_cleanly(tmp_path: Path) -> None:
    """The step waits for ever; it is ended once it has said that it runs."""
    (tmp_path / "scratch").mkdir()
    (tmp_path / "data").write_text("rows")
    code = (
        "import sys; from pipec.steps import catalog; catalog._STEPS['probe'] = 'runtime_probe:Probe';"
        "from pipec.steps.__main__ import main; sys.exit(main())"
    )
    from runtime_probe import Probe

    digest = Probe.interface.digest  # type: ignore[attr-defined]
    call = Call(
        pipeline="p", task="t", step="probe@1", interface=digest, run_id="r", parameters={"act": "wait"},
        outputs={"*": str(tmp_path / "t")}, result=str(tmp_path / "t" / "result.json"),
    )  # fmt: skip
    body = json.loads(call.as_json()) | {"inputs": {"data": [{"uri": str(tmp_path / "data")}]}}
    (tmp_path / "call.json").write_text(json.dumps(body))
    environ = os.environ | {"PYTHONPATH": f"{SOURCE}:{Path(__file__).parent}", "TMPDIR": str(tmp_path / "scratch")}
    command = [sys.executable, "-c", code, "probe", "--call", str(tmp_path / "call.json")]
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "[t] waiting\n"
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=60)
    assert (process.returncode, rest) == (143, "probe: stopped before it was done: run it again\n")
    assert list((tmp_path / "scratch").iterdir()) == []
    assert [path.name for path in (tmp_path / "t").iterdir()] == ["result.json"]
    told = json.loads((tmp_path / "t" / "result.json").read_text())
    assert (told["outcome"], told["message"]) == ("failed", "it was stopped before it was done: run it again")


texts = st.text(alphabet=st.sampled_from(list('{}%#"\\$u007b ab\n\u2028é')), max_size=12)
names = st.text(alphabet="abc{-%", min_size=1, max_size=5)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts
)
jsons: st.SearchStrategy[Json] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)
leaves: st.SearchStrategy[Value] = (
    st.builds(Literal, jsons) | st.builds(ParameterRef, names) | st.builds(OutputRef, names, names)
    | st.builds(RunRef, names) | st.builds(Attachment, texts, texts) | st.builds(ImageFile, texts, texts)
)  # fmt: skip
values: st.SearchStrategy[Value] = st.recursive(
    leaves,
    lambda inner: (
        st.builds(Text, st.lists(inner, max_size=3).map(tuple))
        | st.builds(ListOf, st.lists(inner, max_size=3).map(tuple))
        | st.builds(ObjectOf, st.lists(st.tuples(texts, inner), max_size=3).map(tuple))
    ),
    max_leaves=6,
)


@given(
    pipeline=texts, task=texts,
    parameters=st.dictionaries(names, values, max_size=3),
    inputs=st.dictionaries(names, st.lists(values, max_size=2).map(tuple), max_size=2),
)  # fmt: skip
def test_no_template_engine_sees_anything_in_an_order(
    pipeline: str, task: str, parameters: dict[str, Value], inputs: dict[str, tuple[Value, ...]]
) -> None:
    order = Order(
        pipeline=pipeline, task=task, step="{{ x }}@1", interface="{%", parameters=tuple(parameters.items()),
        inputs=tuple(inputs.items()),
    )  # fmt: skip
    text = order_text(order)
    assert not [opening for opening in ("{{", "{%", "{#") if opening in text]
    assert text.isascii()
    assert parse_order(text) == order
