"""Everything outside the lungs: table, chest wall, bones, mediastinum, abdomen."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from hilum.core.constants import AIR_HU
from hilum.synthesis.phantoms.fields import (
    Array,
    Coordinates,
    Lattice,
    coverage,
    ellipsoid,
    lerp_into,
    section,
    segment_distance,
)
from hilum.synthesis.phantoms.lung import BLOOD_HU, ChestModel, paint_trees

__all__ = ["surroundings"]

SKIN_HU, FAT_HU, MUSCLE_HU = 25.0, -102.0, 52.0
LIVER_HU, SPLEEN_HU, GUT_HU, CORD_HU = 60.0, 52.0, 20.0, 28.0
CORTEX_HU, MARROW_HU, CARTILAGE_HU, VERTEBRA_HU = 720.0, 230.0, 110.0, 190.0

Point = tuple[float, float, float]

#: (points, radius in mm) of the great vessels; the aorta runs on down beside the spine.
GREAT_VESSELS: tuple[tuple[tuple[Point, ...], float], ...] = (
    (
        ((4, 8, -24), (13, 14, 0), (15, 17, 24), (9, 12, 46), (-4, -8, 57), (-17, -32, 51), (-23, -48, 34)),
        13.5,
    ),
    (((27, -2, 80), (29, 0, 40), (27, -2, -20)), 8.5),  # superior vena cava
    (((-16, 34, -26), (-17, 24, 2), (-14, 8, 14)), 12.0),  # pulmonary trunk
    (((-14, 8, 14), (4, -6, 12), (24, -11, 8), (40, -15, 2)), 9.5),  # right pulmonary artery
    (((-16, 10, 16), (-30, -10, 18), (-42, -24, 14)), 9.5),  # left pulmonary artery
    (((8, -20, -24), (36, -13, -17)), 7.0),  # right pulmonary veins
    (((-18, -20, -22), (-39, -17, -15)), 7.0),  # left pulmonary veins
    (((27, -2, 76), (4, 10, 66), (-24, 2, 84), (-36, -8, 112)), 6.0),  # left brachiocephalic vein
    (((27, -2, 78), (34, -12, 112), (40, -20, 150)), 6.0),
    (((4, 6, 56), (12, -4, 84), (22, -20, 120), (26, -24, 165)), 5.2),  # brachiocephalic trunk
    (((-8, -6, 60), (-14, -14, 90), (-22, -22, 165)), 3.8),
    (((-14, -20, 58), (-24, -26, 96), (-48, -22, 118)), 4.4),
    (((22, 2, -200), (22, 2, -60), (22, 4, -44)), 11.0),  # inferior vena cava
)


def surroundings(model: ChestModel, lattice: Lattice) -> Array:
    """HU of the scan without the lungs, shape of the lattice."""
    hu = np.full(lattice.shape, AIR_HU, np.float32)
    p = lattice.coordinates
    _table(model, lattice, hu, p)
    _arms(model, lattice, hu)
    window = lattice.window((np.array([-230.0, -165, -260]), np.array([230.0, 175, 180])))
    if window is None:
        return hu
    inner = lattice.crop(window)
    part = hu[window]
    _trunk(model, inner, part)
    return hu


Field = Callable[[Coordinates], Array]


def _paint(lattice: Lattice, hu: Array, low: Point, high: Point, shape: Field, value: Array | float) -> None:
    """Draw one body, evaluated only inside the box from ``low`` to ``high``."""
    window = lattice.window((np.array(low, float), np.array(high, float)))
    if window is None:
        return
    inner = lattice.crop(window)
    lerp_into(hu[window], coverage(shape(inner.coordinates), lattice.width), value)


def _tube(lattice: Lattice, hu: Array, points: tuple[Point, ...], radius: float, value: float) -> None:
    """Draw a tube of constant radius along a chain of points; the joints are drawn once."""
    ends = np.array(points, float)
    window = lattice.window((ends.min(axis=0) - radius - 2, ends.max(axis=0) + radius + 2))
    if window is None:
        return
    p = lattice.crop(window).coordinates
    distance = segment_distance(p, ends[0], ends[1])
    for a, b in pairwise(ends[1:]):
        distance = np.minimum(distance, segment_distance(p, a, b))
    lerp_into(hu[window], coverage(distance - np.float32(radius), lattice.width), value)


def _table(model: ChestModel, lattice: Lattice, hu: Array, p: Coordinates) -> None:
    """A curved table: a shell of carbon fibre round foam, under the back or, prone, under the front."""
    prone = model.body.prone
    a = model.anatomy
    edge = a.front(-60) if prone else a.back(-60)
    flip = np.float32(-1 if prone else 1)
    x, y = p[0], p[1]
    over = flip * (y - np.float32(edge)) + np.float32(1.0)
    if prone and model.body.breast > 0:
        over = over + np.float32(30 * model.body.breast) + 12
    top = x * x * np.float32(1 / 1000)
    bottom = x * x * np.float32(1 / 520) - np.float32(44)
    shell = np.maximum(np.maximum(over - top, bottom - over), np.abs(x) - np.float32(205))
    if float(shell.min()) > 2:
        return
    shell = np.broadcast_to(shell, lattice.shape)
    lerp_into(hu, coverage(shell, lattice.width), -320.0)
    lerp_into(hu, coverage(shell + np.float32(2.5), lattice.width), -945.0)


def _arms(model: ChestModel, lattice: Lattice, hu: Array) -> None:
    """Arms raised beside the head, as for most scans, or beside the chest."""
    for side in (1, -1):
        ends: tuple[Point, ...] = ((side * 138, -22, 104), (side * 154, -24, 190))
        if model.body.arms_down:
            ends = ((side * 218, -22, -260), (side * 210, -22, 70), (side * 160, -22, 112))
        for radius, value in ((45.0, SKIN_HU), (43.0, FAT_HU), (36.0, MUSCLE_HU)):
            _tube(lattice, hu, ends, radius, value)
        if model.body.arms_down:
            _tube(lattice, hu, ends, 11.0, CORTEX_HU)
            _tube(lattice, hu, ends, 6.0, 60.0)


def _trunk(model: ChestModel, lattice: Lattice, hu: Array) -> None:
    a, w = model.anatomy, lattice.width
    p = lattice.coordinates
    skin = a.skin(p)
    lerp_into(hu, coverage(skin, w), SKIN_HU)
    lerp_into(hu, coverage(skin + np.float32(2), w), FAT_HU)
    if model.body.breast > 0:
        _glands(model, lattice, hu)
    muscle = np.maximum(a.muscle(p), skin + np.float32(4))
    lerp_into(hu, coverage(muscle, w), MUSCLE_HU)
    cage = a.cage(p)
    x, y, z = p
    # Fat between the muscle layers, thicker at the flanks and under the shoulder blades.
    gap = (
        np.abs(cage - np.float32(15.5))
        - np.float32(1.0)
        - np.float32(1.6)
        * np.abs(np.sin(x * np.float32(0.045)) * np.sin(y * np.float32(0.06) + z * np.float32(0.03)))
    )
    lerp_into(hu, coverage(np.maximum(gap, muscle + np.float32(4)), w), FAT_HU + 15)
    _abdomen(model, lattice, hu)
    _mediastinum(model, lattice, hu)
    _cage_bones(model, lattice, hu, cage)
    _shoulder(model, lattice, hu, cage)
    _spine(model, lattice, hu)
    paint_trees(hu, lattice, model.vessels[0], model.airways[0])


def _glands(model: ChestModel, lattice: Lattice, hu: Array) -> None:
    """Glandular tissue in the breasts."""
    a, k = model.anatomy, model.body.breast
    front = a.front(-15)
    for side in (1, -1):

        def shape(p: Coordinates, side: int = side) -> Array:
            x, y, z = p
            ripple = 3 * np.sin(x * np.float32(0.5)) * np.sin(y * np.float32(0.6) + z * np.float32(0.35))
            core = ellipsoid(p, (side * 74, front + 2 * k, -18), (14 + 12 * k, 4 + 11 * k, 14 + 13 * k))
            return np.asarray(core + ripple)

        box = np.array([side * 74.0, front, -18.0])
        _paint(lattice, hu, tuple(box - 45), tuple(box + 45), shape, 15.0)


def _abdomen(model: ChestModel, lattice: Lattice, hu: Array) -> None:
    a, w = model.anatomy, lattice.width
    window = lattice.window((np.array([-160.0, -120, -260]), np.array([160.0, 120, -40])))
    if window is None:
        return
    inner = lattice.crop(window)
    part = hu[window]
    p = inner.coordinates
    cavity = np.maximum(a.below_diaphragm(p), a.cage(p) + np.float32(3))
    lerp_into(part, coverage(cavity, w), FAT_HU)
    top = model.body.right_dome + 72
    left = model.body.left_dome + 84
    liver = ellipsoid(p, (48, 10, -150 + top), (100, 86, 86), tilt_deg=-8)
    lerp_into(part, coverage(np.maximum(liver, cavity + np.float32(1)), w), LIVER_HU)
    spleen = ellipsoid(p, (-92, -44, -132 + left), (31, 42, 42), turn_deg=25)
    lerp_into(part, coverage(np.maximum(spleen, cavity + np.float32(2)), w), SPLEEN_HU)
    stomach = ellipsoid(p, (-58, 16, -134 + left), (38, 44, 40), tilt_deg=15)
    stomach = np.maximum(stomach, cavity + np.float32(4))
    lerp_into(part, coverage(stomach, w), 45.0)
    down = np.float32(1 if model.body.prone else -1) * (p[1] - np.float32(16))
    content = stomach + np.float32(3.5)
    lerp_into(part, coverage(content, w), GUT_HU)
    lerp_into(part, coverage(np.maximum(content, down + np.float32(4)), w), AIR_HU)
    if model.body.colon_gas:
        colon = ellipsoid(p, (-98, 22, -172 + left), (19, 26, 20))
        colon = np.maximum(colon, cavity + np.float32(3))
        lerp_into(part, coverage(colon, w), 40.0)
        lerp_into(part, coverage(colon + np.float32(2), w), AIR_HU)


def _mediastinum(model: ChestModel, lattice: Lattice, hu: Array) -> None:
    a, w = model.anatomy, lattice.width
    window = lattice.window((np.array([-105.0, -60, -150]), np.array([85.0, 95, 160])))
    if window is not None:
        inner = lattice.crop(window)
        p = inner.coordinates
        part = hu[window]
        fat = np.maximum(np.maximum(a.mediastinum(p), a.cage(p) + 2), p[2] - np.float32(118))
        fat = np.maximum(fat, -np.float32(3) - a.below_diaphragm(p))
        lerp_into(part, coverage(fat, w), FAT_HU + 4)
        heart = a.heart(p)
        lerp_into(part, coverage(heart + np.float32(2.2), w), BLOOD_HU)
    for points, radius in GREAT_VESSELS:
        _tube(lattice, hu, points, radius, BLOOD_HU)
    spine = (a.spine_y(np.array([-260, -100, -40, 20], np.float32)) + 14).tolist()
    aorta = ((-23, spine[3], 20), (-24, spine[2], -40), (-22, spine[1], -100), (-14, spine[0] + 4, -260))
    _tube(lattice, hu, ((-23, -48, 34), *aorta), 11.5, BLOOD_HU)
    gullet = ((-3, -34, 130), (-2, -34, 60), (-6, -36, 10), (-8, -38, -40), (-16, -20, -90), (-34, 0, -112))
    _tube(lattice, hu, gullet, 7.0, 38.0)
    _tube(lattice, hu, gullet, 1.6, -300.0)


def _cage_bones(model: ChestModel, lattice: Lattice, hu: Array, cage: Array) -> None:
    """Ribs run along the rib cage, down from the spine to the front; sternum in front."""
    w = lattice.width
    x, y, z = lattice.coordinates
    pitch = np.float32(23.5)
    steep = np.float32(0.34)
    run = z + steep * (y + np.float32(80)) + np.float32(model.body.rib_phase)
    across = (run - pitch * np.round(run * (1 / pitch))) * np.float32(1 / np.sqrt(1 + steep**2))
    rib = np.sqrt((across * np.float32(0.62)) ** 2 + (cage - np.float32(6.2)) ** 2) - np.float32(3.9)
    # No ribs below the costal arch, before the spine, above the first rib.
    arch = (y - np.float32(88) - np.float32(0.9) * np.minimum(z + np.float32(70), 0)) * np.float32(0.7)
    rib = np.maximum(np.maximum(rib, arch), np.maximum(z - np.float32(124), np.float32(9) - np.abs(x)))
    cartilage = np.clip((y - np.float32(52)) * np.float32(1 / 6), 0, 1)
    bone = np.float32(CORTEX_HU) + (np.float32(CARTILAGE_HU) - np.float32(CORTEX_HU)) * cartilage
    core = np.float32(MARROW_HU) + (np.float32(CARTILAGE_HU) - np.float32(MARROW_HU)) * cartilage
    lerp_into(hu, coverage(rib, w), np.broadcast_to(bone, hu.shape))
    lerp_into(hu, coverage(rib + np.float32(1.5), w), np.broadcast_to(core, hu.shape))
    half = np.where(z > 48, np.float32(25), np.float32(16))
    sternum = np.maximum(np.abs(cage - np.float32(7.5)) - np.float32(5), np.abs(x) - half)
    sternum = np.maximum(sternum, np.maximum(-y, np.abs(z - np.float32(2)) - np.float32(74)))
    sternum = np.maximum(sternum, np.float32(1.5) - np.abs(z - np.float32(48)))
    lerp_into(hu, coverage(sternum, w), 480.0)
    lerp_into(hu, coverage(sternum + np.float32(1.5), w), 130.0)


def _shoulder(model: ChestModel, lattice: Lattice, hu: Array, cage: Array) -> None:
    """Shoulder blades, collar bones and heads of the arm bones."""
    window = lattice.window((np.array([-180.0, -120, -30]), np.array([180.0, 70, 170])))
    if window is None:
        return
    inner = lattice.crop(window)
    p = inner.coordinates
    mirrored = (np.abs(p[0]), p[1], p[2])
    blade = np.abs(cage[window] - np.float32(21)) - np.float32(3.2)
    blade = np.maximum(blade, ellipsoid(mirrored, (104, -62, 66), (46, 34, 62), tilt_deg=20))
    part = hu[window]
    lerp_into(part, coverage(blade, lattice.width), 560.0)
    lerp_into(part, coverage(blade + np.float32(1.4), lattice.width), MARROW_HU)
    for side in (1, -1):
        collar: tuple[Point, ...] = (
            (side * 16, 46, 84), (side * 52, 42, 98), (side * 92, 18, 112), (side * 124, -6, 118)
        )  # fmt: skip
        _tube(lattice, hu, collar, 6.0, CORTEX_HU)
        _tube(lattice, hu, collar, 4.0, MARROW_HU)
        head: tuple[Point, ...] = ((side * 142, -22, 112), (side * 151, -24, 190))
        if model.body.arms_down:
            head = ((side * 142, -22, 108), (side * 150, -22, 112))
        _tube(lattice, hu, head, 21.0, 420.0)
        _tube(lattice, hu, head, 19.0, MARROW_HU - 40)


def _spine(model: ChestModel, lattice: Lattice, hu: Array) -> None:
    window = lattice.window((np.array([-45.0, -140, -260]), np.array([45.0, -10, 180])))
    if window is None:
        return
    inner = lattice.crop(window)
    x, y, z = inner.coordinates
    part, w = hu[window], lattice.width
    back = y - model.anatomy.spine_y(z)
    pitch = np.float32(23.5)
    level = z + np.float32(model.body.rib_phase)
    phase = level - pitch * np.round(level * (1 / pitch))
    waist = np.float32(1.6) * np.cos(phase * (2 * np.pi / pitch))
    bodies = section(x, back, np.float32(17.5) - waist, np.float32(14.5) - waist, 0.25)
    disc = np.clip(np.abs(phase) - np.float32(9.2), 0, 1)
    cortex = np.float32(520) + (np.float32(85) - np.float32(520)) * disc
    core = np.float32(VERTEBRA_HU) + (np.float32(85) - np.float32(VERTEBRA_HU)) * disc
    lerp_into(part, coverage(bodies, w), np.broadcast_to(cortex, part.shape))
    lerp_into(part, coverage(bodies + np.float32(1.5), w), np.broadcast_to(core, part.shape))
    canal = np.sqrt(x * x + (back + np.float32(23)) ** 2)
    lamina = np.maximum(canal - np.float32(13), np.abs(phase) - np.float32(8.5))
    lamina = np.maximum(lamina, back + np.float32(13))
    # Spinous process slopes down, transverse processes point out and back.
    slope = phase + np.float32(0.45) * (back + np.float32(34)) * -1
    spinous = np.maximum(np.abs(x) - np.float32(3.2), np.abs(slope) - np.float32(5))
    spinous = np.maximum(spinous, np.maximum(back + np.float32(33), np.float32(-56) - back))
    wing = np.sqrt(
        (phase * np.float32(0.9)) ** 2 + (back + np.float32(20) + np.float32(0.4) * np.abs(x)) ** 2
    )
    wing = np.maximum(wing - np.float32(4.6), np.abs(x) - np.float32(31))
    arch = np.minimum(np.minimum(lamina, spinous), wing)
    lerp_into(part, coverage(arch, w), CORTEX_HU - 120)
    lerp_into(part, coverage(arch + np.float32(1.6), w), MARROW_HU + 60)
    lerp_into(part, coverage(canal - np.float32(8.8), w), CORD_HU - 22)
    lerp_into(part, coverage(np.sqrt(x * x + (back + 23) ** 2) - np.float32(5), w), CORD_HU)
