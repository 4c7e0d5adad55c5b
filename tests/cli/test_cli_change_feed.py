"""How the command line reads change feeds: all of each kind of server's, and nothing twice."""

from datetime import UTC, datetime

import httpx
import pytest

from dicomweb_cli.change_feed import ChangeFeed, Filters, Latest, change_feed, sequence_of, time_of
from dicomweb_cli.connection import CannotGoOn, NoService
from tests.support.feed_servers import CT, MR, FeedServer, Kind, entry

WITH_GAPS = [*range(1, 150), 151, *range(400, 760), 1_900]
ALL = Filters()


async def read(feed: ChangeFeed, position: int = 0) -> list[int]:
    """The sequence numbers of what follows a position; positions rise from page to page, to the latest at least."""
    latest, found = (await feed.latest()).sequence, []
    while position < latest:
        page = await feed.page(position, latest)
        assert page.position > position
        found += [sequence_of(one) for one in page.entries]
        position = page.position
    return found


@pytest.mark.parametrize("kind", ["v1", "v2"])
@pytest.mark.parametrize("after", [0, 1, 149, 150, 399, 759, 1_899])
async def test_all_that_follows_is_read_whatever_the_gaps(kind: Kind, after: int) -> None:
    feed = await change_feed(FeedServer(kind, map(entry, WITH_GAPS)).connection, ALL)
    assert await read(feed, after) == [number for number in WITH_GAPS if number > after]


@pytest.mark.parametrize("kind", ["v1", "v2"])
@pytest.mark.parametrize("answer", [httpx.Response(200, content=b"null"), httpx.Response(204)])
async def test_an_empty_feed_ends_at_0(kind: Kind, answer: httpx.Response) -> None:
    server = FeedServer(kind)
    server.faults = [answer]
    assert await (await change_feed(server.connection, ALL)).latest() == Latest(0, "")


async def test_what_comes_while_a_window_is_read_is_not_passed_over() -> None:
    """A window that is empty when it is read may be full when the next one is."""
    server = FeedServer("v1", [entry(1)])
    feed = await change_feed(server.connection, ALL)
    latest = (await feed.latest()).sequence
    page = await feed.page(0, latest)
    server.entries += map(entry, range(2, 300))
    assert await read(feed, page.position) == list(range(2, 300))


@pytest.mark.parametrize("kind", ["v1", "v2"])
async def test_what_comes_between_two_requests_is_read_once(kind: Kind) -> None:
    server = FeedServer(kind, map(entry, range(1, 100)))
    feed = await change_feed(server.connection, ALL)

    def grow() -> None:
        if len(server.entries) < 1000:
            last = server.entries[-1]["sequence"]
            server.entries += map(entry, range(last + 1, last + 80))

    server.after_page = grow
    latest = (await feed.latest()).sequence
    found, position = [], 0
    while position < latest:
        page = await feed.page(position, latest)
        found += [sequence_of(one) for one in page.entries]
        position, latest = page.position, (await feed.latest()).sequence
    assert found == [one["sequence"] for one in server.entries]


@pytest.mark.parametrize("kind", ["v1", "v2"])
async def test_filters_hold_whether_the_server_knows_them_or_not(kind: Kind) -> None:
    entries = [entry(number, "Create" if kind == "v1" else "create", CT) for number in range(1, 700)]
    entries[650] = entry(651, "delete", MR)
    entries[660] = entry(661, "delete", CT)
    server = FeedServer(kind, entries)
    assert await read(await change_feed(server.connection, Filters(action="delete", sop_class=MR))) == [651]
    assert await read(await change_feed(server.connection, Filters(action="delete"))) == [651, 661]
    assert len(await read(await change_feed(server.connection, Filters(action="create")))) == 697
    asked = [("action" in query, "sopClassUid" in query) for query in server.pages]
    assert (True, True) in asked if kind == "v2" else set(asked) == {(False, False)}


async def test_classes_that_the_server_does_not_say_are_not_guessed() -> None:
    feed = await change_feed(FeedServer("v1", [entry(1, sop_class=None)]).connection, Filters(sop_class=CT))
    with pytest.raises(CannotGoOn, match="omit --sop-class"):
        await read(feed)


async def test_a_server_that_ignores_the_position_is_noticed() -> None:
    server = FeedServer("v2 of Microsoft", map(entry, range(1, 301)))
    with pytest.raises(CannotGoOn, match=r"after 200 it sends 1\): give the service's address that ends in /v1\."):
        await read(await change_feed(server.connection, ALL))
    assert len(server.pages) == 2
    with pytest.raises(CannotGoOn, match="ends in /v1"):  # its full page is not taken for all there is
        await read(await change_feed(server.connection, Filters(action="delete")))


@pytest.mark.parametrize("kind", ["v1", "v2"])
async def test_a_time_becomes_a_position(kind: Kind) -> None:
    server = FeedServer(kind, [entry(number, day=1 + number // 100) for number in (*range(50, 450), 900)])
    feed = await change_feed(server.connection, ALL)

    async def before(day: int, hour: int) -> int:
        return await feed.position_before(datetime(2026, 11, day, hour, tzinfo=UTC), (await feed.latest()).sequence)

    assert await read(feed, await before(1, 0)) == [one["sequence"] for one in server.entries]
    assert await before(3, 0) == await before(2, 13) == 199
    assert await before(6, 0) == 899
    assert await before(20, 0) == 900


@pytest.mark.parametrize("kind", ["v1", "v2"])
async def test_an_address_without_a_version_is_tried(kind: Kind) -> None:
    server = FeedServer(kind, map(entry, WITH_GAPS), "https://dicom.example.org/archive")
    assert await read(await change_feed(server.connection, ALL)) == WITH_GAPS


@pytest.mark.parametrize("url", ["https://dicom.example.org/v2", "https://dicom.example.org/dicom-web"])
async def test_a_server_without_a_feed_is_named(url: str) -> None:
    server = FeedServer("v2", url=url)
    server.faults = [httpx.Response(404, json={"detail": "There is nothing."})]
    with pytest.raises(NoService, match="has no change feed: 404 There is nothing"):
        await (await change_feed(server.connection, ALL)).latest()


@pytest.mark.parametrize("document", [{}, [1], [{"sequence": "1"}], [{"sequence": True}], [{"sequence": -1}]])
async def test_an_answer_that_is_no_feed_is_reported(document: object) -> None:
    server = FeedServer("v2")
    feed = await change_feed(server.connection, ALL)
    server.faults = [httpx.Response(200, json=document)]
    with pytest.raises(NoService, match=r"https://dicom\.example\.org/v2/changefeed does not answer as a change feed"):
        await feed.page(0, 1)
    server.faults = [httpx.Response(200, html="<p>Welcome</p>")]
    with pytest.raises(NoService, match="it sends text/html"):
        await feed.latest()


@pytest.mark.parametrize("timestamp", [None, 5, "", "yesterday", "2026-11-30T12:00:00.1234567+01:00"])
def test_times_are_in_utc_or_missing(timestamp: object) -> None:
    time = time_of({"sequence": 1, "timestamp": timestamp})
    expected = datetime(2026, 11, 30, 11, 0, 0, 123456, tzinfo=UTC)
    assert time == (expected if str(timestamp).endswith("+01:00") else None)
