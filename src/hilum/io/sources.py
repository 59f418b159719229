"""Expand inputs (files, folders, glob patterns, zips) into sources, one per scan."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from hilum.core.errors import HilumError, InputError, UsageError
from hilum.core.sentences import Sentence
from hilum.core.volume import Volume
from hilum.io.archive import unpacked
from hilum.io.dicom import read_dicom
from hilum.io.dicom.reader import read_found
from hilum.io.dicom.scan import Scan
from hilum.io.dispatch import FileKind, kind_of, read, read_unpacked
from hilum.io.folders import Found, look_into
from hilum.io.names import absolute, natural_key, scan_name, without_collisions

__all__ = [
    "Input",
    "Scans",
    "Source",
    "common_root",
    "expand_globs",
    "find_scans",
    "name_below",
    "only",
]

_LISTED = 12  # scans that a refusal names
#: Names a study without revealing its UID.
Label = Callable[[str], str]


@dataclass(frozen=True)
class Input:
    """What a user names: a file, a folder, a zip, or a pattern.

    Attributes:
        text: Its path.
        covariates: What a table says of it, by the name of the column.
        line: Where a list names it, such as ``line 7 of list.txt``; empty where no list does.
    """

    text: str
    covariates: tuple[tuple[str, str], ...] = ()
    line: str = ""


class _Hold:
    """Keeps a zip unpacked while somebody needs it."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack, self._count = stack, 1

    def take(self) -> None:
        self._count += 1

    def release(self) -> None:
        self._count -= 1
        if self._count == 0:
            self._stack.close()


@dataclass(frozen=True)
class Source:
    """One scan that can be read.

    Attributes:
        name: Folder of its results below the folder of the batch, parts separated by ``/``.
        path: Where it lies: a file, a folder, or the zip that holds it. It may name a patient.
        about: What it is in a few words, for a choice.
        study_uid: DICOM study, where there was more than one to choose from.
        files: DICOM files of the study, where other studies lie beside it; else empty.
        series: DICOM series that was asked for.
        coded: Whether ``name`` is a number that stands for the scan, so that nothing else may name it.
        alone: Whether it is the only one behind the inputs.
        error: Why there is nothing to read; None where there is.
        covariates: As in :class:`Input`.
        url: Where it lies, if that is a URL; empty for a file. ``path`` then has its names only, and it can
            be read after :meth:`fetched_to`.
    """

    name: str
    path: Path
    about: str = ""
    study_uid: str = field(default="", repr=False)
    files: tuple[Path, ...] = field(default=(), repr=False)
    series: str | None = None
    coded: bool = False
    alone: bool = True
    error: HilumError | None = field(default=None, compare=False)
    covariates: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    url: str = field(default="", repr=False)
    _unpacked: Path | None = field(default=None, repr=False, compare=False)
    _zip_folder: Path | None = field(default=None, repr=False, compare=False)
    _scan: Scan | None = field(default=None, repr=False, compare=False)
    _hold: _Hold | None = field(default=None, repr=False, compare=False)

    @classmethod
    def single(cls, path: Path | str) -> Source:
        """Return the source of a path that is known to hold one scan."""
        return cls(name_below(None, Path(path)), Path(path))

    @property
    def title(self) -> str:
        """What the manifest calls the input."""
        return self.name if self.coded else self.path.name

    @property
    def place(self) -> Path:
        """Where its files lie now: for a scan in a zip where that is unpacked."""
        return self._unpacked or self.path

    def hold(self) -> None:
        """Keep the zip in which it lies unpacked, also when the next scan is asked for."""
        if self._hold is not None:
            self._hold.take()

    def release(self) -> None:
        """End what :meth:`hold` began."""
        if self._hold is not None:
            self._hold.release()

    def fetched_to(self, place: Path) -> Source:
        """Return the source of a scan at a URL that was copied to a file or folder."""
        return replace(self, _unpacked=place)

    def portable(self) -> Source:
        """Return the source for another process, which reads headers itself."""
        return replace(self, _scan=None, _hold=None)

    def read(self, *, resample: bool = False) -> Volume:
        """Read the scan.

        Args:
            resample: As in :func:`hilum.read`.

        Raises:
            HilumError: As :func:`hilum.read`, or why the source could not be found at all.
        """
        if self.error is not None:
            raise self.error
        volume = self._volume(resample)
        return replace(volume, meta=replace(volume.meta, name=self.name))

    def _volume(self, resample: bool) -> Volume:
        place = self.place
        if self._scan is not None:
            return read_found(self._scan, place, series=self.series, resample=resample)
        if self.files:
            return read_dicom(self.files, series=self.series, resample=resample)
        if self._zip_folder is not None and place.is_file():
            return read_unpacked(place, self._zip_folder)
        return read(place, series=self.series, resample=resample)


