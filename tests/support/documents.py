"""The project's documents as tests read them."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFORMANCE = (ROOT / "docs/conformance.md").read_text()


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the table under the header row that begins with `heading`, backquotes removed."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith(f"| {heading} |"):
            next(lines)
            break
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        found.append([cell.strip().replace("`", "") for cell in line.strip("|").split("|")])
    return found
