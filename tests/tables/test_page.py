"""The page of many scans: offline, harmless, and alive in a browser."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hilum.tables import write_tables
from hilum.tables.columns import Column, Kind
from hilum.tables.folders import ScanFolder
from hilum.tables.page import render_index
from hilum.tables.scans import FoundFlag, ScanTable
from support.index_page import data_of

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")
EVIL = "<script>document.title='owned'<"


def shown(page: Path, profile: Path, steps: str = "", size: str = "1366,768") -> str:
    """Return the page as Chromium has it after the steps, a script that sets ``out`` to plain data.

    The steps are added to a copy without the policy, which forbids all scripts but the page's own. They run
    when the page has unpacked its data. Virtual time runs on only when the page is idle.
    """
    if steps:
        text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text("utf-8"))
        run = f"let out;{steps};document.body.dataset.out=JSON.stringify(out)"
        wait = "if(document.body.dataset.ready===undefined){setTimeout(drive,5);return}"
        script = f"<script>(function drive(){{{wait}{run}}})()</script></body>"
        page = page.with_name("driven.html")
        page.write_text(text.replace("</body>", script), "utf-8")
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--virtual-time-budget=60000",
        f"--window-size={size}",
    ]
    own = [f"--user-data-dir={profile}", "--dump-dom", page.as_uri()]
    done = subprocess.run([*command, *own], capture_output=True, check=True, timeout=300)
    return done.stdout.decode("utf-8")


def outcome(page: Path, profile: Path, steps: str, size: str = "1366,768") -> Any:
    found = re.search(r'data-out="([^"]*)"', shown(page, profile, steps, size))
    assert found, "the steps did not end"
    return json.loads(html.unescape(found[1]))


def many(count: int) -> ScanTable:
    """Made-up scans: their volume goes down while their number goes up; every third one has a flag."""
    columns = (
        Column("scan", "Scan", Kind.TEXT, "scan"),
        Column("kernel", "Kernel", Kind.TEXT, "acquisition"),
        *(
            Column(
                f"measure_{n}_ml", f"Measure {n}", Kind.NUMBER, "lungs", "mL", measure=f"m{n}", region="lungs"
            )
            for n in range(90)
        ),
        Column("lungs_volume_ml", "Both lungs: volume", Kind.NUMBER, "lungs", "mL"),
    )
    names = [f"site/scan-{n}" for n in range(count)]
    rows = tuple(
        (name, ("B30f", "B70f")[n % 2], *(n * 7919 % 9973 + k / 7 for k in range(90)), float(9000 - n))
        for n, name in enumerate(names)
    )
    flags = tuple(FoundFlag(name, "warning", "thick_slices", (), "Thick.") for name in names[::3])
    places = tuple(ScanFolder(name, Path("/results") / name, "results") for name in names)
    return ScanTable(columns, rows, places, flags)


def saved(table: ScanTable, folder: Path) -> Path:
    page = folder / "index.html"
    page.write_text(render_index(table, Path("/results")), "utf-8")
    return page


def test_the_page_asks_nobody_and_runs_no_script_but_its_own(results):
    write_tables(results)
    page = (results / "index.html").read_text("utf-8")
    assert re.findall(r"https?://[^\s\"']+", page) == ["http://www.w3.org/2000/svg"]
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1])
    script = re.search(r"<script>(.*?)</script>", page, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy
    assert "innerHTML" not in script


def test_thumbnails_are_linked_not_inlined_and_told_where_they_are_missing(results, make_scan):
    make_scan(results / "z", report=False)
    write_tables(results)
    page = (results / "index.html").read_text("utf-8")
    data = data_of(page)
    assert data["files"] == [3, 3, 3, 0]
    assert data["links"] == ["a", "b/ct-2", "b/ct-10", ""]
    assert "data:image" not in page


def test_a_folder_named_like_a_script_is_harmless_in_the_source(results, make_scan):
    make_scan(results / "x</script><img src=q onerror=alert(1)>", kernel=EVIL)
    write_tables(results)
    page = (results / "index.html").read_text("utf-8")
    assert "<img src=q" not in page
    assert EVIL not in page
    assert page.count("</script>") == 2


def test_the_page_shows_at_first_what_fits_and_groups_of_columns_whole():
    lobes = [
        f"{side}_lobe_volume_ml"
        for side in ("left_upper", "left_lower", "right_upper", "right_middle", "right_lower")
    ]
    tasks = ["lungs_injury_injured_share_percent", "airways_wall_area_percent", "vessels_bv5_share_percent"]

    def shown(*names):
        columns = [Column(name, name, Kind.NUMBER, "lungs") for name in names]
        table = ScanTable(
            (Column("scan", "Scan", Kind.TEXT, "scan"), *columns), (("a", *(1.0 for _ in names)),)
        )
        page = render_index(table, Path("/results"))
        return data_of(page)["shown"]

    lungs = [
        f"{part}_volume_ml" for part in ("right_lung", "left_lung", "lungs", "pleural_fluid", "pleural_gas")
    ]
    lungs = [*lungs[:3], "lungs_air_volume_ml", "lungs_tissue_mass_g", "lungs_mean_hu", *lungs[3:],
             "lungs_failure_probability"]  # fmt: skip
    assert shown("other", *lungs, *lobes) == [*lungs, *lobes]
    assert shown(*lobes, *tasks, *lungs) == [*lungs, *tasks]


def test_five_thousand_scans_take_less_than_ten_megabytes():
    assert len(render_index(many(5000), Path("/results"))) < 10_000_000


@needs_browser
def test_the_page_comes_alive_under_its_own_policy(results, make_scan, tmp_path):
    make_scan(results / f"x{EVIL}", kernel=EVIL)
    write_tables(results)
    dom = shown(results / "index.html", tmp_path / "profile")
    assert 'data-ready="4"' in dom
    assert "<title>4 scans · hilum</title>" in dom
    assert html.escape(EVIL, quote=False) in dom
    assert 'href="b/ct-10/report.html"' in dom
    assert 'src="a/thumbnail.png"' in dom
    assert 'aria-sort="ascending"' in dom


@needs_browser
def test_pictures_beside_the_page_are_allowed_by_its_policy(results, tmp_path):
    """No step can run under the policy, so the outlines of left lungs are counted in a shot."""
    image = pytest.importorskip("PIL.Image")
    write_tables(results)
    counts = []
    for name in ("with", "without"):
        shot = tmp_path / f"{name}.png"
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--window-size=1366,1200"]
        own = [f"--user-data-dir={tmp_path / name}", "--virtual-time-budget=3000", f"--screenshot={shot}"]
        command = [BROWSER, *flags, *own, (results / "index.html").as_uri()]
        subprocess.run(command, capture_output=True, check=True, timeout=300)
        with image.open(shot) as picture:
            pixels = picture.convert("RGB").getcolors(2**24)
        counts.append(sum(n for n, (r, g, b) in pixels if r > 200 and 110 < g < 180 and b < 110))
        for thumbnail in results.rglob("thumbnail.png"):
            thumbnail.unlink()
    assert counts[0] > counts[1] + 100


SORT = """
const names = () => [...document.querySelectorAll("tbody th")].map((cell) => cell.textContent);
const press = (name) => document.querySelector(`th[data-name="${name}"] button`).click();
const type = (input, value) => { input.value = value; input.dispatchEvent(new Event("input")); };
const choose = (select, value) => { select.value = value; select.dispatchEvent(new Event("change")); };
const status = () => document.getElementById("status").textContent;
"""


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("count", [300, 5000])
def test_scans_are_sorted_filtered_and_drawn_bit_by_bit(tmp_path, count):
    page = saved(many(count), tmp_path)
    out = outcome(
        page,
        tmp_path / "profile",
        SORT
        + """
