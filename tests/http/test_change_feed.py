"""The change feed of the served app: what Microsoft's service answers and its client reads, and more in v2."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from openapi_schema_validator import OAS31Validator

from tests.conftest import Server, serving
from tests.support.served_instances import dataset, long_content, new_uid, part10

CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An app whose archive has no changes but those of these tests."""
    with serving(tmp_path_factory.mktemp("server") / "log") as running:
        yield running


@pytest.fixture(scope="module")
def service(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.base_url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def stored(service: httpx.Client) -> dict[str, str]:
    """The first changes: an instance stored, deleted and stored again, another stored, and one stored and deleted."""
    assert service.get("/v2/changefeed").json() == []
    for path in ("/v2/changefeed/latest", "/v1/changefeed/latest?includeMetadata=false"):
        response = service.get(path)
        assert (response.status_code, response.json()) == (200, None)
    uids = {"again": new_uid(), "other": new_uid(), "gone": new_uid()}
    study = new_uid()
    store(service, study, uids["again"])
    delete(service, study)
    store(service, study, uids["again"], StudyDescription="Second")
    store(service, study, uids["other"])
    assert len(service.get("/v2/changefeed").json()) == 4  # what is drained together has no order from study to study
    store(service, new_uid(), uids["gone"])
    (gone,) = [one for one in service.get("/v2/changefeed").json() if one["sopInstanceUid"] == uids["gone"]]
    delete(service, gone["studyInstanceUid"])
    return {**uids, "study": study}


def store(service: httpx.Client, study: str, instance: str, **attributes: Any) -> None:
    series = f"{study}.1"
    image = dataset(StudyInstanceUID=study, SeriesInstanceUID=series, SOPInstanceUID=instance, **attributes)
    headers = {"Content-Type": "application/dicom"}
    assert service.post("/v2/studies", content=part10(image), headers=headers).status_code == 200


def delete(service: httpx.Client, study: str) -> None:
    assert service.delete(f"/v2/studies/{study}").status_code == 204


def feed(service: httpx.Client, query: str = "", version: str = "v2") -> list[dict[str, Any]]:
    response = service.get(f"/{version}/changefeed?{query}")
    assert response.status_code == 200, response.text
    assert "Warning" not in response.headers
    found: list[dict[str, Any]] = response.json()
    return found


def sequences(found: list[dict[str, Any]]) -> list[int]:
    return [one["sequence"] for one in found]


def test_actions_and_states(service: httpx.Client, stored: dict[str, str]) -> None:
    found = feed(service, "limit=6")
    assert sequences(found) == [1, 2, 3, 4, 5, 6]
    names = {uid: name for name, uid in stored.items()}
    assert [(names[one["sopInstanceUid"]], one["action"], one["state"]) for one in found] == [
        ("again", "create", "replaced"),
        ("again", "delete", "replaced"),
        ("again", "create", "current"),
        ("other", "create", "current"),
        ("gone", "create", "deleted"),
        ("gone", "delete", "deleted"),
    ]
    assert feed(service, "limit=6&includeMetadata=false") == [
        {name: value for name, value in one.items() if name != "metadata"} for one in found
    ]


def test_an_entry(service: httpx.Client, stored: dict[str, str]) -> None:
    entry = feed(service, "limit=1&offset=2")[0]
    metadata = entry.pop("metadata")
    stamp = datetime.fromisoformat(entry.pop("timestamp"))
    assert abs(datetime.now(UTC) - stamp) < timedelta(minutes=5)
    path = f"studies/{stored['study']}/series/{entry['seriesInstanceUid']}/instances/{stored['again']}"
    assert entry == {
        "sequence": 3,
        "partitionName": "Microsoft.Default",
        "studyInstanceUid": stored["study"],
        "seriesInstanceUid": entry["seriesInstanceUid"],
        "sopInstanceUid": stored["again"],
        "action": "create",
        "state": "current",
        "sopClassUid": CAPTURE,
        "modality": "OT",
    }
    assert [metadata] == service.get(f"/v2/{path}/metadata").json()
    assert metadata["00081030"]["Value"] == ["Second"]
    assert metadata["7FE00010"]["BulkDataURI"].endswith(f"/v2/{path}/bulkdata/7FE00010")


def test_metadata_is_of_now_and_absent_once_deleted(service: httpx.Client, stored: dict[str, str]) -> None:
    metadata = [one.get("metadata") for one in feed(service, "limit=6")]
    assert metadata[0] == metadata[1] == metadata[2] != metadata[3]
    assert metadata[4:] == [None, None]


@pytest.mark.usefixtures("stored")
def test_timestamps_rise_in_microseconds(service: httpx.Client) -> None:
    stamps = [one["timestamp"] for one in feed(service, "includeMetadata=false")]
    assert stamps == sorted(set(stamps))
    assert all(len(stamp) == len("2026-01-31T09:30:00.123456Z") and stamp.endswith("Z") for stamp in stamps)


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("version", ["v1", "v1.0-prerelease", ""])
def test_v1_counts_sequence_numbers(service: httpx.Client, version: str) -> None:
    service_path = f"/{version}/changefeed".replace("//", "/")
    for query, expected in {
        "": [1, 2, 3, 4, 5, 6],
        "offset=2": [3, 4, 5, 6],
        "offset=2&limit=3": [3, 4, 5],
        "offset=100": [],
        "startTime=never&endTime=2000-01-01": [1, 2, 3, 4, 5, 6],
    }.items():
        response = service.get(f"{service_path}?{query}")
        assert sequences(response.json())[:6] == expected
        assert "Link" not in response.headers


@pytest.mark.usefixtures("stored")
def test_v2_counts_rows_of_a_window(service: httpx.Client) -> None:
    everything = feed(service, "includeMetadata=false&limit=6")
    stamps = [quote(one["timestamp"]) for one in everything]
    for query, expected in {
        "offset=2&limit=3": [3, 4, 5],
        f"startTime={stamps[1]}&endTime={stamps[4]}": [2, 3, 4],
        f"startTime={stamps[1]}&endTime={stamps[4]}&offset=1&limit=1": [3],
        f"startTime={stamps[1]}&endTime={stamps[4]}&offset=3": [],
        f"endTime={stamps[2]}": [1, 2],
        "endTime=2000-01-01T00:00:00Z": [],
        "endTime=1500-01-01T00:00:00Z": [],
        "startTime=1500-01-01T00:00:00Z&endTime=1600-01-01T00:00:00Z": [],
        "startTime=9999-12-31T23:59:59Z": [],
        f"startTime={stamps[4]}&limit=2": [5, 6],
    }.items():
        assert sequences(feed(service, query)) == expected, query


@pytest.mark.usefixtures("stored")
def test_a_time_in_any_zone(service: httpx.Client) -> None:
    stamp = datetime.fromisoformat(feed(service, "limit=3")[2]["timestamp"])
    for zone in (timedelta(hours=1), timedelta(hours=-7), timedelta(0)):
        text = (stamp.replace(tzinfo=None) + zone).isoformat() + f"{'-' if zone < timedelta(0) else '+'}"
        hours = abs(zone).seconds // 3600
        written = f"{text}{hours:02}:00"
        for sent in (written, quote(written), written.replace("+", "%20")):
            assert sequences(feed(service, f"startTime={sent}&limit=2")) == [3, 4]


@pytest.mark.usefixtures("stored")
def test_links_lead_through_the_feed(service: httpx.Client) -> None:
    url, read = "/v2/changefeed?limit=2&includeMetadata=false&action=create", []
    while url:
        response = service.get(url)
        read += [(one["sequence"], one["action"]) for one in response.json()]
        url = response.links.get("next", {}).get("url", "")
    assert read[:4] == [(1, "create"), (3, "create"), (4, "create"), (5, "create")]
    assert service.get("/v2/changefeed", params={"after": read[-1][0]}).headers.get("Link") is None


@pytest.mark.usefixtures("stored")
def test_filters(service: httpx.Client) -> None:
    assert sequences(feed(service, "action=delete")) == [2, 6]
    assert sequences(feed(service, "Action=CREATE&after=3&limit=2")) == [4, 5]
    assert sequences(feed(service, f"sopclassuid={CAPTURE}&limit=3")) == [1, 2, 3]
    assert feed(service, "sopClassUid=1.2.3") == []
    assert sequences(feed(service, "partitionName=Microsoft.Default&limit=1")) == [1]
    assert feed(service, "partitionName=other") == []


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("offset=92233720368547758070", "from 0"),
        ("offset=blah", "from 0"),
        ("limit=0", "from 1"),
        ("limit=-1", "from 1"),
        ("limit=201", "from 1"),
        ("includeMetadata=0", "true or false"),
        ("includeMetadata=asdf", "true or false"),
        ("unknown=1", "the parameters are"),
    ],
)
def test_bad_values(service: httpx.Client, version: str, query: str, says: str) -> None:
    response = service.get(f"/{version}/changefeed?{query}")
    assert response.status_code == 400
    assert says in response.json()["detail"]


