"""What `systolic generate` found as one HTML page that stands alone."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import Any, Final

from reports.generation import GenerationStudy, differing, point_rows
from reports.generation_figures import (
    MOST_SERIES,
    kinds_figure,
    map_figure,
    memory_figure,
    throughput_figure,
    token_figure,
)
from reports.page_frame import filled, framed, list_items, tile_cards
from reports.tables import Cell, escaped, number, table
from reports.units import count, si, times

MOST_CARDS: Final = 6
MOST_ROWS: Final = 400
NOTES: Final = (
    "Every operator takes as long as its slowest part, its operations or its bytes across one boundary of the memory"
    " (roofline), and operators run one after another: no launch overheads, no other users of the memory.",
    "First token: prefill of a prompt as long as the context, logits of its last token only. A token: one output token"
    " of every sequence of the batch, after a context as long as stated.",
    "Memory: all weights, what is kept of earlier tokens of all sequences, and the most activations alive at once:"
    " a prefill of one whole prompt after another, or a decoding pass of the batch.",
    "With speculation and with experts times are expectations; agreement of tokens and choice of experts are"
    " independent from token to token, which real text is not.",
)


def render_generation(studies: Sequence[GenerationStudy]) -> str:
    """The whole page."""
    figures: dict[str, Any] = {"tokens": token_figure(studies), "throughput": throughput_figure(studies)}
    for index, study in enumerate(studies[:MOST_CARDS]):
        figures |= {
            f"map-{index}": map_figure(study),
            f"memory-{index}": memory_figure(study),
            f"kinds-{index}": kinds_figure(study),
        }
    models = ", ".join(dict.fromkeys(study.model for study in studies))
    body = filled(
        "generation.html",
        models=escaped(models, 80),
        headline=_headline(studies),
        tiles=tile_cards(_tiles(studies[0])),
        left_out=_left_out(studies, MOST_SERIES, "lines"),
        studies="".join(_card(index, study) for index, study in enumerate(studies[:MOST_CARDS])),
        points=_points(studies),
        points_hint=_points_hint(studies),
        notes=list_items((*dict.fromkeys(note for study in studies for note in study.found.notes), *NOTES)),
    )
    return framed(title=f"Generation: {models}", body=body, figures=figures)


def _headline(studies: Sequence[GenerationStudy]) -> str:
    points = sum(study.found.shape[0] * study.found.shape[1] for study in studies)
    fitting = sum(int(study.fits.sum()) for study in studies)
    how = "" if studies[0].way == "one by one" else f", decoded by {escaped(studies[0].way)}"
    return f"{count(points)} points{how}: {count(fitting)} fit in memory."


def _tiles(study: GenerationStudy) -> list[tuple[str, str, str]]:
    found = study.found
    where = f"{count(found.contexts[0])} tokens, batch {count(found.batches[0])}"
    memory = found.table(found.memory.total_bytes)[0, 0]
    crossing = float(study.ridge_batches[0])
    tiles = [
        ("First token", si(found.first_token_seconds[0, 0], "s"), where),
        ("A token", si(found.token_seconds[0, 0], "s"), where),
        ("Tokens a second", si(found.tokens_per_second[0, 0], ""), where),
        ("Memory", si(memory, "B"), f"of {si(found.memory.capacity_bytes, 'B')}"),
        ("Bound by compute", "never" if isnan(crossing) else f"batch {count(crossing)}", "the least batch, decoding"),
    ]
    if study.plain is not None:
        tiles.append(("Against one by one", times(float(study.gain[0, 0])), where))
    else:
        tiles.append(("Ridge", f"{count(found.ridge_flops_per_byte)} FLOP/B", escaped(study.precision)))
    return tiles


def _card(index: int, study: GenerationStudy) -> str:
    about = f"{study.machine}, {study.precision}, {study.way}"
    return (
        f'<section class="card"><h2>{escaped(study.model)} <small class="muted">{escaped(about)}</small></h2>'
        f'<div class="figure" data-figure="map-{index}"></div>'
        f'<div class="pair" style="{_HALVES}"><div><h3>Memory</h3>'
        f'<div class="figure" data-figure="memory-{index}"></div></div>'
        f"<div><h3>Time of a decoding pass at batch {count(study.found.batches[0])}</h3>"
        f'<div class="figure" data-figure="kinds-{index}"></div></div></div></section>'
    )


_HALVES: Final = "grid-template-columns:repeat(auto-fit,minmax(min(420px,100%),1fr))"


def _points(studies: Sequence[GenerationStudy]) -> str:
    heads = (
        "Study",
        "Context",
        "Batch",
        "First token",
        "A token",
        "Tokens/s",
        "Memory",
        "Too many",
        "FLOP/B",
        "Bound by",
    )
    compared = studies[0].plain is not None
    asked = studies[0].request_seconds is not None
    rows: list[tuple[Cell, ...]] = []
    for name, study in zip(differing(studies), studies, strict=True):
        for row in point_rows(study):
            if len(rows) == MOST_ROWS:
                break
            rows.append(_point(name, row, compared=compared, asked=asked))
    extra = (("Gain",) if compared else ()) + (("Request",) if asked else ())
    return table((*heads, *extra), rows, numeric=(*range(1, 9), *range(10, 10 + len(extra))), identifier="points")


def _point(name: str, row: dict[str, Any], *, compared: bool, asked: bool) -> tuple[Cell, ...]:
    def seconds(key: str) -> Cell:
        return Cell(shown=si(row[key], "s"), value=row[key])

    def size(key: str) -> Cell:
        return Cell(shown=si(row[key], "B") if row[key] else "", value=row[key])

    cells = (
        Cell(shown=name),
        number(row["context"]),
        number(row["batch"]),
        seconds("first_token_seconds"),
        seconds("token_seconds"),
        Cell(shown=si(row["tokens_per_second"], ""), value=row["tokens_per_second"]),
        size("memory_bytes"),
        size("excess_bytes"),
        number(row["flops_per_byte"]),
        Cell(shown=row["decode_bound_by"]),
    )
    gain = (Cell(shown=times(row["times_one_by_one"]), value=row["times_one_by_one"]),) if compared else ()
    return (*cells, *gain, *((seconds("request_seconds"),) if asked else ()))


def _points_hint(studies: Sequence[GenerationStudy]) -> str:
    points = sum(study.found.shape[0] * study.found.shape[1] for study in studies)
    text = f"The first {count(MOST_ROWS)} of {count(points)} points; --csv has all. " if points > MOST_ROWS else ""
    return f"{text}{_left_out(studies, MOST_CARDS, 'cards')}"


def _left_out(studies: Sequence[GenerationStudy], most: int, what: str) -> str:
    return f"The first {most} of {len(studies)} {what}." if len(studies) > most else ""
