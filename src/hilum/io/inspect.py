"""List the content of a file, a folder or a zip, and which series would be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hilum.core.errors import HilumError, InputError
from hilum.core.sentences import Sentence
from hilum.io.archive import files_in, unpacked, volumes_in
from hilum.io.dicom.files import looks_like_dicom, regular_files
from hilum.io.dicom.reader import stacks_of
from hilum.io.dicom.scan import Scan, scan
from hilum.io.dicom.select import choose_each
from hilum.io.dicom.stacks import Stack
from hilum.io.dispatch import FileKind, kind_of, read, read_unpacked, refuse_folder_without_dicom
from hilum.io.folders import volume_files

__all__ = ["SeriesInfo", "inspect"]

_PLANES = {"S": "axial", "I": "axial", "A": "coronal", "P": "coronal", "R": "sagittal", "L": "sagittal"}


@dataclass(frozen=True)
class SeriesInfo:
    """One row: a DICOM series (or one of its stacks), or a volume file.

    What is unknown is None or empty. Descriptions can hold identifiers and are left out unless asked for.

    Attributes:
        format: ``dicom``, ``nifti``, ``nrrd``, ``metaimage`` or ``tiff``.
        kind: ``volume``, ``slice``, ``localizer``, ``projection``, ``secondary capture``, ``not HU``,
            ``other modality`` or ``no image``.
        modality: DICOM modality.
        number: Series number.
        part: Number of the stack within its series, where a series holds several; ``3:2`` as the argument
            ``series`` asks for it.
        uid: Series instance UID; the argument ``series`` takes it, or an end of it that is unique.
        slices: Number of slices, repeated ones not counted; None where there is no image.
        rows: Rows of a slice.
        cols: Columns of a slice.
        spacing: Distance of columns and of rows in mm.
        step: Distance of slices in mm.
        extent_mm: Length of the stack in mm.
        thickness: Nominal slice thickness in mm.
        kernel: Convolution kernel.
        orientation: ``axial``, ``coronal``, ``sagittal`` or ``oblique``.
        problems: (code, sentence) of all that is to be said.
        chosen: Whether it would be read; ``hilum segment`` reads one series of each study.
        why: Why it was chosen among several.
        description: Series description; None unless asked for.
        file: Name of a volume's file, below the folder or zip that was given; empty for DICOM.
    """

    format: str
    kind: str
    modality: str = ""
    number: int | None = None
    part: int | None = None
    uid: str = ""
    slices: int | None = None
    rows: int | None = None
    cols: int | None = None
    spacing: tuple[float, float] | None = None
    step: float | None = None
    extent_mm: float | None = None
    thickness: float | None = None
    kernel: str = ""
    orientation: str = ""
    problems: tuple[tuple[str, str], ...] = field(default=())
    chosen: bool = False
    why: str = ""
    description: str | None = None
    file: str = ""

    def as_dict(self) -> dict[str, object]:
        """Plain data for JSON; the description only where it was asked for."""
        out: dict[str, object] = asdict(self)
        out["spacing"] = None if self.spacing is None else list(self.spacing)
        out["problems"] = [{"code": code, "message": sentence} for code, sentence in self.problems]
        if self.description is None:
            del out["description"]
        return out

    def row(self) -> tuple[str, ...]:
        """Cells of a table.

        They are: chosen, series or file, format, kind, slices, size, spacing, kernel, plane, problems.
        """
        series = self.file if self.number is None else f"{self.number}"
        if self.part is not None:
            series += f":{self.part}"
        if self.uid:
            series = f"{series} (...{self.uid[-8:]})".strip()
        size = "" if self.cols is None else f"{self.cols} x {self.rows}"
        spacing = "" if self.spacing is None else " x ".join(f"{s:.3g}" for s in self.spacing)
        if spacing and self.step is not None:
            spacing += f" x {self.step:.3g}"
        kind = f"{self.modality} {self.kind}".strip()
        slices = "" if self.slices is None else str(self.slices)
        problems = " ".join(sentence for _, sentence in self.problems)
        mark = "*" if self.chosen else ""
        return (
            mark,
            series,
            self.format,
            kind,
            slices,
            size,
            spacing,
            self.kernel,
            self.orientation,
            problems,
        )


def inspect(path: Path | str, *, series: str | None = None, descriptions: bool = False) -> list[SeriesInfo]:
    """List what a file, a folder of any depth or a zip holds.

    Only DICOM headers are read, so a problem that only the pixels show (a file that cannot be
    decoded) is not listed. Rows are ordered by study, series number, series UID and part, then come series
    without images and files that cannot be read.

    Args:
        path: DICOM file or folder, zip, NIfTI, NRRD, MHA/MHD or TIFF.
        series: Series to mark as chosen, as in :func:`hilum.io.dicom.read_dicom`; without it the rules
            choose, one stack per study.
        descriptions: Also give series descriptions. They are typed by people and can identify a patient.

    Returns:
        One entry per stack or volume. Where nothing can be read as chest CT, none is chosen.

    Raises:
        InputError: The path does not exist, or nothing there is known.
        UsageError: ``series`` fits nothing or more than one series.
    """
    path = Path(path)
    if path.is_dir():
        return _inspect_folder(path, series, descriptions)
    kind = kind_of(path)
    if kind is FileKind.DICOM:
        return _inspect_dicom(path, series, descriptions)
    if kind is FileKind.ZIP:
        return _inspect_zip(path, series, descriptions)
    return [_inspect_volume(path)]


def _inspect_zip(path: Path, series: str | None, descriptions: bool) -> list[SeriesInfo]:
    with unpacked(path) as folder:
        files = files_in(folder)
        if any(looks_like_dicom(f) for f in files):
            return _inspect_dicom(folder, series, descriptions)
        volumes = volumes_in(files)
        if not volumes:
            raise InputError(
                Sentence("{file:path} holds no scan that hilum reads.", path=path.name),
                "Give a zip of DICOM or of one volume.",
            )
        return _inspect_volumes(volumes, folder, chosen=len(volumes) == 1)


def _inspect_folder(folder: Path, series: str | None, descriptions: bool) -> list[SeriesInfo]:
    """List DICOM series and volume files, as they are found in a folder."""
    files = volume_files(folder)
    rows = _inspect_volumes(files.volumes, folder)
    note = ("named_as_mask", "Its name says that it holds a mask, so it is left out.")
    rows += [SeriesInfo("", "mask", problems=(note,), file=_below(mask, folder)) for mask in files.masks]
    if not rows:
        refuse_folder_without_dicom(folder)
        return _inspect_dicom(folder, series, descriptions)
    known = {*files.volumes, *files.masks}
    others = (f for f in regular_files(folder, lambda path, error: None) if f not in known)
    if any(looks_like_dicom(f) for f in others):
        rows = [*_inspect_dicom(folder, series, descriptions), *rows]
    return rows


def _inspect_volumes(paths: Sequence[Path], folder: Path, *, chosen: bool = True) -> list[SeriesInfo]:
    """One row per file, even if it cannot be read."""
    rows = []
    for path in paths:
        try:
            rows.append(_inspect_volume(path, chosen=chosen, folder=folder))
        except HilumError as error:
            problem = ("file_unreadable", error.message)
            rows.append(SeriesInfo("", "unreadable file", problems=(problem,), file=_below(path, folder)))
    return rows


def _below(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _inspect_volume(path: Path, *, chosen: bool = True, folder: Path | None = None) -> SeriesInfo:
    volume = read(path) if folder is None else read_unpacked(path, folder)
    known = volume.meta.spacing_known
    # The slice axis is usually the last one; axcodes name its direction.
    x, y, z = volume.spacing
    cols, rows, slices = volume.shape
    return SeriesInfo(
        format=volume.meta.source_format,
        kind="slice" if slices == 1 else "volume",
        modality=volume.meta.modality,
        slices=slices,
        rows=rows,
        cols=cols,
        spacing=(x, y) if known else None,
        step=z if known and slices > 1 else None,
        extent_mm=z * slices if known and slices > 1 else None,
        thickness=volume.meta.slice_thickness,
        kernel=volume.meta.kernel,
        orientation=_PLANES[volume.axcodes[2]] if volume.meta.orientation_known else "",
        problems=volume.meta.notes,
        chosen=chosen,
        file=path.name if folder is None else _below(path, folder),
    )


def _inspect_dicom(path: Path, series: str | None, descriptions: bool) -> list[SeriesInfo]:
    found = scan(path, descriptions=descriptions)
    if not found.planes and found.imageless and not found.broken:
        return _imageless(found, descriptions)
    stacks = stacks_of(found, path)
    chosen = {id(choice.stack): choice.why for choice in choose_each(stacks, series)}
    rows = [_from_stack(s, chosen.get(id(s)), descriptions) for s in stacks]
    broken = tuple(("file_unreadable", f"{name} could not be read: {why}.") for name, why in found.broken)
    extra = [SeriesInfo("dicom", "unreadable file", problems=(entry,)) for entry in broken]
    return [*rows, *_imageless(found, descriptions), *extra]


def _from_stack(stack: Stack, why: str | None, descriptions: bool) -> SeriesInfo:
    """One row; ``why`` says why the stack is read, and is None where it is not."""
    grid, head = stack.grid, stack.head
    return SeriesInfo(
        format="dicom",
        kind=stack.kind.value,
        modality=head.modality,
        number=head.number,
        part=stack.part if stack.parts > 1 else None,
        uid=head.series_uid,
        slices=stack.slices,
        rows=head.rows,
        cols=head.columns,
        spacing=grid.spacing if grid else None,
        step=grid.step if grid and stack.slices > 1 else None,
        extent_mm=grid.extent if grid else None,
        thickness=stack.planes[0].thickness,
        kernel=stack.kernel,
        orientation=stack.plane,
        problems=tuple((f.code, f.sentence) for f in stack.findings),
        chosen=why is not None,
        why=why or "",
        description=head.description if descriptions else None,
    )


def _imageless(found: Scan, descriptions: bool) -> list[SeriesInfo]:
    """One row per series of DICOM files without image, such as reports and structure sets."""
    heads = {(h.study_uid, h.series_uid): h for h in found.imageless}
    problem = (("no_image", "The files hold no image."),)
    return [
        SeriesInfo(
            format="dicom",
            kind="no image",
            modality=head.modality,
            number=head.number,
            uid=head.series_uid,
            problems=problem,
            description=head.description if descriptions else None,
        )
        for _, head in sorted(heads.items())
    ]
