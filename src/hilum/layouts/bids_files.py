"""What the files of a BIDS derivative say: description of the dataset, sidecars, lookup tables, participants.

Standard: Brain Imaging Data Structure 1.11, https://bids-specification.readthedocs.io, "BIDS Derivatives" and
"Imaging data types". It has no CT yet; names of folders and raw files follow its proposal BEP024.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from hilum.core.errors import InputError
from hilum.core.labels import LabelSet
from hilum.core.version import __version__
from hilum.io.text import read_json

__all__ = [
    "BIDS_VERSION",
    "IGNORED",
    "MEASURES_COLUMNS",
    "PARTICIPANTS_COLUMNS",
    "README",
    "dataset_description",
    "is_ours",
    "label_rows",
    "sidecar",
    "tsv",
]

BIDS_VERSION = "1.11.0"
_NAME = "hilum"
#: What the sources are called in ``bids:`` URIs.
_RAW = "raw"
#: ``.bidsignore``: what the validator does not know.
IGNORED = """\
# BIDS has no CT yet (BEP024), so it does not know the folders ct.
**/ct
# Columns of the tables of measures in them.
desc-hilum_measures.json
# Tables of a batch, some of them private, and files that are being written.
/*.csv
/*.parquet
/*.xlsx
/index.html
.hilum-*
"""
#: ``README`` of the derivative.
README = """\
Lungs in chest CT, segmented and measured by hilum. Not for diagnosis.

sub-*/[ses-*/]ct/ holds, for each CT of the source dataset:

*_desc-lungs_dseg.nii.gz         label map on the grid of the CT; .json says what is inside, .tsv what the
                                 values mean
*_desc-lungs_labels.txt          the same values for ITK-SNAP
*_desc-hilum_measures.tsv        all measures, one row per region and measure; desc-hilum_measures.json says
                                 what the columns mean
*_desc-hilum_result.json         the same, with formulae, quality flags and reasons
*_desc-hilum_report.html         a page for people
*_desc-hilum_provenance.json     how the result was made

sources.csv and failed.csv say from which file each result came and what failed. They hold paths of the
computer that made them: leave them out when the derivative is shared.

Right and left are the patient's own. BIDS has no CT yet, so .bidsignore keeps its validator from the folders
ct.
"""
#: Data dictionary of ``participants.tsv``.
PARTICIPANTS_COLUMNS: dict[str, object] = {
    "Description": "Participants of whom a CT was segmented and measured.",
    "participant_id": {"Description": "Participant, as in the source dataset."},
    "ct_scans": {"Description": "Number of CT scans of the participant that were segmented and measured."},
}
#: Data dictionary of the tables of measures.
MEASURES_COLUMNS = {
    "task": {"Description": "What was segmented: the label map that the region belongs to."},
    "region": {"Description": "Region of the label map; right and left are the patient's own."},
    "measure": {"Description": "What was measured; result.json gives title, formula and source."},
    "value": {"Description": "Its value in the unit of the row; n/a where it is unknown."},
    "unit": {"Description": "Unit of the value."},
    "formula_id": {"Description": "Identifies the formula; the version stands in result.json."},
    "reason": {"Description": "Why the value is unknown."},
}


def dataset_description(dataset: Path, root: Path) -> dict[str, object]:
    """Return ``dataset_description.json`` of the derivative.

    Args:
        dataset: The dataset that holds the scans.
        root: Folder of the derivative.
    """
    raw = _description_of(dataset)
    source: dict[str, str] = {}
    doi = raw.get("DatasetDOI")
    link = _link(dataset, root)
    source |= {"DOI": doi} if isinstance(doi, str) and doi else {"URL": link}
    return {
        "Name": f"{_NAME}: lungs in chest CT",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [
            {
                "Name": _NAME,
                "Version": __version__,
                "Description": "Segments the lungs in chest CT and measures them. Not for diagnosis.",
            }
        ],
        "SourceDatasets": [source],
        "DatasetLinks": {_RAW: link},
    }


def is_ours(root: Path) -> bool:
    """Whether a folder is a derivative that hilum generated."""
    made = _description_of(root).get("GeneratedBy")
    return isinstance(made, list) and any(isinstance(one, dict) and one.get("Name") == _NAME for one in made)


def sidecar(
    labels: LabelSet, *, raw: str, fingerprint: str, model: Mapping[str, object]
) -> dict[str, object]:
    """Return the sidecar of a label map.

    Args:
        labels: What its values mean.
        raw: Path of the scan below its dataset, parts separated by ``/``.
        fingerprint: That of the scan.
        model: What segmented it.
    """
    return {
        "Description": f"Label map of {', '.join(info.title.lower() for info in labels.labels)}, on the grid "
        "of the CT.",
        "Sources": [f"bids:{_RAW}:{raw}"],
        "SpatialReference": "orig",
        "Manual": False,
        "LabelContract": labels.contract(),
        "Model": dict(model),
        "SourceFingerprint": fingerprint,
    }


def label_rows(labels: LabelSet) -> list[tuple[object, ...]]:
    """Return the lookup table of a label map: header, then index, name and colour of each label."""
    rows: list[tuple[object, ...]] = [("index", "name", "color")]
    return rows + [
        (info.value, info.name, "#" + "".join(f"{c:02x}" for c in info.colour)) for info in labels.labels
    ]


def tsv(rows: Iterable[Sequence[object]]) -> str:
    """Return rows as a table of BIDS: tabs between the fields, ``n/a`` for what is unknown."""
    return "".join("\t".join(map(_field, row)) + "\n" for row in rows)


def _field(value: object) -> str:
    return "n/a" if value is None else " ".join(str(value).split()) or "n/a"


def _description_of(folder: Path) -> dict[str, object]:
    with suppress(InputError):
        found = read_json(folder / "dataset_description.json")
        if isinstance(found, dict):
            return found
    return {}


def _link(dataset: Path, root: Path) -> str:
    """Return where the source lies, seen from the derivative."""
    try:
        return Path(os.path.relpath(dataset.resolve(), root.resolve())).as_posix()
    except ValueError:  # Windows: on another disk
        return dataset.resolve().as_uri()
