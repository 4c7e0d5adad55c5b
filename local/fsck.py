"""`python -m local.fsck [--repair] [--deep] [--azurite]`: prints a line for each thing wrong in an archive.

Without --azurite it is the archive that STORAGE_CONNECTION_STRING, or STORAGE_BLOB_ENDPOINT and STORAGE_TABLE_ENDPOINT,
name in the environment, or else in local.settings.json; with it, the archive of `make run`: on the Azurite at
AZURITE_PORT (10000), which is started on DATA (.azurite) if none runs.

Exit status: 0 nothing differs (or no longer does), 1 something does, 2 the archive could not be examined.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from azure.core.exceptions import AzureError

from local import azurite
from local.app_settings import app_settings
from local.azurite import ROOT, LocalError
from local.ports import is_taken
from shared.errors import Unavailable
from shared.services.repair.consistency import examine, repair
from shared.services.repair.differences import Difference
from shared.services.repair.study_check import Examined
from shared.settings import Settings, SettingsError
from shared.storage.archive import Archive


def main(arguments: list[str]) -> int:
    """Examine the archive that arguments and environment name; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m local.fsck", description="Check an archive against its invariants."
    )
    parser.add_argument("--repair", action="store_true", help="repair what differs, then show what still does")
    parser.add_argument("--deep", action="store_true", help="read every file and compare its SHA-256")
    parser.add_argument("--azurite", action="store_true", help="the archive of `make run`")
    chosen = parser.parse_args(arguments)
    try:
        with _storage(chosen.azurite) as connection_string:
            return asyncio.run(_check(_settings(connection_string), chosen.repair, chosen.deep))
    except (LocalError, SettingsError, Unavailable) as error:
        print(error, file=sys.stderr)
    except AzureError as error:
        print(f"Storage refused: {getattr(error, 'error_code', None) or type(error).__name__}.", file=sys.stderr)
    return 2


@contextmanager
def _storage(is_local: bool) -> Iterator[str | None]:
    """The connection string of Azurite while it runs; None where the settings say what to check."""
    if not is_local:
        yield None
        return
    port = azurite.port_of("AZURITE_PORT", azurite.DEFAULT_PORT)
    if is_taken(port):
        yield azurite.connection_string(port)
        return
    data = Path(os.environ.get("DATA") or ROOT / ".azurite")
    if not data.is_dir():
        raise LocalError(f"There is no archive: no Azurite runs on port {port}, and there is no data in {data}.")
    with azurite.running(port, data) as storage:
        yield storage.connection_string


def _settings(connection_string: str | None) -> Settings:
    values = app_settings()
    given = {**os.environ, **azurite.settings_of(connection_string)} if connection_string else dict(os.environ)
    if given.get("STORAGE_BLOB_ENDPOINT"):
        del values["STORAGE_CONNECTION_STRING"]
    # A check must not create an archive.
    return replace(Settings.from_environment({**values, **given}), create_storage=False)


async def _check(settings: Settings, is_repair: bool, is_deep: bool) -> int:
    archive = await Archive.open(settings)
    try:
        await archive.check()
        found = await _run(archive, settings, is_repair, is_deep)
        if found and is_repair:
            print("After the repair:")
            found = await _run(archive, settings, False, is_deep)
    finally:
        await archive.close()
    return 1 if found else 0


async def _run(archive: Archive, settings: Settings, is_repair: bool, is_deep: bool) -> int:
    """Print what differs, repairing it if asked, then a summary; return the number of differences."""
    started = time.perf_counter()
    examined, found = Examined(), 0
    async for difference in examine(archive, settings, deep=is_deep, examined=examined):
        found += 1
        print(_line(difference), flush=True)
        if is_repair:
            await repair(archive, settings, difference)
    print(
        f"{found} differences in {examined.studies} studies, {examined.instances} instances, {examined.blobs} blobs, "
        f"{examined.postings} postings; {time.perf_counter() - started:.1f} s",
        flush=True,
    )
    return found


def _line(difference: Difference) -> str:
    study = f"study {difference.study.study_instance_uid}: " if difference.study else ""
    return f"{difference.kind}: {study}{difference.concerns}: {difference.sentence}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
