"""What a run leaves on disk. Files appear whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from hilum.core.errors import InputError, OutputError, UsageError
from hilum.core.labels import contract
from hilum.core.sentences import Sentence
from hilum.core.version import __version__
from hilum.io.text import read_json
from hilum.result import Result

if TYPE_CHECKING:
    from hilum.synthesis.phantoms import Phantom

__all__ = [
    "Format",
    "check_owner",
    "parse_formats",
    "summary_line",
    "write_phantoms",
    "write_result",
]

RUN_SCHEMA = "hilum.run/1"
#: Folders above a folder of results that are looked at: results must not lie inside those of another scan.
_NESTED = 8


class Format(str, Enum):
    """File format of a label map."""

    NIFTI = "nifti"
    NRRD = "nrrd"
    DICOM_SEG = "dicom-seg"


def parse_formats(text: str) -> tuple[Format, ...]:
    """Read a comma-separated list of formats.

    Raises:
        UsageError: A format is unknown, or none is named.
    """
    known = [f.value for f in Format]
    names = [part.strip() for part in text.split(",") if part.strip()]
    for name in names:
        if name not in known:
            raise UsageError(f"format is {name!r}, expected one of {', '.join(known)}.")
    if not names:
        raise UsageError(f"No format was named, expected one of {', '.join(known)}.")
    return tuple(dict.fromkeys(Format(name) for name in names))


def check_owner(folder: Path | str, fingerprint: str) -> None:
    """Refuse a folder that holds the results of another scan.

    Args:
        folder: Folder of results, which need not exist.
        fingerprint: That of the scan whose results are to be written.

    Raises:
        OutputError: It holds results of another scan, or of one that is not told.
    """
    folder = Path(folder)
    for above in (folder, *list(folder.parents)[:_NESTED]):
        former = _fingerprint_in(above)
        if former is None or (above == folder and former == fingerprint):
            continue
        raise OutputError(
            f"{above} holds the results of another scan, so they are not replaced.",
            Sentence("Give another folder{with:out}, or {set:overwrite} to replace them."),
        )


def _fingerprint_in(folder: Path) -> str | None:
    """Return the fingerprint of the scan whose results a folder holds; None where it holds none."""
    with suppress(InputError):
        run = read_json(folder / "run.json")
        if isinstance(run, dict) and run.get("schema") == RUN_SCHEMA:
            return str(run.get("fingerprint", ""))
    return None


def write_result(
    result: Result,
    folder: str | Path,
    *,
    formats: Iterable[Format | str] = (Format.NIFTI,),
    report: bool = True,
    overwrite: bool = False,
    series: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Write masks, measures, report and manifest into ``folder``.

    Args:
        result: What :func:`hilum.segment` or :func:`hilum.measure` returned.
        folder: Folder for this scan; a former result of the same scan there is replaced as a whole.
        formats: Formats of the label map; none for no label map.
        report: Whether to write ``report.html``.
        overwrite: Replace a result of another scan, too.
        series: What ``run.json`` says of the DICOM series, such as a salted hash of its UID.

    Returns:
        The folder.

    Raises:
        OutputError: It cannot be written, or holds the results of another scan; then nothing is changed.
        UsageError: A DICOM SEG is wanted of a scan that was not read from DICOM.
    """
    from hilum.io import OutputFolder, write_csv, write_json, write_labels, write_text
    from hilum.measures import COLUMNS

    if not overwrite:
        check_owner(folder, result.run.fingerprint)
    with OutputFolder(Path(folder)) as out:
        for format in formats:
            kind = Format(format)
            if kind is Format.DICOM_SEG:
                from hilum.io.dicom.seg import write_dicom_seg

                name = f"hilum {result.segmentation.model.name}"
                write_dicom_seg(out / "lungs.dcm", result.segmentation.labels, result.volume, algorithm=name)
            else:
                suffix = ".nii.gz" if kind is Format.NIFTI else ".nrrd"
                write_labels(out / f"lungs{suffix}", result.segmentation.labels, result.volume, kind.value)
        confidence = result.segmentation.confidence
        if confidence is not None and confidence.where is not None:
            write_labels(out / "uncertainty.nii.gz", confidence.where, result.volume, Format.NIFTI.value)
        write_json(out / "measures.json", result.measures.as_dict())
        write_csv(out / "measures.csv", COLUMNS, result.measures.rows())
        if report:
            from hilum.report import render_report

            write_text(out / "report.html", render_report(result))
        files = sorted([*(path.name for path in out.iterdir()), "run.json"])
        write_json(out / "run.json", {**run_manifest(result, series), "files": files})
    return Path(folder)


