"""DICOM: a series assembler on pydicom, and DICOM SEG."""

from __future__ import annotations

from hilum.io.dicom.files import looks_like_dicom
from hilum.io.dicom.reader import read_dicom

__all__ = ["looks_like_dicom", "read_dicom"]
