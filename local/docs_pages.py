"""A hook of MkDocs: files beside docs/ also become pages of the site, and links to and from them work there."""

from pathlib import Path
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

_ROOT: Final = Path(__file__).parents[1]

# The file beside docs/, and its page; docs/security.md already has the other name.
_PAGES: Final = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md", "SECURITY.md": "threat-model.md"}

# What draws the diagrams, as mkdocs.yml lists it; `make setup-docs` fetches it.
_SCRIPTS: Final = {".mermaid/mermaid.min.js": "mermaid.min.js"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and the script."""
    for name, page in {**_PAGES, **_SCRIPTS}.items():
        files.append(File.generated(config, page, abs_src_path=str(_ROOT / name)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page, with links to where those pages are in the site: all in one folder."""
    for name, page in _PAGES.items():
        markdown = markdown.replace(f"](../{name}", f"]({page}").replace(f"]({name}", f"]({page}")
    return markdown.replace("](docs/", "](")
