"""`systolic sensitivity` and `systolic bits`: their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hls.allocation.allocate import SolverName
from model_ir.errors import InputError
from systolic.network import NetworkRequest
from systolic.network_options import takes_network
from systolic.options import JsonOption

DataOption = Annotated[
    Path, typer.Option("--data", metavar="FILE.npz", help="`y` and each input under its name, or `X` if there is one.")
]
StandardiseOption = Annotated[
    bool, typer.Option("--standardise", help="Bring every feature to mean 0 and variance 1 over the file.")
]
RowsOption = Annotated[
    int | None, typer.Option("--rows", min=1, help="First rows of the file to use: whole batches (default: 2000).")
]
BitsOption = Annotated[str, typer.Option("--bits", help="Widths to consider: 2-8, or 2,4,8.")]
GroupsOption = Annotated[
    int, typer.Option("--groups", min=1, help="Groups of output channels of each weight, each for itself.")
]
JointOption = Annotated[
    bool, typer.Option("--joint", help="One probe for all tensors at once: for networks of many layers.")
]
ErrorOption = Annotated[float, typer.Option("--relative-error", help="Standard error of a trace to stop at.")]
ProbesOption = Annotated[int, typer.Option("--probes", min=2, help="Most probes of a trace.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of probes, and of weights that have no value.")]


@takes_network
def sensitivity(
    network: NetworkRequest,
    data: DataOption,
    standardise: StandardiseOption = False,
    rows: RowsOption = None,
    bits: BitsOption = "2-8",
    groups: GroupsOption = 1,
    joint: JointOption = False,
    relative_error: ErrorOption = 0.05,
    probes: ProbesOption = 100,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Show how much the loss minds rounding each weight and activation: Hessian trace and Omega at every width."""
    from systolic.sensitivity_job import SensitivityRequest, sensitivity_job
    from systolic.sensitivity_show import print_sensitivity
    from systolic.terminal import stage_progress

    request = SensitivityRequest(
        network=network,
        data=data,
        standardise=standardise,
        rows=rows,
        bits=parse_bits(bits),
        groups=groups,
        joint=joint,
        relative_error=relative_error,
        most_probes=probes,
        seed=seed,
    )
    with stage_progress() as progress:
        report = sensitivity_job(request, progress)
    print_sensitivity(report, as_json=as_json)


@takes_network
def bits(
    network: NetworkRequest,
    data: DataOption,
    budget: Annotated[
        list[str] | None,
        typer.Option(
            "--budget", metavar="NAME=LIMIT", help="size=BYTES, bops=N, luts=N, a table's name; or 50%; repeatable."
        ),
    ] = None,
    table: Annotated[
        list[Path] | None,
        typer.Option("--table", metavar="FILE.json", help="What bits cost elsewhere: cycles, LUTs; repeatable."),
    ] = None,
    hold: Annotated[
        list[str] | None,
        typer.Option("--hold", metavar="TENSOR=BITS", help="A tensor whose bits are not chosen; repeatable."),
    ] = None,
    measure: Annotated[
        str,
        typer.Option("--measure", help="omega, eigenvalue, eigenvalue-spread, squared-error or loss-change."),
    ] = "omega",
    unrolled: Annotated[
        bool, typer.Option("--unrolled", help="BOPs of fully unrolled hardware: each weight counts once.")
    ] = False,
    solver: Annotated[SolverName, typer.Option("--solver", help="Who solves the integer program.")] = "cp-sat",
    time_limit: Annotated[float, typer.Option("--time-limit", min=0.1, help="Seconds the solver may take.")] = 60.0,
    standardise: StandardiseOption = False,
    rows: RowsOption = None,
    bits: BitsOption = "2-8",
    groups: GroupsOption = 1,
    joint: JointOption = False,
    relative_error: ErrorOption = 0.05,
    probes: ProbesOption = 100,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Choose bits for every weight and activation under budgets, with proof: a layer computes in its producer's bits.

    A percentage is HAWQ-V3's rule: so far from the cost at the fewest bits to the cost at the most.
    """
    from systolic.sensitivity_job import BitsRequest, SensitivityRequest, bits_job
    from systolic.sensitivity_show import print_bits
    from systolic.terminal import stage_progress

    held = {name: _whole_number("--hold", name, text) for name, text in parse_assignments("--hold", hold).items()}
    request = BitsRequest(
        sensitivity=SensitivityRequest(
            network=network,
            data=data,
            standardise=standardise,
            rows=rows,
            bits=parse_bits(bits),
            groups=groups,
            measure=measure,
            joint=joint,
            relative_error=relative_error,
            most_probes=probes,
            seed=seed,
        ),
        budgets=parse_assignments("--budget", budget),
        tables=tuple(table or ()),
        held=held,
        unrolled=unrolled,
        solver=solver,
        seconds=time_limit,
    )
    with stage_progress() as progress:
        report = bits_job(request, progress)
    print_bits(report, as_json=as_json)


def parse_bits(text: str) -> tuple[int, ...]:
    """ "2-8" or "2,4,8" as rising widths. Raises InputError for anything else and for widths outside 2 to 32."""
    first, dash, last = text.partition("-")
    parts = [first, last] if dash else text.split(",")
    if not all(part.isdecimal() for part in parts):
        raise InputError("--bits", "must be like 2-8 or 2,4,8", value=text)
    numbers = [int(part) for part in parts]
    widths = tuple(range(numbers[0], numbers[1] + 1)) if dash else tuple(sorted(set(numbers)))
    if not widths or widths[0] < 2 or widths[-1] > 32:
        raise InputError("--bits", "no widths from 2 to 32", value=text)
    return widths


def parse_assignments(option: str, texts: list[str] | None) -> dict[str, str]:
    """["size=50%", ...] by name. Raises InputError for anything else and for a name that comes twice."""
    found: dict[str, str] = {}
    for text in texts or ():
        name, _, value = text.rpartition("=")
        if not name or not value or name in found:
            raise InputError(option, "must be NAME=VALUE, each name once", value=text)
        found[name] = value
    return found


def _whole_number(option: str, name: str, text: str) -> int:
    if not text.isdecimal() or not 2 <= int(text) <= 32:
        raise InputError(f"{option} {name}", "must be a width from 2 to 32", value=text)
    return int(text)
