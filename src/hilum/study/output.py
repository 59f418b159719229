"""Writing the exploration: one HTML file, and the tables of its figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hilum.core.labels import Side
from hilum.core.version import RUN_SCHEMA, __version__
from hilum.io import OutputFolder, write_csv, write_json, write_text
from hilum.report.page import render_page
from hilum.study.explore import FEATURES, OUTLIER_Z, Exploration
from hilum.study.figures import draw
from hilum.study.intensities import EDGES, PERCENTILES, Region, percentile

__all__ = ["write_exploration"]

_BIN_HU = 10
#: Subjects with a wrong HU scale that the summary names; all are in subjects.csv.
_MOST_NAMED = 12
_SCHEMA = "hilum.explore/1"
_TITLES = {
    Region.LUNGS: "Lungs",
    Region.RIGHT: Side.RIGHT.words,
    Region.LEFT: Side.LEFT.words,
    Region.APEX: "Apical third",
    Region.MIDDLE: "Middle third",
    Region.BASE: "Basal third",
    Region.VENTRAL: "Front third",
    Region.CENTRAL: "Middle third, front to back",
    Region.DORSAL: "Back third",
    Region.RIM: "Body within 10 mm of the lungs",
    Region.BODY: "Body without lungs",
}


class _Table(NamedTuple):
    name: str
    columns: list[str]
    rows: list[list[object]]


def write_exploration(found: Exploration, out: Path | str) -> Path:
    """Write ``explore.html`` and its tables as CSV into a folder.

    Args:
        found: Result of :func:`hilum.study.explore.explore`.
        out: The folder; an earlier result of hilum there is replaced.

    Returns:
        The folder. It holds no name of a subject or of a file.

    Raises:
        OutputError: It cannot be written; then no part of it is left.
    """
    tables = [
        _subject_table(found),
        _percentile_table(found),
        _histogram_table(found),
        _threshold_table(found),
        _outlier_table(found),
    ]
    with OutputFolder(out) as folder:
        for table in tables:
            write_csv(folder / f"{table.name}.csv", table.columns, table.rows)
        write_json(folder / "explore.json", _summary(found))
        write_text(folder / "explore.html", render(found))
        names = sorted([*(path.name for path in folder.iterdir()), "run.json"])
        about = {"schema": RUN_SCHEMA, "hilum": __version__, "verb": "explore", "files": names}
        write_json(folder / "run.json", about)
    return Path(out)


def render(found: Exploration) -> str:
    """Render the exploration as a self-contained HTML document."""
    return render_page(
        "explore.html.j2",
        "hilum.study",
        found=found,
        count=len(found.subjects),
        slices=sum(one.slices for one in found.subjects),
        figures=draw(found),
        facts=_facts(found),
        regions=_region_rows(found),
        percentiles=PERCENTILES,
        features=_feature_rows(found),
        outliers=_outlier_rows(found),
        limit=OUTLIER_Z,
        flags=_flag_rows(found),
    )


def _facts(found: Exploration) -> list[tuple[str, str]]:
    """Return the main results as text."""
    out = []
    if found.threshold is not None:
        words = f"{found.threshold.hu:.0f} HU, Dice {found.threshold.dice:.3f} within the body"
        out.append(("Best single threshold", words))
        dice = [best.dice for best in found.own if best is not None]
        out.append(
            (
                "Best threshold of each subject",
                f"Dice {np.median(dice):.3f} (median), {min(dice):.3f} (worst)",
            )
        )
    if found.overlap is not None:
        out.append(("Overlap of lung and body", f"{100 * found.overlap:.1f} % of their histograms"))
    for title, mixture in (
        ("Two components, lungs and body", found.mixture),
        ("Two components, lungs", found.inside),
    ):
        if mixture is not None:
            parts = [
                f"{m:.0f} ± {s:.0f} HU ({100 * w:.0f} %)"
                for m, s, w in zip(mixture.means, mixture.sds, mixture.weights, strict=True)
            ]
            meet = "" if mixture.crossing is None else f", equally likely at {mixture.crossing:.0f} HU"
            out.append((title, " and ".join(parts) + meet))
    out.append(("HU scale", _scale(found)))
    return [(title, words.replace("-", "−")) for title, words in out]


def _scale(found: Exploration) -> str:
    """Say in how many subjects air and soft tissue are at their usual HU, and name the others."""
    groups = found.hu_scale
    parts = [f"usual in {len(groups['usual'])} of {len(found.subjects)} subjects"]
    for word in ("off", "unknown"):
        numbers = groups[word]
        if numbers:
            named = ", ".join(map(str, numbers[:_MOST_NAMED]))
            parts.append(f"{word} in {len(numbers)} ({named}{', …' if len(numbers) > _MOST_NAMED else ''})")
    return ", ".join(parts)


def _region_rows(found: Exploration) -> list[tuple[str, list[str]]]:
    return [
        (_TITLES[region], [_text(percentile(found.pooled[region], p), 0) for p in PERCENTILES])
        for region in Region
        if region in found.pooled
    ]


def _feature_rows(found: Exploration) -> list[tuple[str, list[str]]]:
    out = []
    for name, title in FEATURES.items():
        known = [value for value in found.features[name] if value is not None]
        digits = 3 if name in ("overlap", "best_dice") else 1
        values = [min(known), float(np.median(known)), max(known)] if known else [None] * 3
        out.append((title, [str(len(known)), *(_text(value, digits) for value in values)]))
    return out


def _outlier_rows(found: Exploration) -> list[tuple[int, str]]:
    """Return one row per outlying subject with its features, most extreme first."""
    rows: dict[int, list[str]] = {}
    for one in found.outliers:
        digits = 3 if one.feature in ("overlap", "best_dice") else 0
        title = FEATURES[one.feature].removesuffix(", HU").removesuffix(", %")
        words = f"{title} {_text(one.value, digits)} (median {_text(one.median, digits)}, z {one.z:+.1f})"
        rows.setdefault(one.number, []).append(words.replace("-", "−"))
    return [(number, "; ".join(words)) for number, words in rows.items()]


def _flag_rows(found: Exploration) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for one in found.subjects:
        for code in one.flags:
            counts[code] = counts.get(code, 0) + 1
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _text(value: float | None, digits: int) -> str:
    return "unknown" if value is None else f"{value:.{digits}f}".replace("-", "−")


def _number(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


# -- tables ---------------------------------------------------------------------------------------------


def _subject_table(found: Exploration) -> _Table:
    rows: list[list[object]] = [
        [
            one.number,
            one.slices,
            *(_number(found.features[name][n]) for name in FEATURES),
            " ".join(one.flags),
        ]
        for n, one in enumerate(found.subjects)
    ]
    return _Table("subjects", ["subject", "slices", *FEATURES, "flags"], rows)


def _percentile_table(found: Exploration) -> _Table:
    rows: list[list[object]] = []
    for one in found.subjects:
        for region, counts in one.histograms.items():
            values = [_number(percentile(counts, p)) for p in PERCENTILES]
            spread = [_number(one.mean(region)), _number(one.sd(region))]
            rows.append([one.number, region.value, int(counts.sum()), *spread, *values])
    for region, density in found.pooled.items():
        rows.append(
            [
                "pooled",
                region.value,
                None,
                None,
                None,
                *(_number(percentile(density, p)) for p in PERCENTILES),
            ]
        )
    columns = ["subject", "region", "pixels", "mean_hu", "sd_hu", *(f"p{p}_hu" for p in PERCENTILES)]
    return _Table("percentiles", columns, rows)


def _histogram_table(found: Exploration) -> _Table:
    """Return counts in bins of 10 HU; the first and the last bin are open-ended."""
    starts = np.arange(0, EDGES.size - 1, _BIN_HU)
    rows: list[list[object]] = []
    for one in found.subjects:
        for region in (Region.LUNGS, Region.RIM, Region.BODY):
            counts = one.histograms.get(region)
            if counts is None:
                continue
            wide = np.add.reduceat(counts, starts)  # the open last bin is merged into the one before
            rows += [
                [one.number, region.value, int(EDGES[start]), int(count)]
                for start, count in zip(starts, wide, strict=True)
                if count
            ]
    return _Table("histograms", ["subject", "region", "hu_from", "pixels"], rows)


def _threshold_table(found: Exploration) -> _Table:
    chosen = slice(0, EDGES.size, _BIN_HU)
    rows: list[list[object]] = [
        [int(hu), round(float(dice), 5)] for hu, dice in zip(EDGES[chosen], found.dice[chosen], strict=True)
    ]
    return _Table("thresholds", ["threshold_hu", "dice_pooled"], rows)


def _outlier_table(found: Exploration) -> _Table:
    rows: list[list[object]] = [
        [one.number, one.feature, _number(one.value), _number(one.median), round(one.z, 2)]
        for one in found.outliers
    ]
    return _Table("outliers", ["subject", "feature", "value", "median", "robust_z"], rows)


def _summary(found: Exploration) -> dict[str, Any]:
    return {
        "schema": _SCHEMA,
        "hilum": __version__,
        "source": found.source,
        "plane": found.plane.value,
        "subjects": len(found.subjects),
        "slices": sum(one.slices for one in found.subjects),
        "best_threshold": found.threshold,
        "overlap": found.overlap,
        "hu_scale": found.hu_scale,
        "mixture_lungs_and_body": found.mixture,
        "mixture_lungs": found.inside,
        "subjects_that_stand_out": sorted({one.number for one in found.outliers}),
        "inputs_not_used": len(found.failed),
        "notes": list(found.notes),
    }
