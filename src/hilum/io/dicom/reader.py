"""Read a DICOM file or folder into a Volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os.path import commonpath
from pathlib import Path

from hilum.core.errors import GeometryError, InputError
from hilum.core.flags import FlagCode
from hilum.core.sentences import Sentence
from hilum.core.volume import ScanMeta, Volume
from hilum.io.checks import RawImage, check_size, to_volume
from hilum.io.dicom.decoding import Decoder
from hilum.io.dicom.duplicates import compare_duplicates
from hilum.io.dicom.findings import Effect, Finding
from hilum.io.dicom.geometry import Grid
from hilum.io.dicom.headers import Plane
from hilum.io.dicom.pixels import read_pixels
from hilum.io.dicom.resample import resample as resample_stack
from hilum.io.dicom.scan import Scan, Source, scan
from hilum.io.dicom.select import choose
from hilum.io.dicom.stacks import Stack, build_stacks
from hilum.io.names import scan_name

__all__ = ["read_dicom", "read_found", "stacks_of"]

_LISTED = 3


def read_dicom(
    path: Path | str | Sequence[Path | str], *, series: str | None = None, resample: bool = False
) -> Volume:
    """Read a CT from a DICOM file, a folder of any depth, or files of one's own choice.

    A file is read alone: one slice, or all frames of an enhanced multi-frame image. In a folder, images are
    grouped into stacks, one is chosen by the rules in :mod:`hilum.io.dicom.select`, and its slices are put in
    the order of their place. Axis i counts columns, j rows, k slices from feet to head (for other planes:
    towards the back or the left). Files whose header cannot be read are named in a note; a damaged file that
    belongs to the chosen stack is an error, because the lung it shows would be missing.

    Args:
        path: File (suffix and preamble are not needed), folder, or a sequence of files, which is read as a
            folder that holds nothing else; the scan is then named after the folder that holds all of them.
        series: Series to take; see :func:`hilum.io.dicom.select.choose`. Without it the rules choose.
        resample: Interpolate linearly where slices are missing, uneven, shifted or tilted; else refuse.

    Returns:
        The scan in HU, int16 unless a rescale is not whole. ``meta.notes`` says what was met and done.

    Raises:
        UsageError: ``series`` fits nothing or more than one series, or there are several studies with CT.
        InputError: There is no DICOM or no CT in it, or a file is damaged or cannot be decoded or rescaled.
        GeometryError: Slices are missing, uneven, tilted or shifted and ``resample`` is False; two different
            images lie at the same place; or the header does not say where they lie.
    """
    source = Path(path) if isinstance(path, (str, Path)) else tuple(Path(p) for p in path)
    return read_found(scan(source), source, series=series, resample=resample)


def read_found(found: Scan, source: Source, *, series: str | None = None, resample: bool = False) -> Volume:
    """Read a CT from headers that are read already; arguments and errors are those of :func:`read_dicom`."""
    stacks = stacks_of(found, source)
    choice = choose(stacks, series)
    stack = choice.stack
    notes = [Finding(FlagCode.SERIES_CHOSEN, choice.why)] if choice.why else []
    notes += _company(found, stacks, stack)
    _refuse_unreadable(stack, found)
    _refuse(stack, found, resample)
    if stack.grid is None:  # findings of a stack without grid always refuse
        raise GeometryError("The place of the images is unknown.", "Export the series again.")
    notes += [f for f in stack.findings if f.effect is Effect.NOTE and f.code != FlagCode.DUPLICATE_SLICES]
    _check_memory(stack, stack.grid)
    with Decoder() as decoder:
        notes += compare_duplicates(stack.grid, decoder)
        return _assemble(scan_name(_place(source, found)), stack, stack.grid, notes, decoder)


def _place(source: Source, found: Scan) -> Path:
    """Return the file or folder that was read; of several files the folder that holds all of them."""
    if not isinstance(source, Path):
        return Path(commonpath([file.resolve().parent for file in source]))
    place = source.parent if found.index else source
    return place.resolve() if place.name in ("", "..") else place


def stacks_of(found: Scan, source: Source) -> list[Stack]:
    """Return the stacks of a scan of ``source``.

    Raises:
        InputError: There is no image.
    """
    if found.planes:
        lone = isinstance(source, Path) and source.is_file() and not found.index
        return build_stacks(found.planes, lone=lone)
    place = _place(source, found)
    if found.unreadable:
        raise _all_unreadable(found)
    if found.broken:
        name, why = found.broken[0]
        more = f" ({len(found.broken) - 1} more are broken too)" if len(found.broken) > 1 else ""
        raise InputError(
            Sentence("{file:name} is broken: {why}{more}.", name=name, why=why, more=more),
            "Get the files again.",
        )
    if found.imageless:
        modalities = ", ".join(sorted({h.modality or "unknown" for h in found.imageless}))
        raise InputError(
            Sentence(
                "{folder:place} holds DICOM without images ({modalities}).",
                place=place.name,
                modalities=modalities,
            ),
            "Give the CT series.",
        )
    name = place.name or str(place)
    if found.index:
        sentence = Sentence(
            "A DICOMDIR is an index of files, and the folder {folder:name} holds no other DICOM file.",
            name=name,
        )
        raise InputError(sentence, "Give the folder of a CT series.")
    if found.packed:
        what = _count(len(found.packed), "gzip file")
        sentence = Sentence(
            "The folder {folder:name} holds no DICOM file, but {what} (such as {file:packed}).",
            name=name,
            what=what,
            packed=found.packed[0],
        )
        raise InputError(sentence, "Unpack them first, for instance with gunzip.")
    raise InputError(
        Sentence("The folder {folder:name} holds no DICOM file.", name=name),
        "Give the folder of a CT series.",
    )


def _all_unreadable(found: Scan) -> InputError:
    name, why = next((n, w) for n, w in found.broken if n == found.unreadable[0].name)
    what = _count(len(found.unreadable), "file or folder", "files or folders")
    return InputError(
        Sentence(
            "No DICOM file can be read here: {what} cannot be opened ({file:name}: {why}).",
            what=what,
            name=name,
            why=why,
        ),
        "Change their permissions, or copy them again.",
    )


def _refuse_unreadable(stack: Stack, found: Scan) -> None:
    """Raise where a file that cannot be read is most likely a slice of the stack.

    It lies beside the slices and its name ends as theirs do. At an end of the scan nothing else would show
    that it is missing.
    """
    kin = {(p.head.path.parent, p.head.path.suffix.lower()) for p in stack.planes}
    lost = [file for file in found.unreadable if (file.parent, file.suffix.lower()) in kin]
    if lost:
        what, why = _count(len(lost), "file"), dict(found.broken)[lost[0].name]
        raise InputError(
            Sentence(
                "{what} beside the slices cannot be read ({file:name}: {why}), so slices may be missing.",
                what=what,
                name=lost[0].name,
                why=why,
            ),
            "Change their permissions, copy them again, or remove the files that are not slices.",
        )


def _refuse(stack: Stack, found: Scan, resample: bool) -> None:
    """Raise the first finding that forbids to read the stack."""
    stopping = {Effect.INPUT, Effect.GEOMETRY} | (set() if resample else {Effect.RESAMPLE})
    for finding in sorted(stack.findings, key=lambda f: f.effect is Effect.RESAMPLE):
        if finding.effect not in stopping:
            continue
        if finding.effect is Effect.RESAMPLE and found.broken:
            names = ", ".join(name for name, _ in found.broken[:_LISTED])
            hint = Sentence(
                "{hint} Files that could not be read: {names:names}.", hint=finding.hint, names=names
            )
            finding = replace(finding, hint=hint)
        raise finding.error()


def _company(found: Scan, stacks: Sequence[Stack], stack: Stack) -> list[Finding]:
    """Report what else was found: images left out, broken files."""
    notes = []
    if found.index:
        sentence = "A DICOMDIR was given: its folder was read, not only the files that it lists."
        notes.append(Finding(FlagCode.INDEX_GIVEN, sentence))
    others: dict[str, int] = {}
    for s in stacks:
        if not s.readable:
            others[s.kind.value] = others.get(s.kind.value, 0) + len(s.planes)
    if others:
        what = ", ".join(f"{n} of kind {kind!r}" for kind, n in sorted(others.items()))
        notes.append(
            Finding(FlagCode.IMAGES_LEFT_OUT, f"Images that are not CT slices were left out: {what}.")
        )
    if found.broken:
        shown = "; ".join(f"{name}: {why}" for name, why in found.broken[:_LISTED])
        subject = _count(len(found.broken), "file")
        sentence = Sentence(
            "{subject} could not be read and may be missing at an end of the scan ({names:shown}).",
            subject=subject,
            shown=shown,
        )
        notes.append(Finding(FlagCode.FILES_UNREADABLE, sentence))
    return notes


def _assemble(name: str, stack: Stack, grid: Grid, notes: list[Finding], decoder: Decoder) -> Volume:
    head = stack.head
    pixels = read_pixels(grid.planes, decoder)
    hu, affine = pixels.hu, grid.affine()
    notes = [*notes, *pixels.findings]
    if not grid.even:
        made = resample_stack(hu, grid)
        hu, affine = made.hu, made.affine
        notes += [*(replace(f, effect=Effect.NOTE) for f in stack.findings if f.effect is Effect.RESAMPLE)]
        notes.append(made.finding)
    meta = ScanMeta(
        name=name,
        source_format="dicom",
        modality="CT",
        kernel=stack.kernel,
        kvp=head.kvp,
        slice_thickness=grid.planes[0].thickness,
        slice_axis=2,
        patient_position=head.position,
        contrast=head.contrast,
        manufacturer=head.manufacturer,
        body_part=head.body_part,
        series_uid=head.series_uid,
        files=_files(grid.planes),
        notes=tuple((FlagCode.of(f.code), f.sentence) for f in notes),
    )
    # (k, j, i) in memory, so that a slice is written in one piece; seen as (i, j, k).
    return to_volume(RawImage(hu.transpose(2, 1, 0), affine, meta))


def _check_memory(stack: Stack, grid: Grid) -> None:
    """Refuse headers that ask for more pixels than their files can hold, before memory is taken."""
    files = {p.head.path for p in grid.planes}
    size = sum(f.stat().st_size for f in files)
    shape = (stack.head.columns, stack.head.rows, len(grid.planes))
    check_size(shape, max(1, stack.head.bits[0] // 8), size, compressed=True)


def _files(planes: Sequence[Plane]) -> tuple[str, ...]:
    """Return the files in slice order, each once (an enhanced file holds many slices)."""
    return tuple(dict.fromkeys(str(p.head.path) for p in planes))


def _count(n: int, one: str, many: str = "") -> str:
    return f"{n} {one if n == 1 else many or one + 's'}"
