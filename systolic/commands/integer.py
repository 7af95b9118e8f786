"""`systolic integer`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from model_ir.errors import InputError
from model_ir.passes.integer.calibration import DEFAULT_PERCENTILE, Method
from systolic.network import NetworkRequest
from systolic.network_options import takes_network
from systolic.options import JsonOption


@takes_network
def integer(
    network: NetworkRequest,
    calibrate: Annotated[
        Path | None,
        typer.Option("--calibrate", metavar="NPZ", help="Inputs by name, (samples, ...); needed for a file's network."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="NPZ", help="The same for the test, with `labels` (samples)."),
    ] = None,
    jets: Annotated[
        Path | None, typer.Option("--jets", metavar="NPZ", help="Jets of your own, instead of those that ship.")
    ] = None,
    method: Annotated[
        Method,
        typer.Option("--clip", help="Where activations are clipped: largest, percentile, least error."),
    ] = "max",
    percentile: Annotated[
        float, typer.Option("--percentile", help="With --clip percentile: per cent that stay below.")
    ] = DEFAULT_PERCENTILE,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Samples to calibrate on.")] = 400,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the training, where the network is trained here.")] = 0,
    accelerator: Annotated[
        str, typer.Option("--accelerator", "-a", help="The machine of --check-values.")
    ] = "gemmini-ibert",
    check_values: Annotated[
        bool,
        typer.Option("--check-values", help="Also execute the network's commands and compare every number."),
    ] = False,
    cycles: Annotated[
        bool, typer.Option("--cycles", help="As --check-values, and time the commands on the cycle engine.")
    ] = False,
    checked: Annotated[int, typer.Option("--checked", min=1, help="Inputs that --check-values executes.")] = 4,
    as_json: JsonOption = False,
) -> None:
    """Make a trained Transformer integer-only: what each operator costs, accuracy against float, the same as commands.

    MODEL is an ONNX file with weights, or digits-transformer or jet-transformer, trained first on data that ship.
    """
    from systolic.integer_job import IntegerRequest, integer_job
    from systolic.integer_show import print_integer
    from systolic.terminal import stage_progress

    request = IntegerRequest(
        network=network,
        calibrate=calibrate,
        data=data,
        jets=jets,
        method=method,
        percentile=percentile,
        samples=samples,
        seed=seed,
        accelerator=accelerator,
        check_values=check_values,
        cycles=cycles,
        checked=checked,
    )
    with stage_progress() as progress:
        report = integer_job(request, progress)
    print_integer(report, as_json=as_json)
    wrong = [check.step.name for check in report.checks if not check.equal]
    if wrong:
        raise InputError("--check-values", "commands differ from the graph executor", value=", ".join(wrong[:5]))
