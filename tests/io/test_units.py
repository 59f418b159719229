from __future__ import annotations

import numpy as np
import pytest

from hilum.core.errors import InputError
from hilum.io.units import check_units

SHAPE = (60, 60, 40)


def scan(shape=SHAPE, noise=20.0, seed=0, air=0.3, lung=0.25):
    """Voxels of a chest CT in the usual shares, shuffled: air, lung, fat, soft tissue, bone."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(5, size=shape, p=[air, lung, 0.1, 0.85 - air - lung, 0.05])
    hu = np.array([-1000.0, -850.0, -100.0, 45.0, 400.0])[kind]
    return hu + rng.normal(0, noise, shape)


ACCEPTED = {
    "plain": scan(),
    "no noise": scan(noise=0).astype(np.int16),
    "noisy": scan(noise=120),
    "cropped to the lungs": scan(air=0.0, lung=0.6),
    "little lung, all outside air": scan(air=0.02, lung=0.0),
    "padding of half at -3024": np.where(np.indices(SHAPE)[0] < 30, -3024, scan()),
    "padding of half at -2000": np.where(np.indices(SHAPE)[0] < 30, -2000, scan()),
    "padding of 90 % at -1024": np.where(np.indices(SHAPE)[0] < 54, -1024, scan()),
    "squeezed and noisy padding": np.where(np.indices(SHAPE)[0] < 20, -2600, scan() * 0.8 - 9)
    + np.random.default_rng(1).uniform(-112, 112, SHAPE),
    "clipped to -1000..400": np.clip(scan(), -1000, 400),
    "lung window": np.clip(scan(), -1350, 150),
    "slice": scan((200, 200, 1)),
    "tiny": scan((12, 11, 10)),
    "float": scan().astype(np.float32),
    "consolidated lungs": scan(air=0.25, lung=0.0),
    "metal": np.where(np.random.default_rng(2).random(SHAPE) < 0.03, 30000, scan()),
}

RNG = np.random.default_rng(3)
LUNG = RNG.normal(-800, 60, SHAPE)
REFUSED = {
    "8-bit window": (np.clip((scan() + 1000) / 1400 * 255, 0, 255).astype(np.uint8), "8-bit"),
    "8-bit window stored as int16": (np.clip((scan() + 160) / 400 * 255, 0, 255).astype(np.int16), "8-bit"),
    "raw with offset": (np.clip(scan() + 1024, 0, 4095).astype(np.int16), "offset of 1024"),
    "raw with padding at -2000": (
        np.where(np.indices(SHAPE)[0] < 20, -2000, np.clip(scan() + 1024, 0, 4095)),
        "offset of 1024",
    ),
    "raw crop of the lungs": (scan(air=0.0, lung=0.6).astype(np.int16) + 1024, "offset of 1024"),
    "offset subtracted twice": (np.maximum(scan(), -1024) - 1024, "HU"),
    "normalised 0..1": (np.clip((scan() + 1000) / 1400, 0, 1).astype(np.float32), "normalised"),
    "z-scores": (scan() / 400, "normalised"),
    "label map": (RNG.integers(0, 3, SHAPE), "label map"),
    "MR": (RNG.gamma(2.0, 150.0, SHAPE), "does not look like CT"),
    "MR with background": (
        np.where(RNG.random(SHAPE) < 0.5, 0, RNG.normal(400, 90, SHAPE)),
        "not look like CT",
    ),
    "MR with ringing below zero": (RNG.normal(300, 120, SHAPE), "does not look like CT"),
    "MR phase": (RNG.integers(-4096, 4096, SHAPE), "HU"),
    "PET": (RNG.gamma(0.5, 4000.0, SHAPE), "does not look like CT"),
    "abdominal window": (np.clip(scan(), -160, 240), "no air"),
    "lungs cut out, -1024 elsewhere": (
        np.where(np.indices(SHAPE)[0] < 40, -1024, LUNG),
        "blanked out",
    ),
    "lungs cut out, -3024 elsewhere": (
        np.where(np.indices(SHAPE)[0] < 40, -3024, LUNG),
        "blanked out",
    ),
    "no soft tissue, but nothing cut out": (RNG.normal(-800, 60, SHAPE), "soft tissue"),
    "only padding": (np.full(SHAPE, -3024.0) + RNG.normal(0, 3, SHAPE), "-1400"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(name):
    check_units(ACCEPTED[name])


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_reason(name):
    values, reason = REFUSED[name]
    with pytest.raises(InputError, match=reason) as caught:
        check_units(values)
    assert caught.value.hint


def test_large_arrays_are_sampled_and_axis_order_does_not_matter(monkeypatch):
    hu = np.asfortranarray(np.tile(scan(), (4, 4, 4)).astype(np.int16))
    seen = []
    import hilum.io.units as units

    whole = units._subsample
    monkeypatch.setattr(units, "_subsample", lambda a: seen.append(whole(a)) or seen[-1])
    check_units(hu)
    check_units(hu.transpose(2, 0, 1))
    assert all(100_000 < s.size <= units._SAMPLE for s in seen)
