"""Finding pairs of image and mask in the common folder layouts.

Six layouts are known: a CSV file; a ``dataset.json`` of the Medical Segmentation Decathlon (Antonelli et al.
2022) as MONAI reads it; a ``dataset.json`` of nnU-Net (version 2), see :mod:`hilum.datasets.nnunet`;
two folders side by side (``images``/``masks``, nnU-Net's ``imagesTr``/``labelsTr``);
two folders given by the user; and one folder in which file names distinguish image and mask.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from hilum.core.errors import InputError
from hilum.datasets.nnunet import image_channel, is_nnunet, label_map, listed_cases
from hilum.io.mask_folder import holds_structures
from hilum.io.names import VOLUME_SUFFIXES, natural_key
from hilum.io.safe_text import utf8_safe
from hilum.io.stream import readable
from hilum.io.text import read_json, read_rows, shown
from hilum.io.vocabulary import LabelMap

__all__ = ["Pair", "Subject", "find_pairs", "labels_of"]

#: Words that end (or begin) the name of an image or of a mask; compared without case.
IMAGE_WORDS = frozenset({"ct", "hu", "image", "img", "orig", "scan", "vol", "volume"})
MASK_WORDS = frozenset(
    {
        "gt",
        "label",
        "labels",
        "lung",
        "lungmask",
        "lungs",
        "mask",
        "masks",
        "seg",
        "segmentation",
        "segmentations",
    }
)
_WORDS = IMAGE_WORDS | MASK_WORDS
#: Names of folders that hold images, and of those that hold masks; compared without case.
IMAGE_FOLDERS = ("images", "imagestr", "image", "imgs", "img", "ct", "cts", "scans", "volumes")
MASK_FOLDERS = ("masks", "labelstr", "labels", "mask", "label", "segmentations", "seg", "lungs", "gt")
_SUFFIXES = (".seg.nrrd", *VOLUME_SUFFIXES, ".png")
_FLAT_SUFFIXES = (".tif", ".tiff", ".png")
#: Characters of a subject's name and of a path in a table: what file systems take.
_LONGEST_NAME, _LONGEST_PATH = 255, 4096
_CHANNEL = re.compile(r"_(\d{4})$")  # nnU-Net: _0000 is the first channel
_FORMS = (
    "Give a folder with NAME_ct.nii.gz and NAME_lungs.nii.gz, a folder with images and masks (or imagesTr "
    "and labelsTr), a CSV with the columns image and mask, or a dataset.json of the Decathlon or of nnU-Net."
)


@dataclass(frozen=True)
class Pair:
    """An image and its mask. If one of them is missing, ``problem`` says so in one sentence."""

    image: Path | None
    mask: Path | None

    @property
    def problem(self) -> str:
        """What is missing, in one sentence; empty if the pair is complete."""
        if self.image is None:
            return "There is a mask but no image."
        return "There is an image but no mask." if self.mask is None else ""


@dataclass(frozen=True)
class Subject:
    """A subject by its long name, with one pair, or with several single slices."""

    name: str
    pairs: tuple[Pair, ...]


def find_pairs(
    source: Path | str, masks: Path | str | None = None, *, several: bool = False
) -> list[Subject]:
    """Find the pairs of image and mask.

    Args:
        source: A folder, a CSV file or a Decathlon ``dataset.json``; with ``masks``, the folder of images.
        masks: The folder of masks, if images and masks are in two unrelated folders.
        several: Whether a subject may have several volumes, as given in a table; a split keeps them together.

    Returns:
        The subjects in natural order of their names. An image without a mask, or a mask without an image, is
        a subject whose pair has a ``problem``.

    Raises:
        InputError: Nothing was found, a subject occurs twice, or a table cannot be read.
    """
    source = Path(source)
    if masks is not None:
        entries = _two_folders(_folder(source), _folder(Path(masks)))
    elif source.is_file():
        entries = _from_file(source)
    else:
        entries = _from_folder(_folder(source))
    subjects = _group(entries, several)
    if not any(not pair.problem for subject in subjects for pair in subject.pairs):
        raise InputError(f"No pair of image and mask was found in {source.name or source}.", _FORMS)
    return subjects


# -- forms ----------------------------------------------------------------------------------------------

_Entry = tuple[str, Pair]


def _folder(path: Path) -> Path:
    if not path.exists():
        raise InputError(f"There is no file or folder {path.name}.", "Check the path.")
    if not path.is_dir():
        raise InputError(f"{path.name} is not a folder.", _FORMS)
    return path


def _from_file(path: Path) -> list[_Entry]:
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return _from_csv(path)
    if suffix == ".json":
        content = _load_json(path)
        return _from_nnunet(path, content) if is_nnunet(content) else _from_decathlon(path, content)
    raise InputError(f"{path.name} does not define pairs of image and mask.", _FORMS)


def _from_folder(folder: Path) -> list[_Entry]:
    table = folder / "dataset.json"
    if table.is_file():
        content = _load_json(table)
        if isinstance(content, dict) and str(content.get("schema", "")).startswith("hilum.dataset/"):
            raise InputError(f"{folder.name} is already a dataset.", "Give the pairs it was made from.")
        if isinstance(content, dict) and isinstance(content.get("training"), list):
            return _from_decathlon(table, content)
        if is_nnunet(content) and (folder / "imagesTr").is_dir():
            return _from_nnunet(table, content)
    with readable(folder):
        below = {entry.name.lower(): Path(entry.path) for entry in os.scandir(folder) if entry.is_dir()}
    images = next((below[name] for name in IMAGE_FOLDERS if name in below), None)
    masks = next((below[name] for name in MASK_FOLDERS if name in below), None)
    if images is not None and masks is not None:
        return _two_folders(images, masks)
    return _by_names(folder)


def labels_of(source: Path) -> LabelMap | None:
    """Return the meaning of the labels as stated in ``dataset.json``; None if it is not stated.

    Args:
        source: As for :func:`find_pairs`.

    Raises:
        InputError: It names its labels, but no lung among them.
    """
    table = source / "dataset.json" if source.is_dir() else source
    if table.suffix.lower() != ".json" or not table.is_file():
        return None
    return label_map(_load_json(table), table.name)


def _from_nnunet(path: Path, content: object) -> list[_Entry]:
    """Return the pairs of a ``dataset.json`` of nnU-Net: those it lists, else those of its folders."""
    channel = image_channel(content)
    cases = listed_cases(content)
    if cases is not None:
        return [
            (name, Pair(path.parent / images[min(channel, len(images) - 1)], path.parent / mask))
            for name, images, mask in cases
        ]
    folders = path.parent / "imagesTr", path.parent / "labelsTr"
    missing = [folder.name for folder in folders if not folder.is_dir()]
    if missing:
        raise InputError(
            f"{path.name} is a dataset.json of nnU-Net, but there is no folder {missing[0]} beside it.",
            "Give the dataset.json of a raw dataset (nnUNet_raw/DatasetXXX_NAME).",
        )
    return _two_folders(*folders, channel=channel)


def _from_csv(path: Path) -> list[_Entry]:
    rows = read_rows(path, delimiters=",;\t", hint="Save it as CSV in UTF-8.")
    titles = [title.strip().lower() for title in rows[0][1]] if rows else []
    columns = {title: number for number, title in enumerate(titles)}
    if not {"image", "mask"} <= columns.keys():
        raise InputError(
            f"{path.name} has no columns image and mask.",
            "Write a header line: image,mask[,subject].",
        )
    out = []
    for number, row in rows[1:]:
        image, mask, name = (
            row[place].strip() if (place := columns.get(title, len(row))) < len(row) else ""
            for title in ("image", "mask", "subject")
        )
        if not image and not mask:
            continue
        if not image:
            raise InputError(
                f"Line {number} of {path.name} gives no image.", "Fill it in, or delete the line."
            )
        if len(name) > _LONGEST_NAME or len(image) > _LONGEST_PATH or len(mask) > _LONGEST_PATH:
            raise InputError(f"Line {number} of {path.name} holds a name that is too long.", "Shorten it.")
        for entry in filter(None, (image, mask)):
            _refuse_backslashes(path, number, entry)
        file = path.parent / image
        out.append((name or _core(file), Pair(file, path.parent / mask if mask else None)))
    return out


def _refuse_backslashes(table: Path, number: int, entry: str) -> None:
    if os.sep == "/" and "\\" in entry and not (table.parent / entry).exists():
        raise InputError(
            f"Line {number} of {table.name} holds a path with backslashes ({entry}), which only Windows "
            "reads as folders.",
            "Use / instead; Windows accepts it too.",
        )


def _from_decathlon(path: Path, content: object) -> list[_Entry]:
    entries = content.get("training") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise InputError(f"{path.name} holds no list called training.", _FORMS)
    if isinstance(content, dict) and isinstance(content.get("validation"), list):
        entries = [*entries, *content["validation"]]
    out = []
    for entry in entries:
        image = entry.get("image") if isinstance(entry, dict) else None
        if isinstance(image, list) and len(image) == 1:
            image = image[0]
        mask = (entry.get("label") or entry.get("mask")) if isinstance(entry, dict) else None
        if not (isinstance(image, str) and 0 < len(image) <= _LONGEST_PATH) or not (
            mask is None or (isinstance(mask, str) and 0 < len(mask) <= _LONGEST_PATH)
        ):
            raise InputError(
                f"An entry of {path.name} does not name one image and one label.",
                'Write {"image": "FILE", "label": "FILE"}.',
            )
        file = path.parent / image
        out.append((_core(file), Pair(file, None if mask is None else path.parent / mask)))
    return out


def _load_json(path: Path) -> object:
    content: object = read_json(path, hint="Write it again.")
    return content


def _two_folders(images: Path, masks: Path, channel: int = 0) -> list[_Entry]:
    """Match by equal names, else by names without the words that mark an image or a mask.

    Of the channels of nnU-Net (``_0000``, ``_0001`` ...) the one with the number ``channel`` is taken.
    """
    scans, labels = _files(images), _files(masks)
    by_stem = _unique(labels, lambda file: _stem(file, masks))
    by_core = _unique(labels, lambda file: _core(file, masks))
    stems = {_stem(file, images): file for file in scans}
    out: list[_Entry] = []
    used: set[Path] = set()
    for file in scans:
        stem = _stem(file, images)
        ending = _CHANNEL.search(stem)
        bare = stem[: ending.start()] if ending else stem
        if ending and int(ending[1]) != channel and f"{bare}_{channel:04d}" in stems:
            continue  # another channel of nnU-Net
        core = _core(file, images)
        found = by_stem.get(stem) or by_stem.get(bare) or by_core.get(core) or by_core.get(bare)
        name = stem if stem in by_stem else bare if bare in by_stem else core
        out.append((name, Pair(file, found)))
        if found is not None:
            used.add(found)
    out += [(_core(file, masks), Pair(None, file)) for file in labels if file not in used]
    return out


def _by_names(folder: Path) -> list[_Entry]:
    """Distinguish image and mask by the words in their names, in a folder of any depth."""
    images: dict[str, list[Path]] = {}
    masks: dict[str, list[Path]] = {}
    for file in _files(folder):
        _, is_mask = _split(_stem(file))
        (masks if is_mask else images).setdefault(_core(file, folder), []).append(file)
    for found, what in ((images, "images"), (masks, "masks")):
        for name, files in found.items():
            if len(files) > 1:
                raise _twice(name, f"with the {what} {files[0].name} and {files[1].name}")
    return [
        (name, Pair(images.get(name, [None])[0], masks.get(name, [None])[0]))  # type: ignore[list-item]
        for name in {**images, **masks}
    ]


# -- names ----------------------------------------------------------------------------------------------


def _files(folder: Path) -> list[Path]:
    out = []
    with readable(folder):
        next(os.scandir(folder), None)  # os.walk silently skips a folder that cannot be listed
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in [name for name in folders if _split(name) == ("", True)]:
            if holds_structures(Path(root, name)):  # TotalSegmentator: the folder is the mask
                folders.remove(name)
                out.append(Path(root, name))
        for name in sorted(names):
            low = name.lower()
            if low.startswith(".") or not low.endswith(_SUFFIXES):
                continue
            if low.endswith(".img") and Path(root, name[:-4] + ".hdr").exists():
                continue  # the raw voxel data of a header beside it
            out.append(Path(root, name))
    return out


def _stem(file: Path, root: Path | None = None) -> str:
    """Name without suffix; below ``root`` with the folders between, so that equal names stay distinct."""
    name = file.name
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            name = name[: -len(suffix)]
            break
    if root is None or file.parent == root:
        return name
    return (file.parent.relative_to(root) / name).as_posix()


def _core(file: Path, root: Path | None = None) -> str:
    """Name of the subject: the file's name without words such as ``_ct`` or ``_lungs``.

    If the name is only such a word, the folder's name is used.
    """
    bare, _ = _split(_stem(file))
    inside = root is None or file.parent != root
    if not bare and inside:
        return file.parent.name if root is None else file.parent.relative_to(root).as_posix()
    bare = bare or _stem(file)
    if root is None or not inside:
        return bare
    return (file.parent.relative_to(root) / bare).as_posix()


def _split(stem: str) -> tuple[str, bool]:
    """Return a name without its role words (possibly empty), and whether it names a mask.

    Words at the end decide; a word at the beginning counts if there is none at the end, except ``lung``,
    which starts the names of whole collections.
    """
    words: list[str] = []
    while (cut := re.match(r"(.+?)[_\-. ]+([^_\-. ]+)$", stem)) and cut[2].lower() in _WORDS:
        stem = cut[1]
        words.append(cut[2].lower())
    cut = re.match(r"([^_\-. ]+)[_\-. ]+(.+)$", stem)
    if cut and cut[1].lower() in _WORDS - {"lung", "lungs"}:
        stem = cut[2]
        words = words or [cut[1].lower()]
    if stem.lower() in _WORDS:
        return "", bool(MASK_WORDS & {*words, stem.lower()})
    return stem, bool(MASK_WORDS & set(words))


def _unique(files: Iterable[Path], key: Callable[[Path], str]) -> dict[str, Path]:
    out: dict[str, Path] = {}
    for file in files:
        name = key(file)
        if name in out:
            raise _twice(name, f"with the masks {out[name].name} and {file.name}")
        out[name] = file
    return out


def _twice(name: str, how: str) -> InputError:
    return InputError(
        f"The subject {shown(name)} occurs twice, {how}.",
        "Keep one of them, or rename one.",
    )


def _group(entries: Iterable[_Entry], several: bool) -> list[Subject]:
    """Group the pairs by subject; without ``several`` only single slices may occur more than once."""
    ordered = sorted(entries, key=lambda entry: natural_key(entry[0]))  # stable: pairs keep their order
    out = []
    for name, group in groupby(ordered, key=lambda entry: entry[0]):
        pairs = tuple(pair for _, pair in group)
        if len(pairs) > 1:
            images = [pair.image for pair in pairs]
            flat = several or all(i is not None and i.name.lower().endswith(_FLAT_SUFFIXES) for i in images)
            if not flat or len(set(images)) < len(images):
                shown = [file.name for pair in pairs[:2] for file in (pair.image or pair.mask,) if file]
                raise _twice(name, f"as {' and as '.join(shown)}")
        out.append(Subject(utf8_safe(name), pairs))
    return out
