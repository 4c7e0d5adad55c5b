"""Queries made to break a search: each gets the right answer, or a 400 that names what is wrong."""

from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest
from azure.functions.decorators.function_app import Function
from starlette.types import Message

from functions.edge import app
from local.server import Host, routes_of
from shared.settings import Settings
from shared.storage.archive import Archive
from tests.conftest import Server
from tests.support import raw_requests
from tests.support.served_instances import dataset, new_uid, part10

STUDY = new_uid()
TOKEN = new_uid()[-8:]

# Values that look like queries of Table Storage, patterns, escapes or markup, each in a separate study.
VALUES = [
    "' or 1 eq 1 or PatientID eq '",
    "x' and PartitionKey ne '",
    "'; drop table catalog--",
    "PartitionKey eq @partition",
    "=a:b!003a;c",
    "a/b#c",
    "%00%zz%",
    '"quoted"',
    "<script>",
    "${jndi:x}",
    "../..",
    "[!a-z](.+)+$",
    "\U0010fffd\ufffd",
    "a" * 50,
]
PATIENTS = [f"{value}{TOKEN}" for value in VALUES]
OTHER = f"other {TOKEN}"


@pytest.fixture(scope="module", autouse=True)
def studies_of_odd_patients(service: httpx.Client) -> Iterator[None]:
    uids = [STUDY, *(new_uid() for _ in PATIENTS)]
    for uid, patient in zip(uids, [OTHER, *PATIENTS], strict=True):
        image = dataset(
            SpecificCharacterSet="ISO_IR 192",
            StudyInstanceUID=uid,
            PatientID=patient,
            PatientName=patient.replace("=", "").replace("^", ""),
            ImageComments="a comment",
            AcquisitionDateTime="20260101",
        )
        response = service.post("/studies", content=part10(image), headers={"Content-Type": "application/dicom"})
        assert response.status_code in (200, 202)
    yield
    for uid in uids:
        service.delete(f"/studies/{uid}")


def patients(server: Server, query: str | bytes) -> list[str]:
    target = query.encode("ascii") if isinstance(query, str) else query
    status, document = raw_requests.get(server.base_url, b"/v2/studies?%b" % target)
    assert status in (200, 204), document
    return [result["00100020"]["Value"][0] for result in document or []]


@pytest.mark.parametrize("patient", PATIENTS, ids=VALUES)
def test_a_value_that_looks_like_something_else_finds_itself_and_nothing_else(server: Server, patient: str) -> None:
    name = patient.replace("=", "").replace("^", "")
    assert patients(server, f"PatientID={quote(patient, safe='')}") == [patient]
    assert patients(server, f"PatientID={quote(patient.upper(), safe='')}") == [patient]
    assert patients(server, f"PatientID={quote(patient[:-6], safe='')}*") == [patient]
    assert patients(server, f"PatientID=*{quote(patient[1:], safe='')}") == [patient]
    assert patients(server, f"PatientName={quote(name, safe='')}") == [patient]
    assert patients(server, f"PatientName={quote(name[:2], safe='')}*{TOKEN}&StudyDate=20260101-") == [patient]


NOT_STORED = [
    "%27+or+1+eq+1+or+%27%27+eq+%27",
    "%27)+or+(RowKey+ne+%27",
    "x%27%20and%20PartitionKey%20ne%20%27",
    "%3D%3D",
    "!0041",
    "%2500",
    "a%00b",
    "%zz",
    "%",
    "%2",
    "%u0041",
    "%E2%80%AE",
    "%F4%8F%BF%BF*",
    "*%F4%8F%BF%BF",
    "%EF%BF%BF*",
    "%EF%BF%BE?",
    "%ED%9F%BF*",
    "%EE%80%80*",
    "*a" * 500,
    "?" * 1000,
    "[a-z]*[",
    "(" * 60 + "*",
    "\\" * 200,
    "x" * 8000,
    "%D0%96" * 1300,
    "%EF%B7%BA" * 400,  # each decomposes to eighteen characters
]


@pytest.mark.parametrize("value", NOT_STORED, ids=[value[:24] for value in NOT_STORED])
def test_a_value_that_does_not_exist_finds_nothing(server: Server, value: str) -> None:
    assert patients(server, f"PatientID={value}") == []
    assert patients(server, f"AccessionNumber={value}&StudyDate=20260101") == []
    if "=" not in value and "%3D" not in value:
        assert patients(server, f"ReferringPhysicianName={value}") == []
        assert patients(server, f"PatientName=x{value}&fuzzymatching=true") == []


def test_floods_of_stars_are_answered(server: Server) -> None:
    (long,) = (patient for patient in PATIENTS if patient.startswith("aaa"))
    assert patients(server, f"PatientID={'*' * 4000}&StudyInstanceUID={STUDY}") == [OTHER]
    assert patients(server, f"PatientID={'*a' * 50}*{TOKEN}") == [long]
    assert patients(server, f"PatientID={'*a' * 51}*{TOKEN}") == []
    assert patients(server, f"PatientName={'a*' * 50}{TOKEN}*") == [long]
    assert patients(server, f"PatientName={'a*' * 45}b{TOKEN}") == []
    assert patients(server, f"PatientName={'*?' * 58}") == [patient for patient in PATIENTS[::-1] if patient == long]


