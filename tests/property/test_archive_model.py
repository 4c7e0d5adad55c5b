"""Whatever the sequence of requests, each answer is that of a dictionary, and storage is consistent afterwards."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, ClassVar

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.support.archive_model import ArchiveModel, Attributes, Instance
from tests.support.messages import ANY_DICOM_PARTS, MULTIPART_DICOM, multipart, parts
from tests.support.watched_server import WatchedServer, watched

pytestmark = pytest.mark.property

STUDY_UIDS = ["1.2.1", "1.2.2", "1.2.10"]  # one begins with another
SERIES_UIDS = ["1.3.1", "1.3.2"]
PLACES = [("1.3.1", "1.4.1"), ("1.3.1", "1.4.10"), ("1.3.2", "1.4.2"), ("1.3.2", "1.4.20")]
INSTANCE_UIDS = [uid for _, uid in PLACES]
PATIENT_IDS = ["A", "B/#", ""]
PATIENT_NAMES = ["Doe^Jane", "Roe^Max"]
DATES = ["20260101", "20260131", "20260201", "", "01.01.26"]
MODALITIES = ["CT", "MR"]
PIXELS = [bytes(16), bytes(range(16))]
FAULTS = ["file", "PatientID", "SOPClassUID", "SOPInstanceUID"]

study_uids, series_uids, instance_uids = map(st.sampled_from, (STUDY_UIDS, SERIES_UIDS, INSTANCE_UIDS))
instance_paths = st.tuples(study_uids, st.sampled_from(PLACES)).map(lambda place: (place[0], *place[1]))
paths = st.one_of(
    st.tuples(study_uids),
    st.tuples(study_uids, series_uids),
    instance_paths,
    instance_paths,
    st.tuples(study_uids, series_uids, instance_uids),
)
attributes = st.builds(Attributes, *map(st.sampled_from, (PATIENT_IDS, PATIENT_NAMES, DATES, MODALITIES)))
values = {
    "StudyInstanceUID": st.lists(study_uids, min_size=1, max_size=2, unique=True).map(",".join),
    "PatientID": st.sampled_from(["A", "a", "B/#", "C"]),
    "PatientName": st.sampled_from([*PATIENT_NAMES, "roe^max", "Doe"]),
    "StudyDate": st.sampled_from(["20260101", "20260101-20260131", "20260131-", "-20260131", "20270101-"]),
    "ModalitiesInStudy": st.sampled_from(["CT", "MR", "CT,MR", "US"]),
    "Modality": st.sampled_from(["CT", "MR", "CT,MR"]),
    "SeriesInstanceUID": st.lists(series_uids, min_size=1, max_size=2, unique=True).map(",".join),
    "SOPInstanceUID": st.lists(instance_uids, min_size=1, max_size=2, unique=True).map(",".join),
}
KEYWORDS = list(values)
LEVELS = {"studies": KEYWORDS[:5], "series": KEYWORDS[:7], "instances": KEYWORDS}
SCOPES = {
    "studies": st.just(()),
    "series": st.one_of(st.just(()), st.tuples(study_uids)),
    "instances": st.one_of(st.just(()), st.tuples(study_uids), st.tuples(study_uids, series_uids)),
}


@st.composite
def queries(draw: st.DrawFn) -> tuple[str, tuple[str, ...], dict[str, str]]:
    """A search's level, the study and series in its path, and its keys, which do not repeat them."""
    level = draw(st.sampled_from(list(LEVELS)))
    scope: tuple[str, ...] = draw(SCOPES[level])
    fixed = ("StudyInstanceUID", "SeriesInstanceUID")[: len(scope)]
    free = [keyword for keyword in LEVELS[level] if keyword not in fixed]
    chosen = draw(st.lists(st.sampled_from(free), max_size=2, unique=True))
    return level, scope, {keyword: draw(values[keyword]) for keyword in chosen}


