"""Lungs and pleural fluid on real scans, by groups: with masks, with fluid, training labels, no chests.

Real scans are read from the folder in ``HILUM_DATA`` (or ``../shared/data`` beside the repository); groups
that are absent are left out. Prints a line a scan and a summary a group; writes summaries only into
benchmarks/out/lungs_real.json. ``--images FOLDER`` draws each mask over its scan, to be looked at only.

    python benchmarks/lungs_real.py [--model lungs] [--only masks,fluid] [--images FOLDER]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import hilum
from accuracy import DATA
from hilum.core.errors import HilumError
from hilum.datasets.volume_grid import to_isotropic
from hilum.imaging.overlap import dice
from hilum.imaging.surface import surface_distances
from hilum.io import read_labels
from hilum.tasks.registry import load_model

HERE = Path(__file__).parent
#: Labels of training scans on isotropic voxels, made for the weights that ship.
LABELS = DATA.parent / "weights" / "labels"
#: No lung, or the tips of lungs only: these must be refused.
NO_CHEST = (
    "volumes/abdomen-ts.nii.gz",
    "volumes/lungfcp-0006_half.nii.gz",
    "dicom/abdomen-ts",
    "dicom/ny-sbu/A058062/*.dcm",
)
Found = tuple[np.ndarray, np.ndarray | None]


def find(model, volume: hilum.Volume) -> Found:
    """Return lung labels and, where the model gives them, labels of the pleura."""
    found = model(volume)
    beside = found.beside.get("pleura")
    return found.labels.data, None if beside is None else beside.data


def masks(model, draw) -> Iterator[dict[str, float | str]]:
    """Scans whose lungs were drawn by hand."""
    for reference in sorted((DATA / "volumes").glob("*_lungs.*")):
        volume = hilum.read(reference.with_name(reference.name.replace("_lungs", "")))
        true = read_labels(reference, volume) > 0
        found = find(model, volume)
        draw(reference.name, volume, found, true)
        distances = surface_distances(found[0] > 0, true, volume.spacing)
        off = (np.count_nonzero(found[0]) - np.count_nonzero(true)) * volume.voxel_volume_ml
        yield {
            "scan": reference.name.split("_")[0],
            "dice": dice(found[0] > 0, true),
            "assd": distances.average() if distances else float("nan"),
            "off_ml": off,
        }


def fluid(model, draw) -> Iterator[dict[str, float | str]]:
    """Pleural effusions drawn by hand: how much of them is taken for lung, and how well they are found."""
    for reference in sorted((DATA / "tumour").glob("*_effusion.nii.gz")):
        volume = hilum.read(reference.with_name(reference.name.replace("_effusion", "")))
        true = read_labels(reference, volume) > 0
        lungs, pleura = find(model, volume)
        draw(reference.name, volume, (lungs, pleura), true)
        ml = volume.voxel_volume_ml
        row: dict[str, float | str] = {
            "scan": reference.name.split("_")[0],
            "true_ml": np.count_nonzero(true) * ml,
            "in_lungs_ml": np.count_nonzero(true & (lungs > 0)) * ml,
            "lungs_ml": np.count_nonzero(lungs) * ml,
        }
        if pleura is not None:
            row |= {"found_ml": np.count_nonzero(pleura == 1) * ml, "dice": dice(pleura == 1, true)}
        yield row


def training(model, draw) -> Iterator[dict[str, float | str]]:
    """Scans that the network has learned from, on isotropic voxels: for tuning, no measure of quality."""
    for file in sorted(LABELS.glob("*.npz")):
        volume = hilum.read(next((DATA / "volumes").glob(f"{file.stem}.*")))
        with np.load(file) as loaded:
            true = next(loaded[k] for k in loaded.files if loaded[k].ndim == 3 and "label" in k)
        try:
            found = find(model, volume)
        except HilumError:
            yield {"scan": file.stem, "dice": float("nan")}
            continue
        draw(file.stem, volume, found, None)
        lungs = to_isotropic(volume, found[0])[1]
        yield {
            "scan": file.stem,
            "dice": dice(lungs > 0, true > 0),
            "off_ml": (np.count_nonzero(lungs) - np.count_nonzero(true)) * 3.5**3 / 1000,
            "sides": float((lungs[(lungs > 0) & (true > 0)] != true[(lungs > 0) & (true > 0)]).mean()),
        }


def unlabelled(model, draw) -> Iterator[dict[str, float | str]]:
    """Scans without labels, to be looked at."""
    files = sorted((DATA / "volumes").glob("*.nii.gz")) + sorted((DATA / "cip").glob("ct.nii.gz"))
    files += sorted((DATA / "dicom").glob("lungdx-a0002/*"))
    for file in files:
        if any(word in file.name for word in ("_lungs", "_lobes", "imlab", "abdomen", "lungfcp")):
            continue
        volume = hilum.read(file)
        yield taken(model, draw, file.name, volume)


def taken(model, draw, name: str, volume: hilum.Volume) -> dict[str, float | str]:
    """Volumes that are found; NaN where the scan is refused."""
    ml = volume.voxel_volume_ml
    try:
        lungs, pleura = find(model, volume)
    except HilumError as error:
        return {"scan": name, "ml": float("nan"), "why": str(error)[:60]}
    draw(name, volume, (lungs, pleura), None)
    row: dict[str, float | str] = {"scan": name, "ml": np.count_nonzero(lungs) * ml}
    if pleura is not None:
        row |= {f"{word}_ml": np.count_nonzero(pleura == k) * ml for k, word in ((1, "fluid"), (2, "gas"))}
    return row


def no_chest(model, draw) -> Iterator[dict[str, float | str]]:
    """What must be refused; slices of DICOM folders one by one."""
    for pattern in NO_CHEST:
        for path in sorted(DATA.glob(pattern)):
            yield taken(model, draw, path.name, hilum.read(path))


def slices(model, draw) -> Iterator[dict[str, float | str]]:
    """Single slices: refused or not."""
    paths = [p for p in sorted((DATA / "dicom" / "ny-sbu").rglob("*")) if p.is_file()]
    for path in [*paths, *sorted((DATA / "slices_hu").glob("*.nii.gz"))]:
        name = path.name.split(".nii")[0] if "slices_hu" in str(path) else f"{path.parent.name}-{path.stem}"
        yield taken(model, draw, name, hilum.read(path))


GROUPS = {f.__name__: f for f in (masks, fluid, training, unlabelled, no_chest, slices)}


def nothing(name: str, volume: hilum.Volume, found: Found, true: np.ndarray | None) -> None:
    """Draw nothing."""


def _shown(array: np.ndarray, pick: tuple[slice | int, ...]) -> np.ndarray:
    """Return a slice as it is looked at: the patient's right on the left, the head or the front on top."""
    return array[pick].T[::-1, ::-1]


