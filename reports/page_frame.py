"""The frame of every HTML page: it stands alone, with no server, no network and nothing beside the file.

A page may run only its own scripts (a content security policy with their hashes) and may fetch nothing at all. A new
page is a body in `assets` with `$places`, its figures, and a call of `framed`; `assets/start.js` draws every element
with `data-figure`, makes every table with a head sortable and every input with `data-filter` a filter.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Any, Final

from reports.tables import escaped

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:;"


def framed(
    *,
    title: str,
    body: str,
    figures: Mapping[str, Any],
    data: Mapping[str, Any] | None = None,
    scripts: Iterable[str] = (),
) -> str:
    """The whole page, about 5 MB of which are plotly.js where it has figures.

    title: text, not markup. body: HTML. figures: plotly figures as `{"data": [...], "layout": {...}}` by the
    `data-figure` of their place. data: what the page's own `scripts` (files of `assets`, run before figures are drawn)
    read beside `DATA.figures`.
    """
    plotly = _plotly() if figures else ""
    script = "\n".join(_asset(name) for name in ("tables.js", "figures.js", *scripts, "start.js"))
    return Template(_asset("frame.html")).substitute(
        title=escaped(title),
        body=body,
        policy=f"{_POLICY} script-src {_script_hashes(plotly, script)}",
        style=_asset("page.css"),
        data=json_for_html({"figures": dict(figures), **(data or {})}),
        plotly=plotly,
        script=script,
    )


def filled(name: str, /, **places: str) -> str:
    """The file `name` of `assets` with HTML at each of its `$places`. Raises KeyError where one is left empty."""
    return Template(_asset(name)).substitute(places)


def tile_cards(tiles: Iterable[tuple[str, str, str]]) -> str:
    """Cards of totals: name, value and detail of each."""
    return "".join(
        f"<div class=tile><h3>{escaped(name)}</h3><p>{escaped(value)}</p><small>{escaped(detail)}</small></div>"
        for name, value, detail in tiles
    )


def list_items(texts: Iterable[str]) -> str:
    """The items of an HTML list."""
    return "".join(f"<li>{escaped(text, 2000)}</li>" for text in texts)


def json_for_html(value: Any) -> str:
    """`value` as JSON that no HTML parser can mistake for markup."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _script_hashes(*scripts: str) -> str:
    """CSP source expressions for inline scripts; the frame puts a script between its tags without other text."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    return " ".join(f"'sha256-{digest}'" for digest in digests)


def _plotly() -> str:
    """plotly.js as the plotly package ships it; importing the package to ask for it would take a quarter of a second
    more."""
    package = find_spec("plotly")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent.joinpath("package_data", "plotly.min.js").read_text(encoding="utf-8")


def _asset(name: str) -> str:
    return resources.files("reports").joinpath("assets", name).read_text(encoding="utf-8")
