"""The report as a document."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import nibabel as nib
import numpy as np
import pytest

from hilum.core.flags import Flag, Severity
from hilum.core.labels import LUNGS
from hilum.core.volume import ScanMeta, Volume
from hilum.report import render_report
from support.real_data import real_folder

PNG = "data:image/png;base64,"
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Document(HTMLParser):
    """Elements with attributes and text; fails on tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def of_class(self, name: str) -> list[dict[str, str | None]]:
        return [a for _, a in self.elements if name in (a.get("class") or "").split()]


@pytest.fixture(scope="module")
def html(chest) -> str:
    return render_report(chest)


@pytest.fixture(scope="module")
def document(html) -> Document:
    return Document(html)


def test_stands_alone(html, document):
    assert html.startswith("<!DOCTYPE html>")
    assert not document.all("script")
    assert not document.all("link")
    assert not document.all("iframe")
    for _, attributes in document.elements:
        for name in ("src", "href", "xlink:href", "data", "action"):
            assert (attributes.get(name) or PNG).startswith(PNG)
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"@import|url\(|https?://", html)
    assert len(html.encode()) < 1_500_000


def test_is_accessible(document):
    assert document.all("html")[0]["lang"] == "en"
    assert len(document.all("h1")) == 1
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in document.all("meta")
    assert document.all("th")
    assert all(th.get("scope") in {"col", "row", "colgroup"} for th in document.all("th"))
    for svg in document.all("svg"):
        assert svg.get("aria-hidden") == "true" or (svg.get("role") == "img" and svg.get("aria-label"))
    names = {element["id"] for _, element in document.elements if "id" in element}
    for _, element in document.elements:
        assert element.get("aria-labelledby", "measures") in names


def test_prints_on_a4(html):
    assert "@page { size: A4" in html


def test_same_result_same_bytes(chest, html):
    assert render_report(chest) == html


def test_says_what_it_is(document):
    text = document.text
    assert "Not a medical device. Not for diagnosis." in text
    assert "CT lung weight includes blood; it is not extravascular lung water." in text
    assert f"Label contract {LUNGS.version}." in text
    assert LUNGS.definition in text
    assert "lung window, W 1500 / L −600 HU" in text


def test_header_and_provenance(document, chest):
    text = document.text
    for words in (
        chest.volume.meta.name,
        "hilum 9.8.7",
        "classic 3, SHA-256 " + "ab" * 32,
        "task = lungs, normalize = False",
        "python = 3.12.1",
        "4.000 × 4.000 × 5.000 mm",
    ):
        assert words in text


def test_values_are_text(document, chest):
    weight = f"{chest.measures['lungs']['tissue_mass'].value:.0f}"
    assert f" {weight} " in document.text


def test_the_report_shows_slices_and_projections(document):
    assert len(document.of_class("plate")) == 7
    assert len(document.of_class("projection")) == 3
    assert len(document.of_class("scale")) == 7
    outlines = [p for p in document.all("path") if p.get("vector-effect")]
    assert {p["stroke"] for p in outlines} == {"#408ce0", "#f09638"}


def test_scale_bar_has_its_length(html):
    # The unit of a slice image is one millimetre, so a bar of n cm is drawn 10 n long.
    bars = re.findall(r'data-cm="([\d.]+)"', html)
    drawn = re.findall(r'<g class="scale"|<path d="M[\d. ]+v[\d.]+m0 -[\d.]+h([\d.]+)m0', html)
    lengths = [float(length) for length in drawn if length]
    assert len(lengths) == 2 * len(bars) == 14
    assert lengths[::2] == [10 * float(bar) for bar in bars]


def test_flags_come_worst_first_with_icon_and_word(boxes, make_result):
    flags = (
        Flag("c_note", Severity.INFO, "Good to know."),
        Flag("b_look", Severity.WARNING, "Look here."),
        Flag("a_stop", Severity.ERROR, "It is cut.", ("left_lung",), ("volume",)),
    )
    html = render_report(make_result(boxes.volume, boxes.segmentations["lungs"].labels.data, flags))
    document = Document(html)
    places = [html.index(code) for code in ("a_stop", "b_look", "c_note")]
    assert places == sorted(places)
    assert len(document.of_class("icon")) == 3
    text = document.text
    for words in ("Withheld", "Check", "Note", "It is cut.", "1 × Withheld, 1 × Check, 1 × Note"):
        assert words in text
    assert "No quality flag." not in text


def test_a_report_without_flags(document):
    assert "No quality flag." in document.text