def image_writer(folder: Path):
    """Return a function that draws labels over coronal and axial slices into a folder."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    def draw(name: str, volume: hilum.Volume, found: Found, true: np.ndarray | None) -> None:
        canonical = volume.canonical()
        as_ras = [
            None if a is None else hilum.Volume(a.astype(np.int16), volume.affine).canonical().hu
            for a in (*found, None if true is None else true.astype(np.uint8))
        ]
        x, y, z = canonical.spacing
        flat = canonical.shape[2] == 1
        box = [
            np.flatnonzero((as_ras[0] > 0).any(axis=tuple(a for a in range(3) if a != axis)))
            for axis in range(3)
        ]
        spans = [
            (int(b[0]), int(b[-1])) if b.size else (0, n - 1)
            for b, n in zip(box, canonical.shape, strict=True)
        ]
        shares = (0.5,) if flat else (0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
        views = [("z", round(spans[2][0] + s * (spans[2][1] - spans[2][0]))) for s in shares]
        views += [] if flat else [("y", round(spans[1][0] + s * (spans[1][1] - spans[1][0]))) for s in shares]
        rows = 1 if flat else 4
        figure, axes = plt.subplots(rows, max(1, len(views) // rows), figsize=(5, 4) if flat else (24, 17))
        for axis, (along, at) in zip(np.atleast_1d(axes).ravel(), views, strict=True):
            pick = (slice(None), slice(None), at) if along == "z" else (slice(None), at, slice(None))
            aspect = y / x if along == "z" else z / x
            axis.imshow(
                _shown(canonical.hu, pick),
                cmap="gray",
                vmin=-1000,
                vmax=300,
                aspect=aspect,
            )
            for array, levels, colours in zip(as_ras, ((1, 2), (1, 2), (1,)), ("rb", "cy", "m"), strict=True):
                for level, colour in zip(levels, colours, strict=False):
                    if array is not None and (array[pick] == level).any():
                        axis.contour(_shown(array, pick) == level, [0.5], colors=colour, linewidths=0.8)
            axis.set_title(f"{along} {at}", fontsize=8)
            axis.axis("off")
        figure.tight_layout()
        figure.savefig(folder / f"{name}.png", dpi=60)
        plt.close(figure)

    folder.mkdir(parents=True, exist_ok=True)
    return draw


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="lungs")
    parser.add_argument("--only", default=",".join(GROUPS))
    parser.add_argument("--images", type=Path)
    arguments = parser.parse_args()
    if not DATA.is_dir():
        print("real scans: not here, left out")
        return
    model = load_model(arguments.model)
    draw = image_writer(arguments.images) if arguments.images else nothing
    summary: dict[str, dict[str, float]] = {}
    for name in arguments.only.split(","):
        rows = []
        for row in GROUPS[name](model, draw):
            rows.append(row)
            print(name, *(f"{k} {v:.4g}" if isinstance(v, float) else v for k, v in row.items()), flush=True)
        keys = [k for k in dict.fromkeys(k for row in rows for k in row) if k not in ("scan", "why")]
        summary[name] = {"n": len(rows)}
        for key in keys:
            values = np.array([row.get(key, np.nan) for row in rows], float)
            if np.isfinite(values).any():
                summary[name] |= {
                    f"{key}_mean": np.nanmean(values),
                    f"{key}_max": np.nanmax(values),
                    f"{key}_min": np.nanmin(values),
                }
        print(name, "summary", {k: round(float(v), 4) for k, v in summary[name].items()})
    (HERE / "out").mkdir(exist_ok=True)
    (HERE / "out" / "lungs_real.json").write_text(json.dumps(summary, indent=1), "utf-8")


if __name__ == "__main__":
    main()
