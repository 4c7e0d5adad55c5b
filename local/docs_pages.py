"""A hook of MkDocs: files beside docs/ also become pages of the site, and links to and from them work there.

Each page ends with the version, and a link to the repository where that is known.
"""

from html import escape
from pathlib import Path
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from shared.version import VERSION

_ROOT: Final = Path(__file__).parents[1]

# The file beside docs/, and its page; docs/security.md already has the other name.
_PAGES: Final = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md", "SECURITY.md": "threat-model.md"}

# What draws the diagrams, and what has the search work in pages that are opened as files, as mkdocs.yml lists them;
# `make setup-docs` fetches them.
_SCRIPTS: Final = {".mermaid/mermaid.min.js": "mermaid.min.js", ".iframe-worker/index.js": "iframe-worker.js"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Set the last line. MkDocs' own link to a repository is not used: the theme has it ask GitHub for stars."""
    config.copyright = f"Version {VERSION}"
    if repository := config.extra["repository"]:
        config.copyright += f', from <a href="{escape(repository)}">its repository</a>'
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and the scripts."""
    for name, page in {**_PAGES, **_SCRIPTS}.items():
        files.append(File.generated(config, page, abs_src_path=str(_ROOT / name)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page, with links to where those pages are in the site: all in one folder."""
    for name, page in _PAGES.items():
        markdown = markdown.replace(f"](../{name}", f"]({page}").replace(f"]({name}", f"]({page}")
    return markdown.replace("](docs/", "](")
