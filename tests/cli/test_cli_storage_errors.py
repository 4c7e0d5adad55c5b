"""What a backup or a restore says where storage stands in its way, and which accounts it is about."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
)
from typer.testing import CliRunner

from dicomweb_cli.__main__ import app
from dicomweb_cli.backup import settings_of
from dicomweb_cli.connection import CannotGoOn
from dicomweb_cli.storage_errors import explained
from shared.services.backup.backup import OtherArchive
from shared.settings import Settings
from shared.storage.backup_lock import BackupUnderWay

SETTINGS = Settings(backup_container="kept")
ARCHIVE = "https://one.blob.core.windows.net"
BACKUP = "https://two.blob.core.windows.net/kept"


def refused(kind: type[HttpResponseError], url: str, code: str, status: int) -> HttpResponseError:
    response: Any = SimpleNamespace(request=SimpleNamespace(url=url), status_code=status, reason="")
    error = kind("SECRET key 4711", response=response)
    error.error_code = code  # type: ignore[attr-defined]
    return error


NO_RIGHT = "AuthorizationPermissionMismatch"
AZ_LOGIN = ClientAuthenticationError("AzureCliCredential: Please run 'az login' to set up an account\nMore.")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            refused(ClientAuthenticationError, f"{ARCHIVE}/dicom/1.2?x=1", NO_RIGHT, 403),
            f"one.blob.core.windows.net refuses the sign-in: {NO_RIGHT}. On the archive's account a backup needs the "
            "role Storage Blob Data Reader, a restore Storage Blob Data Contributor.",
        ),
        (
            refused(ClientAuthenticationError, "https://one.table.core.windows.net/catalog()", NO_RIGHT, 403),
            f"one.table.core.windows.net refuses the sign-in: {NO_RIGHT}. On the archive's account a backup needs the "
            "role Storage Table Data Reader, a restore Storage Table Data Contributor.",
        ),
        (
            refused(ClientAuthenticationError, f"{BACKUP}/lock", NO_RIGHT, 403),
            f"two.blob.core.windows.net refuses the sign-in: {NO_RIGHT}. On the backup's account a backup needs the "
            "role Storage Blob Data Contributor, a restore Storage Blob Data Reader.",
        ),
        (
            AZ_LOGIN,
            "There is no sign-in: AzureCliCredential: Please run 'az login' to set up an account. Run `az login`.",
        ),
        (
            refused(ResourceNotFoundError, f"{BACKUP}/lock", "ContainerNotFound", 404),
            "There is no container kept at two.blob.core.windows.net: create it, by `az storage container create "
            "--name kept --account-name <name> --auth-mode login`.",
        ),
        (
            refused(ResourceNotFoundError, "https://one.table.core.windows.net/catalog()", "TableNotFound", 404),
            "one.table.core.windows.net holds no archive: TableNotFound.",
        ),
        (
            refused(HttpResponseError, f"{BACKUP}/files", "ServerBusy", 503),
            "two.blob.core.windows.net does not answer as it should: ServerBusy. Run the same command again to "
            "continue.",
        ),
        (
            refused(HttpResponseError, f"{BACKUP}/files", "BlobImmutableDueToPolicy", 409),
            "two.blob.core.windows.net refuses: BlobImmutableDueToPolicy. Run the same command again to continue.",
        ),
        (
            ServiceRequestError("Cannot connect to host one.blob.core.windows.net:443"),
            "Storage does not answer: Cannot connect to host one.blob.core.windows.net:443. Check the endpoints.",
        ),
        (
            BackupUnderWay(),
            "Another backup into the container is under way. If it has died, try again in a minute.",
        ),
        (
            OtherArchive(),
            "The archive has none of the studies that the backup has: it is another one, or has lost everything. "
            "Restore it, or back it up into another container.",
        ),
    ],
)
def test_what_is_said(error: Exception, message: str) -> None:
    with pytest.raises(CannotGoOn) as raised, explained(SETTINGS):
        raise error
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("environment", "options", "endpoints"),
    [
        ({}, {"STORAGE_BLOB_ENDPOINT": ARCHIVE}, (ARCHIVE, "https://one.table.core.windows.net")),
        ({"STORAGE_BLOB_ENDPOINT": ARCHIVE}, {}, (ARCHIVE, "https://one.table.core.windows.net")),
        (
            {"STORAGE_BLOB_ENDPOINT": ARCHIVE, "STORAGE_TABLE_ENDPOINT": "https://tables.example.org"},
            {"STORAGE_BLOB_ENDPOINT": ARCHIVE},
            (ARCHIVE, "https://tables.example.org"),
        ),
        (
            {"STORAGE_BLOB_ENDPOINT": "https://x.blob.y", "STORAGE_TABLE_ENDPOINT": "https://x.table.y"},
            {"STORAGE_BLOB_ENDPOINT": ARCHIVE},
            (ARCHIVE, "https://one.table.core.windows.net"),
        ),
        ({}, {}, ("", "")),
    ],
)
def test_the_tables_are_those_of_the_archives_account(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], options: dict[str, str], endpoints: tuple[str, str]
) -> None:
    for name in ("STORAGE_BLOB_ENDPOINT", "STORAGE_TABLE_ENDPOINT"):
        monkeypatch.setenv(name, environment.get(name, ""))
    settings = settings_of(options)
    assert (settings.storage_blob_endpoint, settings.storage_table_endpoint) == endpoints


def test_what_is_missing_is_said_where_only_the_command_line_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dicomweb_cli.backup", None)
    for word in ("backup", "restore"):
        result = CliRunner().invoke(app, [word])
        assert result.exit_code == 2
        assert "Run `pip install 'dicomweb-cli[backup]'` first." in result.output
