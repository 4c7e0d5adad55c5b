"""The documents as a site: it builds, each link leads somewhere, and its pages load nothing from elsewhere."""

import html
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from local.azurite import ROOT
from shared.version import VERSION
from tests.support.browser import CHROMIUM, shown

# The page that is made of each document.
PAGES = {path.stem: path for path in ROOT.glob("docs/*.md")} | {
    "changelog": ROOT / "CHANGELOG.md",
    "contributing": ROOT / "CONTRIBUTING.md",
    "threat-model": ROOT / "SECURITY.md",
}

in_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")


def diagrams(document: Path) -> list[str]:
    """The diagrams of a document, in mermaid's words."""
    return re.findall(r"^```mermaid\n(.*?)^```$", document.read_text(), re.DOTALL | re.MULTILINE)


class Page(HTMLParser):
    """What a page links to and loads, its anchors, how many elements of each name its article has, and its diagrams."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.elements: list[str] = []
        self.diagrams: list[str] = []
        self._is_in_article = False
        self._is_in_diagram = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "article":
            self._is_in_article = True
        if self._is_in_article:
            self.elements.append(tag)
        if tag == "pre" and values.get("class") == "mermaid":
            self._is_in_diagram = True
            self.diagrams.append("")
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag == "link" and values["rel"] not in ("canonical", "next", "prev"):
            self.loads.append(values["href"])
        elif "src" in values:
            self.loads.append(values["src"])

    def handle_endtag(self, tag: str) -> None:
        self._is_in_article &= tag != "article"
        self._is_in_diagram &= tag != "pre"

    def handle_data(self, data: str) -> None:
        if self._is_in_diagram:
            self.diagrams[-1] += data


def build(folder: Path, repository: str) -> None:
    if not ((ROOT / ".mermaid/mermaid.min.js").exists() and (ROOT / ".iframe-worker/index.js").exists()):
        pytest.fail("mermaid or iframe-worker, which pages need, is missing: run make setup-docs.", pytrace=False)
    done = subprocess.run(  # noqa: S603 -- our own arguments
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "REPOSITORY": repository},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build(folder, "")
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """All pages but that of the error 404, which is made for the root of a server."""
    found = {path: Page(path.read_text()) for path in site.rglob("*.html") if path.name != "404.html"}
    assert {path.stem for path in found} == set(PAGES)
    return found


def target(page: Path, link: str) -> tuple[Path, str]:
    """The file and the anchor that a relative link of a page leads to."""
    parts = urlsplit(link)
    file = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    return file / "index.html" if file.is_dir() else file, unquote(parts.fragment)


def test_each_link_leads_to_a_page_and_an_anchor_that_are_there(pages: dict[Path, Page]) -> None:
    followed, broken = 0, []
    for path, page in pages.items():
        for link in page.links:
            if urlsplit(link).scheme:
                continue
            followed += 1
            file, anchor = target(path, link)
            if not file.exists() or (anchor and anchor not in pages[file].anchors):
                broken.append((path.name, link))
    assert not broken
    assert followed > 500


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        assert page.loads
        for address in page.loads:
            assert not urlsplit(address).netloc, address
            assert target(path, address)[0].exists(), address
        # Where a page has no mermaid, the theme fetches it.
        assert not page.diagrams or "mermaid.min.js" in page.loads
    styles = list(site.rglob("*.css"))
    assert styles
    for style in styles:
        assert not re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", style.read_text()), style.name


@pytest.mark.parametrize("name", PAGES)
def test_a_page_shows_the_blocks_tables_and_lists_of_its_document(pages: dict[Path, Page], name: str) -> None:
    """The site's Markdown is stricter than GitHub's about indentation and blank lines."""
    prose, *code = re.split(r"^ *```.*\n(?:.*\n)*? *```$", PAGES[name].read_text(), flags=re.MULTILINE)
    text = "\n".join([prose, *code])
    (page,) = (page for path, page in pages.items() if path.stem == name)
    assert page.elements.count("pre") == len(code)
    assert page.elements.count("table") == len(re.findall(r"^\| ---", text, re.MULTILINE))
    assert [text.strip() for text in page.diagrams] == [text.strip() for text in diagrams(PAGES[name])]
    assert page.elements.count("li") == len(re.findall(r"^ *(?:[*-]|\d+\.) ", text, re.MULTILINE))


def test_each_page_says_its_version(site: Path, pages: dict[Path, Page]) -> None:
    assert pages
    for path in pages:
        assert f"Version {VERSION}\n" in path.read_text()


def test_each_page_links_to_the_repository_where_it_is_known(tmp_path: Path) -> None:
    build(tmp_path, "https://github.com/owner/dicomweb")
    for name in PAGES:
        page = (tmp_path / f"{name}.html").read_text()
        assert "https://github.com/owner/dicomweb" in Page(page).links
        assert 'data-md-component="source"' not in page  # what asks GitHub for stars


@in_browser
def test_the_search_finds_in_pages_that_are_opened_as_files(site: Path, tmp_path: Path) -> None:
    page = shown(f"{(site / 'index.html').as_uri()}?q=glossary", tmp_path)
    assert re.search(r"\d+ matching documents", page)
    assert re.search(r'href="file://[^"]*/glossary\.html" class="md-search-result__link"', page)


@in_browser
def test_the_site_draws_its_diagrams(site: Path, pages: dict[Path, Page], tmp_path: Path) -> None:
    drawn = [path for path, page in pages.items() if page.diagrams]
    assert drawn
    for path in drawn:
        page = shown(path.as_uri(), tmp_path)
        assert page.count('<div class="mermaid">') == len(pages[path].diagrams)
        assert '<pre class="mermaid">' not in page


@in_browser
def test_each_diagram_is_one_that_mermaid_draws(site: Path, tmp_path: Path) -> None:
    """That of a document which is no page of the site, too: GitHub draws it."""
    texts = [text for document in (ROOT / "README.md", *PAGES.values()) for text in diagrams(document)]
    page = tmp_path / "page.html"
    blocks = "".join(f'<pre class="mermaid">{html.escape(text)}</pre>' for text in texts)
    page.write_text(f'<meta charset="utf-8">{blocks}<script src="{(site / "mermaid.min.js").as_uri()}"></script>')
    document = shown(page.as_uri(), tmp_path / "profile")
    assert len(texts) > 2
    assert document.count("<svg ") == len(texts)
    assert "Syntax error" not in document
