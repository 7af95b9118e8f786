"""The house rules that a machine can check: imports go one way, packages stay light, the wheel holds what it should."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ["model_ir", "workloads", "simulator", "mapper", "hls", "reports", "systolic"]
HEAVY = [
    "onnx",
    "onnxruntime",
    "onnxscript",
    "jax",
    "numba",
    "ortools",
    "pandas",
    "plotly",
    "scipy",
    "qonnx",
    "hls4ml",
    "da4ml",
    "pyosys",
    "torch",
]


def test_imports_go_one_way() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_importing_the_packages_and_every_command_pulls_nothing_heavy() -> None:
    code = (
        f"import sys, {', '.join(PACKAGES)}; from systolic.cli import COMMANDS, command_function;"
        f"assert all(map(command_function, COMMANDS)); print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_wheel_names_exactly_the_rooms() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == PACKAGES
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert rooms == set(PACKAGES)


def test_package_init_files_hold_reexports_at_most() -> None:
    for package in PACKAGES:
        docstring, *statements = ast.parse((ROOT / package / "__init__.py").read_text()).body
        assert isinstance(docstring, ast.Expr)
        for statement in statements:
            late = isinstance(statement, ast.FunctionDef) and statement.name == "__getattr__"
            typed = isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING"
            assert late or typed or isinstance(statement, ast.Import | ast.ImportFrom), ast.unparse(statement)


def test_replay_is_the_package_s_own_verb() -> None:
    code = "import simulator, sys; from simulator.raw_commands import replay; assert simulator.replay is replay"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_every_slot_of_the_engines_state_has_a_name_of_its_own() -> None:
    for name in ("state", "conv_state"):
        body = ast.parse((ROOT / "simulator" / "cycle_level" / f"{name}.py").read_text()).body
        targets = [target for statement in body if isinstance(statement, ast.Assign) for target in statement.targets]
        names = [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
        slots = [name for name in names if name.isupper()]
        assert len(slots) == len(set(slots))
