"""Scans and trainings whose results are kept, so that a change that should move no number moves none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

import hilum
from hilum.core.label_volume import LabelVolume
from hilum.synthesis.phantoms import make_phantom

STEPS = 20  # of each training


def _chest(**arguments: object) -> Callable[[], hilum.Volume]:
    return lambda: make_phantom(**arguments).volume  # type: ignore[arg-type]


def _planes(start: int, stop: int, **arguments: object) -> Callable[[], hilum.Volume]:
    """Axial planes of a digital chest."""

    def make() -> hilum.Volume:
        whole = make_phantom(**arguments).volume.canonical()  # type: ignore[arg-type]
        affine = whole.affine.copy()
        affine[:3, 3] += start * affine[:3, 2]
        return hilum.Volume(np.ascontiguousarray(whole.hu[:, :, start:stop]), affine)

    return make


#: Eight chests, two thin stacks and a slice; healthy and ill, in several orientations, whole and in part.
SCANS: dict[str, Callable[[], hilum.Volume]] = {
    "healthy": _chest(seed=0, spacing=(3.0, 3.0, 3.0)),
    "flipped": _chest(seed=1, spacing=(3.0, 3.0, 4.0), orientation="RAS"),
    "oblique": _chest(seed=2, spacing=(3.0, 3.5, 4.0), oblique_deg=(8.0, 0.0, 5.0)),
    "effusion": _chest(seed=3, spacing=(3.0, 3.0, 4.0), injury="effusion:0.7"),
    "consolidation": _chest(seed=4, spacing=(3.0, 3.0, 4.0), injury="consolidation:0.6"),
    "prone": _chest(seed=5, spacing=(3.0, 3.0, 4.0), prone=True, kernel="sharp"),
    "child": _chest(seed=6, spacing=(2.0, 2.0, 3.0), size=0.55),
    "half": _chest(seed=7, spacing=(3.0, 3.0, 4.0), coverage=(0.3, 0.8)),
    "stack-middle": _planes(24, 30, seed=8, spacing=(2.0, 2.0, 8.0)),
    "stack-base": _planes(10, 15, seed=9, spacing=(2.0, 2.0, 8.0)),
    "slice": _planes(20, 21, seed=10, spacing=(2.0, 2.0, 8.0)),
}


def train_slices(folder: Path) -> Path:
    """Train a U-Net of slices for twenty steps; return the network in ONNX."""
    from hilum.datasets.prepare import prepare
    from hilum.io import write_labels, write_volume
    from hilum.training.config import load_config
    from hilum.training.slices.fit import train

    for seed in range(4):
        chest = make_phantom(seed=seed, spacing=(6.0, 6.0, 8.0))
        write_volume(folder / "pairs" / f"s{seed}_ct.nii.gz", chest.volume)
        write_labels(
            folder / "pairs" / f"s{seed}_lungs.nii.gz",
            LabelVolume.on_grid_of(chest.volume, chest.labels),
            chest.volume,
        )
    prepare(folder / "pairs", folder / "dataset")
    settings = [
        "size=[64, 64]",
        "batch=2",
        "threads=1",
        "validate_every=10",
        "networks.unet_widths=[4, 8, 8]",
    ]
    config = load_config(None, {"model": "unet", "steps": STEPS, "test_share": 0.2}, settings)
    return train(folder / "dataset", folder / "run", config) / "model.onnx"


def train_volumes(folder: Path) -> list[np.ndarray]:
    """Train the 3-D network for twenty steps; return the EMA of its weights in the order of their names."""
    import torch

    from hilum.datasets.prepare import prepare
    from hilum.io import write_map, write_volume
    from hilum.training.config import load_config
    from hilum.training.volumes.fit import train_volumes as train

    for seed in range(3):
        chest = make_phantom(seed=seed, spacing=(8.0, 8.0, 8.0))
        write_volume(folder / "chests" / f"s{seed}_ct.nii.gz", chest.volume)
        write_map(folder / "chests" / f"s{seed}_lungs.nii.gz", chest.labels, chest.volume, "lungs")
    prepare(folder / "chests", folder / "volumes-data", volumes=True)
    settings = [
        "size=[32, 32, 32]",
        "widths=[4, 8]",
        "refinement=0",
        "soft_tissue_hu=[]",
        "validate_every=10",
        "threads=1",
        "precision=32-true",
    ]
    config = load_config(None, {"model": "volume", "steps": STEPS}, settings)
    run = train(folder / "volumes-data", folder / "volumes", config)
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return [value.numpy() for name, value in sorted(state.items()) if name.startswith("mean.")]


def weights_of(network: bytes) -> list[np.ndarray]:
    """Return the weights of a network in ONNX in the order of their names."""
    import onnx

    model = onnx.load_from_string(network)
    kept = sorted(model.graph.initializer, key=lambda one: one.name)
    return [onnx.numpy_helper.to_array(one) for one in kept]


def norms(weights: list[np.ndarray]) -> list[float]:
    """Return the length of each tensor as a vector."""
    return [float(np.linalg.norm(value.astype(np.float64).ravel())) for value in weights]


def values_of(measures: dict[str, dict[str, dict[str, object]]]) -> dict[str, object]:
    """Return the values of all measures by ``region.measure``."""
    return {
        f"{region}.{name}": entry["value"] for region, row in measures.items() for name, entry in row.items()
    }
