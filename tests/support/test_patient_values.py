"""The watch over the logs of all tests really sees a leak."""

import logging
from pathlib import Path

import pytest

from tests.support import patient_values


@pytest.fixture
def name(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(patient_values, "_values", set())
    patient_values.remember("Somebody^Who", "ID")
    return "Somebody^Who"


def test_values_are_found_in_text_and_in_urls(name: str) -> None:
    assert patient_values.found_in(f"GET /studies?PatientName={name}") == ["somebody^who"]
    assert patient_values.found_in("GET /studies?PatientName=Somebody%5eWho") == ["somebody^who"]
    assert patient_values.found_in("GET /studies?PatientID=ID") == []


def test_a_leak_of_a_server_is_reported(name: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("all is well\n")
    patient_values.check_file(log)
    log.write_text(f"all is well\nGET {name}\n")
    with pytest.raises(AssertionError, match="somebody"):
        patient_values.check_file(log)


def test_a_leak_in_a_traceback_is_reported(name: str) -> None:
    watch = patient_values.Watch()
    logger = logging.Logger("of a test")
    logger.addHandler(watch)
    logger.error("well")
    try:
        raise ValueError(name)
    except ValueError:
        logger.exception("not well")
    assert len(watch.leaks) == 1
