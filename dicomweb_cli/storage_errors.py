"""What keeps a backup or a restore from going on, in words for the person who runs it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
)

from dicomweb_cli.connection import CannotGoOn
from dicomweb_cli.terminal import plain, sentence
from shared.errors import Unavailable
from shared.services.backup.backup import OtherArchive
from shared.services.backup.restore import NotEmpty, NothingToRestore
from shared.settings import Settings, SettingsError
from shared.storage.availability import is_unavailable
from shared.storage.backup_lock import BackupUnderWay, LockLost

_SENTENCES: Final[dict[type[Exception], str]] = {
    OtherArchive: "The archive has none of the studies that the backup has: it is another one, or has lost everything. "
    "Restore it, or back it up into another container.",
    BackupUnderWay: "Another backup into the container is under way. If it has died, try again in a minute.",
    LockLost: "The container's lock could not be renewed, so the backup ended. Run the same command again to continue.",
    NothingToRestore: "The backup has nothing to restore: no such study, or none at that time.",
    NotEmpty: "The archive has studies that are not in the backup, so it may be another one. Give --merge to restore "
    "beside them, or --study.",
}


@contextmanager
def explained(settings: Settings) -> Iterator[None]:
    """Turn what keeps a backup or a restore from going on into CannotGoOn."""
    try:
        yield
    except (*_SENTENCES,) as error:
        raise CannotGoOn(_SENTENCES[type(error)]) from None
    except (SettingsError, Unavailable) as error:
        raise CannotGoOn(str(error)) from None
    except ClientAuthenticationError as error:
        raise CannotGoOn(_of_sign_in(error, settings)) from None
    except ResourceNotFoundError as error:
        raise CannotGoOn(_of_absence(error, settings)) from None
    except AzureError as error:
        raise CannotGoOn(_of_storage(error)) from None


def _of_sign_in(error: ClientAuthenticationError, settings: Settings) -> str:
    if error.response is None:  # no token was sent
        lines = [plain(line).strip() for line in str(error.message).splitlines()] or [""]
        return f"There is no sign-in: {sentence(lines[0])} Run `az login`."
    if _is_backup(error, settings):
        account, roles = "backup", ("Storage Blob Data Contributor", "Storage Blob Data Reader")
    else:
        kind = "Table" if ".table." in _host(error) else "Blob"
        account, roles = "archive", (f"Storage {kind} Data Reader", f"Storage {kind} Data Contributor")
    needed = f"On the {account}'s account a backup needs the role {roles[0]}, a restore {roles[1]}."
    return f"{_host(error)} refuses the sign-in: {_code(error)}. {needed}"


def _of_absence(error: ResourceNotFoundError, settings: Settings) -> str:
    if not _is_backup(error, settings):
        return f"{_host(error)} holds no archive: {_code(error)}."
    name = settings.backup_container
    command = f"az storage container create --name {name} --account-name <name> --auth-mode login"
    return f"There is no container {name} at {_host(error)}: create it, by `{command}`."


def _of_storage(error: AzureError) -> str:
    if isinstance(error, HttpResponseError) and error.response is not None:
        word = "does not answer as it should" if is_unavailable(error) else "refuses"
        return f"{_host(error)} {word}: {_code(error)}. Run the same command again to continue."
    return f"Storage does not answer: {sentence(plain(str(error.message)))} Check the endpoints."


def _is_backup(error: HttpResponseError, settings: Settings) -> bool:
    return settings.backup_container in _url(error).path.split("/")


def _host(error: HttpResponseError) -> str:
    return _url(error).netloc


def _url(error: HttpResponseError) -> SplitResult:
    request: Any = error.response.request if error.response is not None else None
    return urlsplit(request.url if request else "")


def _code(error: HttpResponseError) -> str:
    return str(getattr(error, "error_code", None) or error.status_code)
