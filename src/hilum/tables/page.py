"""``index.html``: one offline page to look through many scans."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from hilum.core.flag_codes import FlagCode
from hilum.core.labels import LOBES
from hilum.report.page import render_page
from hilum.results import THUMBNAIL
from hilum.tables.columns import Column, Kind
from hilum.tables.excel import WORKBOOK
from hilum.tables.files import LONG, PARQUET, SCANS
from hilum.tables.scans import Cell, ScanTable

__all__ = ["INDEX", "render_index"]

INDEX = "index.html"
REPORT = "report.html"
#: Columns that are shown at first, in groups that are shown whole or not at all; others can be chosen.
_SHOWN = (
    (
        "right_lung_volume_ml",
        "left_lung_volume_ml",
        "lungs_volume_ml",
        "lungs_air_volume_ml",
        "lungs_tissue_mass_g",
        "lungs_mean_hu",
        "pleural_fluid_volume_ml",
        "pleural_gas_volume_ml",
        "lungs_failure_probability",
    ),
    ("lungs_injury_injured_share_percent",),
    ("airways_wall_area_percent",),
    ("vessels_bv5_share_percent",),
    tuple(f"{lobe.name}_volume_ml" for lobe in LOBES.labels),
)
#: More columns do not fit on a wide screen.
_MOST_SHOWN = 14
#: Columns that have a place of their own on the page, or say nothing to people.
_APART = {"scan", "flags", "fingerprint"}
#: Significant digits of a number below 1000: one more than the page shows. Larger ones are whole there.
_DIGITS = 4
#: Worst first.
_SEVERITIES = ("error", "warning", "info")


def render_index(table: ScanTable, out: Path, *, linked: bool = True) -> str:
    """Render the page.

    Args:
        table: The scans.
        out: Folder that the page will lie in; links and thumbnails are relative to it.
        linked: Whether there are any: none where the page goes to another place than the reports.

    Returns:
        An HTML document that loads nothing but the thumbnails beside the reports, and opens no connection.
        The same results give the same bytes.
    """
    script = resources.files("hilum.tables").joinpath("page.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src 'self' file: data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    data = json.dumps(_data(table, out, linked), separators=(",", ":"), allow_nan=False)
    # Hundreds of columns of thousands of scans are then a third as large. No time goes in, so that the same
    # results give the same bytes.
    packed = base64.b64encode(gzip.compress(data.encode(), mtime=0)).decode()
    return render_page(
        "index.html.j2",
        "hilum.tables",
        policy=policy,
        data=Markup(packed),
        script=Markup(script),
        count=len(table),
        folder=out.resolve().name,
        failures=table.failures,
        problems=table.problems,
        models=_models(table),
        files=[name for name in (SCANS, LONG, WORKBOOK, PARQUET) if (out / name).exists()],
    )


def _data(table: ScanTable, out: Path, linked: bool) -> dict[str, Any]:
    """Return what the script shows; columns lie one after the other, so that equal texts stand once."""
    kinds = list(dict.fromkeys((flag.code, flag.severity) for flag in table.flags))
    kinds.sort(key=lambda kind: (_SEVERITIES.index(kind[1]), kind[0]))
    flags: dict[str, list[int]] = {}
    for flag in table.flags:
        found, index = flags.setdefault(flag.scan, []), kinds.index((flag.code, flag.severity))
        if index not in found:
            found.append(index)
    headings = {str(code): code.heading for code in FlagCode}
    chosen = [column for column in table.columns if column.name not in _APART]
    chosen = [column for column in chosen if any(value is not None for value in table.column(column.name))]
    names = [str(name) for name in table.column("scan")]
    files = [
        linked * (place.path / f"{place.before}{REPORT}").exists()
        + linked * 2 * (place.path / THUMBNAIL).exists()
        for place in table.places
    ]
    return {
        "scans": names,
        "links": [
            _link(place.path, out) if there else "" for place, there in zip(table.places, files, strict=True)
        ],
        "before": [quote(place.before) for place in table.places],
        "files": files,
        "kinds": [[code, severity, headings.get(code, code)] for code, severity in kinds],
        "flags": [sorted(flags.get(name, [])) for name in names],
        "columns": [
            [column.name, column.title, column.unit, column.kind is not Kind.TEXT, column.group]
            for column in chosen
        ],
        "values": [_packed(column, table.column(column.name)) for column in chosen],
        "shown": _shown({column.name for column in chosen}),
    }


def _shown(there: set[str]) -> list[str]:
    """Return the columns that are shown at first."""
    out: list[str] = []
    for group in _SHOWN:
        names = [name for name in group if name in there]
        if len(out) + len(names) <= _MOST_SHOWN:
            out += names
    return out


def _link(folder: Path, out: Path) -> str:
    """Return the address of a folder relative to the page; empty on another drive."""
    try:
        relative = os.path.relpath(folder.resolve(), out.resolve())
    except ValueError:
        return ""
    return quote(os.fsencode(relative.replace(os.sep, "/")), safe="/")


def _packed(column: Column, values: Sequence[Cell]) -> list[Any]:
    if column.kind is Kind.TEXT:
        texts = list(dict.fromkeys(value for value in values if value is not None))
        place = {text: index for index, text in enumerate(texts)}
        return [texts, [-1 if value is None else place[value] for value in values]]
    return [_short(value) for value in values]


def _short(value: Cell) -> float | int | None:
    if value is None or isinstance(value, str):
        return None
    digits = max(_DIGITS, len(str(int(abs(value)))))
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded == int(rounded) else rounded


def _models(table: ScanTable) -> list[str]:
    """Name the models of the scans, each once."""
    names = [column.name for column in table.columns if column.name.endswith("_model")]
    found = [
        f"{model} {version}".strip()
        for name in names
        for model, version in zip(table.column(name), table.column(f"{name}_version"), strict=True)
        if model is not None
    ]
    return list(dict.fromkeys(found))
