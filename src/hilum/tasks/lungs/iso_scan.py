"""A scan on the network's isotropic grid: HU, where the body is, and the way back to the native voxels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.anatomy.airways import CentralAirways, find_central_airways
from hilum.anatomy.body import BodyAir, Levels, find_inner_air, find_levels, normalise, not_scanned
from hilum.anatomy.model import RULES, median_of_scanned, slice_plane, spread_samples
from hilum.core.segmentation import Landmarks
from hilum.core.units import TrueMl, TrueSpacing, WorkingMm, WorkingSpacing
from hilum.core.volume import Volume
from hilum.imaging.blocks import Reduced, reduce_volume
from hilum.imaging.interpolation import Interpolation
from hilum.imaging.isogrid import IsoGrid
from hilum.imaging.morphology import Mask, bounding_box, depth, erode
from hilum.imaging.working import WorkingGrid

__all__ = ["TISSUE_HU", "IsoScan"]

Float = npt.NDArray[np.floating[Any]]
#: HU half-way between aerated lung (-900 to -850) and soft tissue (0 to 50).
TISSUE_HU = -450.0
#: Air nearer to body and table than this is left out of the median of the room's air, mm.
_ROOM_MARGIN_MM = 7.0


@dataclass(frozen=True, eq=False)
class IsoScan:
    """A scan resampled to isotropic voxels.

    Attributes:
        voxels: Native HU (x, y, z), RAS.
        order: Order of the canonical axes in ``voxels``, its own inverse.
        reduced: Block means of ``voxels``, in the scan's own values.
        grid: From block means to isotropic voxels.
        levels: HU of air and soft tissue in the scan's own values.
        hu: HU of the isotropic voxels, on the scale of true HU.
        found: Body, room and air in the body, on the isotropic grid.
        unseen: Isotropic voxels that were not scanned: padding, or what a turned grid left empty.
        airways: Trachea and main bronchi on the isotropic grid; None where no trachea is seen.
        magnification: Of all lengths in mm; more than 1 in a child.
    """

    voxels: npt.NDArray[Any]
    order: tuple[int, int, int]
    reduced: Reduced
    grid: IsoGrid
    levels: Levels
    hu: npt.NDArray[np.float32]
    found: BodyAir
    unseen: Mask
    airways: CentralAirways | None
    magnification: float = 1.0

    @classmethod
    def of(cls, canonical: Volume, step_mm: float, magnification: float = 0.0) -> IsoScan:
        """Resample a scan.

        Args:
            canonical: The scan in canonical order.
            step_mm: Side of an isotropic voxel.
            magnification: How many times larger than it is the body is shown to the network; 0 chooses by its
                cross-section, where that is seen whole.

        Raises:
            InputError: It is a single sagittal slice.
        """
        voxels, spacing, order = slice_plane(canonical)
        if magnification:
            return cls._at(voxels, spacing, order, step_mm, magnification)
        scan = cls._at(voxels, spacing, order, step_mm, 1.0)
        small = scan.diameter
        if not scan.has_size(canonical) or small is None or small > RULES.child_mm:
            return scan
        return cls._at(voxels, spacing, order, step_mm, min(RULES.adult_mm / small, RULES.most_magnification))

    @classmethod
    def _at(
        cls,
        voxels: npt.NDArray[Any],
        spacing: TrueSpacing,
        order: tuple[int, int, int],
        step_mm: float,
        magnification: float,
    ) -> IsoScan:
        reduced = reduce_volume(voxels, WorkingGrid.of(spacing, magnification).working)
        shape = (reduced.hu.shape[0], reduced.hu.shape[1], reduced.hu.shape[2])
        grid = IsoGrid(shape, reduced.spacing, step_mm)
        levels = find_levels(reduced.hu)
        own = grid.to_iso(reduced.hu)
        hu = normalise(np.asarray(own, np.float32), levels)
        step = WorkingMm(step_mm)
        coarse = replace(reduced, hu=np.asarray(own, np.float32), spacing=(step, step, step))
        found = find_inner_air(hu, coarse, TISSUE_HU)
        airways = find_central_airways(hu, found.inner, coarse.spacing)
        unseen = not_scanned(coarse.hu, TISSUE_HU)
        return cls(voxels, order, reduced, grid, levels, hu, found, unseen, airways, magnification)

    def has_size(self, canonical: Volume) -> bool:
        """Whether the scan's size in mm is known in three dimensions."""
        return canonical.meta.spacing_known and self.voxels.shape[2] > 1

    @property
    def diameter(self) -> float | None:
        """Diameter of a circle as large as the body's cross-section, working mm; None if it is cut."""
        return self.found.diameter(self.spacing)

    @property
    def spacing(self) -> WorkingSpacing:
        """Side of a voxel along each axis, working mm."""
        step = WorkingMm(self.grid.step)
        return step, step, step

    @property
    def true_ml(self) -> TrueMl:
        """Volume of a voxel in the patient, mL."""
        return TrueMl((self.grid.step / self.magnification) ** 3 / 1000.0)

    def own_hu(self, hu: float) -> float:
        """Return the scan's own value of a HU on the true scale."""
        return self.levels.air + (hu + 1000.0) * (self.levels.tissue - self.levels.air) / 1000.0

    def along(self, axis: int) -> Interpolation:
        """Return the interpolation from isotropic to native voxels along an axis."""
        count, factor = self.reduced.full_shape[axis], self.reduced.factors[axis]
        blocks, block = self.grid.shape[axis], self.grid.spacing[axis]
        size = self.grid.size[axis]
        mm = ((np.arange(count) + 0.5) / factor - 0.5 * blocks) * block
        return Interpolation.at(size, mm / self.grid.step + (size - 1) / 2)

    def landmarks(self) -> Landmarks:
        """Air around the body and in the trachea, which show the calibration."""
        room = self._median(erode(self.found.outside, _ROOM_MARGIN_MM, self.spacing))
        if self.airways is None:
            return Landmarks(outside_air_hu=room)
        trachea = self.airways.trachea
        box = bounding_box(trachea, 2 * self.grid.step, self.spacing)
        if box is None:
            return Landmarks(outside_air_hu=room)
        deep = np.zeros(trachea.shape, np.float32)
        deep[box] = depth(trachea[box], self.spacing)
        # Only the middle of the lumen: its wall brightens the voxels beside it.
        core = deep >= max(1.5 * self.grid.step, 0.6 * float(deep.max()))
        return Landmarks(room, self._median(core), TrueMl(float(self.airways.lumen.sum()) * self.true_ml))

    def _median(self, where: Mask) -> float | None:
        """Return the median of native voxels at the centres of isotropic ones; None if there are too few."""
        some = spread_samples(where)
        index = []
        for axis, at in enumerate(np.unravel_index(some, where.shape)):
            mm = (at - (self.grid.size[axis] - 1) / 2) * self.grid.step
            block = mm / self.grid.spacing[axis] + 0.5 * self.grid.shape[axis]
            voxel = (block * self.reduced.factors[axis]).astype(np.intp)
            index.append(np.clip(voxel, 0, self.reduced.full_shape[axis] - 1))
        return median_of_scanned(self.voxels[tuple(index)])
