import pytest

from shared.dicom.identifiers import DEFAULT_PARTITION, StudyKey
from shared.errors import Unavailable
from shared.settings import Settings, SettingsError
from shared.storage.archive import Archive
from shared.storage.availability import unavailable_storage
from tests.conftest import Azurite
from tests.support.default_partition import identifiers_of


async def test_storage_that_answers_is_healthy(archive: Archive) -> None:
    await archive.check()


async def test_an_archive_that_exists_is_opened_even_when_told_to_create_it(azurite: Azurite) -> None:
    settings = Settings(storage_connection_string=azurite.connection_string, create_storage=True)
    again = await Archive.open(settings)
    await again.check()
    await again.close()


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(storage_blob_endpoint="https://a.blob.core.windows.net"),
        Settings(storage_table_endpoint="https://a.table.core.windows.net"),
        Settings(storage_connection_string="x", storage_table_endpoint="https://a.table.core.windows.net"),
        Settings(
            storage_connection_string="x",
            storage_blob_endpoint="https://a.blob.core.windows.net",
            storage_table_endpoint="https://a.table.core.windows.net",
        ),
        Settings(storage_blob_endpoint="http://a.blob.core.windows.net", storage_table_endpoint="https://a.table.net"),
        Settings(storage_blob_endpoint="https://a.blob.core.windows.net", storage_table_endpoint="a.table.net"),
    ],
)
async def test_one_account_must_be_named_in_one_way(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="STORAGE_BLOB_ENDPOINT"):
        await Archive.open(settings)


async def test_a_developers_own_sign_in_is_found() -> None:
    archive = await Archive.open(
        Settings(
            storage_blob_endpoint="https://a.blob.core.windows.net",
            storage_table_endpoint="https://a.table.core.windows.net",
        )
    )
    await archive.close()


async def test_an_invalid_connection_string_is_not_quoted() -> None:
    with pytest.raises(SettingsError, match=r"^STORAGE_CONNECTION_STRING is not a connection string\.$") as raised:
        await Archive.open(Settings(storage_connection_string="AccountKey=secret"))
    assert raised.value.__cause__ is None


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
        await archive.catalog.read_instance(identifiers_of("1", "2", "3"))
    with pytest.raises(Unavailable), unavailable_storage():
        await archive.blobs.put("x", b"")
    await archive.close()


async def test_two_partitions_never_share_a_lock(archive: Archive) -> None:
    default, other = StudyKey(DEFAULT_PARTITION, "1.2"), StudyKey("hospital-1", "1.2")
    async with archive.study_lock(default), archive.study_lock(other):
        assert archive.study_lock(StudyKey(DEFAULT_PARTITION, "1.2")).locked()
        assert not archive.study_lock(StudyKey("hospital-2", "1.2")).locked()


async def _no_sleep(_: float) -> None:
    return
