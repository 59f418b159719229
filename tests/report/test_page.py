"""What every page says to the browser, and what it does to the text it shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from markupsafe import escape

import hilum
from hilum.core.volume import ScanMeta
from hilum.report import render_report
from hilum.report.page import POLICY

SOURCE = Path(hilum.__file__).parent
#: Escape sequences, C1, DEL, a turn of the writing direction, half a surrogate pair, a byte not in UTF-8.
HOSTILE = "a\x1b[31mb\x9b2Jc\x7fd\u202ee\ud800f\udcfcg\x00"


def test_a_page_may_show_itself_and_do_nothing_else(boxes):
    html = render_report(boxes)
    head = html[: html.index("</head>")]
    assert f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">' in head
    assert head.index("Content-Security-Policy") < head.index("<style>")
    assert POLICY.startswith("default-src 'none';")
    assert "script-src" not in POLICY


def test_every_page_has_the_common_head_and_is_rendered_in_one_place():
    pages = [path for path in SOURCE.rglob("*.j2") if "<head>" in path.read_text("utf-8")]
    assert len(pages) >= 3
    for path in pages:
        assert '<head>\n{% include "head.html.j2" %}\n' in path.read_text("utf-8"), path.name
    makers = [path.name for path in SOURCE.rglob("*.py") if "jinja2" in path.read_text("utf-8")]
    assert makers == ["page.py"]


def test_control_characters_of_names_and_tags_are_escaped(boxes, make_result):
    meta = ScanMeta(name=HOSTILE, kernel=HOSTILE, manufacturer=HOSTILE, source_format="nifti")
    run = replace(boxes.run, arguments={"source": HOSTILE})
    html = render_report(
        make_result(replace(boxes.volume, meta=meta), boxes.segmentations["lungs"].labels.data, (), run)
    )
    assert html.count(r"a\x1b[31mb\x9b2Jc\x7fd\u202ee\ud800f\xfcg\x00") == 5
    assert all(c.isprintable() or c in "\n\u202f\xa0" for c in html)
