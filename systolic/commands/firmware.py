"""`systolic firmware`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from model_ir.errors import InputError
from systolic.commands.sensitivity import parse_assignments, parse_bits
from systolic.firmware.request import FirmwareRequest, Synthesis
from systolic.network import NetworkRequest
from systolic.network_options import takes_network
from systolic.options import JsonOption

NOTHING = "none"


@takes_network
def firmware(
    network: NetworkRequest,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="NPZ", help="X (samples, ...) and y (samples), for a file's network."),
    ] = None,
    standardise: Annotated[
        bool, typer.Option("--standardise", help="Bring every feature to mean 0 and variance 1 over the file.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The run's folder (default: runs/firmware-MODEL).")
    ] = None,
    bits: Annotated[str, typer.Option("--bits", help="Widths to choose from: 2-8, or 2,4,8.")] = "2-8",
    input_bits: Annotated[int, typer.Option("--input-bits", min=2, max=16, help="Bits of the network's input.")] = 8,
    budget: Annotated[
        list[str] | None,
        typer.Option("--budget", metavar="NAME=LIMIT", help="bops=N, size=BYTES, luts=N, or 25%; repeatable."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Of training in float (default: the task's own).")
    ] = None,
    retraining_epochs: Annotated[
        int, typer.Option("--retraining-epochs", min=1, help="Of quantisation-aware training, each design.")
    ] = 4,
    sweep: Annotated[
        bool, typer.Option("--sweep/--no-sweep", help="Also make the designs that a Pareto plot compares with.")
    ] = True,
    backends: Annotated[
        str, typer.Option("--backends", help="hls4ml's: Vivado,Vitis,Quartus,Catapult,oneAPI,Libero; or none.")
    ] = "Vivado",
    io: Annotated[str, typer.Option("--io", help="io_parallel,io_stream")] = "io_parallel,io_stream",
    reuse: Annotated[int, typer.Option("--reuse", min=1, help="hls4ml's reuse factor.")] = 1,
    clock_ns: Annotated[float, typer.Option("--clock-ns", min=0.1, help="Clock period of the firmware.")] = 5.0,
    checked: Annotated[int, typer.Option("--checked", min=2, help="Inputs of every comparison.")] = 10_000,
    rtl: Annotated[
        bool, typer.Option("--rtl/--no-rtl", help="Write Verilog (da4ml) and simulate it (Verilator).")
    ] = True,
    synthesis: Annotated[
        str, typer.Option("--synthesis", help="fpga,asic: synthesise the Verilog with Yosys; or none.")
    ] = "fpga,asic",
    most_luts: Annotated[
        int, typer.Option("--most-luts", min=1, help="Larger networks, by da4ml's estimate, are not synthesised.")
    ] = 60_000,
    faults: Annotated[bool, typer.Option("--faults/--no-faults", help="Flip the weights' bits and rank them.")] = True,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of training, probes and splits.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Make firmware of a network and prove it: train, find where precision matters, choose bits under a budget with
    proof, retrain, export (QONNX, hls4ml, Verilog), compare every output, and count what it costs.

    MODEL is jets or digits (their data ship), or an ONNX file with weights and --data. Stages resume. Exit code 1
    where any output of the firmware differs, or no choice of bits meets the budgets.
    """
    from reports.firmware_terminal import print_firmware
    from systolic.firmware.job import firmware_job
    from systolic.terminal import stage_progress
    from systolic.text_file import file_name

    kinds = _words("--synthesis", synthesis, get_args(Synthesis))
    request = FirmwareRequest(
        network=network,
        out=out or Path("runs") / f"firmware-{file_name(Path(network.model).stem, otherwise='network')}",
        data=data,
        standardise=standardise,
        widths=parse_bits(bits),
        input_bits=input_bits,
        budgets=parse_assignments("--budget", budget) or {"bops": "25%"},
        epochs=epochs,
        retraining_epochs=retraining_epochs,
        sweep=sweep,
        backends=_words("--backends", backends),
        io_types=_words("--io", io, ("io_parallel", "io_stream")),
        reuse=reuse,
        clock_ns=clock_ns,
        checked=checked,
        rtl=rtl,
        synthesis=tuple(kind for kind in get_args(Synthesis) if kind in kinds),
        most_luts=most_luts,
        faults=faults,
        seed=seed,
    )
    with stage_progress() as progress:
        page, run = firmware_job(request, progress)
    print_firmware(run, page, as_json=as_json)
    if run.mismatches:
        raise typer.Exit(1)


def _words(option: str, text: str, known: tuple[str, ...] | None = None) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if words == (NOTHING,):
        return ()
    for word in words:
        if known is not None and word not in known:
            raise InputError(option, "unknown", value=word, limit=", ".join((*known, NOTHING)))
    if not words:
        raise InputError(option, f"is empty; say {NOTHING!r} to make none")
    return words
