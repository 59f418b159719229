"""The documentation builds, loads nothing from elsewhere, and says what the code does."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def script(name: str) -> ModuleType:
    """Load a script of the documentation."""
    spec = spec_from_file_location(Path(name).stem, DOCS / name)
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    pytest.importorskip("mkdocstrings", reason="the extra for the documentation is not installed")
    folder = tmp_path_factory.mktemp("site")
    words = ["mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_the_site_loads_nothing_from_elsewhere(site):
    assert script("check_site.py").outside_requests(site) == []
    assert len(list(site.rglob("*.html"))) > 30


@pytest.mark.slow
def test_every_verb_has_a_section_and_every_package_a_page(site):
    cli = (site / "reference" / "cli.html").read_text("utf-8")
    for verb in script("generators/cli_page.py").verbs():
        assert f"hilum {verb}</h2>" in re.sub(r"<a class=\"headerlink.*?</a>", "", cli)
    assert "hilum.segment" in (site / "reference" / "api" / "index.html").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")
def test_a_browser_asks_no_host_that_the_site_names(site, tmp_path):
    """Chromium itself asks hosts of its maker, so only those that stand in the site count."""
    log = tmp_path / "net.json"
    flags = (
        "--headless --no-sandbox --disable-gpu --no-first-run --disable-component-update "
        "--virtual-time-budget=5000 --dump-dom"
    )
    own = [f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}"]
    command = [BROWSER, *flags.split(), *own, (site / "index.html").as_uri() + "?q=volume"]
    subprocess.run(command, capture_output=True, check=True, timeout=120)
    text = "".join(
        path.read_text("utf-8") for path in site.rglob("*") if path.suffix in (".html", ".js", ".css")
    )
    named = set(re.findall(r"https?://([\w.-]+)", text))
    asked = set(re.findall(r'"url":"(?:https?|wss?)://([\w.-]+)', log.read_text("utf-8")))
    assert "unpkg.com" in named
    assert not named & asked


def test_every_package_but_the_command_line_has_a_page_of_its_api():
    packages = {path.parent.name for path in (ROOT / "src" / "hilum").glob("*/__init__.py")}
    assert set(script("generators/api_pages.py").PACKAGES) == packages - {"cli"}


@pytest.mark.parametrize(
    "page",
    [
        '<script src="https://cdn.example/a.js"></script>',
        "<script src=//cdn.example/a.js></script>",
        '<link rel="stylesheet" href="https://fonts.example/a.css">',
        "<style>@font-face { src: url(https://fonts.example/a.woff2) }</style>",
        '<img alt="" src="http://img.example/a.png">',
    ],
)
def test_what_a_browser_would_fetch_is_found(tmp_path, page):
    (tmp_path / "index.html").write_text(page, "utf-8")
    assert len(script("check_site.py").outside_requests(tmp_path)) == 1


def test_links_that_a_reader_may_click_are_fine(tmp_path):
    page = '<a href="https://example.org">there</a><link rel="canonical" href="https://example.org">'
    (tmp_path / "index.html").write_text(page, "utf-8")
    assert script("check_site.py").outside_requests(tmp_path) == []


@pytest.mark.parametrize("extra", ["", "train"])
def test_somebody_has_looked_at_the_licence_of_every_dependency(extra):
    """Look at a new one, then add it to PERMISSIVE or COPYLEFT of docs/generators/licences.py."""
    licences = script("generators/licences.py")
    try:
        packages = licences.packages_of(extra=extra)
    except PackageNotFoundError as error:
        pytest.skip(f"{error.name} is not installed")
    assert len(packages) > 10
    assert licences.unknown_licences(packages) == []
    if not extra:
        strong = {p.name for p in packages if p.identifiers & licences.COPYLEFT.keys()}
        assert strong == {"connected-components-3d", "edt"}


def test_the_python_tutorial_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "tutorials" / "python.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) >= 6
    exec(compile("\n".join(blocks), "python.md", "exec"), {"__name__": "tutorial"})
    said = capsys.readouterr().out
    assert "mL" in said
    assert "measures.json" in said
    assert "There is no file or folder missing.nii.gz." in said