out = { drawn: names().length, natural: names().slice(0, 3) };
press("lungs_volume_ml"); out.smallest = names()[0];
press("lungs_volume_ml"); out.largest = names()[0];
out.aria = document.querySelector('th[data-name="lungs_volume_ml"]').getAttribute("aria-sort");
out.focus = document.activeElement.closest("th").dataset.name;
document.querySelector('#quick [data-level="2"]').click(); out.check = status();
choose(document.getElementById("flag"), "0"); out.flag = status();
document.getElementById("range").click();
const [low, high] = document.querySelectorAll("#ranges input");
type(high, 9000 - 30); type(low, 9000 - 60); out.range = status();
document.querySelector("#ranges fieldset button").click(); out.removed = status();
document.getElementById("reset").click(); out.reset = status();
document.getElementById("more").click(); out.more = names().length;
out.bars = document.querySelectorAll("#hist .bar").length;
document.querySelector("#hist .bar").dispatchEvent(new MouseEvent("click")); out.bar = status();
""",
    )
    last, third = f"site/scan-{count - 1}", -(-count // 3)
    assert out["drawn"] == 60
    assert out["more"] == 120
    assert out["natural"] == ["site/scan-0", "site/scan-1", "site/scan-2"]
    assert (out["smallest"], out["largest"]) == (last, "site/scan-0")
    assert (out["aria"], out["focus"]) == ("descending", "lungs_volume_ml")
    assert out["check"] == out["flag"] == out["removed"] == f"{third} of {count} scans"
    assert out["range"] == f"11 of {count} scans"  # numbers 30, 33, ... 60
    assert out["reset"] == f"{count} scans"
    assert out["bars"] >= 5
    assert re.fullmatch(rf"\d+ of {count} scans", out["bar"])


@needs_browser
def test_search_finds_words_in_names_and_texts_and_unknown_values_come_last(tmp_path):
    table = many(5)
    first = (*table.rows[0][:-1], None)
    table = ScanTable(table.columns, (first, *table.rows[1:]), table.places, table.flags)
    out = outcome(
        saved(table, tmp_path),
        tmp_path / "profile",
        SORT
        + """
