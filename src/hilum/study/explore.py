"""``explore``: HU statistics of a dataset or of scans, before training."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hilum.core.errors import HilumError, InputError
from hilum.core.flags import FlagCode
from hilum.core.planes import Plane
from hilum.core.segmentation import Progress
from hilum.datasets.index import Dataset, load_dataset
from hilum.datasets.slices import cut_slices, frame_of
from hilum.io import read
from hilum.quality import check_volume
from hilum.quality.hu_scale import calibration_flags
from hilum.study.intensities import CENTRES, EDGES, Region, Stack, SubjectIntensities, count_intensities
from hilum.study.mixture import Mixture, Threshold, best_threshold, dice_at, fit_mixture, overlap
from hilum.tasks.registry import load_model

__all__ = ["FEATURES", "Exploration", "Outlier", "explore"]

#: Maximum number of slices per subject, spread evenly: more do not change the shown figures.
MOST_SLICES = 64
#: Minimum number of subjects for outlier detection by median and MAD.
LEAST_SUBJECTS = 8
#: Iglewicz and Hoaglin (1993): a modified z score beyond 3.5 marks an outlier.
OUTLIER_Z = 3.5
#: Differences that are never reported, even if the other subjects are very similar.
_NEGLIGIBLE = {"dense_percent": 2.0, "overlap": 0.01, "best_dice": 0.01}
_NEGLIGIBLE_HU = 15.0

Density = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Outlier:
    """A subject that is an outlier in a feature, with its robust z score."""

    number: int
    feature: str
    value: float
    median: float
    z: float


@dataclass(frozen=True, eq=False)
class Exploration:
    """Results of the exploration of all subjects.

    Attributes:
        source: ``dataset`` or ``scans``.
        plane: Plane of the slices.
        subjects: One entry per subject.
        pooled: Mean of the subjects' normalised histograms, by region: subjects have equal weight.
        threshold: Best single threshold between lung and the rest of the body, pooled.
        dice: Dice of each threshold in ``EDGES``, pooled.
        own: Best threshold of each subject.
        overlap: Overlapping coefficient of lung and body, pooled.
        mixture: Two Gaussians fitted to lung and body together.
        inside: Two Gaussians fitted to the lungs alone: aerated and dense.
        features: Values of each compared feature, in the order of the subjects.
        outliers: Outlying subjects, most extreme first.
        names: Name of each subject number; for the terminal only.
        failed: Inputs that could not be used.
        notes: Sentences on what is not known from the data.
    """

    source: str
    plane: Plane
    subjects: tuple[SubjectIntensities, ...]
    pooled: dict[Region, Density]
    threshold: Threshold | None
    dice: Density
    own: tuple[Threshold | None, ...]
    overlap: float | None
    mixture: Mixture | None
    inside: Mixture | None
    features: dict[str, tuple[float | None, ...]]
    outliers: tuple[Outlier, ...]
    names: tuple[str, ...]
    failed: tuple[tuple[str, HilumError], ...]
    notes: tuple[str, ...]

    @property
    def hu_scale(self) -> dict[str, tuple[int, ...]]:
        """Numbers of the subjects whose HU scale is ``usual``, ``off`` or ``unknown`` by the quality gate."""
        out: dict[str, list[int]] = {"usual": [], "off": [], "unknown": []}
        words = {FlagCode.CALIBRATION_OFF: "off", FlagCode.CALIBRATION_UNKNOWN: "unknown"}
        for one in self.subjects:
            flags = calibration_flags(one.calibration)
            out[words[flags[0].code] if flags else "usual"].append(one.number)
        return {word: tuple(numbers) for word, numbers in out.items()}


#: Features that are compared between subjects, with their titles.
FEATURES = {
    "mean_hu": "Mean HU of the lungs",
    "sd_hu": "Standard deviation of the lungs, HU",
    "p15_hu": "15th percentile of the lungs, HU",
    "p50_hu": "Median of the lungs, HU",
    "dense_percent": "Share of the lungs at or above −450 HU, %",
    "body_median_hu": "Median of the body, HU",
    "overlap": "Overlap of lung and body",
    "best_threshold_hu": "Best threshold, HU",
    "best_dice": "Dice at the best threshold",
    "air_hu": "Air around the body, HU",
    "fat_hu": "Fat, HU",
    "soft_tissue_hu": "Soft tissue, HU",
}


def explore(
    sources: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], *, progress: Progress | None = None
) -> Exploration:
    """Explore the HU of a dataset, or of scans whose lungs are segmented by the model ``classic``.

    Args:
        sources: One dataset of ``hilum prepare``, or CT files and folders as for ``hilum.read``.
        progress: Called with the fraction done and a sentence.

    Returns:
        Histograms, thresholds, calibration and outliers. Scans that cannot be used are listed in ``failed``.

    Raises:
        InputError: No input can be used, or a dataset is given together with other inputs.
    """
    given = [sources] if isinstance(sources, (str, os.PathLike)) else list(sources)
    paths = [Path(source) for source in given]
    if not paths:
        raise InputError("No input was given.", "Give a dataset or CT files.")
    sets = [path for path in paths if (path / "dataset.json").is_file() or (path / "records").is_dir()]
    failed: list[tuple[str, HilumError]] = []
    if sets and len(paths) > 1:
        raise InputError(
            "A dataset cannot be explored together with other inputs.", "Give one dataset, or CT files only."
        )
    say = progress or (lambda fraction, what: None)
    if sets:
        dataset = load_dataset(sets[0])
        if not dataset.slices:
            raise InputError("The dataset holds no slices.", "Prepare it again from usable pairs.")
        found = [
            count_intensities(number, stack, flags)
            for number, stack, flags in _of_dataset(dataset, say)
            if any(labels.any() for labels in stack.labels)
        ]
        plane, names = Plane(dataset.plane), [f"subject {one.number}" for one in found]
    else:
        found, names, plane = [], [], Plane.AXIAL
        for number, path in enumerate(paths):
            say(number / len(paths), f"scan {number + 1} of {len(paths)}")
            try:
                found.append(_of_scan(number, path))
                names.append(path.name)
            except HilumError as error:
                failed.append((path.name, error))
    if not found:
        if failed:
            raise failed[0][1]
        raise InputError("No slice of the dataset holds lung.", "Check the masks.")
    say(1.0, "pool")
    return _pool("dataset" if sets else "scans", plane, found, names, failed)


def _of_dataset(dataset: Dataset, say: Progress) -> Iterator[tuple[int, Stack, tuple[str, ...]]]:
    by_subject: dict[int, list[int]] = {}
    for place, record in enumerate(dataset.slices):
        by_subject.setdefault(record.subject, []).append(place)
    flags = {subject.id: subject.flags for subject in dataset.subjects}
    for done, (number, places) in enumerate(by_subject.items()):
        say(done / len(by_subject), f"subject {done + 1} of {len(by_subject)}")
        records = [dataset.slices[place] for place in places]
        chosen = [records[n] for n in _spread(len(records))]
        stack = Stack(
            plane=Plane(dataset.plane),
            hu=[dataset.image(record) for record in chosen],
            labels=[dataset.mask(record) for record in chosen],
            slices=[record.slice for record in chosen],
            spacing=chosen[0].spacing_mm,
            sided=dataset.sides,
        )
        yield number, stack, flags.get(number, ())


def _of_scan(number: int, path: Path) -> SubjectIntensities:

    volume = read(path)
    lungs = load_model("classic")(volume)
    flat = next((n for n, size in enumerate(volume.canonical().shape) if size == 1), 2)
    plane = {0: Plane.SAGITTAL, 1: Plane.CORONAL, 2: Plane.AXIAL}[flat]
    frame = frame_of(volume, plane, "keep")
    chosen = _spread(frame.slices)
    cut = list(cut_slices(volume, lungs.labels.data, frame, chosen))
    stack = Stack(plane, [hu for hu, _ in cut], [mask for _, mask in cut], chosen, frame.spacing, sided=True)
    flags = tuple(dict.fromkeys(flag.code for flag in check_volume(volume, lungs)))
    return count_intensities(number, stack, flags)


def _spread(count: int) -> list[int]:
    """Return the middles of at most :data:`MOST_SLICES` equal parts."""
    most = min(count, MOST_SLICES)
    return [int((n + 0.5) * count / most) for n in range(most)]


def _pool(
    source: str,
    plane: Plane,
    found: list[SubjectIntensities],
    names: list[str],
    failed: list[tuple[str, HilumError]],
) -> Exploration:
    pooled = {region: _mean_histogram(found, region) for region in Region}
    pooled = {region: density for region, density in pooled.items() if density.sum() > 0}
    empty = np.zeros(EDGES.size)
    # Lung and body in the proportion of the mean subject, for the Dice of a threshold.
    share = float(np.mean([_lung_share(one) for one in found]))
    lung, body = share * pooled[Region.LUNGS], (1 - share) * pooled.get(Region.BODY, empty)
    # The open end bins have no centre, so they are excluded from the fit.
    inner = slice(1, -1)
    own = tuple(best_threshold(EDGES, _floats(one, Region.LUNGS), _floats(one, Region.BODY)) for one in found)
    features = _features(found, own)
    return Exploration(
        source=source,
        plane=plane,
        subjects=tuple(found),
        pooled=pooled,
        threshold=best_threshold(EDGES, lung, body),
        dice=dice_at(lung, body),
        own=own,
        overlap=overlap(pooled[Region.LUNGS], pooled.get(Region.BODY, empty)),
        mixture=fit_mixture(CENTRES[inner], (lung + body)[inner]),
        inside=fit_mixture(CENTRES[inner], pooled[Region.LUNGS][inner]),
        features=features,
        outliers=_outliers(found, features),
        names=tuple(names),
        failed=tuple(failed),
        notes=_notes(found, pooled),
    )


def _mean_histogram(found: Iterable[SubjectIntensities], region: Region) -> Density:
    parts = [_floats(one, region) for one in found]
    parts = [part / part.sum() for part in parts if part.sum() > 0]
    out: Density = np.mean(parts, axis=0) if parts else np.zeros(EDGES.size)
    return out


def _floats(one: SubjectIntensities, region: Region) -> Density:
    counts = one.histograms.get(region)
    return np.zeros(EDGES.size) if counts is None else counts.astype(np.float64)


def _lung_share(one: SubjectIntensities) -> float:
    lung, body = (_floats(one, region).sum() for region in (Region.LUNGS, Region.BODY))
    return float(lung / (lung + body))


def _features(
    found: list[SubjectIntensities], own: tuple[Threshold | None, ...]
) -> dict[str, tuple[float | None, ...]]:
    rows: list[dict[str, float | None]] = []
    for one, best in zip(found, own, strict=True):
        lung, body = _floats(one, Region.LUNGS), _floats(one, Region.BODY)
        points = one.calibration
        rows.append(
            {
                "mean_hu": one.mean(Region.LUNGS),
                "sd_hu": one.sd(Region.LUNGS),
                "p15_hu": one.percentile(Region.LUNGS, 15),
                "p50_hu": one.percentile(Region.LUNGS, 50),
                "dense_percent": float(100 * lung[EDGES >= -450].sum() / lung.sum()) if lung.sum() else None,
                "body_median_hu": one.percentile(Region.BODY, 50),
                "overlap": overlap(lung, body),
                "best_threshold_hu": None if best is None else best.hu,
                "best_dice": None if best is None else best.dice,
                "air_hu": None if points.outside_air is None else points.outside_air.hu,
                "fat_hu": None if points.fat is None else points.fat.hu,
                "soft_tissue_hu": None if points.soft_tissue is None else points.soft_tissue.hu,
            }
        )
    return {name: tuple(row[name] for row in rows) for name in FEATURES}


def _outliers(
    found: list[SubjectIntensities], features: dict[str, tuple[float | None, ...]]
) -> tuple[Outlier, ...]:
    """Compare each subject with the median of all, in units of the median absolute deviation."""
    out = []
    for name, values in features.items():
        known = np.array([value for value in values if value is not None])
        if known.size < LEAST_SUBJECTS:
            continue
        median = float(np.median(known))
        mad = float(np.median(np.abs(known - median)))
        if mad <= 0:
            continue
        for one, value in zip(found, values, strict=True):
            if value is None:
                continue
            z = 0.6745 * (value - median) / mad
            if abs(z) > OUTLIER_Z and abs(value - median) > _NEGLIGIBLE.get(name, _NEGLIGIBLE_HU):
                out.append(Outlier(one.number, name, value, median, z))
    return tuple(sorted(out, key=lambda outlier: (-abs(outlier.z), outlier.number)))


def _notes(found: list[SubjectIntensities], pooled: dict[Region, Density]) -> tuple[str, ...]:
    out = []
    if Region.APEX not in pooled:
        out.append("Values from apex to base are unknown: the subjects have too few slices.")
    if Region.VENTRAL not in pooled:
        out.append("Values from front to back are unknown: the subjects have too few slices.")
    if Region.RIGHT not in pooled:
        out.append("Values of right and left lung are unknown: the masks do not separate them.")
    assumed = sum("orientation_assumed" in one.flags for one in found)
    if assumed:
        out.append(
            f"{assumed} of {len(found)} subjects do not state the orientation: front and back, right and "
            "left are those of the slices."
        )
    if any("spacing_unknown" in one.flags for one in found):
        out.append(
            "Some subjects do not state their pixel size; 0.7 mm was assumed for the region near the lungs."
        )
    if len(found) < LEAST_SUBJECTS:
        out.append(f"With fewer than {LEAST_SUBJECTS} subjects no outliers can be determined.")
    return tuple(out)
