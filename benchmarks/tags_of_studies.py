"""Extended query tags of the synthetic archive, of each kind and level, and the values that its studies have of them.

Half of the studies have a value in common, the others one of their own; but for names and dates.
"""

from datetime import datetime
from typing import Any, Final

from shared.archive.extended_tags import NO_TAGS, ExtendedTag, TagStatus
from shared.dicom.attributes import Level

CREATOR: Final = "EXAMPLE"


def _tag(path: tuple[str, ...], vr: str, level: Level, private_creator: str = "") -> ExtendedTag:
    return ExtendedTag(0, path, vr, private_creator, level, TagStatus.READY)


TAGS: Final = NO_TAGS.with_added(
    [
        _tag(("00081080",), "LO", Level.STUDY),  # AdmittingDiagnosesDescription
        _tag(("00081050",), "PN", Level.SERIES),  # PerformingPhysicianName
        _tag(("00080021",), "DA", Level.SERIES),  # SeriesDate
        _tag(("0008002A",), "DT", Level.INSTANCE),  # AcquisitionDateTime
        _tag(("00189073",), "FD", Level.INSTANCE),  # AcquisitionDuration
        _tag(("00181400",), "LO", Level.INSTANCE),  # AcquisitionDeviceProcessingDescription
        _tag(("00091001",), "LO", Level.STUDY, CREATOR),
        _tag(("00081032", "00080100"), "SH", Level.STUDY),  # CodeValue in ProcedureCodeSequence
    ]
)


def attributes_of_tags(number: int, physician: str, made: datetime) -> dict[str, Any]:
    """The attributes of a study's instances that have values of the tags, in the DICOM JSON Model."""

    def text(common: str, own: str) -> str:
        return f"{own} {number}" if number % 2 else common

    return {
        "00080021": {"vr": "DA", "Value": [f"{made:%Y%m%d}"]},
        "0008002A": {"vr": "DT", "Value": [f"{made:%Y%m%d%H%M%S}+0000"]},
        "00081032": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": [text("CODE", "C")]}}]},
        "00081050": {"vr": "PN", "Value": [{"Alphabetic": physician}]},
        "00081080": {"vr": "LO", "Value": [text("Headache", "Finding")]},
        "00090010": {"vr": "LO", "Value": [CREATOR]},
        "00091001": {"vr": "LO", "Value": [text("Routine", "Protocol")]},
        "00181400": {"vr": "LO", "Value": [text("Sharp", "Filter")]},
        "00189073": {"vr": "FD", "Value": [number + 0.25 if number % 2 else 1.5]},
    }
