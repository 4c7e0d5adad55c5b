"""The documents as a site: it builds, each link leads somewhere, and its pages load nothing from elsewhere."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from local.azurite import ROOT

# The page that is made of each document.
PAGES = {path.stem: path for path in ROOT.glob("docs/*.md")} | {
    "changelog": ROOT / "CHANGELOG.md",
    "threat-model": ROOT / "SECURITY.md",
}


class Page(HTMLParser):
    """What a page links to and loads, the anchors that it has, and how many elements of each name its article has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.elements: list[str] = []
        self._is_in_article = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "article":
            self._is_in_article = True
        if self._is_in_article:
            self.elements.append(tag)
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag == "link" and values["rel"] not in ("canonical", "next", "prev"):
            self.loads.append(values["href"])
        elif "src" in values:
            self.loads.append(values["src"])

    def handle_endtag(self, tag: str) -> None:
        self._is_in_article &= tag != "article"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(  # noqa: S603 -- our own arguments
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
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
    assert page.elements.count("li") == len(re.findall(r"^ *(?:[*-]|\d+\.) ", text, re.MULTILINE))
