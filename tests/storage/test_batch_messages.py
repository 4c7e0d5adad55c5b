"""Answers to batches: in the form of Azure and of Azurite, cut at every byte, and whatever else may come."""

from collections.abc import Callable, Sequence

import pytest

from shared.storage.batch_messages import MalformedAnswer, Refusal, answer_to_batch
from shared.storage.row_requests import RowRequest, row_request

URL = "https://account.table.core.windows.net/catalog"
CONTENT_TYPE = "multipart/mixed; boundary=batchresponse_6eb367c7"
NEW, OLD, GONE = (
    row_request(URL, kind, {"PartitionKey": "p", "RowKey": kind}) for kind in ("create", "update", "delete")
)
CREATED = (
    "HTTP/1.1 204 No Content\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-cache\r\n"
    "Preference-Applied: return-no-content\r\nDataServiceVersion: 3.0;\r\n"
    f"Location: {URL}(PartitionKey='p',RowKey='create')\r\nDataServiceId: {URL}(PartitionKey='p',RowKey='create')\r\n"
    "ETag: W/\"datetime'2026-01-02T03%3A04%3A05.0006007Z'\"\r\n\r\n"
)
UPDATED = (
    "HTTP/1.1 204 No Content\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-cache\r\n"
    "DataServiceVersion: 1.0;\r\netag:W/\"datetime'2026-01-02T03%3A04%3A05.0006008Z'\" \r\n\r\n"
)
REMOVED = "HTTP/1.1 204 No Content\r\nX-Content-Type-Options: nosniff\r\nDataServiceVersion: 1.0;\r\n\r\n"
EXISTS = (
    "HTTP/1.1 409 Conflict\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-cache\r\nPreference-Applied: "
    "return-no-content\r\nDataServiceVersion: 3.0;\r\nContent-Type: application/json;odata=nometadata;charset=utf-8\r\n"
    '\r\n{"odata.error":{"code":"EntityAlreadyExists","message":{"lang":"en-US","value":"2:The specified entity '
    'already exists.\\nRequestId:0\\nTime:2026-01-02T03:04:05.0006007Z"}}}'
)
ETAGS = ["W/\"datetime'2026-01-02T03%3A04%3A05.0006007Z'\"", "W/\"datetime'2026-01-02T03%3A04%3A05.0006008Z'\"", None]


def changeset(*answers: str, head: Callable[[int], str] = lambda _: "") -> str:
    """The part with the answers to the operations of a change set."""
    parts = "".join(
        "--changesetresponse_307614a2\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
        f"{head(index)}\r\n{answer}\r\n"
        for index, answer in enumerate(answers)
    )
    head_of_all = "Content-Type: multipart/mixed; boundary=changesetresponse_307614a2\r\n\r\n"
    return f"{head_of_all}{parts}--changesetresponse_307614a2--\r\n"


def whole(*parts: str) -> bytes:
    pieces = [f"--batchresponse_6eb367c7\r\n{part}" for part in parts]
    return "\r\n".join([*pieces, "--batchresponse_6eb367c7--\r\n"]).encode()


def read(body: bytes, requests: Sequence[RowRequest] = (NEW, OLD, GONE)) -> list[str | None] | Refusal:
    return answer_to_batch(requests, CONTENT_TYPE, body)


@pytest.mark.parametrize("head", [lambda _: "", lambda index: f"Content-ID: {index}\r\n"])
def test_each_row_that_is_written_has_its_etag(head: Callable[[int], str]) -> None:
    assert read(whole(changeset(CREATED, UPDATED, REMOVED, head=head))) == ETAGS


def test_a_row_that_is_echoed_is_passed_over() -> None:
    echoed = CREATED.replace("204 No Content", "201 Created") + '{"RowKey":"etag: no\\r\\nETag: neither"}'
    assert read(whole(changeset(echoed, UPDATED, REMOVED))) == ETAGS


@pytest.mark.parametrize("in_a_changeset", [True, False])
def test_a_refusal_blames_the_operation_of_its_index(in_a_changeset: bool) -> None:
    alone = f"Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n{EXISTS}\r\n"
    answer = read(whole(changeset(EXISTS) if in_a_changeset else alone))
    assert isinstance(answer, Refusal)
    assert (answer.status, answer.error_code, answer.index) == (409, "EntityAlreadyExists", 2)


@pytest.mark.parametrize("message", ["Bad.", "", "x2:Bad.", "٢:Bad.", "-1:Bad.", "1234567890:Bad."])
def test_a_refusal_without_an_index_blames_the_first(message: str) -> None:
    error = f'{{"odata.error":{{"code":"InvalidInput","message":{{"value":"{message}"}}}}}}'
    answer = read(whole(changeset(f"HTTP/1.1 400 Bad Request\r\n\r\n{error}")))
    assert answer == Refusal(400, "InvalidInput", message, 0)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '"odata.error"', '{"odata.error":{"code":1}}', "<Error/>", "[" * 9999]
)
def test_a_refusal_without_words_has_its_status(content: str) -> None:
    answer = read(whole(changeset(f"HTTP/1.1 500 Internal Server Error\r\n\r\n{content}")))
    assert answer == Refusal(500, "", "Storage did not say why.", 0)


@pytest.mark.parametrize("body", [whole(changeset(CREATED, UPDATED, REMOVED)), whole(changeset(EXISTS))])
def test_an_answer_that_is_cut_is_none(body: bytes) -> None:
    end = body.rindex(b"--")
    for length in range(end + 1):
        with pytest.raises(MalformedAnswer):
            read(body[:length])
    assert read(body[: end + 2]) == read(body)


ODD = {
    "no operation": whole(changeset()),
    "an operation too few": whole(changeset(CREATED, UPDATED)),
    "an operation too many": whole(changeset(CREATED, UPDATED, REMOVED, REMOVED)),
    "a row without an ETag": whole(changeset(CREATED, REMOVED, REMOVED)),
    "two change sets": whole(changeset(CREATED, UPDATED, REMOVED), changeset(CREATED, UPDATED, REMOVED)),
    "no part": b"--batchresponse_6eb367c7--\r\n",
    "an empty part": whole(changeset("", "", "")),
    "something else": whole(changeset("HTTP/2 204\r\n\r\n", "HTTP/1.1 OK\r\n\r\n", "ETag: x\r\n\r\n")),
    "a status without headers": whole(changeset("HTTP/1.1 204 No Content\r\n", UPDATED, REMOVED)),
    "a part that is not multipart": whole("Content-Type: text/plain\r\n\r\nHello\r\n"),
    "a change set without a boundary": whole("Content-Type: multipart/mixed\r\n\r\nHello\r\n"),
    "too many answers": whole(changeset(*[REMOVED] * 101)),
    "nothing": b"",
}


@pytest.mark.parametrize("what", ODD)
def test_another_answer_is_none(what: str) -> None:
    with pytest.raises(MalformedAnswer):
        read(ODD[what])


@pytest.mark.parametrize("content_type", ["", "application/json", "multipart/mixed", "multipart/mixed; boundary=é"])
def test_another_content_type_is_none(content_type: str) -> None:
    with pytest.raises(MalformedAnswer):
        answer_to_batch([NEW], content_type, whole(changeset(CREATED)))
