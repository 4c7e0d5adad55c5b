"""The DICOM attributes that the archive treats by name: one table for their tag, VR, level and use.

All else in a data set passes through unchanged. The levels are those of PS3.4 C.6.2 (study root), the modules those
of PS3.3 C.7. Tags are eight upper-case hexadecimal digits, as in the DICOM JSON Model (PS3.18 F.2.2).
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class Level(IntEnum):
    """A level of the study root information model (PS3.4 C.6.2); a lower level contains the ones above it."""

    STUDY = 1
    SERIES = 2
    INSTANCE = 3

    @property
    def word(self) -> str:
        """Its name in a sentence: study, series or instance."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute that the archive knows by name.

    `is_searchable`: a search across the archive can match it (PS3.18 Table 10.6.1-5, and the list of Microsoft's
    service). `is_validated`: its value is checked at store (Microsoft's list). `is_returned`: a search at
    its level returns it unasked (PS3.18 Tables 10.6.3-3 to -5, and what Microsoft's v2 adds).
    """

    keyword: str
    tag: str
    vr: str
    level: Level
    is_searchable: bool = False
    is_validated: bool = False
    is_returned: bool = False


_STUDY, _SERIES, _INSTANCE = Level.STUDY, Level.SERIES, Level.INSTANCE
_VALIDATED: Final = {"is_searchable": True, "is_validated": True, "is_returned": True}
_SEARCHED: Final = {"is_searchable": True, "is_returned": True}
_RETURNED: Final = {"is_returned": True}

ATTRIBUTES: Final[tuple[Attribute, ...]] = (
    # General Study (PS3.3 C.7.2.1), Patient (C.7.1.1) and Patient Study (C.7.2.2)
    Attribute("SpecificCharacterSet", "00080005", "CS", _STUDY, **_RETURNED),
    Attribute("StudyDate", "00080020", "DA", _STUDY, **_VALIDATED),
    Attribute("StudyTime", "00080030", "TM", _STUDY, **_SEARCHED),
    Attribute("AccessionNumber", "00080050", "SH", _STUDY, **_VALIDATED),
    Attribute("IssuerOfAccessionNumberSequence", "00080051", "SQ", _STUDY),
    Attribute("InstanceAvailability", "00080056", "CS", _STUDY, **_RETURNED),
    Attribute("ModalitiesInStudy", "00080061", "CS", _STUDY, **_VALIDATED),
    Attribute("SOPClassesInStudy", "00080062", "UI", _STUDY),
    Attribute("ReferringPhysicianName", "00080090", "PN", _STUDY, **_VALIDATED),
    Attribute("ReferringPhysicianIdentificationSequence", "00080096", "SQ", _STUDY),
    Attribute("ConsultingPhysicianName", "0008009C", "PN", _STUDY),
    Attribute("TimezoneOffsetFromUTC", "00080201", "SH", _STUDY, **_RETURNED),
    Attribute("StudyDescription", "00081030", "LO", _STUDY, **_VALIDATED),
    Attribute("ProcedureCodeSequence", "00081032", "SQ", _STUDY),
    Attribute("PhysiciansOfRecord", "00081048", "PN", _STUDY),
    Attribute("NameOfPhysiciansReadingStudy", "00081060", "PN", _STUDY),
    Attribute("AdmittingDiagnosesDescription", "00081080", "LO", _STUDY),
    Attribute("AdmittingDiagnosesCodeSequence", "00081084", "SQ", _STUDY),
    Attribute("ReferencedStudySequence", "00081110", "SQ", _STUDY),
    Attribute("RetrieveURL", "00081190", "UR", _STUDY, **_RETURNED),
    Attribute("PatientName", "00100010", "PN", _STUDY, **_VALIDATED),
    Attribute("PatientID", "00100020", "LO", _STUDY, **_VALIDATED),
    Attribute("IssuerOfPatientID", "00100021", "LO", _STUDY),
    Attribute("TypeOfPatientID", "00100022", "CS", _STUDY),
    Attribute("IssuerOfPatientIDQualifiersSequence", "00100024", "SQ", _STUDY),
    Attribute("PatientBirthDate", "00100030", "DA", _STUDY, **_VALIDATED),
    Attribute("PatientBirthTime", "00100032", "TM", _STUDY),
    Attribute("PatientSex", "00100040", "CS", _STUDY, **_RETURNED),
    Attribute("OtherPatientIDs", "00101000", "LO", _STUDY),
    Attribute("OtherPatientNames", "00101001", "PN", _STUDY),
    Attribute("OtherPatientIDsSequence", "00101002", "SQ", _STUDY),
    Attribute("PatientAge", "00101010", "AS", _STUDY),
    Attribute("PatientSize", "00101020", "DS", _STUDY),
    Attribute("PatientWeight", "00101030", "DS", _STUDY),
    Attribute("MedicalAlerts", "00102000", "LO", _STUDY),
    Attribute("Allergies", "00102110", "LO", _STUDY),
    Attribute("EthnicGroup", "00102160", "SH", _STUDY),
    Attribute("Occupation", "00102180", "SH", _STUDY),
    Attribute("SmokingStatus", "001021A0", "CS", _STUDY),
    Attribute("AdditionalPatientHistory", "001021B0", "LT", _STUDY),
    Attribute("PregnancyStatus", "001021C0", "US", _STUDY),
    Attribute("PatientSpeciesDescription", "00102201", "LO", _STUDY),
    Attribute("PatientBreedDescription", "00102292", "LO", _STUDY),
    Attribute("ResponsiblePerson", "00102297", "PN", _STUDY),
    Attribute("PatientComments", "00104000", "LT", _STUDY),
    Attribute("PatientIdentityRemoved", "00120062", "CS", _STUDY),
    Attribute("DeidentificationMethod", "00120063", "LO", _STUDY),
    Attribute("StudyInstanceUID", "0020000D", "UI", _STUDY, **_VALIDATED),
    Attribute("StudyID", "00200010", "SH", _STUDY, **_SEARCHED),
    Attribute("NumberOfStudyRelatedSeries", "00201206", "IS", _STUDY, **_RETURNED),
    Attribute("NumberOfStudyRelatedInstances", "00201208", "IS", _STUDY, **_RETURNED),
    Attribute("RequestingService", "00321033", "LO", _STUDY),
    Attribute("AdmissionID", "00380010", "LO", _STUDY),
    # General Series (C.7.3.1), General Equipment (C.7.5.1) and Frame of Reference (C.7.4.1)
    Attribute("SeriesDate", "00080021", "DA", _SERIES),
    Attribute("SeriesTime", "00080031", "TM", _SERIES),
    Attribute("Modality", "00080060", "CS", _SERIES, **_VALIDATED),
    Attribute("Manufacturer", "00080070", "LO", _SERIES),
    Attribute("InstitutionName", "00080080", "LO", _SERIES),
    Attribute("InstitutionAddress", "00080081", "ST", _SERIES),
    Attribute("StationName", "00081010", "SH", _SERIES),
    Attribute("SeriesDescription", "0008103E", "LO", _SERIES, **_RETURNED),
    Attribute("SeriesDescriptionCodeSequence", "0008103F", "SQ", _SERIES),
    Attribute("InstitutionalDepartmentName", "00081040", "LO", _SERIES),
    Attribute("PerformingPhysicianName", "00081050", "PN", _SERIES),
    Attribute("OperatorsName", "00081070", "PN", _SERIES),
    Attribute("ManufacturerModelName", "00081090", "LO", _SERIES, **_VALIDATED),
    Attribute("ReferencedPerformedProcedureStepSequence", "00081111", "SQ", _SERIES),
    Attribute("BodyPartExamined", "00180015", "CS", _SERIES),
    Attribute("DeviceSerialNumber", "00181000", "LO", _SERIES),
    Attribute("SoftwareVersions", "00181020", "LO", _SERIES),
    Attribute("ProtocolName", "00181030", "LO", _SERIES),
    Attribute("PatientPosition", "00185100", "CS", _SERIES),
    Attribute("SeriesInstanceUID", "0020000E", "UI", _SERIES, **_VALIDATED),
    Attribute("SeriesNumber", "00200011", "IS", _SERIES, **_SEARCHED),
    Attribute("FrameOfReferenceUID", "00200052", "UI", _SERIES),
    Attribute("Laterality", "00200060", "CS", _SERIES),
    Attribute("PositionReferenceIndicator", "00201040", "LO", _SERIES),
    Attribute("NumberOfSeriesRelatedInstances", "00201209", "IS", _SERIES, **_RETURNED),
    Attribute("PerformedProcedureStepStartDate", "00400244", "DA", _SERIES, **_VALIDATED),
    Attribute("PerformedProcedureStepStartTime", "00400245", "TM", _SERIES, **_SEARCHED),
    Attribute("PerformedProcedureStepID", "00400253", "SH", _SERIES),
    Attribute("PerformedProcedureStepDescription", "00400254", "LO", _SERIES),
    Attribute("RequestAttributesSequence", "00400275", "SQ", _SERIES, **_RETURNED),
    # SOP Common (C.12.1), General Image (C.7.6.1) and Image Pixel (C.7.6.3); so is every attribute not named
    Attribute("SOPClassUID", "00080016", "UI", _INSTANCE, **_SEARCHED),
    Attribute("SOPInstanceUID", "00080018", "UI", _INSTANCE, **_VALIDATED),
    Attribute("AvailableTransferSyntaxUID", "00083002", "UI", _INSTANCE, **_RETURNED),
    Attribute("InstanceNumber", "00200013", "IS", _INSTANCE, **_SEARCHED),
    Attribute("NumberOfFrames", "00280008", "IS", _INSTANCE, **_RETURNED),
    Attribute("Rows", "00280010", "US", _INSTANCE, **_RETURNED),
    Attribute("Columns", "00280011", "US", _INSTANCE, **_RETURNED),
    Attribute("BitsAllocated", "00280100", "US", _INSTANCE, **_RETURNED),
)

BY_KEYWORD: Final = {attribute.keyword: attribute for attribute in ATTRIBUTES}
BY_TAG: Final = {attribute.tag: attribute for attribute in ATTRIBUTES}
TAG: Final = {attribute.keyword: attribute.tag for attribute in ATTRIBUTES}
VALIDATED: Final = tuple(attribute for attribute in ATTRIBUTES if attribute.is_validated)


@dataclass(frozen=True, slots=True)
class MatchingKey:
    """What a search can match: an attribute, or one of the items of a sequence.

    `keyword` and `path` (tags) name the sequence first; keywords are joined by dots. `level` is that of the outermost
    attribute.
    """

    keyword: str
    path: tuple[str, ...]
    vr: str
    level: Level


SEARCHABLE: Final = (
    *(MatchingKey(known.keyword, (known.tag,), known.vr, known.level) for known in ATTRIBUTES if known.is_searchable),
    MatchingKey("RequestAttributesSequence.ScheduledProcedureStepID", ("00400275", "00400009"), "SH", _SERIES),
    MatchingKey("RequestAttributesSequence.RequestedProcedureID", ("00400275", "00401001"), "SH", _SERIES),
)
"""What a search across the archive can match."""

KEY_BY_PATH: Final = {key.path: key for key in SEARCHABLE}

DATES_WITH_TIMES: Final = (
    ("00080020", "00080030"),  # study
    ("00080021", "00080031"),  # series
    ("00080022", "00080032"),  # acquisition
    ("00080023", "00080033"),  # content
    ("00100030", "00100032"),  # the patient's birth
    ("00400244", "00400245"),  # start of the performed procedure step
)
"""Tags of dates and their times: a range of each makes one range of moments (PS3.4 C.2.2.2.5)."""


def level_of(tag: str) -> Level:
    """The level of an attribute; one that the table does not name describes the instance."""
    attribute = BY_TAG.get(tag)
    return attribute.level if attribute else Level.INSTANCE


def is_private(tag: str) -> bool:
    """Whether it is a tag of private attributes (PS3.5 7.8)."""
    return tag[3] in "13579BDF"


def is_private_creator(tag: str) -> bool:
    """Whether what it names says who has reserved a block of private attributes (PS3.5 7.8.1)."""
    return is_private(tag) and tag[4:6] == "00" and tag[6:] >= "10"
