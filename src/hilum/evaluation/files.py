"""Matching the files of predictions to those of references, and to scans."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from hilum.core.errors import InputError
from hilum.core.labels import LUNGS
from hilum.core.sentences import Sentence
from hilum.evaluation.class_sets import ANY, class_set, slug
from hilum.io import scan_name
from hilum.io.mask_folder import holds_structures, structures_in
from hilum.io.names import MASK_TAILS, VOLUME_SUFFIXES
from hilum.io.stream import readable
from hilum.results import Format
from hilum.tasks.registry import TASKS

__all__ = ["MaskFiles", "match"]

_MASK_SUFFIXES = (*VOLUME_SUFFIXES, ".png", ".dcm")
#: Suffixes that programs add to the name of a scan for its image.
_IMAGE_TAILS = ("ct", "image", "img", "0000")
#: What the masks of each task are called, alone or after the name of a scan; besides, any mask may be called
#: by an ending of :data:`hilum.io.names.MASK_TAILS`.
_TASK_TAILS: dict[str, tuple[str, ...]] = {
    "lungs": ("lungs", "lung"),
    "pleura": ("pleura",),
    "lobes": ("lobes",),
    "airways": ("airways", "airway"),
    "vessels": ("vessels", "vessel"),
    "injury": ("injury",),
}
_SHOWN = 3


@dataclass(frozen=True)
class MaskFiles:
    """The files of one case.

    Attributes:
        name: What the case is called.
        prediction: Predicted mask.
        reference: Reference mask.
        ct: The scan, or None.
        within: Mask of the lungs outside of which nothing counts, or None.
    """

    name: str
    prediction: Path
    reference: Path
    ct: Path | None = None
    within: Path | None = None


def match(
    prediction: Path,
    reference: Path,
    ct: Path | None = None,
    *,
    matched_only: bool = False,
    task: str = LUNGS.name,
    within: Path | None = None,
    structures: Collection[str] = (),
) -> list[MaskFiles]:
    """Match predictions to references.

    Two single masks are matched regardless of their names. A mask is a file, a folder with one file per
    structure, as TotalSegmentator writes it, or the output of ``hilum segment`` for one scan. In folders of
    many, masks match by name, without the suffix and an ending such as ``_lungs``, ``_mask`` or ``_ct``;
    masks of other tasks, such as ``NAME_vessels``, are passed over. The folders of structures, and outputs,
    are then a folder per scan.

    Args:
        prediction: File or folder.
        reference: File or folder.
        ct: File or folder with the scans.
        matched_only: Skip files without a counterpart.
        task: What the masks show, which their names may end with.
        within: File or folder with masks of the lungs.
        structures: Names of further structures that the user gives a meaning.

    Returns:
        The cases in order of their names.

    Raises:
        InputError: A file is missing, is not a mask, or has no counterpart.
    """
    for path in (prediction, reference, ct, within):
        if path is not None:
            with readable(path):
                path.stat()
    names = _Names(task, frozenset(map(slug, structures)))
    found, drawn = names.mask_of(prediction, reference), names.mask_of(reference, prediction)
    if found is not None and drawn is not None:
        name = names.key(scan_name(reference))[0]
        scan = None if ct is None else _single_scan(ct, name, names)
        lungs = None if within is None else _lungs_of(within, [name])[name]
        return [MaskFiles(name, found, drawn, scan, lungs)]
    if found is None and drawn is None:
        return _match_folders(prediction, reference, ct, within, names, matched_only=matched_only)
    raise _unlike(
        *((prediction, reference) if found is None else (reference, prediction)), names, drawn is None
    )


def _match_folders(
    prediction: Path,
    reference: Path,
    ct: Path | None,
    within: Path | None,
    names: _Names,
    *,
    matched_only: bool,
) -> list[MaskFiles]:
    found, drawn = _listed(prediction, names), _listed(reference, names)
    scans = None if ct is None else _listed(ct, names, scans=True) if ct.is_dir() else {}
    keys = set(found) & set(drawn)
    if not matched_only:
        _refuse(set(found) - keys, "prediction", "reference")
        _refuse(set(drawn) - keys, "reference", "prediction")
    if scans is not None:
        if not matched_only:
            _refuse(keys - set(scans), "case", "CT")
        keys &= set(scans)
    if not keys:
        raise InputError(
            "No prediction has a reference of the same name.",
            "Give two folders whose files have equal names.",
        )
    insides = {} if within is None else _lungs_of(within, keys)
    return [
        MaskFiles(key, found[key], drawn[key], None if scans is None else scans[key], insides.get(key))
        for key in sorted(keys)
    ]


@dataclass(frozen=True)
class _Names:
    """How the masks of a task are called.

    Attributes:
        task: The task.
        structures: Names of structures that the user gives a meaning, as :func:`slug` makes them.
    """

    task: str
    structures: frozenset[str] = frozenset()

    @property
    def tails(self) -> tuple[str, ...]:
        """Endings that say that a file is a mask of the task."""
        return _TASK_TAILS.get(self.task, ())

    @property
    def others(self) -> tuple[str, ...]:
        """Endings that say that a file is a mask of another task; any mask may be one of any classes."""
        every = _TASK_TAILS.items() if self.task in _TASK_TAILS else ()
        return tuple(tail for task, tails in every if task != self.task for tail in tails)

    def key(self, name: str) -> tuple[str, _Kind]:
        """Return the name without the ending that marks a mask or an image, and what the file is by it.

        Examples:
            >>> _Names("lungs").key("chest-7_lungs"), _Names("lungs").key("chest-7_0000")
            (('chest-7', <_Kind.MINE: 0>), ('chest-7', <_Kind.PLAIN: 2>))
            >>> _Names("airways").key("chest-7_lungs"), _Names("lungs").key("lungs")
            (('chest-7', <_Kind.OTHER: 3>), ('lungs', <_Kind.PLAIN: 2>))
        """
        lower = name.lower()
        masks = tuple(tail for tail in MASK_TAILS if tail not in _TASK_TAILS[LUNGS.name])
        for kind, tails in (
            (_Kind.MINE, self.tails),
            (_Kind.OTHER, self.others),
            (_Kind.MASK, masks),
            (_Kind.PLAIN, _IMAGE_TAILS),
        ):
            for tail in tails:
                for joint in "_-.":
                    if lower.endswith(joint + tail) and len(name) > len(tail) + 1:
                        return name[: -len(tail) - 1], kind
        return name, _Kind.PLAIN

    def is_mask_folder(self, folder: Path) -> bool:
        """Whether a folder is one mask: with one file per structure and no scan among them."""
        if not folder.is_dir():
            return False
        if self.task != LUNGS.name:
            classes = class_set(self.task)
            known = self.structures | (set() if classes is None else set(classes.names))
            return any(slug(name) in known for name in structures_in(folder))
        if not holds_structures(folder):
            return False
        names = (scan_name(file).lower() for file in folder.iterdir())
        return not any(name.endswith(tuple(f"_{tail}" for tail in _IMAGE_TAILS)) for name in names)

    def mask_of(self, path: Path, other: Path) -> Path | None:
        """Return the one mask that a file or folder is; None for a folder of many.

        Args:
            path: The file or folder.
            other: What it is compared with. Files of any classes are structures of one mask where that is
                one file, and none of them is called as it is.
        """
        if not path.is_dir():
            return path
        own = self._own(path)
        if own or self.is_mask_folder(path):
            return own[0] if own else path
        if self.task != ANY or other.is_dir():
            return None
        names = structures_in(path)
        return path if len(names) > 1 and scan_name(other) not in names else None

    def inner(self, folder: Path) -> list[Path]:
        """Return the candidate masks in the folder of a scan."""
        parts = [path for path in (folder, folder / "segmentations") if self.is_mask_folder(path)]
        return self._own(folder) + parts

    def _own(self, folder: Path) -> list[Path]:
        """Return the masks of the task that ``hilum segment`` wrote into the folder of a scan."""
        stem = (TASKS[self.task].stem or self.task) if self.task in TASKS else self.task
        return [file for kind in Format if (file := folder / f"{stem}{kind.suffix}").is_file()]


class _Kind(IntEnum):
    """What a file is by its name, the best mask first."""

    MINE = 0
    MASK = 1
    PLAIN = 2
    OTHER = 3


def _listed(folder: Path, names: _Names, *, scans: bool = False) -> dict[str, Path]:
    """Return the masks, or the scans, of a folder by the name used for matching."""
    with readable(folder):
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    paths: list[tuple[str, Path]] = []
    for entry in entries:
        if entry.is_dir():
            paths += [(entry.name, path) for path in ([entry] if scans else names.inner(entry))[:1]]
        elif entry.name.lower().endswith((*_MASK_SUFFIXES, ".zip") if scans else _MASK_SUFFIXES):
            paths.append((scan_name(entry), entry))
    grouped: dict[str, dict[_Kind, list[Path]]] = {}
    for name, path in paths:
        key, kind = names.key(name)
        if kind is not _Kind.OTHER:
            grouped.setdefault(key, {}).setdefault(kind, []).append(path)
    if not grouped:
        what = "scans" if scans else f"masks of {names.task}" if names.tails else "masks"
        raise InputError(
            f"The folder {folder.name or folder} holds no {what} that hilum reads.", "Check the path."
        )
    out: dict[str, Path] = {}
    for key, kinds in grouped.items():
        # If scans and masks are in one folder, the ending of the name distinguishes them.
        masks = kinds.get(_Kind.MINE, []) + kinds.get(_Kind.MASK, [])
        plain = kinds.get(_Kind.PLAIN, [])
        chosen = plain or masks if scans else masks or plain
        if len(chosen) > 1:
            raise InputError(
                f"{chosen[0].name} and {chosen[1].name} in {folder.name} have the same name {key!r}.",
                "Keep one file per scan in the folder.",
            )
        out[key] = chosen[0]
    return out


def _lungs_of(within: Path, keys: Collection[str]) -> dict[str, Path]:
    """Return the mask of the lungs of each case; a file serves one."""
    names = _Names(LUNGS.name)
    if not within.is_dir() or names.is_mask_folder(within):
        if len(keys) > 1:
            raise InputError(
                f"{within.name} is one mask of the lungs for {len(keys)} cases.", "Give a folder of masks."
            )
        return dict.fromkeys(keys, within)
    found = _listed(within, names)
    _refuse(set(keys) - set(found), "case", "mask of the lungs", skip=False)
    return found


def _unlike(folder: Path, single: Path, names: _Names, is_reference: bool) -> InputError:
    """Say that a folder of masks cannot be compared with one mask."""
    shown = folder.name or str(folder)
    if single.is_dir():
        return InputError(
            f"{shown} is a folder of masks and {single.name or single} is one mask.",
            "Give two masks or two folders.",
        )
    hint: str = "Give two files or two folders."
    classes = class_set(names.task)
    if classes is not None:
        hint = Sentence(
            "Give two files or two folders; if it holds one file per class, say which is what, such as "
            "{set:$o=$pair}.",
            o="ref_labels" if is_reference else "labels",
            pair=f"'NAME={classes.classes[0].name}'",
        )
    return InputError(f"{shown} is a folder and {single.name} is a file.", hint)


def _single_scan(ct: Path, name: str, names: _Names) -> Path:
    if not ct.is_dir():
        return ct
    try:
        return _listed(ct, names, scans=True)[name]
    except (KeyError, InputError):
        return ct  # a DICOM folder; otherwise reading it raises an error


def _refuse(alone: Iterable[str], what: str, partner: str, *, skip: bool = True) -> None:
    names = sorted(alone)
    if names:
        shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        verb = f"{what}s have" if len(names) > 1 else f"{what} has"
        raise InputError(
            f"{len(names)} {verb} no {partner} of the same name ({shown}).",
            Sentence("Rename the files, or skip them with {set:matched_only}.")
            if skip
            else "Rename the files.",
        )
