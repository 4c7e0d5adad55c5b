"""What one logger has said: other records may come at any time, of whatever else the process still does."""

import logging

import pytest


def logged(caplog: pytest.LogCaptureFixture, logger: str) -> list[logging.LogRecord]:
    """The records of a logger, in order."""
    return [record for record in caplog.records if record.name == logger]
