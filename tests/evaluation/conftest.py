from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from hilum.datasets.index import COLUMNS, DATASET_SCHEMA
from hilum.evaluation.runs import Run
from support.cards import slice_card


def ball(shape, centre, radius, spacing=(1.0, 1.0, 1.0)):
    """Voxels whose middle lies in a ball; centre and radius in mm."""
    steps = np.meshgrid(*[np.arange(n) * s for n, s in zip(shape, spacing, strict=True)], indexing="ij")
    return sum((g - c) ** 2 for g, c in zip(steps, centre, strict=True)) <= radius**2


def box(shape, low, high):
    out = np.zeros(shape, bool)
    out[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return out


@pytest.fixture
def make_dataset(tmp_path):
    """A dataset of slices as ``hilum prepare`` makes it, with a bright disc as lung in each slice."""
    from PIL import Image

    from hilum.io import write_hu_tiff, write_json

    def make(name="data", subjects=4, slices=1, size=24, spacing=(1.0, 1.0), slice_mm=2.0, empty=()) -> Path:
        root = tmp_path / name
        (root / "images").mkdir(parents=True)
        (root / "masks").mkdir()
        rows, y, x = [], *np.indices((size, size))
        for subject in range(subjects):
            for number in range(slices):
                lung = (y - 12) ** 2 + (x - 12) ** 2 <= (5 + subject % 3) ** 2
                if (subject, number) in empty:
                    lung[:] = False
                hu = np.where(lung, -800, 40).astype(np.int16)
                stem = f"{subject}_{number}"
                image, mask = f"images/{stem}.tiff", f"masks/{stem}.png"
                write_hu_tiff(root / image, hu, spacing)
                Image.fromarray(lung.astype(np.uint8)).save(root / mask)
                known = ["", "", ""] if spacing is None else [*spacing, "" if slice_mm is None else slice_mm]
                rows.append(
                    [subject, number, "axial", size, size, *known, float(lung.mean()), image, mask, "", ""]
                )
        with (root / "index.csv").open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
        voxel = None if None in (spacing, slice_mm) else spacing[0] * spacing[1] * slice_mm / 1000
        write_json(
            root / "dataset.json",
            {
                "schema": DATASET_SCHEMA,
                "hilum": "0",
                "plane": "axial",
                "spacing": "keep",
                "parameters": {},
                "index_sha256": hashlib.sha256((root / "index.csv").read_bytes()).hexdigest(),
                "subjects": [
                    {
                        "id": n,
                        "slices": slices,
                        "rows": size,
                        "cols": size,
                        "spacing_mm": spacing,
                        "slice_spacing_mm": slice_mm,
                        "volume_voxel_ml": voxel,
                        "flags": [],
                    }
                    for n in range(subjects)
                ],
                "refused": [],
            },
        )
        return root

    return make


class FakeModel:
    """Stands for a network: air is lung, with columns added on one side."""

    def __init__(self, extra):
        self.extra = extra
        self.seen = 0

    def probabilities(self, slices, spacing=None):
        self.seen += len(slices)
        lung = slices < -500
        for shift in range(1, self.extra + 1):
            lung = lung | np.roll(slices < -500, shift, axis=2)
        if self.extra < 0:
            lung = np.zeros_like(lung)
        return lung.astype(np.float32)


@pytest.fixture
def make_run(tmp_path, monkeypatch):
    """A folder as ``hilum train`` leaves it; the network behind it is a :class:`FakeModel`."""
    models = {}
    monkeypatch.setattr(Run, "model", property(lambda run: models[run.name]))

    def make(name, dataset: Path, extra=0, parts=None, **card) -> Path:
        run = tmp_path / name
        run.mkdir()
        index = json.loads((dataset / "dataset.json").read_text())["index_sha256"]
        content = slice_card(
            name=name,
            parameters=1234,
            training={"minutes": 1.5},
            onnx_sha256=hashlib.sha256(name.encode()).hexdigest(),
            data={"sha256": index},
        )
        content.update(card)
        (run / "card.json").write_text(json.dumps(content))
        (run / "model.onnx").write_bytes(b"x" * 2000)
        split = {"train": [0], "validation": [1], "test": [2, 3], "seed": 0, "fold": None}
        (run / "split.json").write_text(json.dumps(parts or split))
        models[name] = FakeModel(extra)
        make.models = models
        return run

    return make
