"""Compressed DICOM files, made by GDCM."""

from __future__ import annotations

from pathlib import Path

import pytest


def gdcm_compress(path: Path, syntax: str, codec: object = None) -> None:
    """Compress a file in place with GDCM, by a codec of one's own or its usual one; skip where it cannot."""
    gdcm = pytest.importorskip("gdcm", reason="GDCM encodes JPEG")
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    if codec is not None:
        change.SetUserCodec(codec)
    change.SetInput(reader.GetImage())
    if not change.Change():
        pytest.skip(f"GDCM cannot encode {syntax}")
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
