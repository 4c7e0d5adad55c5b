"""Removing many rows of a table."""

from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from itertools import groupby
from operator import itemgetter
from typing import Final

from azure.data.tables import TableTransactionError
from azure.data.tables.aio import TableClient

from shared.storage.parallel import in_parallel

_BATCH_ROWS: Final = 100

Key = tuple[str, str]
"""Partition key and row key."""


async def remove_rows(table: TableClient, rows: Iterable[Key]) -> None:
    """Remove rows, wherever they still are: those of a table partition by the hundred, in one operation.

    Where one of a hundred is missing, each of them is removed by itself.
    """

    async def remove(keys: Sequence[Key]) -> None:
        if len(keys) > 1:
            try:
                await table.submit_transaction(
                    [("delete", {"PartitionKey": partition, "RowKey": row}) for partition, row in keys]
                )
            except TableTransactionError as error:
                if error.status_code != HTTPStatus.NOT_FOUND:
                    raise
            else:
                return
        await in_parallel(table.delete_entity(partition, row) for partition, row in keys)

    await in_parallel(map(remove, _batches(rows)))


def _batches(rows: Iterable[Key]) -> Iterator[Sequence[Key]]:
    for _, keys in groupby(sorted(set(rows)), key=itemgetter(0)):
        together = list(keys)
        yield from (together[start : start + _BATCH_ROWS] for start in range(0, len(together), _BATCH_ROWS))
