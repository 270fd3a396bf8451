"""The house: who may import whom, how long a module may be, and what `import pipec.cli` must not load."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import networkx as nx
import pytest

SOURCE = Path(__file__).parents[1] / "src"
ENVIRON = {**os.environ, "PYTHONPATH": str(SOURCE)}
MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(SOURCE.rglob("*.py"))
}

# A room, and the rooms it may enter; a name stands for itself and all below it. The first that fits a module counts.
LOW = (
    "pipec.diagnostics", "pipec.digest", "pipec.values", "pipec.condition", "pipec.tail", "pipec.redact",
    "pipec.contents", "pipec.verdict", "pipec.record",
)  # fmt: skip
STEP_VALUES = (
    "pipec.steps.interface", "pipec.steps.declare", "pipec.steps.command", "pipec.steps.brief", "pipec.steps.carried",
    "pipec.steps.argument",
)  # fmt: skip
SHARED = tuple(
    f"pipec.targets.{name}" for name in ("base", "cluster", "judge", "device", "placement", "folder", "ends")
)
TABLE: list[tuple[str, tuple[str, ...]]] = [
    ("pipec.record", ()),
    ("pipec.diagnostics", ("pipec.record",)),
    ("pipec.digest", ()),
    ("pipec.values", ("pipec.record",)),
    ("pipec.tail", ()),
    ("pipec.redact", ()),
    ("pipec.contents", ("pipec.record",)),
    ("pipec.docker", ()),
    ("pipec.condition", ("pipec.record", "pipec.values")),
    ("pipec.verdict", ("pipec.record", "pipec.values", "pipec.condition")),
    ("pipec.steps.interface", LOW),
    ("pipec.steps.carried", (*LOW, "pipec.steps.interface")),
    ("pipec.steps.declare", (*LOW, "pipec.steps.interface")),
    ("pipec.steps.command", (*LOW, "pipec.steps.interface", "pipec.steps.declare")),
    ("pipec.steps.argument", (*LOW, "pipec.steps.interface", "pipec.steps.declare")),
    ("pipec.steps.brief", (*LOW, "pipec.steps.interface", "pipec.steps.declare", "pipec.steps.command")),
    # Plain heavy code: it knows nothing of pipec but how content is addressed.
    ("pipec.steps.data", ("pipec.steps.data", "pipec.digest")),
    ("pipec.steps.ml", ("pipec.steps.ml", "pipec.digest")),
    ("pipec.steps.release", ("pipec.steps.release", "pipec.steps.ml", "pipec.steps.data", "pipec.digest")),
    ("pipec.steps", (*LOW, "pipec.steps")),
    ("pipec.schema", (*LOW, "pipec.steps.interface", "pipec.schema")),
    ("pipec.compiler", (*LOW, *STEP_VALUES, "pipec.schema", "pipec.compiler")),
    ("pipec.targets.base", (*LOW, *STEP_VALUES, "pipec.compiler.plan")),
    ("pipec.targets.findings", LOW),
    ("pipec.targets.kubeflow", (*LOW, *STEP_VALUES, "pipec.compiler.plan", "pipec.targets.kubeflow",
                                *SHARED)),
    ("pipec.targets.airflow", (*LOW, *STEP_VALUES, "pipec.compiler.plan", "pipec.targets.airflow",
                               *SHARED)),
    ("pipec.targets.judge", (*LOW, *STEP_VALUES, "pipec.compiler.plan", "pipec.targets.base", "pipec.targets.cluster",
                             "pipec.targets.device")),
    ("pipec.targets.placement", (*LOW, *STEP_VALUES, "pipec.compiler.plan", "pipec.targets.base",
                                 "pipec.targets.cluster", "pipec.targets.device")),
    ("pipec.targets", (*LOW, *STEP_VALUES, "pipec.compiler.plan", "pipec.targets.base")),
    ("pipec.engine", (*LOW, *STEP_VALUES, "pipec.compiler.plan", "pipec.engine", "pipec.docker")),
    ("pipec.image", (*LOW, "pipec.docker", "pipec.steps.interface", "pipec.steps.catalog", "pipec.image")),
    ("pipec.stages", (*LOW, "pipec.steps.interface", "pipec.schema", "pipec.compiler")),
    ("pipec.surroundings", (*LOW, "pipec.schema")),
    ("pipec.answers", (*LOW, "pipec.schema", "pipec.stages")),
    ("pipec.api", ("pipec",)),
    ("pipec.report", (*LOW, "pipec.report")),
    ("pipec.completion", ("pipec.completion", "pipec.record")),
    ("pipec.drawing", ("pipec.compiler.graph", "pipec.steps.interface")),
    ("pipec.output", ("pipec.record", "pipec.targets.base")),
    ("pipec.commands", ("pipec",)),
    ("pipec.submit", (*LOW, "pipec.targets.base", "pipec.submit")),
    ("pipec.cli", ("pipec.commands",)),
    ("pipec.__main__", ("pipec.cli",)),
    ("pipec", ()),
]  # fmt: skip

# Third-party packages, and the one room each is used in.
DOORS = {
    "yaml": ("pipec.schema.tree", "pipec.schema.foreign", "pipec.steps.data"),
    "jsonschema": ("pipec.schema.judge",),
    "networkx": ("pipec.compiler.graph",),
    "re2": ("pipec.schema.pattern",),
    "tzdata": ("pipec.compiler.zone",),
    "jinja2": ("pipec.targets.airflow", "pipec.engine.html"),
    "kfp": ("pipec.submit",),
    "airflow_client": ("pipec.submit",),
    "torch": ("pipec.steps.ml",),
    "safetensors": ("pipec.steps.ml",),
    "sklearn": ("pipec.steps",),
    "skops": ("pipec.steps.ml",),
    "great_expectations": ("pipec.steps.data",),
    "pandas": ("pipec.steps.data", "pipec.steps.ml", "pipec.steps.release"),
    "pyarrow": ("pipec.steps.data",),
    "numpy": ("pipec.steps.data", "pipec.steps.ml", "pipec.steps.release"),
    "threadpoolctl": ("pipec.steps.ml",),
    "joblib": ("pipec.steps.ml",),
    "scipy": ("pipec.steps.ml",),
    "fsspec": ("pipec.steps.data.remote",),
    "obstore": ("pipec.steps.data.remote",),
    "cyclonedx": ("pipec.image.sbom",),
    "packageurl": ("pipec.image.sbom",),
    "packaging": ("pipec.image",),
}
TABLES_OF_KUBEFLOW = ["kubeflow", "kubeflow.findings", "kubeflow.profile", "kubeflow.settings"]
HEAVY = ("torch", "sklearn", "great_expectations", "pandas", "numpy", "kfp", "airflow", "pyarrow", "fsspec")


def imports(path: Path, module: str) -> set[str]:
    """Return the full names that a file imports, wherever in it, but for the eyes of a type checker alone."""
    found: set[str] = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing = [n for n in ast.walk(tree) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    unseen = {id(below) for node in typing for below in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            base = node.module or ""
            found |= {f"{base}.{a.name}" if f"{base}.{a.name}" in MODULES else base for a in node.names}
    return found


IMPORTS = {module: imports(path, module) for module, path in MODULES.items()}


def below(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


@pytest.mark.parametrize("module", MODULES)
def test_a_module_enters_only_the_rooms_it_may(module: str) -> None:
    allowed = next(rooms for room, rooms in TABLE if below(module, room))
    own = [name for name in IMPORTS[module] if below(name, "pipec") and name != "pipec"]
    assert [name for name in own if not any(below(name, room) for room in allowed)] == []


@pytest.mark.parametrize("module", MODULES)
def test_third_party_packages_stand_behind_their_doors(module: str) -> None:
    for name in IMPORTS[module]:
        package = name.split(".")[0]
        if package in sys.stdlib_module_names or package == "pipec":
            continue
        assert package in DOORS, f"{package} has no door"
        assert any(below(module, door) for door in DOORS[package]), f"{package} is used outside of {DOORS[package]}"


@pytest.mark.parametrize("module", MODULES)
def test_no_module_is_longer_than_400_lines(module: str) -> None:
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= 400


def test_no_two_modules_import_each_other() -> None:
    graph = nx.DiGraph((module, name) for module, names in IMPORTS.items() for name in names if name in MODULES)
    assert list(nx.simple_cycles(graph)) == []


@pytest.mark.parametrize("name", ["pipec.cli", "pipec.api", "pipec.steps.catalog", "pipec.steps.__main__"])
def test_the_compile_path_loads_nothing_heavy(name: str) -> None:
    code = f"import sys, {name}\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True, env=ENVIRON).strip() == "[]"


def test_help_and_version_load_no_package_at_all() -> None:
    code = (
        "import sys\nfrom pipec.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('yaml', 'jsonschema', 'networkx', 'jinja2') if m in sys.modules], file=sys.stderr)"
    )
    found = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True, env=ENVIRON)
    assert found.stderr.strip() == "[]"


def test_checking_a_pipeline_loads_nothing_heavy() -> None:
    example = SOURCE.parent / "examples" / "pipelines" / "wine.yaml"
    heavy = (*HEAVY, "jsonschema", "networkx", "jinja2", "re2", "asyncio", "http")
    code = (
        f"import sys\nfrom pipec.cli import main\nassert main(['check', {str(example)!r}]) == 0\n"
        f"print([m for m in {heavy!r} if m in sys.modules], file=sys.stderr)"
    )
    found = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True, env=ENVIRON)
    assert found.stderr.strip() == "[]"


@pytest.mark.parametrize(("target", "tables"), [("kubeflow", ["airflow"]), ("airflow", TABLES_OF_KUBEFLOW)])
def test_compiling_for_one_target_loads_no_more_than_the_tables_of_the_other(target: str, tables: list[str]) -> None:
    example = SOURCE.parent / "examples" / "pipelines" / "wine.yaml"
    command = ["compile", str(example), "-t", target, "--env", "prod", "-o", "-"]
    code = (
        f"import sys\nfrom pipec.cli import main\nassert main({command!r}) == 0\n"
        "below = sorted(m.removeprefix('pipec.targets.') for m in sys.modules if m.startswith('pipec.targets.'))\n"
        f"print([m for m in below if m.split('.')[0] == {tables[0]!r} or '.verify' in m], file=sys.stderr)"
    )
    found = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True, env=ENVIRON)
    assert found.stderr.strip() == str(tables)
