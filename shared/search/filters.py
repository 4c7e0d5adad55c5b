"""The filter of a subscription: the query of a search for series, asked of one study at a time."""

from typing import Final
from urllib.parse import parse_qsl

from shared.archive.study import StudyRecord
from shared.dicom.attributes import KEY_BY_PATH, Level
from shared.errors import BadRequest
from shared.search.query import SearchQuery, parse_search
from shared.search.query_names import path_of
from shared.search.search_response import series_attributes, study_attributes
from shared.settings import Settings

_OF_RESULTS: Final = ("limit", "offset", "includefield")


def parse_filter(text: str, settings: Settings) -> SearchQuery | None:
    """Parse a query string of study-level and series-level keys; None where it is empty.

    Raises BadRequest, naming the parameter, for any other.
    """
    for name, _ in parse_qsl(text, keep_blank_values=True, errors="replace"):
        if name.lower() in _OF_RESULTS:
            raise BadRequest(f"A filter has no {name.lower()}: it only says what has to match.")
        path = path_of(name)
        if path is not None and path not in KEY_BY_PATH:  # a search within one study has it, from its instances
            raise BadRequest(f"A filter has no {name}: it is asked of what a search of all studies can match.")
    return parse_search(text, Level.SERIES, settings) if text else None


def matching_series(query: SearchQuery, study: StudyRecord, service_url: str) -> frozenset[str] | None:
    """The UIDs of the study's series that match; None where what is asked of the study itself does not."""
    of_study = study_attributes(study, service_url)
    if not query.is_met(of_study, Level.STUDY):
        return None
    return frozenset(
        uid
        for uid, series in study.series.items()
        if query.is_met(series_attributes(study, of_study, series, service_url), Level.SERIES)
    )
