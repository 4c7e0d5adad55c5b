"""Which blob versions instances have now, read without anything else of their rows."""

from collections.abc import Collection, Mapping

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables.aio import TableClient

from shared.dicom.identifiers import InstanceIdentifiers, StudyKey
from shared.storage import keys
from shared.storage.parallel import in_parallel
from shared.storage.properties import PAGE_ROWS


class InstanceVersions:
    """The rows of instances in the catalog's table."""

    def __init__(self, table: TableClient) -> None:
        self._table = table

    async def read(
        self, study: StudyKey, instances: Collection[InstanceIdentifiers]
    ) -> Mapping[InstanceIdentifiers, str]:
        """The blob versions of those of a study's instances that are there.

        One operation reads the range of rows in which they all lie; where that holds over 1,000, each of those that
        come after takes one more.
        """
        partition, wanted = keys.study_partition(study), {keys.row_of_instance(one): one for one in instances}
        found: dict[InstanceIdentifiers, str] = {}
        seen, count = "", 0
        async for entity in self._table.query_entities(
            "PartitionKey eq @partition and RowKey ge @first and RowKey le @last",
            parameters={"partition": partition, "first": min(wanted), "last": max(wanted)},
            select=["RowKey", "version"],
            results_per_page=PAGE_ROWS,
        ):
            seen, count = entity["RowKey"], count + 1
            if seen in wanted:
                found[wanted[seen]] = entity["version"]
            if count == PAGE_ROWS:
                break
        else:
            return found

        async def look(row_key: str) -> None:
            version = await self.read_one(wanted[row_key])
            if version is not None:
                found[wanted[row_key]] = version

        await in_parallel(look(row_key) for row_key in wanted if row_key > seen)
        return found

    async def read_one(self, identifiers: InstanceIdentifiers) -> str | None:
        """The blob version of an instance; None when there is no such instance."""
        partition = keys.study_partition(identifiers.study)
        try:
            entity = await self._table.get_entity(partition, keys.row_of_instance(identifiers), select=["version"])
        except ResourceNotFoundError:
            return None
        version: str = entity["version"]
        return version