@st.composite
def requests(draw: st.DrawFn) -> list[Instance]:
    """The parts of a store. They agree on studies and series, since which of them is entered last is undefined."""
    common = draw(attributes)
    part = st.tuples(
        study_uids, st.sampled_from(PLACES), st.sampled_from(PIXELS), st.sampled_from([None] * 12 + FAULTS)
    )
    parts = draw(st.lists(part, min_size=1, max_size=4))
    return [Instance(study, *place, common, pixels, fault) for study, place, pixels, fault in parts]


def url_of(uids: tuple[str, ...]) -> str:
    return "".join(f"/{name}/{uid}" for name, uid in zip(("studies", "series", "instances"), uids, strict=False))


def value(attributes: dict[str, Any], tag: str) -> Any:
    """The first value of a DICOM JSON attribute; None where there is none."""
    return attributes.get(tag, {}).get("Value", [None])[0]


class ArchiveMachine(RuleBasedStateMachine):
    """The served app beside the model; `server` and `client` are set before it runs."""

    server: ClassVar[WatchedServer]
    client: ClassVar[httpx.Client]

    def __init__(self) -> None:
        super().__init__()
        self.model = ArchiveModel()

    @rule(parts=requests(), version=st.sampled_from(["v2", "v2", "v1"]), study=st.one_of(st.none(), study_uids))
    def store(self, parts: list[Instance], version: str, study: str | None) -> None:
        expected = [(self.model.reason(part, version, study), part) for part in parts]
        response = self.client.post(
            f"/{version}/studies" + (f"/{study}" if study else ""),
            content=multipart(part.file for part in parts),
            headers={"Content-Type": MULTIPART_DICOM},
        )
        assert response.status_code in (200, 202, 409), response.text
        answer = response.json()
        candidates: dict[tuple[str, str, str], list[Instance]] = {}
        for reason, part in expected:
            if reason is None:
                candidates.setdefault(part.uids, []).append(part)
        reasons = Counter(reason for reason, _ in expected if reason is not None)
        reasons[45070] += sum(len(same) - 1 for same in candidates.values())
        failed = answer.get("00081198", {}).get("Value", [])
        assert Counter(value(item, "00081197") for item in failed) == +reasons
        stored = answer.get("00081199", {}).get("Value", [])
        urls = [value(item, "00081190").partition(f"/{version}")[2] for item in stored]
        assert sorted(urls) == sorted(map(url_of, candidates))
        has_warnings = not parts[0].attributes.is_valid
        assert {value(item, "00081196") for item in stored} <= {1 if has_warnings else None}
        status = 409 if not stored else 202 if failed or has_warnings else 200
        assert response.status_code == status
        # Of parts with the same UIDs, any may be kept.
        kept = [self.kept(same) for same in candidates.values()]
        if kept:
            self.model.add(kept)

    def kept(self, candidates: list[Instance]) -> Instance:
        content = self.retrieved(candidates[0])
        return next(candidate for candidate in candidates if candidate.file == content)

    def retrieved(self, instance: Instance) -> bytes:
        response = self.client.get(f"/v2{instance.path}", headers={"Accept": "application/dicom; transfer-syntax=*"})
        assert response.status_code == 200
        return response.content

    @rule(uids=paths)
    def delete(self, uids: tuple[str, ...]) -> None:
        response = self.client.delete(f"/v2{url_of(uids)}")
        assert response.status_code == (204 if self.model.remove(*uids) else 404)

    @rule(wanted=st.lists(queries(), min_size=1, max_size=4))
    def search(self, wanted: list[tuple[str, tuple[str, ...], dict[str, str]]]) -> None:
        for level, scope, keys in wanted:
            self.search_for(level, scope, keys)

    def search_for(self, level: str, scope: tuple[str, ...], keys: dict[str, str]) -> None:
        response = self.client.get(f"/v2{url_of(scope)}/{level}", params=keys)
        fixed = dict(zip(("StudyInstanceUID", "SeriesInstanceUID"), scope, strict=False))
        expected = sorted(self.model.matching(level, {**keys, **fixed}))
        assert response.status_code == (200 if expected else 204), response.text
        results = response.json() if expected else []
        tags = ("0020000D", "0020000E", "00080018")[: list(LEVELS).index(level) + 1]
        found = [tuple(value(result, tag) for tag in tags) for result in results]
        assert sorted(found) == expected
        created = [self.model.studies[uids[0]].created for uids in found]
        assert created == sorted(created, reverse=True)
        for uids, result in zip(found, results, strict=True):
            self.check_result(uids, result, is_whole=not scope)

    def check_result(self, uids: tuple[str, ...], result: dict[str, Any], *, is_whole: bool) -> None:
        """Check what a search says of a resource and, if `is_whole`, of those above it."""
        study = self.model.studies[uids[0]]
        assert value(result, "00081190").endswith(f"/v2{url_of(uids)}")
        if is_whole:
            # An instance has its own attributes, not those that its study has by then.
            own = self.model.instances(*uids)[0].attributes if len(uids) == 3 else study.attributes
            assert value(result, "00100020") == (own.patient_id or None)
            assert value(result, "00100010") == {"Alphabetic": own.patient_name}
            assert value(result, "00080020") == (own.study_date or None)
            assert result["00080061"]["Value"] == study.modalities
            assert value(result, "00201206") == len(study.series)
            assert value(result, "00201208") == len(study.instances)
        if len(uids) == 2:
            series = study.series[uids[1]]
            assert value(result, "00080060") == series.modality
            assert value(result, "00201209") == len(series.instances)

    @rule(uids=paths)
    def retrieve(self, uids: tuple[str, ...]) -> None:
        instances = self.model.instances(*uids)
        response = self.client.get(f"/v2{url_of(uids)}", headers={"Accept": ANY_DICOM_PARTS})
        metadata = self.client.get(f"/v2{url_of(uids)}/metadata")
        assert response.status_code == metadata.status_code == (200 if instances else 404)
        if instances:
            assert sorted(body for _, body in parts(response)) == sorted(instance.file for instance in instances)
            described = [(value(one, "00080018"), value(one, "00100020") or "") for one in metadata.json()]
            assert sorted(described) == sorted((i.uid, i.attributes.patient_id) for i in instances)

    @rule(data=st.data())
    def retrieve_frame(self, data: st.DataObject) -> None:
        stored = self.model.every_instance()
        absent = st.builds("/studies/{}/series/{}/instances/1.4.99".format, study_uids, series_uids)
        if not stored or data.draw(st.booleans(), "absent"):
            path = data.draw(absent, "path")
            assert self.client.get(f"/v2{path}/frames/1").status_code == 404
            return
        instance = data.draw(st.sampled_from(stored), "instance")
        headers = {"Accept": "application/octet-stream"}
        response = self.client.get(f"/v2{instance.path}/frames/1", headers=headers)
        assert (response.status_code, response.content) == (200, instance.pixels)
        assert self.client.get(f"/v2{instance.path}/frames/2", headers=headers).status_code == 404

    def teardown(self) -> None:
        try:
            counts = {uid: count for uid, count in self.server.check().items() if count}
            assert counts == {uid: len(study.instances) for uid, study in self.model.studies.items()}
        finally:
            for uid in STUDY_UIDS:
                self.client.delete(f"/v2/studies/{uid}")
        assert self.server.check() == {}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedServer]:
    with watched(tmp_path_factory.mktemp("server") / "log") as running:
        yield running


@pytest.mark.parametrize("sequences", [25, pytest.param(60, marks=pytest.mark.long)])
def test_the_archive_is_a_dictionary(server: WatchedServer, sequences: int) -> None:
    with httpx.Client(base_url=server.base_url, timeout=60) as client:
        ArchiveMachine.server, ArchiveMachine.client = server, client
        run_state_machine_as_test(
            ArchiveMachine,
            settings=settings(
                max_examples=sequences,
                phases=[Phase.generate],  # shrinking an example takes minutes
                stateful_step_count=30,
                derandomize=True,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