@pytest.mark.parametrize(
    "query",
    [
        "LIMIT=200&Offset=0&FuzzyMatching=TRUE&EMPTYVALUEMATCHING=False&IncludeField=ALL",
        "includefield=" + "%2C".join(["00100010", "PatientID"] * 300),
        "&".join(["includefield=00080020"] * 300),
        "includefield=&includefield=,,,%2C",
        "PatientName&StudyDate&00080061",
        "&&&&" * 500,
        "PatientName=&PatientName=",
        "Accept=*/*&Charset=UTF-8",
        f"StudyInstanceUID={'%5C'.join(['1.2', STUDY] * 30)}",
        "ModalitiesInStudy=" + "OT%2C" * 1000,
    ],
    ids=lambda query: query[:24],
)
def test_odd_forms_that_mean_something_are_understood(server: Server, query: str) -> None:
    ours = f"PatientID={quote(OTHER)}"
    assert patients(server, f"{ours}&{query}") == patients(server, f"{query}&{ours}") == [OTHER]


def test_a_page_past_the_end_is_empty(server: Server) -> None:
    assert patients(server, "offset=999999999") == []
    assert patients(server, f"PatientID={quote(OTHER)}&offset=1&limit=200") == []


UTF_8 = "The query string is not UTF-8"
UNKNOWN = "Unknown parameter: the given name is not searchable here"
REFUSED: list[tuple[bytes, str]] = [
    (b"PatientName=" + b"a" * 10_000, "The query string is longer than 8192 characters"),
    (b"a=b&" * 2000, "Unknown parameter: a is not searchable here"),
    (b"PatientID=x&" * 600, "The parameter PatientID takes one value"),
    (b"limit=5&" * 500, "The parameter limit is given twice"),
    (b"PatientName=" + b"a*" * 600, "The parameter PatientName has wildcards and is longer than 1024"),
    (b"PatientName=" + b"=" * 5000, "The parameter PatientName has more than 3 component groups"),
    (b"PatientName=%ED%A0%80", UTF_8),
    (b"PatientName=%ED%A0%BD%ED%B8%80", UTF_8),
    (b"PatientName=%C0%AF", UTF_8),
    (b"PatientName=%C0%80", UTF_8),
    (b"PatientName=%F4%90%80%80", UTF_8),
    (b"PatientName=%FE%FF", UTF_8),
    (b"PatientName=M%FCller", UTF_8),
    (b"%FF=x", UTF_8),
    (b"=", UNKNOWN),
    (b"=PatientName", UNKNOWN),
    (b"?PatientID=x", UNKNOWN),
    (b"PatientID%00=x", UNKNOWN),
    (b"%EF%BB%BFPatientID=x", UNKNOWN),
    (b"patientid=x", "Unknown parameter: patientid is not searchable here"),
    (b"PatientID+=x", UNKNOWN),
    (b"0010%0A0020=x", UNKNOWN),
    (b"%D9%A0%D9%A0%D9%A1%D9%A0%D9%A0%D9%A0%D9%A2%D9%A0=x", UNKNOWN),
    (b"$filter=PartitionKey+ne+%27%27", UNKNOWN),
    (b"." * 8000 + b"=x", UNKNOWN),
    (b"00400275." * 900 + b"=x", UNKNOWN),
    (b"__proto__=x", UNKNOWN),
    (b"limit=0", "The parameter limit must be a whole number from 1 to 200"),
    (b"limit=-1", "The parameter limit"),
    (b"limit=1e9", "The parameter limit"),
    (b"limit=0x10", "The parameter limit"),
    (b"limit=+5", "The parameter limit"),
    (b"limit=%EF%BC%95", "The parameter limit"),
    (b"limit=" + b"9" * 5000, "The parameter limit"),
    (b"LiMiT", "The parameter limit"),
    (b"offset=" + b"1" * 5000, "The parameter offset"),
    (b"offset=9999999999", "The parameter offset"),
    (b"offset=-0", "The parameter offset"),
    (b"FuzzyMatching=1", "The parameter fuzzymatching must be true or false"),
    (b"emptyvaluematching=", "The parameter emptyvaluematching"),
    (b"multiplevaluematching=true&multipleValueMatching=true", "The parameter multiplevaluematching is given twice"),
    (b"includefield=%27", "The parameter includefield"),
    (b"includefield=" + b"x," * 4000, "The parameter includefield"),
    (b"StudyDate=-", "The parameter StudyDate"),
    (b"StudyDate=--20260101", "The parameter StudyDate"),
    (b"StudyDate=" + b"9" * 4000, "The parameter StudyDate"),
    (b"StudyDate=" + b"-" * 4000, "The parameter StudyDate"),
    (b"StudyDate=20260101-20260102-20260103", "The parameter StudyDate"),
    (b"StudyDate=2026*", "The parameter StudyDate"),
    (b"StudyDate=20260101%00-", "The parameter StudyDate"),
    (b"StudyDate=%D9%A2%D9%A0%D9%A2%D9%A6%D9%A0%D9%A1%D9%A0%D9%A1", "The parameter StudyDate"),
    (b"StudyTime=" + b"1-" * 2000, "The parameter StudyTime"),
    (b"StudyTime=10%27+or+%27", "The parameter StudyTime"),
    (b"StudyInstanceUID=1.2%27+or+%27%27+eq+%27", "The parameter StudyInstanceUID is not a UID"),
    (b"StudyInstanceUID=" + b"1" * 65, "The parameter StudyInstanceUID"),
    (b"StudyInstanceUID=../1.2", "The parameter StudyInstanceUID"),
    (b"StudyInstanceUID=" + b"1." * 3000, "The parameter StudyInstanceUID"),
    (b"StudyInstanceUID=%EF%BC%91.2", "The parameter StudyInstanceUID"),
]


