"""The project's documents as tests read them."""

from collections.abc import Iterable
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


def check_rows(document: str, heading: str, expected: Iterable[Iterable[str]], section: str = "") -> None:
    """Fail with the rows that the table under `heading` lacks, and those that it should not have.

    `document` is the path of the file; `section`, where the table is not the first with its heading, the heading above.
    """
    text = (ROOT / document).read_text()
    if section:
        text = text.partition(f"\n## {section}\n")[2]
    documented = [" | ".join(row) for row in rows(text, heading)]
    wanted = [" | ".join(row) for row in expected]
    lacking = [f"| {row} |" for row in wanted if row not in documented]
    wrong = [f"| {row} |" for row in documented if row not in wanted]
    place = f"{document}, the table whose header begins with '{heading}'"
    assert not lacking, "\n".join([f"{place} lacks:", *lacking])
    assert not wrong, "\n".join([f"{place} has what the code does not:", *wrong])
    assert len(documented) == len(wanted), f"{place} has a row twice."
