"""Numbers of chest CT that several packages share."""

from __future__ import annotations

__all__ = ["AIR_HU", "CT_WINDOW_HU", "LOWEST_HU", "PADDING_HU", "USUAL_WIDTH_MM"]

#: HU of air by definition (Hounsfield 1973).
AIR_HU = -1000.0
#: Lowest HU of 12 bits with the usual offset of 1024; what scanners and converters pad with.
LOWEST_HU = -1024
#: A mean over some voxels below this HU is padding round the scanner's circle: noise of air averages out.
#: Not tuned; between -1024, which scaled images reach, and paddings of -1100 to -3024.
PADDING_HU = -1060.0
#: HU that networks see, from air to contrast medium and cancellous bone; no value beyond separates lung from
#: the rest. Not tuned.
CT_WINDOW_HU = (-1024.0, 400.0)
#: Width in mm that an axial slice of a chest without a scale is taken to have. It is the order of magnitude
#: of a usual field of view, and serves block sizes and rules of shape, never a measure.
USUAL_WIDTH_MM = 370.0
