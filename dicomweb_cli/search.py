"""Searches (QIDO-RS), shown as a table, DICOM JSON or CSV."""

import csv
import json
import sys
from collections.abc import AsyncIterator, Sequence
from difflib import get_close_matches
from enum import Enum
from http import HTTPStatus
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.table import Table

from dicomweb_cli.connection import Connection, Refused
from dicomweb_cli.results import Result, results, values_of
from dicomweb_cli.terminal import ERR, OUT, plain, sentence
from shared.dicom.attributes import SEARCHABLE

Form = Enum("Form", ["TABLE", "JSON", "CSV"])

LEVELS: Final = ("studies", "series", "instances")

_PARAMETERS: Final = ("fuzzymatching", "includefield", "limit", "offset")
_SIMILARITY: Final = 0.8  # of a key and what it may be a misspelling of

_UID_WIDTH: Final = 22  # at which a UID of 64 characters takes three lines
_WIDE: Final = 170  # a window in which it takes one

# Keyword, tag, and heading in the table, which leaves out those without one.
_COLUMNS: Final[dict[str, tuple[tuple[str, str, str], ...]]] = {
    "studies": (
        ("PatientID", "00100020", "Patient ID"),
        ("PatientName", "00100010", "Patient"),
        ("StudyDate", "00080020", "Date"),
        ("ModalitiesInStudy", "00080061", "Modalities"),
        ("StudyDescription", "00081030", "Description"),
        ("AccessionNumber", "00080050", "Accession"),
        ("NumberOfStudyRelatedSeries", "00201206", "Series"),
        ("NumberOfStudyRelatedInstances", "00201208", "Instances"),
        ("StudyInstanceUID", "0020000D", "Study UID"),
    ),
    "series": (
        ("Modality", "00080060", "Modality"),
        ("SeriesNumber", "00200011", "Number"),
        ("SeriesDescription", "0008103E", "Description"),
        ("NumberOfSeriesRelatedInstances", "00201209", "Instances"),
        ("SeriesInstanceUID", "0020000E", "Series UID"),
        ("StudyInstanceUID", "0020000D", "Study UID"),
    ),
    "instances": (
        ("InstanceNumber", "00200013", "Number"),
        ("Rows", "00280010", "Rows"),
        ("Columns", "00280011", "Columns"),
        ("NumberOfFrames", "00280008", "Frames"),
        ("SOPClassUID", "00080016", ""),
        ("SOPInstanceUID", "00080018", "Instance UID"),
        ("SeriesInstanceUID", "0020000E", "Series UID"),
        ("StudyInstanceUID", "0020000D", ""),
    ),
}


async def search(
    connection: Connection, level: str, keys: Sequence[tuple[str, str]], *, wanted: int | None, form: Form
) -> None:
    """Print the results of a search, up to the number wanted, or all, and the server's warnings. Raises Refused."""
    warnings: list[str] = []
    # Servers need not send these unasked.
    fields = [("includefield", tag) for _, tag, _ in _COLUMNS[level] if tag not in ("0020000D", "0020000E")]
    found = results(connection, level, [*keys, *fields], wanted=wanted, warnings=warnings)
    try:
        if form is Form.JSON:
            await _print_json(found)
        elif form is Form.CSV:
            await _print_csv(found, level)
        else:
            await _print_table(found, level)
    except Refused as error:
        suggestion = _suggestion([key for key, _ in keys])
        if error.status == HTTPStatus.BAD_REQUEST and suggestion and "Did you mean" not in error.reason:
            raise Refused(error.status, f"{sentence(error.reason)} {suggestion}") from None
        raise
    for warning in warnings:
        ERR.print(f"The server warns: {warning}", soft_wrap=True)


def _suggestion(keys: Sequence[str]) -> str:
    """Which keys may be misspelt, as a question; "" without any."""
    known = {name.lower(): name for name in (*(key.keyword for key in SEARCHABLE), *_PARAMETERS)}
    meant = [
        known[close[0]]
        for key in keys
        if key.lower() not in known and (close := get_close_matches(key.lower(), known, 1, _SIMILARITY))
    ]
    return f"Did you mean {' and '.join(meant)}?" if meant else ""


async def _print_json(found: AsyncIterator[Result]) -> None:
    """A JSON array, one result a line, as they arrive."""
    separator = "["
    async for result in found:
        sys.stdout.write(f"{separator}\n{json.dumps(result)}")
        separator = ","
    sys.stdout.write("[]\n" if separator == "[" else "\n]\n")


async def _print_csv(found: AsyncIterator[Result], level: str) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(keyword for keyword, _, _ in _COLUMNS[level])
    async for result in found:
        writer.writerow(_text(result, tag) for _, tag, _ in _COLUMNS[level])


async def _print_table(found: AsyncIterator[Result], level: str) -> None:
    table = Table(box=SIMPLE_HEAD)
    columns = [(tag, heading) for _, tag, heading in _COLUMNS[level] if heading]
    for _, heading in columns:
        table.add_column(heading, overflow="fold", no_wrap=heading.endswith("UID"))
    async for result in found:
        table.add_row(*(_cell(result, tag, heading) for tag, heading in columns))
    if table.row_count:
        OUT.print(table)
    ERR.print(f"Results: {table.row_count}")


def _cell(result: Result, tag: str, heading: str) -> str:
    """What a table shows of an attribute; always the whole of a UID."""
    text = plain(_text(result, tag))
    if not heading.endswith("UID") or OUT.width >= _WIDE:
        return text
    return "\n".join(text[start : start + _UID_WIDTH] for start in range(0, len(text), _UID_WIDTH))


def _text(result: Result, tag: str) -> str:
    """All values of an attribute, with DICOM's separator."""
    return "\\".join("" if value is None else str(value) for value in values_of(result, tag))