def test_reason_of_an_unknown_value_is_printed(boxes, make_result):
    flag = Flag("cut", Severity.ERROR, "The left lung is cut.", ("left_lung",), ("volume", "mass"))
    result = make_result(boxes.volume, boxes.segmentations["lungs"].labels.data, (flag,))
    document = Document(render_report(result))
    notes = document.text.split("Measures", 1)[1].split("Density", 1)[0]
    assert "—" in notes
    assert result.measures["left_lung"]["tissue_mass"].reason in notes


HOSTILE = "<script>alert(1)</script>\"'&{{ 7*7 }}"


def test_hostile_text_is_shown_not_run(boxes, make_result):
    meta = ScanMeta(name=HOSTILE, kernel=HOSTILE, manufacturer=HOSTILE, source_format="nifti")
    run = replace(boxes.run, arguments={HOSTILE: HOSTILE}, platform={"os": HOSTILE})
    flags = (Flag("code", Severity.WARNING, HOSTILE, (HOSTILE,)),)
    volume = replace(boxes.volume, meta=meta)
    html = render_report(make_result(volume, boxes.segmentations["lungs"].labels.data, flags, run))
    document = Document(html)
    assert not document.all("script")
    assert "<script" not in html
    assert document.text.count("alert(1)") >= 6
    assert "{{ 7*7 }}" in html


def test_the_report_holds_nothing_that_could_identify_a_patient(boxes, make_result):
    meta = ScanMeta(name="scan", series_uid="1.2.840.99.1", files=("/home/a/Doe_Jane/1.dcm",))
    html = render_report(
        make_result(replace(boxes.volume, meta=meta), boxes.segmentations["lungs"].labels.data)
    )
    assert "1.2.840.99.1" not in html
    assert "Doe_Jane" not in html


def test_a_single_slice_has_one_image(boxes, make_result):
    meta = ScanMeta(name="slice", spacing_known=False, orientation_known=False, stored_shape=(40, 32))
    volume = Volume(boxes.volume.hu[:, :, 10:11], boxes.volume.affine, meta)
    html = render_report(make_result(volume, boxes.segmentations["lungs"].labels.data[:, :, 10:11]))
    document = Document(html)
    assert len(document.of_class("plate")) == 1
    assert not document.of_class("projection")
    assert not document.of_class("scale")
    letters = [t for t in document.texts if t in {"R", "L", "A", "P", "H", "F"}]
    assert letters == []
    assert "no voxel size" in document.text
    assert "does not state how the patient lies" in document.text
    assert "too few slices" in document.text


def test_projections_are_withheld_without_hu(boxes, make_result):
    labels = boxes.segmentations["lungs"].labels.data
    no_hu = Flag("not_hu", Severity.ERROR, "Not HU.", (), ("mass", "density"))
    assert not Document(render_report(make_result(boxes.volume, labels, (no_hu,)))).of_class("projection")
    cut = Flag("cut", Severity.ERROR, "Cut.", (), ("volume", "mass"))
    document = Document(render_report(make_result(boxes.volume, labels, (cut,))))
    assert len(document.of_class("projection")) == 3
    assert "the images show what was scanned" in document.text
    assert "adds up to the CT lung weight" not in document.text


def test_empty_mask_still_reports(boxes, make_result):
    document = Document(render_report(make_result(boxes.volume, np.zeros(boxes.volume.shape, np.uint8))))
    assert len(document.of_class("plate")) == 3
    assert not document.of_class("chart")


def test_oblique_scans_are_said_to_be(boxes, make_result):
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]]
    volume = replace(boxes.volume, affine=turn @ boxes.volume.affine)
    assert (
        "oblique by 11°"
        in Document(render_report(make_result(volume, boxes.segmentations["lungs"].labels.data))).text
    )


@pytest.mark.real
def test_real_scan(make_result):
    folder = real_folder("volumes")
    scan = nib.load(folder / "imlab-002.nii.gz")
    mask = np.asarray(nib.load(folder / "imlab-002_lungs.nii.gz").dataobj) > 0
    x = (np.indices(mask.shape)[0] * scan.affine[0, 0] + scan.affine[0, 3])[mask]
    labels = np.zeros(mask.shape, np.uint8)
    labels[mask] = np.where(x > (x.min() + x.max()) / 2, 1, 2)
    volume = Volume(np.asarray(scan.dataobj).astype(np.int16), scan.affine)
    html = render_report(make_result(volume, labels))
    assert len(Document(html).of_class("plate")) == 7
    assert len(html) < 1_500_000
