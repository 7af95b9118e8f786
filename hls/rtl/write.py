"""Traced logic as a folder of Verilog, pipelined: da4ml's own project, made readable for Debian's tools.

da4ml writes the stages, copies its few modules (adder, multiplexer, ...) and adds scripts for Vivado and Quartus. Those
copies are under its licence, which goes along with them.
"""

from __future__ import annotations

import shutil
import tempfile
from importlib.metadata import distribution, version
from math import isfinite
from pathlib import Path

from hls.extras import needs
from hls.rtl.project import RtlProject
from hls.rtl.trace import Traced
from model_ir.errors import InputError

TOP = "network"
NOTICE = "NOTICE"
_NOTICE = """The Verilog under src/ and what lies in sim/ was written by da4ml {version} (https://github.com/calad0i/da4ml).
Files under src/static/ and sim/ and the scripts build_*.tcl are copies of da4ml's own sources, GNU Lesser General
Public License version 3 (LICENSE.da4ml); src/static/negative.v is changed in its lint comments only.
"""


def write_rtl(traced: Traced, folder: Path, *, adders_a_stage: float = 5.0) -> RtlProject:
    """Write `traced` as Verilog into `folder`, with a register behind every `adders_a_stage` adders.

    `folder` is new, empty or holds RTL written before, which is replaced; it appears whole or not at all. InputError
    for another folder, one that cannot be written, a number of adders below 1, or logic without any output bit.
    """
    needs("rtl", "da4ml")
    from da4ml.trace import to_pipeline

    if not (isfinite(adders_a_stage) and adders_a_stage >= 1):
        raise InputError(
            "RTL", "a pipeline stage must have room for an adder", value=adders_a_stage, limit="at least 1"
        )
    for port in ("inputs", "outputs"):
        if sum(item.bits for item in getattr(traced, port)) == 0:
            raise InputError(traced.graph.name, f"all {port} are constant: there is nothing to build")
    pipeline = to_pipeline(traced.logic, adders_a_stage, verbose=False)
    _check_free(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
            _write_files(pipeline, Path(temporary) / "rtl")
            if folder.exists():
                shutil.rmtree(folder)
            (Path(temporary) / "rtl").rename(folder)
    except OSError as error:
        raise InputError(str(folder), f"cannot write the RTL: {error.strerror or error}") from error
    return RtlProject(
        folder=folder,
        top=TOP,
        sources=_sources(folder),
        inputs=traced.inputs,
        outputs=traced.outputs,
        stages=len(pipeline.solutions),
        adders_a_stage=adders_a_stage,
        estimated_luts=traced.estimated_luts,
        estimated_flip_flops=int(pipeline.reg_bits),
        tool=f"da4ml {version('da4ml')}",
    )


def _check_free(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(str(folder), "is not a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / NOTICE).is_file():
        raise InputError(str(folder), "holds other files: give a new folder for the RTL")


def _write_files(pipeline: object, folder: Path) -> None:
    from da4ml.codegen import VerilogModel

    VerilogModel(pipeline, TOP, folder).write()
    # Debian's Verilator 5.006 knows the lint rule by its older name.
    negative = folder / "src" / "static" / "negative.v"
    negative.write_text(negative.read_text().replace("WIDTHTRUNC", "WIDTH"))
    (folder / NOTICE).write_text(_NOTICE.format(version=version("da4ml")))
    for licence in distribution("da4ml").files or ():
        if licence.name == "LICENSE":
            shutil.copy(str(licence.locate()), folder / "LICENSE.da4ml")
            break


def _sources(folder: Path) -> tuple[Path, ...]:
    """The top and its stages, then the modules they use. Lookup tables and io wrappers are not among them."""
    own = sorted((folder / "src").glob(f"{TOP}*.v"))
    static = sorted((folder / "src" / "static").glob("*.v"))
    return tuple(path for path in (*own, *static) if path.stem not in (f"{TOP}_wrapper", "lookup_table"))
