"""Fuzzing: hundreds of damaged ONNX files either import to a verified graph or are refused, in bounded memory and
time."""

from __future__ import annotations

import resource
import time
from pathlib import Path

from onnx_mutants import mutants

from model_ir.errors import SystolicError
from model_ir.graph import Graph, verify
from model_ir.onnx_import import import_onnx
from model_ir.passes.pipeline import run_passes

FUZZED = 600


def test_fuzzed_files_import_or_are_refused(tmp_path: Path) -> None:
    """Every mutant gives a verified graph, with or without skipping operators, or a SystolicError; memory stays
    bounded."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    imported = refused = nameless = 0
    for seed, content in mutants(FUZZED):
        path = tmp_path / "model.onnx"
        path.write_bytes(content)
        started = time.monotonic()
        for skip in (False, True):
            try:
                graph = import_onnx(path, skip_unsupported=skip)
            except SystolicError as error:
                refused += str(path) in str(error)
                nameless += str(path) not in str(error)
                continue
            assert isinstance(graph, Graph)
            verify(run_passes(graph))
            imported += 1
        assert time.monotonic() - started < 20, seed
    assert nameless == 0
    assert imported > FUZZED / 10
    assert refused > FUZZED / 4
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1024 * 1024
