"""Having hls4ml write a project, and mending what its release 1.3.0 gets wrong on the way."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

_LIBERO_OUTPUT_LOOP = re.compile(r"(i < )[^;]+(; i\+\+\) \{\s+\w+_struct\.data\[i\] = (\w+)\[i\];)")


def write_files(model: Any, folder: Path) -> None:
    """Write hls4ml's `model` to `folder`, for which it was converted; raises OSError."""
    libero = model.config.backend.name == "Libero"
    try:
        model.write()
    except FileNotFoundError as error:
        if not libero or Path(str(error.filename)).name != "build_lib.sh":
            raise
        # The wheel lacks Libero's build_lib.sh, which its compilation (by Makefile.compile) does not read.
        writer = model.config.backend.writer
        for step in (writer.write_nnet_utils, writer.write_generated_code, writer.write_yml):
            step(model)
    if libero:
        _mend_libero_outputs(model, folder)


def move_names(folder: Path, final: Path) -> None:
    """Put `final` for `folder` wherever hls4ml wrote the folder's name into a file."""
    old, new = os.fsencode(folder), os.fsencode(final)
    for path in folder.rglob("*"):
        if path.is_file() and old in (content := path.read_bytes()):
            path.write_bytes(content.replace(old, new))


def _mend_libero_outputs(model: Any, folder: Path) -> None:
    """Its writer copies as many outputs as the network has inputs (libero_writer.write_project_cpp)."""
    sizes = {output.name: output.size_cpp() for output in model.get_output_variables()}
    path = folder / "firmware" / f"{model.config.get_project_name()}.cpp"

    def mended(found: re.Match[str]) -> str:
        return f"{found[1]}{sizes[found[3]]}{found[2]}" if found[3] in sizes else found[0]

    path.write_text(_LIBERO_OUTPUT_LOOP.sub(mended, path.read_text(encoding="utf-8")), encoding="utf-8")
