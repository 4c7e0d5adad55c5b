"""Inserting a row into a table."""

from collections.abc import Mapping
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.data.tables.aio import TableClient


async def insert_row(table: TableClient, entity: Mapping[str, Any]) -> None:
    """Insert a row. Raises ResourceExistsError where one of its keys is there, perhaps itself, sent twice."""
    try:
        await table.create_entity(entity)
    except AttributeError as error:  # the SDK's own, of this operation alone: over an answer that broke off
        if isinstance(error.__context__, HttpResponseError):
            raise error.__context__ from None
        raise
