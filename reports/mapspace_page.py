"""Mapping-space studies as one HTML page that stands alone."""

from __future__ import annotations

from collections.abc import Sequence

from reports.mapspace import PJ, MapspaceStudy, spreads_of
from reports.mapspace_figures import distribution_figure, near_optimum_figure, plane_figure
from reports.mapspace_published import REASONS, SOURCE
from reports.page_frame import filled, framed
from reports.tables import Cell, escaped, number, table
from reports.units import BY, count, percent, si, times


def render_mapspace(studies: Sequence[MapspaceStudy]) -> str:
    """The whole page."""
    figures = {"near": near_optimum_figure(studies)}
    for index, study in enumerate(studies):
        figures |= {f"distribution-{index}": distribution_figure(study), f"plane-{index}": plane_figure(study)}
    machine = studies[0].accelerator
    body = filled(
        "mapspace.html",
        machine=escaped(machine, 80),
        headline=_headline(studies),
        spreads=spreads_table(studies),
        published=_published(studies),
        studies="".join(_study_card(index, study) for index, study in enumerate(studies)),
    )
    return framed(title=f"Mapping space on {machine}", body=body, figures=figures)


def spreads_table(studies: Sequence[MapspaceStudy]) -> str:
    """A row for every study and kind of sample, and one for what was printed."""
    heads = ("Layer", "Mappings", "Number", "Tenth percentile", f"Within 3{BY}", "Median", "Largest")
    rows = []
    for index, study in enumerate(studies):
        for kind, spread in spreads_of(study).items():
            rows.append(
                (
                    Cell(shown=study.layer, value=float(index), below=study.shape),
                    Cell(shown=kind),
                    number(spread.samples),
                    _ratio(spread.tenth_percentile),
                    Cell(shown=percent(spread.near_share), value=spread.near_share),
                    _ratio(spread.median),
                    _ratio(spread.largest),
                )
            )
        if study.published is not None:
            printed = study.published
            rows.append(
                (
                    Cell(shown=study.layer, value=float(index), below=printed.name),
                    Cell(shown="printed by the survey", below=printed.note),
                    number(100_000),
                    _ratio(printed.tenth_percentile),
                    Cell(shown=percent(printed.near_share), value=printed.near_share),
                    Cell(shown="not printed", value=float("nan")),
                    Cell(shown=f"up to 10⁴{BY}", value=printed.largest),
                )
            )
    return table(heads, rows, numeric=range(2, 7), identifier="spreads")


def _headline(studies: Sequence[MapspaceStudy]) -> str:
    first = studies[0]
    worst = max(float(study.relative.max()) for study in studies)
    total, seconds = sum(len(study) for study in studies), sum(study.seconds for study in studies)
    return (
        f"{count(total)} legal mappings, each as likely as any other (seed {first.seed}), sampled and costed by the "
        f"analytical model in {si(seconds, 's')}: the worst takes {times(worst)} the energy-delay product of the best."
    )


def _published(studies: Sequence[MapspaceStudy]) -> str:
    if all(study.published is None for study in studies):
        return ""
    reasons = "".join(f"<li>{escaped(reason, 1000)}</li>" for reason in REASONS)
    return (
        f'<section class="card"><h2>Why ours differ from the printed numbers</h2><p class="hint">Printed: '
        f"{escaped(SOURCE)}.</p><ul>{reasons}</ul></section>"
    )


def _study_card(index: int, study: MapspaceStudy) -> str:
    heads = ("Mapping", "EDP", "Relative", "Samples better", "Cycles", "Energy", "DRAM bytes", "Evidence")
    rows = [
        (
            Cell(shown=mark.name, below=mark.mapping),
            Cell(shown=si(study.edp_of(mark), "Js"), value=study.edp_of(mark)),
            _ratio(study.relative_of(mark)),
            Cell(shown=percent(study.better_than(mark)), value=study.better_than(mark)),
            number(mark.cycles),
            Cell(shown=si(mark.energy_pj * PJ, "J"), value=mark.energy_pj),
            number(mark.dram_bytes),
            Cell(shown=mark.evidence),
        )
        for mark in study.marked
    ]
    about = study.shape if study.published is None else f"{study.shape}: {study.published.name}"
    return (
        f'<section class="card"><h2>{escaped(study.layer)} <small class="muted">{escaped(about)}</small></h2>'
        f'<p class="hint">{count(len(study))} samples, {count(study.distinct)} of them different, of about '
        f"{count(study.space)} legal mappings.</p>"
        f'<div class="figure" data-figure="distribution-{index}"></div>'
        f'<div class="figure" data-figure="plane-{index}"></div>'
        f'<div class="scroll">{table(heads, rows, numeric=range(1, 7), sortable=False)}</div></section>'
    )


def _ratio(value: float) -> Cell:
    return Cell(shown=times(value), value=value)
