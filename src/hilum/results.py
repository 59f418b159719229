"""The files that a run writes. They appear whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import Enum
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from hilum.core.errors import InputError, OutputError, UsageError
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import INJURY, LUNGS
from hilum.core.segmentation import Confidence
from hilum.core.sentences import Sentence
from hilum.core.version import RUN_SCHEMA, __version__
from hilum.drawing.thumbnail import thumbnail_png
from hilum.io import (
    OutputFolder,
    write_bytes,
    write_csv,
    write_json,
    write_label_names,
    write_labels,
    write_map,
    write_text,
    write_volume,
)
from hilum.io.schema import check
from hilum.io.text import read_json
from hilum.measures.schema import MeasuresFile
from hilum.report import render_report
from hilum.tasks.registry import TASKS
from hilum.tasks.spec import Task

if TYPE_CHECKING:
    from hilum.result import Result
    from hilum.synthesis.phantoms import Phantom, TreeTruth

__all__ = [
    "COLUMNS",
    "MEASURES_SCHEMA",
    "NO_ENTRIES",
    "THUMBNAIL",
    "Format",
    "LabelFileNames",
    "check_owner",
    "fingerprint_in",
    "measure_rows",
    "measures_dict",
    "parse_formats",
    "read_measures",
    "run_manifest",
    "summary_line",
    "write_label_maps",
    "write_phantoms",
    "write_result",
]

MEASURES_SCHEMA = "hilum.measures/2"
#: Columns of the long table ``measures.csv``, see :func:`measure_rows`.
COLUMNS = ("task", "region", "measure", "value", "unit", "formula_id", "reason")
#: Name of the thumbnail of a scan beside its report.
THUMBNAIL = "thumbnail.png"
#: What a manifest gets where there is nothing more to say.
NO_ENTRIES: Mapping[str, str] = MappingProxyType({})
#: Number of parent folders that are checked: results must not lie inside those of another scan.
_NESTED = 8


class Format(str, Enum):
    """File format of a label map."""

    NIFTI = "nifti"
    NRRD = "nrrd"
    DICOM_SEG = "dicom-seg"

    @property
    def suffix(self) -> str:
        """Ending of the file name, with the dot."""
        return {"nifti": ".nii.gz", "nrrd": ".seg.nrrd", "dicom-seg": ".dcm"}[self.value]


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


def check_owner(folder: str | PathLike[str], fingerprint: str) -> None:
    """Refuse a folder that holds the results of another scan.

    Args:
        folder: Folder of results, which need not exist.
        fingerprint: That of the scan whose results are to be written.

    Raises:
        OutputError: It holds results of another scan, or of an unknown one.
    """
    folder = Path(folder)
    for above in (folder, *list(folder.parents)[:_NESTED]):
        former = fingerprint_in(above / "run.json")
        if former is None or (above == folder and former == fingerprint):
            continue
        raise OutputError(
            f"{above} holds the results of another scan, so they are not replaced.",
            Sentence("Give another folder{with:out}, or {set:overwrite} to replace them."),
        )


def fingerprint_in(manifest: Path) -> str | None:
    """Return the fingerprint of the scan whose results a manifest describes; None where there is none."""
    with suppress(InputError):
        run = read_json(manifest)
        if isinstance(run, dict) and run.get("schema") == RUN_SCHEMA:
            return str(run.get("fingerprint", ""))
    return None


def write_result(
    result: Result,
    folder: str | PathLike[str],
    *,
    formats: Iterable[Format | str] = (Format.NIFTI,),
    report: bool = True,
    overwrite: bool = False,
    series: Mapping[str, str] = NO_ENTRIES,
    keys: Mapping[str, str] = NO_ENTRIES,
) -> Path:
    """Write label maps, measures, report and manifest into ``folder``.

    Args:
        result: What :func:`hilum.segment` or :func:`hilum.measure` returned.
        folder: Folder for this scan; a former result of the same scan there is replaced as a whole.
        formats: Formats of the label maps; none for no label map.
        report: Whether to write ``report.html`` and ``thumbnail.png``.
        overwrite: Replace a result of another scan, too.
        series: What ``run.json`` says of the DICOM series, such as a salted hash of its UID.
        keys: What a batch knows the result by again, see :mod:`hilum.batch.keys`.

    Returns:
        The folder.

    Raises:
        OutputError: It cannot be written, or holds the results of another scan; then nothing is changed.
        UsageError: A DICOM SEG is wanted of a scan that was not read from DICOM.
    """
    folder = Path(folder)
    if not overwrite:
        check_owner(folder, result.run.fingerprint)
    with OutputFolder(folder) as out:
        write_label_maps(result, out, formats)
        write_json(out / "measures.json", measures_dict(result))
        write_csv(out / "measures.csv", COLUMNS, measure_rows(result))
        if report:
            write_text(out / "report.html", render_report(result))
            write_bytes(out / THUMBNAIL, thumbnail_png(result.volume, _maps(result)))
        files = sorted([*(path.name for path in out.iterdir()), "run.json"])
        write_json(out / "run.json", {**run_manifest(result, series, keys), "files": files})
    return folder


def _maps(result: Result) -> list[LabelVolume]:
    """The label maps that were asked for, or all where none was."""
    asked = [outcome.segmentation.labels for outcome in result.outcomes.values() if outcome.asked]
    return asked or [outcome.segmentation.labels for outcome in result.outcomes.values()]


@dataclass(frozen=True)
class LabelFileNames:
    """Names of the files that hold the label maps of a scan, as they stand in its folder of results."""

    def label_map(self, task: Task, suffix: str) -> str:
        """Name of a label map with an ending such as ``.nii.gz``."""
        return task.file_name(suffix)

    def label_names(self, task: Task) -> str:
        """Name of the file that names its values for ITK-SNAP."""
        return task.file_name("_labels.txt")

    def uncertainty(self, task: Task, suffix: str) -> str:
        """Name of its uncertainty map with an ending such as ``.nii.gz``."""
        return task.uncertainty_file_name(suffix)

    def further(self, task: Task, name: str) -> str:
        """Name of a file that a task writes beside its label map, such as ``tree.json``."""
        return name


def write_label_maps(
    result: Result,
    out: Path,
    formats: Iterable[Format | str],
    names: LabelFileNames = LabelFileNames(),
) -> None:
    """Write the label map and the uncertainty map of each task that was asked for.

    Beside label maps that ITK-SNAP opens lies a file with the names of their values. A DICOM SEG holds at
    least one segment, so none is written of an empty label map, such as that of a pleura without fluid and
    gas. A task may write files of its own, too.

    Raises:
        OutputError: A file cannot be written.
        UsageError: A DICOM SEG is wanted of a scan that was not read from DICOM.
    """
    kinds = [Format(one) for one in formats]
    for name, outcome in result.outcomes.items():
        if not outcome.asked:
            continue
        task, found = TASKS[name], outcome.segmentation
        for kind in kinds:
            path = out / names.label_map(task, kind.suffix)
            if kind is Format.DICOM_SEG:
                # highdicom takes longer to load than all else that writing needs; few ask for it.
                from hilum.io.dicom.seg import write_dicom_seg

                if result.volume.meta.source_format == "dicom" and not found.labels.data.any():
                    continue
                write_dicom_seg(path, found.labels, result.volume, algorithm=f"hilum {found.model.name}")
            else:
                write_labels(path, found.labels, result.volume, kind.value)
        if {Format.NIFTI, Format.NRRD} & set(kinds):
            write_label_names(out / names.label_names(task), found.labels.label_set)
        if found.confidence is not None and found.confidence.where is not None:
            path = out / names.uncertainty(task, Format.NIFTI.suffix)
            write_map(path, found.confidence.where, result.volume, f"{name} uncertainty")
        if task.write is not None:

            def place(file: str, task: Task = task) -> Path:
                return out / names.further(task, file)

            task.write(result.volume, outcome, place)


def measures_dict(result: Result) -> dict[str, object]:
    """Return the content of ``measures.json``; see :class:`hilum.measures.schema.MeasuresFile`."""
    return {
        "schema": MEASURES_SCHEMA,
        "hilum": __version__,
        "quality": [flag.as_dict() for flag in result.flags],
        "formulae": dict(result.measures.formulae),
        "tasks": {
            name: {**_about(result, name), "regions": outcome.measures.as_dict()}
            for name, outcome in result.outcomes.items()
        },
    }


def measure_rows(
    result: Result,
) -> Iterator[tuple[str, str, str, float | None, str, object, str | None]]:
    """Give the rows of the long table, one per region and measure; the header is :data:`COLUMNS`."""
    for name, outcome in result.outcomes.items():
        for region, values in outcome.measures.items():
            for measure, entry in values.items():
                formula = outcome.measures.formulae[measure]["formula_id"]
                yield name, region, measure, entry.rounded, entry.unit, formula, entry.reason


def read_measures(path: str | PathLike[str]) -> MeasuresFile:
    """Read a ``measures.json``.

    Args:
        path: The file, or the folder of results that it lies in.

    Raises:
        InputError: It cannot be read, or is not of this version's schema.
    """
    file = Path(path) / "measures.json" if Path(path).is_dir() else Path(path)
    hint = Sentence("Make it again with {verb:segment}.")
    return check(MeasuresFile, read_json(file), name=file.name, hint=hint)


def _about(result: Result, task: str) -> dict[str, object]:
    """Describe the label map of a task: labels, model, confidence."""
    found = result.outcomes[task].segmentation
    return {
        "label_contract": found.labels.label_set.contract(),
        "model": found.model.as_dict(),
        "confidence": _confidence(found.confidence),
    }


def _confidence(own: Confidence | None) -> dict[str, object]:
    """The model's confidence in its label map; null with a reason if it does not estimate it."""
    if own is None:
        return {"failure": None, "reason": "this model does not estimate its confidence"}
    return {"failure": round(own.failure, 4), "signs": {k: round(v, 5) for k, v in own.signs.items()}}


