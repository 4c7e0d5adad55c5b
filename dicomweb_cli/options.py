"""The options that several commands have, and what is checked of them before anything is sent."""

import re
from enum import Enum
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

_BEARER_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 2.1


class FeedForm(Enum):
    """How changes are printed: a line for people, or the server's JSON as a line."""

    TABLE = "table"
    JSON = "json"


class FeedAction(Enum):
    """What a change may be; `update` is only Microsoft's."""

    CREATE = "create"
    DELETE = "delete"
    UPDATE = "update"


def checked_url(text: str) -> str:
    """The URL, if it can be that of a service. Raises BadParameter."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise typer.BadParameter(f"{text!r} is not like https://dicom.example.org/v2.")
    return text


def _token(text: str | None) -> str | None:
    token = text.strip() if text else None
    if token and not _BEARER_TOKEN.fullmatch(token):
        raise typer.BadParameter("That is not a bearer token: give it alone, without Bearer, quotes or spaces.")
    return token


Url = Annotated[
    str,
    typer.Option(
        "--url", envvar="DICOMWEB_URL", callback=checked_url, help="The DICOMweb service, with its version or path."
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="DICOMWEB_TOKEN",
        callback=_token,
        show_envvar=True,
        help="A bearer token; the variable is safer.",
    ),
]
Scope = Annotated[
    str | None,
    typer.Option("--scope", help="Sign in through azure-identity for this scope, such as api://<client id>/.default."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the server's JSON.")]
Since = Annotated[
    str,
    typer.Option(
        "--since",
        metavar="SEQUENCE|TIME|now",
        help="Only what follows this sequence number, or this time, such as 2026-11-30T08:00:00Z. An existing --cursor "
        "is followed instead.",
    ),
]
CursorFile = Annotated[
    Path | None,
    typer.Option(
        "--cursor",
        dir_okay=False,
        help="A file that keeps up to where changes were printed; the same command continues from there.",
    ),
]
SopClass = Annotated[str | None, typer.Option("--sop-class", metavar="UID", help="Only changes of this SOP class.")]
Study = Annotated[str, typer.Argument(help="Study Instance UID.")]
Series = Annotated[str | None, typer.Option("--series", help="Series Instance UID: only this series.")]
Instance = Annotated[str | None, typer.Option("--instance", help="SOP Instance UID: only this instance of the series.")]
Parallel = Annotated[int, typer.Option("--parallel", min=1, max=64, help="Requests at once.")]
Archive = Annotated[
    str,
    typer.Option(
        "--archive",
        envvar="STORAGE_BLOB_ENDPOINT",
        help="Blob endpoint of the archive's account, such as https://name.blob.core.windows.net.",
    ),
]
Container = Annotated[
    str, typer.Option("--container", envvar="BACKUP_CONTAINER", help="Container of the backup; dicom-backup.")
]
