import pytest

from shared.errors import Unavailable
from shared.identifiers import InstanceIdentifiers
from shared.settings import Settings, SettingsError
from shared.storage.archive import Archive
from shared.storage.availability import unavailable_storage
from tests.conftest import Azurite


async def test_storage_that_answers_is_healthy(archive: Archive) -> None:
    await archive.check()


async def test_opening_twice_with_creation_is_no_error(azurite: Azurite) -> None:
    settings = Settings(storage_connection_string=azurite.connection_string, create_storage=True)
    again = await Archive.open(settings)
    await again.check()
    await again.close()


async def test_no_storage_is_a_matter_of_settings() -> None:
    with pytest.raises(SettingsError, match="STORAGE_CONNECTION_STRING"):
        await Archive.open(Settings())


async def test_storage_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asyncio.sleep", _no_sleep)
    nobody = "http://127.0.0.1:9/devstoreaccount1"
    archive = await Archive.open(
        Settings(
            storage_connection_string=(
                f"AccountName=devstoreaccount1;AccountKey=a2V5;BlobEndpoint={nobody};TableEndpoint={nobody};"
            )
        )
    )
    with pytest.raises(Unavailable):
        await archive.check()
    with pytest.raises(Unavailable), unavailable_storage():
        await archive.catalog.read_instance(InstanceIdentifiers("1", "2", "3"))
    with pytest.raises(Unavailable), unavailable_storage():
        await archive.blobs.put("x", b"")
    await archive.close()


async def _no_sleep(_: float) -> None:
    return
