"""Make the prior of the task ``lobes``.

    python -m hilum.training.recipes.lobes --fissures CIP/fissures --lungs SCAN/lungs.nii.gz ... --out FOLDER

CIP/fissures is ``Resources/LungLobeAtlasData`` of the Chest Imaging Platform: points and transforms of 100
subjects, and the template lungs. The label maps of lungs give the mean lungs. ``--errors`` prints the errors
of subjects left out and writes nothing. ``--chests`` writes the fissures of digital chests, which come from
every second subject, and nothing else.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from hilum.io.itk import load_itk
from hilum.tasks.lobes.frames import Fissure
from hilum.tasks.lobes.prior import load_prior
from hilum.training.recipes.lobes.chests import write_chest_fissures
from hilum.training.recipes.lobes.fit import (
    SMOOTH_SUBJECTS,
    fit_gaussian,
    held_out_errors,
    make_frames,
    observe,
)
from hilum.training.recipes.lobes.points import Subject, read_subjects
from hilum.training.recipes.lobes.template import mean_lungs

__all__ = ["main"]

#: Modes that are kept; the others hold less than 1 % of the variance.
_MODES = 30
#: Labels of the template lungs of the Chest Imaging Platform.
_CIP_RIGHT, _CIP_LEFT = 2, 3
VERSION = "1.0"
_SOURCES = [
    "fissure points of Resources/LungLobeAtlasData, Chest Imaging Platform (COPDGene, ECLIPSE; Ross 2013)",
    "mean lungs: label maps by hilum of LIDC-IDRI, NSCLC-Radiogenomics, CPTAC and TCGA-THCA (CC BY 3.0, "
    "TCIA) and of COVID-CT-MD (CC BY 4.0)",
]
_LIMITS = [
    "Adults, most with COPD. Lungs of children and after surgery were not among them.",
    "A fissure that a collapsed lobe has moved by more than 20 mm is not followed.",
    "Not a medical device, not for diagnosis.",
]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--fissures", type=Path, required=True)
    parser.add_argument("--lungs", type=Path, nargs="*", default=[])
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--errors", type=int, metavar="FOLDS", help="folds; as many as subjects: leave-one-out"
    )
    parser.add_argument("--chests", type=Path, metavar="FILE", help="write the fissures of digital chests")
    chosen = parser.parse_args(arguments)
    subjects = read_subjects(chosen.fissures)
    if chosen.chests:
        write_chest_fissures(subjects, load_prior().lungs, chosen.chests)
        return
    if chosen.errors:
        print(json.dumps(_errors(subjects, chosen.errors), indent=1))
        return
    chosen.out.mkdir(parents=True, exist_ok=True)
    _write(subjects, chosen.fissures, chosen.lungs, chosen.out)


def _write(subjects: Sequence[Subject], folder: Path, lungs: Sequence[Path], out: Path) -> None:
    frames = make_frames(subjects)
    mean, covariance = fit_gaussian([observe(subject, frames) for subject in subjects], frames)
    variances, vectors = np.linalg.eigh(covariance)
    largest = np.argsort(variances)[::-1][:_MODES]
    modes = (vectors[:, largest] * np.sqrt(variances[largest])).T
    modes *= np.sign(modes.sum(axis=1, keepdims=True))  # one of two directions, the same on every machine
    template = mean_lungs(_template(folder), lungs)
    path = out / "lobes-prior.npz"
    np.savez_compressed(
        path,
        origins=np.array([frame.origin for frame in frames], np.float32),
        axes=np.array([frame.axes for frame in frames], np.float32),
        lows=np.array([frame.low for frame in frames], np.float32),
        shapes=np.array([frame.shape for frame in frames], np.int16),
        step=np.float32(frames[0].step),
        mean=mean.astype(np.float32),
        modes=modes.astype(np.float32),
        smooth_share=np.float32(SMOOTH_SUBJECTS / (SMOOTH_SUBJECTS + len(subjects))),
        lungs=template.distances,
        lungs_affine=template.affine.astype(np.float32),
    )
    share = float(variances[largest].sum() / variances.sum())
    card = {
        "name": "lobes",
        "version": VERSION,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "bytes": path.stat().st_size,
        "subjects": len(subjects),
        "points": sum(len(points) for subject in subjects for points in subject.points.values()),
        "modes": _MODES,
        "variance_share": round(share, 4),
        "lungs": len(lungs),
        "sources": _SOURCES,
        "licence": "Chest Imaging Platform license, part B, in LICENSE-ChestImagingPlatform.txt",
        "limits": _LIMITS,
    }
    (out / "lobes-prior.json").write_text(json.dumps(card, indent=2) + "\n", "utf-8")
    print(f"{_MODES} modes hold {share:.3f} of the variance")


def _template(folder: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """Read the template lungs as labels of hilum, every fourth voxel."""
    found = load_itk(next(folder.glob("*_leftLungRightLung.nrrd")))
    order = nib.io_orientation(found.affine)
    values = nib.apply_orientation(found.array, order)[::4, ::4, ::4]
    labels = (values == _CIP_RIGHT) * np.uint8(1) + (values == _CIP_LEFT) * np.uint8(2)
    affine = found.affine @ nib.orientations.inv_ornt_aff(order, found.array.shape)
    affine[:3, :3] *= 4
    return labels.astype(np.uint8), affine


def _errors(subjects: Sequence[Subject], folds: int) -> dict[str, Any]:
    """Errors of subjects left out, by fissure: mean, median and 90th percentile over all points, mm."""
    rng = np.random.default_rng(0)
    alone: list[list[Any]] = [[] for _ in Fissure]
    six: list[list[Any]] = [[] for _ in Fissure]
    for fold in range(min(folds, len(subjects))):
        kept = [subject for number, subject in enumerate(subjects) if number % folds != fold]
        frames = make_frames(kept)
        mean, covariance = fit_gaussian([observe(subject, frames) for subject in kept], frames)
        for subject in subjects[fold::folds]:
            both = held_out_errors(observe(subject, frames), mean, covariance, rng)
            for into, errors in zip((alone, six), both, strict=True):
                for number, part in enumerate(errors):
                    into[number].append(part)
    return {
        fissure.region: {"prior alone": _figures(alone[fissure]), "with six points": _figures(six[fissure])}
        for fissure in Fissure
    }


def _figures(parts: list[Any]) -> dict[str, float]:
    errors = np.concatenate(parts)
    figures = {"mean": errors.mean(), "median": np.median(errors), "p90": np.percentile(errors, 90)}
    return {name: round(float(value), 2) for name, value in figures.items()}


if __name__ == "__main__":
    main()
