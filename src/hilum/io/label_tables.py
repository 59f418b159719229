"""Names and colours of a label map for other programs: inside a NIfTI header, and as a file beside it."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from hilum.core.labels import LabelSet

__all__ = ["itk_snap_labels", "nifti_extension"]

#: Code of an extension without a format of its own; TotalSegmentator writes its label table under it.
_PLAIN = 0
_STEP_BYTES = 16  # the size of an extension is a multiple of it
_HEAD_BYTES = 8  # size and code
#: ITK-SNAP skips these lines, other programs know the format by them.
_ITK_SNAP_HEAD = """\
################################################
# ITK-SnAP Label Description File
# File format:
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
# Fields:
#    IDX:   Zero-based index
#    -R-:   Red color component (0..255)
#    -G-:   Green color component (0..255)
#    -B-:   Blue color component (0..255)
#    -A-:   Label transparency (0.00 .. 1.00)
#    VIS:   Label visibility (0 or 1)
#    IDX:   Label mesh visibility (0 or 1)
#  LABEL:   Label description
################################################
"""


def nifti_extension(labels: LabelSet) -> bytes:
    """Return a header extension that names the values of a label map, as TotalSegmentator writes it.

    It is a label table in XML in the form of Caret. nibabel gives it as the first of
    ``image.header.extensions``. Its bytes are little-endian, as the headers are that hilum writes.

    Format: NIfTI-1, "Header Extension"; ``totalsegmentator/nifti_ext_header.py`` of TotalSegmentator 2.
    """
    table = "".join(
        f"<Label Key={quoteattr(str(info.value))} "
        + " ".join(
            f'{channel}="{value / 255:.6f}"'
            for channel, value in zip(("Red", "Green", "Blue"), info.colour, strict=True)
        )
        + f' Alpha="1"><![CDATA[{info.name}]]></Label>\n'
        for info in labels.labels
    )
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<CaretExtension><VolumeInformation Index="0"><LabelTable>\n'
        f"{table}"
        "</LabelTable><StudyMetaDataLinkSet></StudyMetaDataLinkSet>"
        "<VolumeType><![CDATA[Label]]></VolumeType></VolumeInformation></CaretExtension>\n"
    ).encode()
    size = -(-(len(text) + _HEAD_BYTES) // _STEP_BYTES) * _STEP_BYTES
    # Spaces behind the XML are part of it; the zeros that others fill up with are not.
    head = size.to_bytes(4, "little") + _PLAIN.to_bytes(4, "little")
    return head + text.ljust(size - _HEAD_BYTES)


def itk_snap_labels(labels: LabelSet) -> str:
    """Return names and colours of the labels as a label description file of ITK-SNAP.

    In ITK-SNAP: Segmentation, Import Label Descriptions.
    """
    rows = [(0, (0, 0, 0), 0, "Clear Label")]
    rows += [(info.value, info.colour, 1, info.title) for info in labels.labels]
    lines = (
        f"{value:>5} {red:>5} {green:>4} {blue:>4} {shown:>8} {shown:>2} {shown:>2}    "
        f'"{title.replace(chr(34), chr(39))}"\n'
        for value, (red, green, blue), shown, title in rows
    )
    return _ITK_SNAP_HEAD + "".join(lines)