def expand_globs(inputs: Sequence[str]) -> list[str]:
    """Expand patterns such as ``scans/*.nii.gz`` that no shell has expanded; a name that exists stays.

    Args:
        inputs: Paths and patterns (``*``, ``?``, ``[...]``; ``**`` for folders of any depth).

    Returns:
        Paths; those of one pattern in alphabetical order. A pattern that fits nothing stays as it is.
    """
    out: list[str] = []
    for text in inputs:
        if glob.has_magic(text) and not os.path.lexists(text):
            out += sorted(glob.glob(text, recursive=True)) or [text]  # noqa: PTH207 - text may be absolute
        else:
            out.append(text)
    return out


def find_scans(
    inputs: Sequence[str | Input],
    *,
    series: str | None = None,
    label: Label,
    notify: Callable[[str], None],
) -> Scans:
    """Find the scans behind ``inputs``.

    A file is a scan. A folder of any depth holds its NIfTI, NRRD and MetaImage files, and one scan for each
    DICOM study with CT; a zip likewise. A scan is named by its path below the folder that all inputs have
    in common, a single input by its own name, and a study that shares its folder with another one by
    ``label``. What cannot be found becomes a source that raises when it is read, so nothing is lost.

    Args:
        inputs: Files, folders, zips, or patterns of them; an input named twice counts once.
        series: DICOM series to take, as in :func:`hilum.io.dicom.select.choose_each`.
        label: Makes the name of a study out of its UID.
        notify: Called with one sentence on each thing that was left out.
    """
    named = _distinct(inputs)
    paths = [path for path, _ in named]
    root = common_root(paths)
    groups: list[list[Source]] = []
    for path, entry in named:
        found = _look(path, series, entry.line)
        for sentence in found.left_out if isinstance(found, Found) else ():
            notify(f"{path.name}: {sentence}")
        group = _named(path, found, root, label)
        groups.append([replace(source, series=series, covariates=entry.covariates) for source in group])
    names = without_collisions([source.name for group in groups for source in group])
    alone = len(names) == 1
    flat = (source for group in groups for source in group)
    return Scans(
        [replace(source, name=name, alone=alone) for source, name in zip(flat, names, strict=True)],
        label,
        notify,
    )


class Scans:
    """The scans behind inputs, one source each when it is iterated.

    A zip counts as one scan until it is opened. It is unpacked while its scans are asked for and removed when
    the next input is, or when nobody holds them any more; close the iterator (:func:`contextlib.closing`)
    where it is not run to its end.
    """

    def __init__(self, known: list[Source], label: Label, notify: Callable[[str], None]) -> None:
        self._known, self._label, self._notify = known, label, notify
        self._more = 0  # scans that a zip held beyond the first

    def __len__(self) -> int:
        return len(self._known) + self._more

    @property
    def known(self) -> Sequence[Source]:
        """The sources, each zip as one."""
        return self._known

    def part(self, number: int, count: int) -> Scans:
        """Return one of several parts, all of about one size: of the sorted names each ``count``-th."""
        ordered = sorted(self._known, key=lambda source: (natural_key(source.name), source.name))
        return Scans(ordered[number - 1 :: count], self._label, self._notify)

    def __iter__(self) -> Generator[Source, None, None]:
        for source in self._known:
            if source.error is None and not source.url and _is_zip(source.path):
                for number, inner in enumerate(_in_zip(source, self._label, self._notify)):
                    self._more += number > 0
                    yield inner
            else:
                yield source


def only(source: Path | str, found: Sequence[Source]) -> Source:
    """Return the one scan behind an input.

    Raises:
        UsageError: There are several; the hint lists them.
    """
    if len(found) == 1:
        return found[0]
    listed = "; ".join(f"{one.name} ({one.about})" if one.about else one.name for one in found[:_LISTED])
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    name = Path(source).name
    raise UsageError(
        Sentence("{file:name} holds {count} scans, not one.", name=name, count=len(found)),
        Sentence("There is: {names:listed}{more}.", listed=listed, more=more),
    )


