"""The query of the change feed: what Microsoft's clients send, and what is refused, with what is allowed."""

from datetime import UTC, datetime
from urllib.parse import parse_qs

import pytest

from shared.archive.change import Action
from shared.errors import BadRequest
from shared.web.api_versions import API_VERSIONS, ApiVersion
from shared.web.change_feed_query import (
    ACTIONS,
    ChangeFeedQuery,
    LatestQuery,
    following_query,
    parse_change_feed,
    parse_latest,
)

TEN = datetime(2024, 2, 29, 9, 11, 12, tzinfo=UTC)


def test_actions_are_those_of_changes() -> None:
    assert set(ACTIONS) == set(Action)


def test_defaults() -> None:
    assert parse_change_feed("", "v1") == ChangeFeedQuery(10, after=0, is_of_numbers=True)
    assert parse_change_feed("", "v2") == ChangeFeedQuery(100)


def test_v1_counts_sequence_numbers_and_ignores_times() -> None:
    query = parse_change_feed("OFFSET=7&limit=100&startTime=never&includemetadata=False", "v1")
    assert query == ChangeFeedQuery(100, after=7, has_metadata=False, is_of_numbers=True)


def test_what_microsofts_client_sends_in_v2() -> None:
    query = parse_change_feed(
        "startTime=2024-02-29T10%3a11%3a12.0000000%2b01%3a00&endTime=2024-02-29T10%3a11%3a13.0000000%2b01%3a00"
        "&offset=2&limit=200&includeMetadata=True",
        "v2",
    )
    assert query == ChangeFeedQuery(200, offset=2, since=TEN, until=TEN.replace(second=13))


@pytest.mark.parametrize(
    "text",
    [
        "2024-02-29T09:11:12Z",
        "2024-02-29T09:11:12.000Z",
        "2024-02-29T10:11:12%2B01:00",
        "2024-02-29T10:11:12+01:00",  # the plus sign of a client that does not encode it
        "2024-02-29T04:11:12-05:00",
        "2024-02-29 10:11:12+01:00",
        "20240229T091112Z",
    ],
)
def test_times_with_a_zone(text: str) -> None:
    assert parse_change_feed(f"startTime={text}", "v2").since == TEN


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2024-02-29T09:11:12",
        "2024-02-29",
        "2024-02-29 10:11",
        "now",
        "2024-02-30T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
    ],
)
@pytest.mark.parametrize("name", ["startTime", "endTime"])
def test_other_times_are_refused(name: str, text: str) -> None:
    with pytest.raises(BadRequest, match=f"{name} must be a date and time with a time zone"):
        parse_change_feed(f"{name}={text}", "v2")


@pytest.mark.parametrize("version", API_VERSIONS)
@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("offset=92233720368547758070", "from 0 to 9223372036854775807"),
        ("offset=9223372036854775808", "from 0 to 9223372036854775807"),
        ("offset=-1", "from 0"),
        ("offset=blah", "whole number"),
        ("offset=", "whole number"),
        ("limit=0", "from 1 to"),
        ("limit=-1", "from 1 to"),
        ("limit=201", "from 1 to"),
        ("limit=1&limit=2", "limit is given twice"),
        ("includeMetadata=0", "true or false"),
        ("includeMetadata=asdf", "true or false"),
        ("filter=x", "Unknown parameter: the parameters are offset, limit"),
        ("limit=%ff", "not UTF-8"),
    ],
)
def test_bad_values(version: ApiVersion, query: str, says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        parse_change_feed(query, version)


def test_limits_differ() -> None:
    with pytest.raises(BadRequest, match="from 1 to 100"):
        parse_change_feed("limit=101", "v1")
    assert parse_change_feed("limit=101", "v2").limit == 101


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("after=-1", "after must be a whole number"),
        ("after=1&offset=0", "cannot be given with offset"),
        ("after=1&startTime=2024-02-29T09:11:12Z", "cannot be given with offset or startTime"),
        ("action=update", "create or delete"),
        ("sopClassUid=CT", "must be a UID"),
        ("offset=1&action=create", "use after instead"),
        ("offset=1&partitionName=a", "use after instead"),
        ("startTime=2024-02-29T09:11:12Z&endTime=2024-02-29T10:11:12%2b01:00", "endTime must be later"),
        ("startTime=2024-02-29T09:11:12Z&endTime=2024-02-29T09:11:11Z", "endTime must be later"),
    ],
)
def test_bad_values_of_v2(query: str, says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        parse_change_feed(query, "v2")


def test_v1_has_no_more_parameters_than_microsofts() -> None:
    with pytest.raises(BadRequest, match="Unknown parameter"):
        parse_change_feed("after=1", "v1")


def test_filters_and_representation() -> None:
    query = parse_change_feed("after=5&ACTION=Delete&sopclassuid=1.2&partitionname=A&accept=*/*&charset=utf-8", "v2")
    assert query == ChangeFeedQuery(100, after=5, action="delete", sop_class_uid="1.2", partition_name="A")
    assert query.is_filtered
    assert not ChangeFeedQuery(1).is_filtered


def test_latest() -> None:
    assert parse_latest("") == LatestQuery()
    assert parse_latest("INCLUDEMETADATA=FALSE") == LatestQuery(has_metadata=False)
    with pytest.raises(BadRequest, match="the parameters are includeMetadata"):
        parse_latest("limit=1")


def test_the_query_of_what_follows() -> None:
    asked = "startTime=2024-02-29T09:11:12Z&endTime=2024-02-29T09:11:12.5Z&action=create&limit=3&includeMetadata=false"
    query = parse_change_feed(asked, "v2")
    following = following_query(query, 8)
    assert parse_qs(following) == {
        "after": ["8"],
        "limit": ["3"],
        "endTime": ["2024-02-29T09:11:12.500000Z"],
        "action": ["create"],
        "includeMetadata": ["false"],
    }
    again = parse_change_feed(following, "v2")
    assert (again.after, again.since, again.until, again.has_metadata) == (8, None, query.until, False)
    assert following_query(parse_change_feed("offset=3", "v2"), 8) == "after=8&limit=100"
