"""A row comes back from its line with every value and type."""

from datetime import UTC, datetime
from typing import Any

import pytest
from azure.data.tables import EdmType, EntityProperty

from shared.storage.snapshot_rows import entity_of, is_instance, is_study, line_of

ROW = {
    "PartitionKey": "1.2",
    "RowKey": "instance:1.2.3:1.2.3.4",
    "text": 'Müller^Åsa\n"quoted" 日本',
    "empty": "",
    "flag": False,
    "count": -7,
    "size": EntityProperty(5 * 1024**3, EdmType.INT64),
    "time": datetime(2026, 1, 5, 23, 59, 59, 123456, tzinfo=UTC),
    "packed0": bytes(range(256)),
}


def test_a_row_comes_back_as_it_was() -> None:
    line = line_of(ROW)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    found = entity_of(line)
    assert found == ROW
    assert [type(value) for value in found.values()] == [type(value) for value in ROW.values()]


@pytest.mark.parametrize("value", [1.5, None, EntityProperty("x", EdmType.GUID)])
def test_a_value_that_no_row_has_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="no row of the catalog"):
        line_of({"RowKey": "study", "odd": value})


@pytest.mark.parametrize("line", [b"", b"{", b'{"a":{"type":"other","value":1}}', b'{"a":{}}'])
def test_another_line_is_refused(line: bytes) -> None:
    with pytest.raises((ValueError, KeyError)):
        entity_of(line)


def test_rows_are_told_apart_by_their_keys() -> None:
    keys = ("instance:1.2:3.4", "series:1.2", "study")
    assert [is_instance({"RowKey": key}) for key in keys] == [True, False, False]
    assert [is_study({"RowKey": key}) for key in keys] == [False, False, True]
