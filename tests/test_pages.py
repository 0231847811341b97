"""Every page of a built book, opened in a real browser: the two-page smoke book always, the real one on demand."""

import contextlib
import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pytest

pytestmark = pytest.mark.browser

WIDTHS_PX = (1280, 390)
PAGE_LIMIT_MB = 3
LIMIT_MS = 120_000  # ends what hangs, however slow the machine
NOT_PAGES = {"genindex.html", "py-modindex.html", "search.html", "index.html"}  # made by Sphinx, nothing drawn


def build_smoke_book(repository, folder):
    """Build tests/smoke_book with the real book's configuration and extensions; returns the HTML folder."""
    shutil.copytree(repository / "tests/smoke_book", folder, dirs_exist_ok=True)
    shutil.copy(repository / "_config.yml", folder)
    for name in ("_ext", "_static"):
        shutil.copytree(repository / "book" / name, folder / "book" / name)
    shutil.copy(repository / "book/references.bib", folder / "book")
    command = [Path(sys.executable).with_name("jupyter-book"), "build", ".", "-W", "--keep-going", "-n"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"the smoke book does not build:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return folder / "_build/html"


@pytest.fixture(scope="session", params=["smoke", pytest.param("real", marks=pytest.mark.pages)])
def html(request, repository, tmp_path_factory, skip_unless_ci):
    """Folder of a built book: the smoke book, or the real one (CELLCLR_BOOK_HTML or _build/html)."""
    if request.param == "smoke":
        return build_smoke_book(repository, tmp_path_factory.mktemp("smoke_book"))
    folder = Path(os.environ.get("CELLCLR_BOOK_HTML", repository / "_build/html"))
    if not (folder / "index.html").is_file():
        skip_unless_ci(f"no built book in {folder}: run `make book` first")
    return folder


def pages_of(html):
    """Paths of the book's own pages, relative to `html`."""
    found = (page.relative_to(html) for page in sorted(html.rglob("*.html")))
    return [p for p in found if p.name not in NOT_PAGES and not p.parts[0].startswith("_")]


@pytest.fixture(scope="session")
def address(html):
    """The book served from this machine."""
    handler = functools.partial(_QuietHandler, directory=str(html))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@dataclass
class Visit:
    """What the browser saw on one page at one width."""

    page: str
    width_px: int
    errors: list = field(default_factory=list)  # console errors and uncaught exceptions
    requests: list = field(default_factory=list)  # failed, refused or external
    empty: list = field(default_factory=list)  # figures without a mark
    figures: int = 0
    colours: dict = field(default_factory=dict)  # theme → text colour of each Plotly figure
    overflow_px: int = 0


DRAWN = """async () => {
  const plots = [...document.querySelectorAll('.cellclr-figure')];
  for (let i = 0; i < 2400 && plots.some(p => p.dataset.drawn !== 'true'); i++)
    await new Promise(wait => setTimeout(wait, 50));
  await Promise.all([...document.images].filter(i => i.loading !== 'lazy').map(i => i.decode().catch(() => 0)));
}"""
EMPTY = """() => {
  const marks = 'svg .point, svg path.js-line, svg .imagelayer image, svg .hm image, svg .heatmaplayer image, ' +
                'svg .bars path, svg .shapelayer path, svg .im image, svg .violinlayer path';
  const folded = e => e.closest('.toggle-hidden, details:not([open])');
  const plot = p => p.querySelectorAll(marks).length > 0;
  const shown = f => [...f.querySelectorAll('img')].some(i => i.naturalWidth > 0) ||
    f.querySelector('svg, table') || false;
  const empty = [];
  document.querySelectorAll('.cellclr-figure').forEach((p, i) => { if (!plot(p)) empty.push('plot ' + i); });
  document.querySelectorAll('figure').forEach((f, i) => {
    if (!folded(f) && !shown(f)) empty.push('figure ' + (f.id || i));
  });
  return empty;
}"""
COLOURS = "() => [...document.querySelectorAll('.cellclr-figure')].map(p => p._fullLayout.font.color)"


def look(browser, address, page, width_px):
    """Open one page in a fresh profile and note everything the tests ask about."""
    import playwright.sync_api as playwright

    visit = Visit(str(page), width_px)
    context = browser.new_context(viewport={"width": width_px, "height": 900}, color_scheme="light")
    tab = context.new_page()
    tab.on("console", lambda m: visit.errors.append(m.text) if m.type == "error" else None)
    tab.on("pageerror", lambda e: visit.errors.append(str(e)))
    tab.on("requestfailed", lambda r: visit.requests.append(f"failed: {r.url}"))
    tab.on("response", lambda r: visit.requests.append(f"{r.status}: {r.url}") if r.status >= 400 else None)

    def outside(route):
        visit.requests.append(f"external: {route.request.url}")
        route.abort()

    tab.route(lambda url: not url.startswith((address, "data:", "blob:")), outside)
    tab.goto(f"{address}/{page.as_posix()}", wait_until="load")
    tab.evaluate(DRAWN)
    visit.figures = tab.locator(".cellclr-figure").count()
    visit.empty = tab.evaluate(EMPTY)
    light = visit.colours["light"] = tab.evaluate(COLOURS)
    tab.evaluate("document.documentElement.dataset.theme = 'dark'")
    with contextlib.suppress(playwright.TimeoutError):  # test_figures_follow_the_theme says which figure did not
        tab.wait_for_function(f"light => ({COLOURS})().every((c, i) => c !== light[i])", arg=light)
    visit.colours["dark"] = tab.evaluate(COLOURS)
    visit.overflow_px = tab.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    context.close()
    return visit


@pytest.fixture(scope="session")
def visits(browser, html, address):
    """One visit per page and width."""
    return [look(browser, address, page, width) for page in pages_of(html) for width in WIDTHS_PX]


def _all_clear(found):
    assert not any(found.values()), "\n".join(f"{where}: {what}" for where, what in found.items() if what)


def test_book_has_pages_with_figures(visits):
    assert sum(visit.figures for visit in visits) > 0


def test_no_console_error(visits):
    _all_clear({(v.page, v.width_px): v.errors for v in visits})


def test_no_failed_or_external_request(visits):
    _all_clear({(v.page, v.width_px): v.requests for v in visits})


def test_every_figure_has_drawn_marks(visits):
    _all_clear({(v.page, v.width_px): v.empty for v in visits})


def test_figures_follow_the_theme(visits):
    same = {
        (v.page, v.width_px): [c for c, d in zip(v.colours["light"], v.colours["dark"], strict=True) if c == d]
        for v in visits
    }
    _all_clear(same)


def test_page_does_not_scroll_sideways(visits):
    _all_clear({(v.page, v.width_px): [v.overflow_px] if v.overflow_px > 0 else [] for v in visits})


def test_page_size(html):
    sizes = {str(p): (html / p).stat().st_size / 1e6 for p in pages_of(html)}
    assert max(sizes.values()) <= PAGE_LIMIT_MB, f"pages larger than {PAGE_LIMIT_MB} MB: {sizes}"


class _Anchors(HTMLParser):
    """Collects the targets and the links of one page."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids.update(filter(None, (attributes.get("id"), attributes.get("name"))))
        link = attributes.get("href") if tag in ("a", "link") else attributes.get("src")
        if link:
            self.links.append(link)


def test_internal_links_resolve(html):
    parsed = {page: _Anchors((html / page).read_text()) for page in pages_of(html)}
    broken = []
    for page, anchors in parsed.items():
        for link in anchors.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (html / page.parent / unquote(parts.path)).resolve() if parts.path else (html / page)
            if not target.exists():
                broken.append(f"{page}: {link}")
                continue
            known = parsed.get(target.resolve().relative_to(html.resolve())) if target.suffix == ".html" else None
            if known and parts.fragment and unquote(parts.fragment) not in known.ids:
                broken.append(f"{page}: {link}")
    assert not broken, "\n".join(broken)


def test_every_page_leads_to_its_neighbours(html):
    """Previous and next follow the table of contents from the first page to the last."""
    text = {page: (html / page).read_text() for page in pages_of(html)}
    after = {}
    for page, source in text.items():
        found = re.search(r'class="right-next"\s+href="([^"]+)"', source)
        if found:
            after[page] = (html / page.parent / unquote(found[1])).resolve().relative_to(html.resolve())
    first = set(text) - set(after.values())
    assert len(first) == 1
    walked = list(first)
    while walked[-1] in after:
        walked.append(after[walked[-1]])
        assert re.search(r'class="left-prev"', text[walked[-1]]), f"{walked[-1]} does not lead back"
    assert set(walked) == set(text)


def test_executed_notebook_is_offered(html):
    """Pages with executed cells link their notebook; its figures are drawn by Jupyter's own Plotly type."""
    notebooks = list((html / "_sources").rglob("*.ipynb"))
    assert notebooks
    for notebook in notebooks:
        page = html / notebook.relative_to(html / "_sources").with_suffix(".html")
        assert f"{notebook.stem}.ipynb" in page.read_text()
        text = notebook.read_text()
        assert "cellclr-figure" not in text
        assert '"output_type": "error"' not in text


def test_hover_on_the_embedding_map_shows_the_cell(browser, html, address):
    page = next((p for p in pages_of(html) if '"thumbnails"' in (html / p).read_text()), None)
    assert page is not None, "no page holds a map with thumbnails"
    tab = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    tab.goto(f"{address}/{page.as_posix()}")
    tab.evaluate(DRAWN)
    maps = tab.locator(".cellclr-figure").filter(has=tab.locator(".updatemenu-container"))
    figure = next(
        maps.nth(i) for i in range(maps.count()) if maps.nth(i).evaluate("f => !!(f.layout.meta || {}).thumbnails")
    )
    figure.scroll_into_view_if_needed()
    assert tab.locator(".cellclr-thumbnail:not([hidden])").count() == 0
    box = figure.locator(".point").first.bounding_box()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=3)
    shown = tab.locator(".cellclr-thumbnail:not([hidden]) img")
    shown.wait_for(timeout=LIMIT_MS)
    assert shown.evaluate("image => image.naturalWidth") > 0
    tab.context.close()


def test_search_finds_the_pages(browser, html, address):
    """Sphinx's search runs in the page, from an index made at build time."""
    first = pages_of(html)[0]
    title = re.search(r"<h1>(.*?)<", (html / first).read_text())[1]
    tab = browser.new_context().new_page()
    tab.goto(f"{address}/search.html?q={quote(title)}")
    found = tab.locator(f"#search-results a[href*='{first.stem}']").first
    found.wait_for(timeout=LIMIT_MS)
    tab.context.close()
