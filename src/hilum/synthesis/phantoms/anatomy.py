"""The shape of the chest: rib cage, diaphragm, mediastinum and the two lungs as continuous fields.

All lengths are millimetres in the frame of a chest of size 1, RAS, origin in the middle of the chest a little
below the carina. Shapes are chosen by eye after normal CT; they resemble a chest in look and mass and are
not an atlas.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from hilum.core import labels
from hilum.synthesis.phantoms.fields import (
    Array,
    Coordinates,
    Profile,
    ellipsoid,
    section,
    smooth_max,
    smooth_min,
)
from hilum.synthesis.phantoms.fissures import FissureShapes

__all__ = ["LUNG_BOX", "Anatomy", "Body", "Lobe"]

#: Low and high corner of a box that holds both lungs of every seed.
LUNG_BOX = (np.array([-150.0, -108.0, -182.0]), np.array([150.0, 108.0, 128.0]))


#: What full expiration changes: domes of the diaphragm rise by this much, mm; the tissue in a volume of
#: parenchyma and its rise towards the dependent side are multiplied by these.
EXPIRED_DOME_MM, EXPIRED_TISSUE, EXPIRED_GRADIENT = 30.0, 2.0, 2.2


class Lobe(IntEnum):
    """Lobes of the lungs, in the order in which their trees grow."""

    RIGHT_UPPER = 1
    RIGHT_MIDDLE = 2
    RIGHT_LOWER = 3
    LEFT_UPPER = 4
    LEFT_LOWER = 5

    @property
    def label(self) -> int:
        """Value in label maps; see :data:`hilum.core.labels.LOBES`."""
        return labels.Lobe[self.name].value

    @property
    def side(self) -> int:
        """1 for a lobe of the right lung, -1 for one of the left."""
        return 1 if self <= Lobe.RIGHT_LOWER else -1


@dataclass(frozen=True)
class Body:
    """Parameters that vary between phantoms.

    Attributes:
        size: Scale of all lengths.
        width: Scale of the rib cage left-right.
        depth: Scale of the rib cage front-back.
        right_dome: Height of the right dome of the diaphragm in mm.
        left_dome: Height of the left dome in mm.
        heart: Scale of the heart.
        heart_turn: Rotation of the heart in degrees.
        fat: Thickness of the fat under the skin in mm.
        breast: Scale of the breasts; 0 is flat.
        rib_phase: Shift of the ribs along z in mm.
        parenchyma_hu: HU of parenchyma without visible vessels at the middle height of the lung.
        gradient: Rise of density towards the dependent side in HU per mm.
        colon_gas: Whether gas lies in the left flexure of the colon.
        prone: Whether the patient lies face down.
        arms_down: Whether the arms lie beside the chest.
    """

    size: float = 1.0
    width: float = 1.0
    depth: float = 1.0
    right_dome: float = -72.0
    left_dome: float = -84.0
    heart: float = 1.0
    heart_turn: float = 28.0
    fat: float = 13.0
    breast: float = 0.0
    rib_phase: float = 0.0
    parenchyma_hu: float = -862.0
    gradient: float = 0.8
    colon_gas: bool = True
    prone: bool = False
    arms_down: bool = False

    @classmethod
    def draw(cls, seed: int, size: float, prone: bool, arms_down: bool) -> Body:
        """Draw a body for ``seed``; the same seed gives the same body on every machine."""
        rng = np.random.default_rng([seed, 1])
        u = rng.uniform(-1, 1, 12)
        right = -72.0 + 9.0 * u[3]
        return cls(
            size=size * (1 + 0.05 * u[0]),
            width=1 + 0.05 * u[1],
            depth=1 + 0.06 * u[2],
            right_dome=right,
            left_dome=right - 11.0 + 4.0 * u[4],
            heart=1 + 0.07 * u[5],
            heart_turn=28 + 10 * u[6],
            fat=13 + 6 * u[7],
            breast=float(max(0.0, 0.45 + 0.45 * u[8])) if u[8] > 0 else 0.0,
            rib_phase=12 * u[9],
            parenchyma_hu=-862 + 12 * u[10],
            gradient=0.8 + 0.25 * u[11],
            colon_gas=bool(rng.random() < 0.6),
            prone=prone,
            arms_down=arms_down,
        )

    def expired(self, part: float) -> Body:
        """Return the body after breathing out: 0 for this one, 1 for full expiration."""
        if part == 0:
            return self
        tissue = (self.parenchyma_hu + 1000) * (1 + (EXPIRED_TISSUE - 1) * part)
        return replace(
            self,
            right_dome=self.right_dome + EXPIRED_DOME_MM * part,
            left_dome=self.left_dome + EXPIRED_DOME_MM * part,
            parenchyma_hu=tissue - 1000,
            gradient=self.gradient * (1 + (EXPIRED_GRADIENT - 1) * part),
        )

    def as_dict(self) -> dict[str, float | bool]:
        """Return the parameters as plain data."""
        return {k: (v if isinstance(v, bool) else round(float(v), 4)) for k, v in asdict(self).items()}


class Anatomy:
    """Fields of a chest. Every method takes broadcastable coordinates and returns a field in mm."""

    def __init__(self, body: Body, fissures: FissureShapes | None = None) -> None:
        """Make the chest of a body.

        Args:
            body: What differs between chests.
            fissures: Their shapes; None for the same smooth ones in each chest.
        """
        self.body = body
        self.shapes = fissures
        w, d = body.width, body.depth
        cage = {-230: 128, -160: 134, -100: 136, -40: 132, 20: 124, 60: 112, 100: 94, 125: 78}
        deep = {-230: 84, -160: 88, -100: 92, -40: 90, 20: 82, 60: 72, 100: 56, 125: 46}
        self._cage_a = Profile({k: v * w for k, v in cage.items()})
        self._cage_b = Profile({k: v * d for k, v in deep.items()})
        self._cage_y = Profile({-230: 2, -100: 0, -40: -2, 20: -6, 60: -12, 100: -20, 125: -26})
        wall = body.fat + 20
        self._body_a = Profile(
            {-230: 128 * w + wall - 4, -100: 136 * w + wall, 0: 134 * w + wall + 4, 60: 168, 95: 172,
             118: 160, 135: 118, 150: 84, 165: 70}
        )  # fmt: skip
        self._body_b = Profile(
            {-230: 84 * d + wall - 8, -100: 91 * d + wall - 8, 0: 88 * d + wall - 8, 60: 100, 95: 86,
             118: 76, 140: 66, 165: 58}
        )  # fmt: skip
        self._body_y = Profile({-230: 0, -40: -2, 20: -5, 60: -12, 100: -22, 140: -30, 165: -30})
        self._middle_a = Profile({-40: 20, -15: 28, 10: 32, 45: 33, 80: 29, 110: 25, 140: 24})
        self._middle_b = Profile({-40: 34, -15: 42, 10: 46, 45: 46, 80: 42, 110: 38, 140: 38})
        self._middle_y = Profile({-40: -14, 10: -6, 45: -6, 80: -14, 110: -24, 140: -28})
        self._septum = Profile({-120: 9, -60: 6, -10: 2.6, 15: 1.6, 45: 1.6, 65: 5, 90: 12, 120: 16})

    def spine_y(self, z: Array) -> Array:
        """Front-back position of the centre of the vertebral bodies."""
        return np.asarray(self._cage_y(z) - self._cage_b(z) + np.float32(21))

    def cage(self, p: Coordinates) -> Array:
        """Inside of the rib cage and, below the diaphragm, of the abdominal wall."""
        x, y, z = p
        return section(x, y - self._cage_y(z), self._cage_a(z), self._cage_b(z), 0.32)

    def front(self, z: float) -> float:
        """Front-back position of the front of the trunk without breasts in the middle, at height ``z``."""
        level = np.array([z], np.float32)
        return float((self._body_y(level) + self._body_b(level)).item())

    def back(self, z: float) -> float:
        """Front-back position of the back of the trunk in the middle, at height ``z``."""
        level = np.array([z], np.float32)
        return float((self._body_y(level) - self._body_b(level)).item())

    def skin(self, p: Coordinates) -> Array:
        """Outer surface of the trunk."""
        x, y, z = p
        d = section(x, y - self._body_y(z), self._body_a(z), self._body_b(z), 0.45)
        if self.body.breast > 0:
            k = self.body.breast
            mirrored = (np.abs(x), y, z)
            front = self.front(-15)
            breast = ellipsoid(mirrored, (72, front - 14, -18), (30 + 28 * k, 14 + 26 * k, 34 + 26 * k))
            d = smooth_min(d, breast, 16)
        return d

    def muscle(self, p: Coordinates) -> Array:
        """Outer surface of the muscles of the trunk."""
        x, y, z = p
        fat = np.float32(self.body.fat)
        return section(
            x,
            y - self._body_y(z) + np.float32(0.5),
            self._body_a(z) - fat,
            self._body_b(z) - fat * np.float32(0.75),
            0.40,
        )

    def dome(self, x: Array, y: Array, side: int) -> tuple[Array, Array]:
        """Height of the diaphragm below one lung and the factor that turns heights into distances."""
        top = np.float32(self.body.right_dome if side > 0 else self.body.left_dome)
        a, b = np.float32(72 * self.body.width), np.float32(86 * self.body.depth)
        u = (x - np.float32(side * 62 * self.body.width)) / a
        # Towards the middle the dome runs on into the central tendon under the heart.
        u = np.where(u * side < 0, np.float32(0.6) * u, u)
        v = (y - np.float32(8)) / b
        q = np.minimum(u * u + v * v, np.float32(1.25))
        tilt = np.float32(0.16)
        height = top - np.float32(58) * q * q + tilt * y
        slope_x = np.float32(232) * q * u / a
        slope_y = tilt - np.float32(232) * q * v / b
        return height, 1 / np.sqrt(1 + slope_x * slope_x + slope_y * slope_y)

    def above_diaphragm(self, p: Coordinates, side: int) -> Array:
        """Negative above the diaphragm of one side."""
        height, scale = self.dome(p[0], p[1], side)
        return np.asarray((height - p[2]) * scale)

    def below_diaphragm(self, p: Coordinates) -> Array:
        """Negative in the abdomen, 3 mm below the upper face of the diaphragm of both sides."""
        right, scale_r = self.dome(p[0], p[1], 1)
        left, scale_l = self.dome(p[0], p[1], -1)
        height = smooth_max(right, left, 12)
        return np.asarray((p[2] - height) * np.minimum(scale_r, scale_l) + 3)

    def heart(self, p: Coordinates) -> Array:
        """Heart with its sac; the long axis points to the left, front and below."""
        k = self.body.heart
        base = self.body.right_dome + 72
        turn = self.body.heart_turn
        main = ellipsoid(
            p, (-27, 19, -52 + 0.7 * base), (60 * k, 42 * k, 45 * k), turn_deg=-turn, tilt_deg=14
        )
        right = ellipsoid(p, (20, 10, -44 + 0.7 * base), (29 * k, 36 * k, 42 * k))
        back = ellipsoid(p, (-6, -20, -28 + 0.5 * base), (36 * k, 21 * k, 25 * k))
        return smooth_min(smooth_min(main, right, 14), back, 10)

    def mediastinum(self, p: Coordinates) -> Array:
        """Everything between the lungs that is not lung: fat, heart, vessels, hila, spine."""
        x, y, z = p
        spine = self.spine_y(z)
        forward = np.maximum(y - spine, 0)
        d = np.sqrt(x * x + forward * forward) - np.float32(25)
        middle = section(x, y - self._middle_y(z), self._middle_a(z), self._middle_b(z), 0.2)
        middle = np.maximum(middle, np.float32(-35) - z)
        d = smooth_min(np.asarray(d), middle, 10)
        d = smooth_min(d, self.heart(p) - np.float32(3.5), 7)
        septum = np.abs(x + np.float32(2)) - self._septum(z)
        d = smooth_min(d, np.asarray(septum), 8)
        # Descending aorta to the left of the spine, arch above it.
        aorta = np.sqrt((x + 24) ** 2 + (y - spine - 14) ** 2) - np.float32(16)
        d = smooth_min(d, np.maximum(aorta, z - np.float32(40)), 5)
        d = smooth_min(d, ellipsoid(p, (-18, -24, 44), (21, 30, 16)), 6)
        # Hila: where bronchi and vessels go in; they do not belong to the lung by the label contract.
        d = smooth_min(d, ellipsoid(p, (34, -20, 0), (14, 17, 24)), 8)
        d = smooth_min(d, ellipsoid(p, (-37, -22, 4), (13, 17, 22)), 8)
        cava = np.sqrt((x - 22) ** 2 + (y - 2) ** 2) - np.float32(13)
        return smooth_min(d, np.maximum(cava, z + np.float32(40)), 5)

    def apex(self, p: Coordinates, side: int) -> Array:
        """Cap over one lung; inactive in the lower chest."""
        x, y, z = p
        lifted = np.maximum(z + np.float32(20), 0) - np.float32(20)
        return ellipsoid((x, y, lifted), (side * 52.0, -20.0, -20.0), (88.0, 97.0, 138.0))

    def lung(self, p: Coordinates, side: int, mediastinum: Array | None = None) -> Array:
        """Pleural space of one side: the lung where no fluid or air displaces it.

        Args:
            p: Points.
            side: 1 for the right, -1 for the left lung.
            mediastinum: Field of :meth:`mediastinum` at the same points, if it is known.
        """
        x = p[0]
        if mediastinum is None:
            mediastinum = self.mediastinum(p)
        d = smooth_max(self.cage(p), self.apex(p, side), 12)
        d = smooth_max(d, self.above_diaphragm(p, side), 3)
        d = smooth_max(d, -mediastinum, 5)
        return np.asarray(np.maximum(d, np.float32(-side) * (x + np.float32(2)) + np.float32(0.4)))

    def _fissure_planes(self, p: Coordinates, side: int) -> tuple[Array, Array | None]:
        """Signed distance above the oblique fissure and, on the right, height above the horizontal one."""
        if self.shapes is not None:
            if side < 0:
                return self.shapes.left_oblique.above(p), None
            return self.shapes.right_oblique.above(p), self.shapes.right_horizontal.above(p)
        x, y, z = p
        bow = np.float32(0.0016) * (np.abs(x) - np.float32(70)) ** 2
        # From the back at the height of the fourth rib down to the front third of the diaphragm.
        steep = np.float32(0.98)
        oblique = (z - np.float32(-24) + steep * y + bow) * np.float32(1 / np.sqrt(1 + 0.98**2))
        if side < 0:
            return np.asarray(oblique), None
        flat = z - np.float32(-14) + np.float32(0.0022) * ((y - np.float32(30)) ** 2 + (np.abs(x) - 60) ** 2)
        return np.asarray(oblique), np.asarray(flat)

    def fissures(self, p: Coordinates, side: int) -> Array:
        """Distance to the fissures between the lobes: oblique on both sides, horizontal on the right."""
        oblique, flat = self._fissure_planes(p, side)
        if flat is None:
            return np.asarray(np.abs(oblique))
        return np.asarray(np.minimum(np.abs(oblique), np.maximum(np.abs(flat), -oblique)))

    def lobe(self, p: Coordinates, side: int) -> npt.NDArray[np.uint8]:
        """Lobe of each point of one lung, values of :class:`Lobe`; points outside the lung get one too."""
        oblique, flat = self._fissure_planes(p, side)
        if flat is None:
            return np.where(oblique > 0, Lobe.LEFT_UPPER, Lobe.LEFT_LOWER).astype(np.uint8)
        upper = np.where(flat > 0, Lobe.RIGHT_UPPER, Lobe.RIGHT_MIDDLE)
        return np.where(oblique > 0, upper, Lobe.RIGHT_LOWER).astype(np.uint8)

    def lobe_field(self, p: Coordinates, lobe: int) -> Array:
        """Field of one side of the fissures: negative where a lobe lies, without regard to the pleura."""
        oblique, flat = self._fissure_planes(p, Lobe(lobe).side)
        if lobe in (Lobe.RIGHT_LOWER, Lobe.LEFT_LOWER):
            return oblique
        if flat is None:
            return -oblique
        return np.asarray(np.maximum(-oblique, -flat if lobe == Lobe.RIGHT_UPPER else flat))
