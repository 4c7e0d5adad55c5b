"""The share of an answer in a process that has nothing else to do."""

from shared.services.answer_work import AnswerWork, ProcessWork
from shared.settings import Settings


def answer_work(settings: Settings | None = None) -> AnswerWork:
    """That share, by the default settings unless others are given."""
    known = settings or Settings()
    return ProcessWork(known.max_decoded_bytes, known.max_frames, known.max_caller_requests).answer()