def _distinct(inputs: Sequence[str | Input]) -> list[tuple[Path, Input]]:
    """Expand patterns, and leave out what was named before.

    Raises:
        InputError: A table says different things of one scan.
    """
    out: dict[str, tuple[Path, Input]] = {}
    for given in inputs:
        entry = given if isinstance(given, Input) else Input(given)
        for text in expand_globs([entry.text]):
            _, first = out.setdefault(os.path.realpath(text), (Path(text), entry))
            if first.covariates != entry.covariates and first.line and entry.line:
                raise InputError(
                    f"The scan of {first.line} is named with other values in {entry.line}.",
                    "Name each scan once.",
                )
    return list(out.values())


def common_root(paths: Sequence[Path]) -> Path | None:
    """Return the folder that all inputs have in common; None for a single input or several disks."""
    if len(paths) < 2:
        return None
    try:
        return Path(os.path.commonpath([absolute(path).parent for path in paths]))
    except ValueError:  # Windows: paths on several disks
        return None


def _is_zip(path: Path) -> bool:
    try:
        return path.is_file() and kind_of(path) is FileKind.ZIP
    except HilumError:
        return False


def _look(path: Path, series: str | None, line: str) -> Found | HilumError | None:
    """Look into a folder; None for anything else, the error where it holds no scan."""
    if glob.has_magic(path.name) and not os.path.lexists(path):
        where = f" ({line})" if line else ""
        sentence = Sentence("No file fits {file:path}{where}.", path=str(path), where=where)
        return InputError(sentence, "Check the pattern.")
    if line and not os.path.lexists(path):
        sentence = Sentence("{file:path} does not exist ({line}).", path=str(path), line=line)
        return InputError(sentence, "Check the path; it is relative to the folder of the list.")
    try:
        return look_into(path, series) if path.is_dir() else None
    except HilumError as error:
        return error


def _named(path: Path, found: Found | HilumError | None, root: Path | None, label: Label) -> list[Source]:
    """Give the sources of one input with names that may still collide with those of other inputs."""
    own = name_below(root, path)
    if not isinstance(found, Found):
        return [Source(own, path, error=found)]
    if found.count == 1:
        study = found.studies[0] if found.studies else None
        where = path if study else found.volumes[0]
        about = study.about if study else ""
        scan = found.scan if study else None
        return [Source(own, where, about, _scan=scan)]
    prefix = "" if root is None else f"{own}/"
    out = [Source(prefix + name_below(path, volume), volume, "volume") for volume in found.volumes]
    for study in found.studies:
        shared = study.folder == path or any(
            study.folder == other or study.folder in other.parents
            for other in found.places
            if other is not study.folder
        )
        below = "" if study.folder == path else name_below(path, study.folder)
        parts = [below] if below else []
        parts += [label(study.uid)] if shared else []
        name = prefix + "/".join(parts)
        out.append(Source(name, study.folder, study.about, study.uid, study.files))
    return out


def name_below(root: Path | None, path: Path) -> str:
    """Name a path by its parts below ``root``, each safe as a folder name; by its last part without one."""
    whole = absolute(path)
    if whole.name.upper() == "DICOMDIR" and whole != absolute(root or ""):
        whole = whole.parent  # the index of a folder stands for it
    if root is None:
        return scan_name(whole)
    parts = whole.relative_to(absolute(root)).parts
    return "/".join([*(scan_name(part, suffix=True) for part in parts[:-1]), scan_name(whole)])


def _in_zip(source: Source, label: Label, notify: Callable[[str], None]) -> Iterator[Source]:
    """Give the scans in a zip, which stays unpacked while they are asked for or held."""
    stack = ExitStack()
    hold = _Hold(stack)
    try:
        try:
            folder = stack.enter_context(unpacked(source.path))
            found = look_into(folder, source.series, name=source.path.name)
        except HilumError as error:
            yield replace(source, error=error)
            return
        for sentence in found.left_out:
            notify(f"{source.path.name}: {sentence}")
        opened = replace(source, _zip_folder=folder, _hold=hold)
        if found.count == 1:
            place = folder if found.studies else found.volumes[0]
            yield replace(opened, _unpacked=place, _scan=found.scan)
            return
        inner = _named(folder, found, None, label)
        prefix = "" if source.alone else f"{source.name}/"
        names = without_collisions([prefix + one.name for one in inner])
        for one, name in zip(inner, names, strict=True):
            yield replace(opened, name=name, about=one.about, study_uid=one.study_uid, files=one.files,
                          alone=False, _unpacked=one.path)  # fmt: skip
    finally:
        hold.release()