press("lungs_volume_ml"); out = { up: names() };
press("lungs_volume_ml"); out.down = names();
window.setTimeout = (done) => done(); // it waits until nobody types
type(document.getElementById("search"), "b70F scan");
out.found = names();
const box = document.querySelector("#columns fieldset input"); box.click();
const cells = () => document.querySelectorAll("thead th").length;
out.cell = cells();
type(document.querySelector("#columns .find input"), "Measure 7");
const seen = (line) => getComputedStyle(line).display !== "none";
out.left = [...document.querySelectorAll("#columns label")].filter(seen).length;
document.querySelector('#columns [data-group="lungs"] button').click(); out.found_only = cells();
type(document.querySelector("#columns .find input"), "");
document.querySelector('#columns [data-group="lungs"] button').click();
out.every = cells(); out.wide = document.getElementById("scroll").className;
document.querySelector("#columns .find button").click();
out.usual = cells(); out.narrow = document.getElementById("scroll").className;
""",
    )
    assert out["up"] == [f"site/scan-{n}" for n in (4, 3, 2, 1, 0)]
    assert out["down"] == [f"site/scan-{n}" for n in (1, 2, 3, 4, 0)]
    assert out["found"] == ["site/scan-1", "site/scan-3"]
    assert out["cell"] == 5  # thumbnail, scan, flags, volume, and the one just chosen
    assert out["left"] == 18  # 7, 17, ... 70 to 79
    assert out["found_only"] == 5 + 18
    assert (out["every"], out["wide"]) == (95, "scroll wide")
    assert (out["usual"], out["narrow"]) == (4, "scroll")


@needs_browser
def test_a_phone_shows_cards_that_are_not_wider_than_its_screen(results, tmp_path):
    write_tables(results)
    out = outcome(
        results / "index.html",
        tmp_path / "profile",
        """
const frame = document.querySelector("main");
out = { wide: document.documentElement.scrollWidth > window.innerWidth, width: window.innerWidth,
  display: getComputedStyle(document.querySelector("tbody tr")).display,
  charts: document.getElementById("charts").open };
""",
        size="500,844",
    )
    assert out["width"] <= 600
    assert (out["wide"], out["display"], out["charts"]) == (False, "grid", False)