def _confidence(result: Result) -> dict[str, object]:
    """How good the model holds its lungs to be; null with a reason where it does not say."""
    own = result.segmentation.confidence
    if own is None:
        return {"failure": None, "reason": "this model does not judge itself"}
    return {"failure": round(own.failure, 4), "signs": {k: round(v, 5) for k, v in own.signs.items()}}


def run_manifest(result: Result, series: Mapping[str, str] = MappingProxyType({})) -> dict[str, object]:
    """Return how a result came to be as plain data for ``run.json``; no patient identifier is in it."""
    meta = result.volume.meta
    return {
        "schema": RUN_SCHEMA,
        **asdict(result.run),
        "confidence": _confidence(result),
        "input": {
            "name": meta.name,
            "format": meta.source_format,
            "shape": list(meta.stored_shape),
            "spacing_mm": [round(s, 6) for s in result.volume.spacing] if meta.spacing_known else None,
            "axes": "".join(result.volume.axcodes) if meta.orientation_known else None,
            "modality": meta.modality or None,
            "kernel": meta.kernel or None,
            "kvp": meta.kvp,
            "slice_thickness_mm": meta.slice_thickness,
            "patient_position": meta.patient_position or None,
            "contrast": meta.contrast,
            "manufacturer": meta.manufacturer or None,
            **series,
        },
        "label_contract": contract(),
        "quality": [flag.as_dict() for flag in result.flags],
    }


def summary_line(name: str, result: Result, where: Path | None) -> str:
    """Return one line on a result for a terminal or a log."""
    lungs = result.measures["lungs"]

    def show(region: str, measure: str, scale: float, unit: str, digits: int) -> str:
        value = result.measures[region][measure].value
        return "unknown" if value is None else f"{value * scale:.{digits}f} {unit}"

    parts = [
        f"right {show('right_lung', 'volume', 1e-3, 'L', 2)}",
        f"left {show('left_lung', 'volume', 1e-3, 'L', 2)}",
        f"weight {show('lungs', 'tissue_mass', 1, lungs['tissue_mass'].unit, 0)}",
        f"air {show('lungs', 'air_volume', 1e-3, 'L', 2)}",
        f"{len(result.flags)} flag{'s' if len(result.flags) != 1 else ''}",
    ]
    line = f"{name}: {', '.join(parts)}"
    return line if where is None else f"{line} -> {where}"


def write_phantoms(chests: Iterable[Phantom], folder: Path) -> Path:
    """Write digital chests as NIfTI pairs with ``truth.json``; return the folder.

    Raises:
        OutputError: It cannot be written; then nothing of it is left.
    """
    from hilum.io import OutputFolder, write_json, write_labels, write_volume

    truth: dict[str, object] = {}
    with OutputFolder(folder) as out:
        for chest in chests:
            name = chest.volume.meta.name
            write_volume(out / f"{name}_ct.nii.gz", chest.volume)
            write_labels(out / f"{name}_lungs.nii.gz", chest.labels, chest.volume, "nifti")
            truth[name] = {
                "seed": chest.seed,
                "parameters": chest.parameters,
                "truth": chest.truth.as_dict(),
            }
        write_json(out / "truth.json", {"hilum": __version__, "subjects": truth})
        files = sorted([*(path.name for path in out.iterdir()), "run.json"])
        write_json(
            out / "run.json",
            {"schema": RUN_SCHEMA, "hilum": __version__, "verb": "phantom", "files": files},
        )
    return folder