@pytest.mark.parametrize(
    "query",
    [
        "startTime=2026-01-01T00:00:00",
        "startTime=2026-01-02T00:00:00Z&endTime=2026-01-02T00:00:00Z",
        "after=1&offset=1",
        "offset=1&action=create",
    ],
)
def test_bad_values_of_v2(service: httpx.Client, query: str) -> None:
    assert service.get(f"/v2/changefeed?{query}").status_code == 400


def test_bad_values_of_the_latest_change(service: httpx.Client) -> None:
    for value in ("0", "asdf"):
        assert service.get(f"/v2/changefeed/latest?includeMetadata={value}").status_code == 400


def test_the_latest_change(service: httpx.Client, stored: dict[str, str]) -> None:
    instance = new_uid()
    store(service, stored["study"], instance)
    for version in ("v1", "v2"):
        with_metadata = service.get(f"/{version}/changefeed/latest").json()
        without = service.get(f"/{version}/changefeed/latest?includemetadata=False").json()
        metadata = with_metadata.pop("metadata")
        assert metadata["00080018"]["Value"] == [instance]
        assert with_metadata == without
        assert (without["sopInstanceUid"], without["state"]) == (instance, "current")


@pytest.mark.usefixtures("stored")
def test_every_answer_is_as_described(service: httpx.Client) -> None:
    components = service.get("/v2/api.json").json()["components"]
    for path, schema in (("changefeed", "Changes"), ("changefeed/latest", "LatestChange")):
        validator = OAS31Validator({"$ref": f"#/components/schemas/{schema}", "components": components})
        validator.validate(service.get(f"/v2/{path}").json())


