"""hls4ml projects on disk: written whole or not at all, compiled for this computer, and emulated."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from hls.extras import needs
from hls.firmware.channels_last import channels_last_model
from hls.firmware.conversion import converted, heard
from hls.firmware.lower import lower
from hls.firmware.network import Network, from_firmware, to_channels_last
from hls.firmware.settings import BACKENDS, Settings, check_settings
from hls.firmware.writing import move_names, write_files
from hls.qonnx.export import qonnx_bytes
from model_ir.errors import InputError
from model_ir.graph import Graph

Array = npt.NDArray[Any]
LOG_NAME, SETTINGS_NAME = "hls4ml.log", "settings.json"
QONNX_NAME, CHANNELS_LAST_NAME = "network.onnx", "network_channels_last.onnx"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """An hls4ml project in `folder`, made of `network`; `name` is its top function. `folder` also has the network's
    QONNX file and what hls4ml said."""

    folder: Path
    name: str
    settings: Settings
    network: Network


def write_project(graph: Graph, folder: str | Path, settings: Settings | None = None) -> Project:
    """Make an hls4ml project of a firmware-grade `graph` in `folder`, which must not exist or be empty.

    Everything is decided before anything is written, then written beside `folder` and moved there. Raises InputError
    naming operator, quantiser or setting that cannot be (see `lower`, `check_settings`), a folder that cannot be
    written or is in use, and a missing extra.
    """
    settings = settings or Settings()
    network = lower(graph)
    check_settings(network, settings)
    needs("firmware", "hls4ml", "qonnx")
    target = Path(folder).absolute()
    _check_free(target)
    project = Project(folder=target, name=network.name, settings=settings, network=network)
    log = io.StringIO()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    except OSError as error:
        raise InputError(str(target), f"cannot write the project: {error.strerror or error}") from error
    try:
        model_path = made / CHANNELS_LAST_NAME
        model_path.write_bytes(channels_last_model(network).SerializeToString(deterministic=True))
        with heard(log):
            write_files(converted(network, settings, str(made), str(model_path)), made)
        (made / QONNX_NAME).write_bytes(qonnx_bytes(graph))
        (made / SETTINGS_NAME).write_bytes(msgspec.json.encode(settings))
        (made / LOG_NAME).write_text(log.getvalue(), encoding="utf-8")
        move_names(made, target)
        made.chmod(0o755)
        made.replace(target)
    except OSError as error:
        raise InputError(str(target), f"cannot write the project: {error.strerror or error}") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return project


def opened_project(graph: Graph, folder: str | Path, settings: Settings) -> Project:
    """The project that `write_project` made of the same graph and settings in `folder`, to go on with.

    Raises InputError where the folder has none, or one of another network or with other settings.
    """
    network = lower(graph)
    target = Path(folder).absolute()
    wanted = {QONNX_NAME: qonnx_bytes(graph), SETTINGS_NAME: msgspec.json.encode(settings)}
    for name, content in wanted.items():
        try:
            found = (target / name).read_bytes()
        except OSError as error:
            raise InputError(str(target), f"holds no firmware project: {name} cannot be read") from error
        if found != content:
            raise InputError(str(target), f"holds a firmware project of its own: another {name}")
    return Project(folder=target, name=network.name, settings=settings, network=network)


def compile_project(project: Project) -> Path:
    """Compile the project's C++ for this computer and return the library.

    Raises InputError where the back end's projects need a vendor's tool, where g++ is missing, and with the compiler's
    words where it fails.
    """
    backend = BACKENDS[project.settings.backend]
    if backend.emulation != "g++":
        problem = f"emulating a {backend.name} project needs {backend.emulation}; the project is written, and becomes "
        raise InputError(str(project.folder), f"{problem}hardware in {backend.synthesis}")
    if shutil.which("g++") is None:
        raise InputError(str(project.folder), "compiling the project needs g++")
    done = subprocess.run(
        ["bash", "build_lib.sh"], cwd=project.folder, capture_output=True, text=True, check=False
    )  # fmt: skip
    with (project.folder / LOG_NAME).open("a", encoding="utf-8") as log:
        log.write(done.stdout + done.stderr)
    if done.returncode:
        problem = next((line for line in done.stderr.splitlines() if " error: " in line), done.stderr[-200:])
        raise InputError(str(project.folder), f"the project does not compile (see {LOG_NAME}): {problem}")
    return _library(project)


def emulate(project: Project, inputs: Array) -> Array:
    """What the compiled firmware computes of `inputs` (samples, ...), laid out as our graph's: float64, exact.

    Runs in a process of its own, which the generated code cannot take down with it. Raises InputError where the project
    is not compiled, inputs do not fit or are not finite, and where the firmware crashes.
    """
    library, network = _library(project), project.network
    wanted = network.port.shape
    samples = to_channels_last(np.asarray(inputs, dtype=np.float64))
    if samples.shape[1:] != wanted or not len(samples):
        raise InputError(str(project.folder), "inputs do not fit the network", value=samples.shape, limit=(1, *wanted))
    if not np.all(np.isfinite(samples)):
        raise InputError(str(project.folder), "inputs are not finite everywhere")
    output = network.by_name[network.output]
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder, "inputs.npy"), Path(folder, "outputs.npy")
        np.save(source, samples.reshape(len(samples), -1))
        program = Path(__file__).with_name("run_library.py")
        arguments = (library, f"{project.name}_double", source, result, int(np.prod(output.shape)))
        done = subprocess.run(
            [sys.executable, str(program), *map(str, arguments)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            words = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            raise InputError(str(project.folder), f"the firmware's emulation fails: {words[0]}")
        values = np.load(result)
    return from_firmware(output, values)


def _check_free(target: Path) -> None:
    try:
        if target.is_dir() and not any(target.iterdir()):
            return
        if target.exists() or target.is_symlink():
            raise InputError(str(target), "is in use; give a folder that does not exist yet")
    except OSError as error:
        raise InputError(str(target), f"cannot write the project: {error.strerror or error}") from error


def _library(project: Project) -> Path:
    found = sorted((project.folder / "firmware").glob(f"{project.name}-*.so"))
    if len(found) != 1:
        raise InputError(str(project.folder), "the project is not compiled", value=f"{len(found)} libraries")
    return found[0]
