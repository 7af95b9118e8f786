"""Everything that can be refused is refused before anything is trained or written: the same network with random
weights goes through every form's checks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hls.allocation.network import quantisable
from hls.extras import needs
from hls.firmware.refusals import check_operators
from hls.quantise.calibrate import calibrated
from hls.quantise.insert import quantised
from model_ir.errors import InputError
from model_ir.graph import Graph, random_parameters
from model_ir.ops.quantisation import Quant
from model_ir.passes.batch_size import with_batch_size
from model_ir.passes.logits import to_logits
from model_ir.passes.pipeline import run_passes
from systolic.firmware.choice import AMOUNTS
from systolic.firmware.evidence import firmware_settings
from systolic.firmware.request import FirmwareRequest
from systolic.firmware.subject import Subject

SAMPLES, BITS = 100, 4


def rehearse(subject: Subject, request: FirmwareRequest) -> None:
    """Raise InputError naming the operator, quantiser, setting or tool for which the request could not be met."""
    for name in request.budgets:
        if name not in AMOUNTS:
            raise InputError("--budget", "no amount has this name", value=repr(name), limit=", ".join(AMOUNTS))
    graph = with_batch_size(subject.graph, 1)
    if not subject.quantised:
        graph = to_logits(run_passes(replace(graph, constants={**random_parameters(graph, 0), **graph.constants})))
    if request.backends:
        check_operators(graph)
    _check_forms(graph if subject.quantised else _rounded(graph, subject), request)


def _rounded(graph: Graph, subject: Subject) -> Graph:
    bits = dict.fromkeys(quantisable(graph).variables, BITS)
    return quantised(graph, calibrated(graph, np.asarray(subject.train.inputs[:SAMPLES]), bits))


def _check_forms(graph: Graph, request: FirmwareRequest) -> None:
    from hls.firmware.lower import lower
    from hls.firmware.settings import check_settings
    from hls.quantise.integer_form import integer_form
    from hls.rtl.programs import find_program
    from hls.rtl.symbolic import check_operator

    needs("firmware", "jax", "qonnx", "onnxruntime", *(("hls4ml",) if request.backends else ()))
    integer_form(graph)
    network = lower(graph) if request.backends else None
    for settings in firmware_settings(request):
        assert network is not None
        check_settings(network, settings)
    if request.rtl:
        needs("rtl", "da4ml")
        for program in ("verilator", "g++", "make"):
            find_program(program, program)
        if request.synthesis:
            needs("rtl", "pyosys")
        if "asic" in request.synthesis:
            find_program("sta", "opensta")
        for op in graph.ops:
            if not isinstance(op, Quant):
                check_operator(op)
