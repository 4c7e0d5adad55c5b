"""What the command line reads from store responses of this service and others."""

from typing import Any

import httpx
import pytest

from dicomweb_cli.sources import Instance, Source
from dicomweb_cli.store_answer import Fate, Outcome, outcomes
from shared.web.failure_reasons import FailureReason
from shared.web.store_response import Failed, Stored, store_response
from tests.support.default_partition import identifiers_of

STORED = Outcome(Fate.STORED)


def instance(uid: str | None) -> Instance:
    identifiers = identifiers_of("1.2", "1.3", uid) if uid else None
    return Instance(Source(f"file {uid}", 0, lambda: open("nowhere", "rb")), identifiers)


BATCH = [instance("1.1"), instance("1.2"), instance("1.3")]


def failed(reason: int, uid: str | None = None, comment: str = "", error_id: object = None) -> dict[str, Any]:
    item: dict[str, Any] = {"00081197": {"vr": "US", "Value": [reason]}}
    if uid:
        item["00081155"] = {"vr": "UI", "Value": [uid]}
    if comment:
        item["00000902"] = {"vr": "LO", "Value": [comment]}
    if error_id is not None:
        item["00741048"] = {"vr": "SQ", "Value": [{}, {"00000903": {"vr": "US", "Value": [error_id]}}]}
    return item


def answer(stored: list[str], refused: list[dict[str, Any]], status: int = 202) -> httpx.Response:
    sequence = [{"00081155": {"vr": "UI", "Value": [uid]}} for uid in stored]
    return httpx.Response(
        status, json={"00081199": {"vr": "SQ", "Value": sequence}, "00081198": {"vr": "SQ", "Value": refused}}
    )


def test_items_are_matched_by_uid() -> None:
    told = outcomes(BATCH, answer(["1.3", "1.1"], [failed(0xA700, "1.2", "full")]))
    assert told == {0: STORED, 1: Outcome(Fate.FAILED, 0xA700, ("full",)), 2: STORED}


def test_one_file_and_one_item_without_uid_belong_together() -> None:
    told = outcomes(BATCH, answer(["1.1", "1.2"], [failed(272)]))
    assert told[2] == Outcome(Fate.FAILED, 272)


def test_what_cannot_be_matched_is_left_open() -> None:
    assert outcomes(BATCH, answer(["1.2"], [failed(272), failed(272)])) == {1: STORED}
    assert outcomes(BATCH, httpx.Response(413)) == {}
    assert outcomes(BATCH, httpx.Response(400, text="<html>")) == {}


def test_a_single_file_always_has_an_outcome() -> None:
    alone = [instance(None)]
    assert outcomes(alone, answer([], [failed(0xC000)])) == {0: Outcome(Fate.FAILED, 0xC000)}
    assert outcomes(alone, answer(["9.9"], [])) == {0: STORED}
    refused = httpx.Response(400, json={"detail": "It is no image."})
    assert outcomes(alone, refused) == {0: Outcome(Fate.FAILED, None, ("400 It is no image.",))}
    assert outcomes(alone, httpx.Response(415)) == {0: Outcome(Fate.FAILED, None, ("415 Unsupported Media Type",))}


@pytest.mark.parametrize("response", [httpx.Response(200), httpx.Response(200, text="<NativeDicomModel/>")])
def test_200_without_a_readable_body_means_that_all_is_stored(response: httpx.Response) -> None:
    assert outcomes(BATCH, response) == {0: STORED, 1: STORED, 2: STORED}


@pytest.mark.parametrize(
    ("item", "fate"),
    [
        (failed(45070, "1.1"), Fate.ALREADY_THERE),
        (failed(0x0111, "1.1"), Fate.ALREADY_THERE),
        (failed(45070, "1.1", "whatever it says"), Fate.ALREADY_THERE),
        (failed(45070, "1.1", error_id=1), Fate.ALREADY_THERE),
        (failed(45070, "1.1", error_id=2), Fate.FAILED),
        (failed(45070, "1.1", error_id=3), Fate.ALREADY_THERE),
        (failed(45070, "1.1", error_id="2"), Fate.ALREADY_THERE),
        (failed(0x0110, "1.1"), Fate.FAILED),
        (failed(0x0110, "1.1", error_id=1), Fate.FAILED),
    ],
)
def test_what_is_already_there_is_not_a_failure_unless_it_differs(item: dict[str, Any], fate: Fate) -> None:
    assert outcomes(BATCH[:1], answer([], [item], 409))[0].fate is fate


def test_the_answers_of_this_service_are_read() -> None:
    document = store_response(
        [
            Stored(identifiers_of("1.2", "1.3", "1.1"), "1.2.840"),
            Failed(FailureReason.VALIDATION_FAILED, ("no study", "no series"), "1.2.840", "1.2"),
            Failed(FailureReason.PROCESSING_FAILURE, ("cut short",)),
        ],
        "http://localhost/v2",
    )
    assert outcomes(BATCH, httpx.Response(202, content=document)) == {
        0: STORED,
        1: Outcome(Fate.FAILED, 43264, ("no study", "no series")),
        2: Outcome(Fate.FAILED, 272, ("cut short",)),
    }