def run_manifest(
    result: Result, series: Mapping[str, str] = NO_ENTRIES, keys: Mapping[str, str] = NO_ENTRIES
) -> dict[str, object]:
    """Return how a result came to be as plain data for ``run.json``; no patient identifier is in it."""
    meta = result.volume.meta
    return {
        "schema": RUN_SCHEMA,
        **asdict(result.run),
        **keys,
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
        "tasks": {name: _about(result, name) for name in result.outcomes},
        "quality": [flag.as_dict() for flag in result.flags],
    }


def summary_line(name: str, result: Result, where: Path | str | None) -> str:
    """Return one line on a result for a terminal or a log."""
    parts = [
        words
        for task, outcome in result.outcomes.items()
        if outcome.asked
        for words in TASKS[task].summary(outcome.measures)
    ]
    parts.append(f"{len(result.flags)} flag{'s' if len(result.flags) != 1 else ''}")
    line = f"{name}: {', '.join(parts)}"
    return line if where is None else f"{line} -> {where}"


def write_phantoms(chests: Iterable[Phantom], folder: Path) -> Path:
    """Write digital chests as NIfTI pairs with ``truth.json``; return the folder.

    A chest with injuries also gets a label map of them, and one with full trees gets label maps of airways,
    vessels and lobes and a table of its branches.

    Raises:
        OutputError: It cannot be written; then nothing of it is left.
    """
    truth: dict[str, object] = {}
    lungs = TASKS[LUNGS.name].file_name(Format.NIFTI.suffix)
    with OutputFolder(folder) as out:
        for chest in chests:
            name = chest.volume.meta.name
            write_volume(out / f"{name}_ct.nii.gz", chest.volume)
            write_labels(
                out / f"{name}_{lungs}", LabelVolume.on_grid_of(chest.volume, chest.labels), chest.volume
            )
            subject: dict[str, object] = {
                "seed": chest.seed,
                "parameters": chest.parameters,
                "truth": chest.truth.as_dict(),
            }
            if chest.injury is not None:
                subject["injury"] = chest.injury.amounts
                labels = LabelVolume.on_grid_of(chest.volume, chest.injury.labels, INJURY)
                write_labels(out / f"{name}_{INJURY.name}{Format.NIFTI.suffix}", labels, chest.volume)
            if chest.trees is not None:
                subject["trees"] = chest.trees.summary
                _write_trees(out, chest, chest.trees)
            truth[name] = subject
        write_json(out / "truth.json", {"hilum": __version__, "subjects": truth})
        files = sorted([*(path.name for path in out.iterdir()), "run.json"])
        write_json(
            out / "run.json",
            {"schema": RUN_SCHEMA, "hilum": __version__, "verb": "phantom", "files": files},
        )
    return folder


def _write_trees(out: Path, chest: Phantom, trees: TreeTruth) -> None:
    """Write the label maps and the branch table of full trees."""
    # Digital chests bring SciPy, which the commands that only write results do without.
    from hilum.synthesis.phantoms.branch_table import BRANCH_COLUMNS, branch_rows

    name = chest.volume.meta.name
    for what, values in (("airways", trees.airways), ("vessels", trees.vessels), ("lobes", trees.lobes)):
        write_map(out / f"{name}_{what}.nii.gz", values, chest.volume, f"phantom {what}")
    write_csv(out / f"{name}_branches.csv", BRANCH_COLUMNS, branch_rows(chest.branches))