@pytest.mark.usefixtures("stored")
def test_head_forms_and_methods(service: httpx.Client) -> None:
    for path in ("/v2/changefeed", "/v2/changefeed/latest", "/V2/ChangeFeed/Latest"):
        head = service.head(path)
        assert (head.status_code, head.content) == (200, b"")
        plain = service.get(path, headers={"Accept-Encoding": "identity"})
        assert plain.headers["Content-Type"] == head.headers["Content-Type"] == "application/json"
        assert "Content-Encoding" not in plain.headers
        gzipped = service.get(path, headers={"Accept-Encoding": "gzip"})
        assert gzipped.headers["Content-Encoding"] == "gzip"
        assert gzipped.json() == plain.json()
        assert service.get(path, headers={"Accept": "application/dicom"}).status_code == 406
        assert service.post(path).status_code == 405


def test_metadata_that_is_kept_in_a_blob(service: httpx.Client) -> None:
    study, instance = new_uid(), new_uid()
    before = service.get("/v2/changefeed/latest").json()
    after = before["sequence"] if before else 0
    store(service, study, instance, ContentSequence=long_content(500_000))
    entry = feed(service, f"after={after}")[0]
    path = f"studies/{study}/series/{entry['seriesInstanceUid']}/instances/{instance}/metadata"
    assert [entry["metadata"]] == service.get(f"/v2/{path}").json()
    delete(service, study)
    found = feed(service, f"after={after}")
    assert [(one["action"], one["state"], "metadata" in one) for one in found] == [
        ("create", "deleted", False),
        ("delete", "deleted", False),
    ]


def test_a_request_after_an_answer_has_its_changes(service: httpx.Client) -> None:
    """In v1, by cursor and in an open window; and each is told once to a reader that follows."""
    latest = service.get("/v2/changefeed/latest").json()
    after = latest["sequence"] if latest else 0
    start = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    study, told = new_uid(), []
    for number in range(10):
        instance = new_uid()
        store(service, study, instance)
        match number % 3:
            case 0:
                new = feed(service, f"after={after}&includeMetadata=false")
            case 1:
                new = feed(service, f"offset={after}&includeMetadata=false", "v1")
            case _:
                new = [one for one in feed(service, f"startTime={quote(start)}&limit=200") if one["sequence"] > after]
        assert [one["sopInstanceUid"] for one in new] == [instance]
        after = new[-1]["sequence"]
        told.append(after)
    assert told == [*range(told[0], told[0] + 10)]


def test_windows_of_time_one_after_another_tell_each_change_once(service: httpx.Client) -> None:
    """As a poller does that asks for [the last end, now)."""
    begin = datetime.now(UTC)
    study, instances, told, start = new_uid(), [], [], begin
    for _ in range(8):
        instances.append(new_uid())
        store(service, study, instances[-1])
        end = datetime.now(UTC)
        window = f"startTime={quote(start.isoformat())}&endTime={quote(end.isoformat())}"
        told += [one["sopInstanceUid"] for one in feed(service, f"{window}&includeMetadata=false")]
        start = end
        time.sleep(0.01)
    rest = feed(service, f"startTime={quote(start.isoformat())}&includeMetadata=false")
    assert told + [one["sopInstanceUid"] for one in rest] == instances