@pytest.mark.parametrize(("query", "said"), REFUSED, ids=[query[:24].decode("latin-1") for query, _ in REFUSED])
def test_a_refusal_names_its_reason(server: Server, query: bytes, said: str) -> None:
    check_refused(server, b"/v2/studies?" + query, said)
    check_refused(server, b"/v2/instances?" + query, said)


def check_refused(server: Server, target: bytes, said: str) -> None:
    status, problem = raw_requests.get(server.base_url, target)
    assert (status, problem["status"], problem["title"]) == (400, 400, "Bad Request")
    assert said in problem["detail"]
    assert "Traceback" not in problem["detail"]


WITHIN_A_STUDY: list[tuple[bytes, str]] = [
    (b"PatientID=a&PatientID.StudyID=b", "The parameter 00100020"),
    (b"00091001.00091002=a&00091001=b", "The parameter 00091001"),
    (b"00400275." * 100 + b"00400009=x", UNKNOWN),
    (b"ImageComments=a&00204000=b", "The parameter ImageComments takes one value"),
    (b"PixelData=1", "The parameter PixelData cannot be matched"),
    (b"SliceThickness=nan", "The parameter SliceThickness must be a number"),
    (b"SliceThickness=1e", "The parameter SliceThickness"),
    (b"Rows=0x10", "The parameter Rows"),
    (b"AcquisitionDateTime=%FF", UTF_8),
    (b"AcquisitionDateTime=20260230", "The parameter AcquisitionDateTime"),
    (b"AcquisitionDateTime=-", "The parameter AcquisitionDateTime"),
]


@pytest.mark.parametrize(("query", "said"), WITHIN_A_STUDY, ids=[query[:24].decode() for query, _ in WITHIN_A_STUDY])
def test_a_refusal_within_a_study_names_its_reason(server: Server, query: bytes, said: str) -> None:
    check_refused(server, b"/v2/studies/%b/instances?%b" % (STUDY.encode(), query), said)
    check_refused(server, b"/v2/instances?StudyInstanceUID=%b&%b" % (STUDY.encode(), query), said)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        (b"00400275." * 64 + b"00400009=x", 0),
        (b"InstanceNumber=1e999999999", 0),
        (b"InstanceNumber=1e-999999999", 0),
        (b"InstanceNumber=1e99999999999999999999999", 0),
        (b"InstanceNumber=" + b"9" * 7000, 0),
        (b"Rows=4." + b"0" * 5000, 1),
        (b"Rows=000" + b"0" * 5000 + b"4", 1),
        (b"AcquisitionDateTime=0001-9999", 1),
        (b"AcquisitionDateTime=-9999", 1),
        (b"AcquisitionDateTime=2026-2026", 1),
        (b"ImageComments=A+COMMENT&00204000=", 1),
        (b"FFFFFFFF=x", 0),
        (b"00000000=1", 0),
        (b"00091001=x&00091002=1", 0),
    ],
    ids=lambda value: value[:24].decode() if isinstance(value, bytes) else "",
)
def test_numbers_and_moments_without_bounds(server: Server, query: bytes, count: int) -> None:
    status, found = raw_requests.get(server.base_url, b"/v2/studies/%b/instances?%b" % (STUDY.encode(), query))
    assert (status, len(found or [])) == (200 if count else 204, count)


async def test_a_query_string_of_bytes_that_are_not_ascii(
    functions: list[Function], archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "of_process", app.App(Settings(anonymous_access=True), archive=archive))
    host = Host(routes_of(functions))
    for query, expected in (
        (b"PatientID=M\xfcller", 400),
        (b"PatientID=\xed\xa0\x80", 400),
        ("PatientID=Ü".encode(), 204),
    ):
        scope = {
            "type": "http",
            "method": "GET",
            "scheme": "http",
            "path": "/v2/studies",
            "raw_path": b"/v2/studies",
            "query_string": query,
            "headers": [(b"host", b"test")],
            "server": ("test", 80),
            "client": ("test", 1),
        }
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b""}

        async def send(message: Message, sent: list[Message] = sent) -> None:
            sent.append(message)

        await host(scope, receive, send)
        assert sent[0]["status"] == expected
        assert (b"not UTF-8" in sent[1]["body"]) is (expected == 400)
