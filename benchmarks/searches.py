"""The searches that are measured, in the archive of synthetic studies."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from benchmarks.archive_of_studies import DAYS, FIRST_DAY, made_study
from shared.archive.instance import DicomJson
from shared.dicom.attributes import TAG, Level

_KNOWN_STUDIES: Final = (1, 40, 77)  # every archive that is measured has them


@dataclass(frozen=True, slots=True)
class Search:
    """A search and its name; `is_bounded`: it must not read more for a result in a larger archive.

    `before` is the query of the page that is asked for first, "" for none.
    """

    name: str
    level: Level
    query: str
    is_bounded: bool = True
    before: str = ""


def searches() -> list[Search]:
    """Every search, for pages of 100 unless the query says otherwise."""
    made = [made_study(number) for number in _KNOWN_STUDIES]
    study = made[0].record
    patient_id, accession_number, name, date = (
        _value(study.attributes, keyword) for keyword in ("PatientID", "AccessionNumber", "PatientName", "StudyDate")
    )
    series_uid = min(study.series)
    instance_uid = made[0].instances[0].facts.identifiers.sop_instance_uid
    uids = ",".join(one.record.key.study_instance_uid for one in made)
    day = datetime.strptime(date, "%Y%m%d").replace(tzinfo=UTC)
    middle, end = FIRST_DAY + timedelta(days=DAYS // 2), FIRST_DAY + timedelta(days=DAYS)
    month, last_month = f"{middle:%Y%m}01-{middle:%Y%m}28", f"{end - timedelta(days=28):%Y%m%d}-"
    of_study, of_series, of_instance = Level.STUDY, Level.SERIES, Level.INSTANCE
    return [
        Search("PatientID", of_study, f"PatientID={patient_id}"),
        Search("AccessionNumber", of_study, f"AccessionNumber={accession_number}"),
        Search("StudyInstanceUID", of_study, f"StudyInstanceUID={study.key.study_instance_uid}"),
        Search("StudyInstanceUID, list of 3", of_study, f"StudyInstanceUID={uids}"),
        Search("series by SeriesInstanceUID", of_series, f"SeriesInstanceUID={series_uid}"),
        Search("series by PatientID", of_series, f"PatientID={patient_id}"),
        Search("instances by SeriesInstanceUID", of_instance, f"SeriesInstanceUID={series_uid}"),
        Search("instances by SOPInstanceUID", of_instance, f"SOPInstanceUID={instance_uid}"),
        Search("instances by PatientID", of_instance, f"PatientID={patient_id}"),
        Search("PatientName, whole", of_study, f"PatientName={name}"),
        Search("PatientName, whole and frequent", of_study, "PatientName=Smith^John"),
        Search("PatientName `S*`", of_study, "PatientName=S*"),
        Search("PatientName `Smi*`", of_study, "PatientName=Smi*"),
        Search("PatientName `Smith^J*`", of_study, "PatientName=Smith^J*"),
        Search("PatientName `Zyx*`, rare", of_study, "PatientName=Zyx*"),
        Search("PatientName `Johnson^Christ*`, long", of_study, "PatientName=Johnson^Christ*"),
        Search("PatientID, 2 digits and `*`", of_study, f"PatientID={patient_id[:2]}*"),
        Search("PatientID, 5 digits and `*`", of_study, f"PatientID={patient_id[:5]}*"),
        Search("fuzzy `joh`", of_study, "fuzzymatching=true&PatientName=joh"),
        Search("fuzzy `john smi`", of_study, "fuzzymatching=true&PatientName=john%20smi", is_bounded=False),
        Search("fuzzy `elizab zy`", of_study, "fuzzymatching=true&PatientName=elizab%20zy", is_bounded=False),
        Search("PatientName `S*th^J*n`", of_study, "PatientName=S*th^J*n", is_bounded=False),
        Search("PatientName `S*^Xaver`", of_study, "PatientName=S*^Xaver", is_bounded=False),
        Search("PatientName `*smith*`", of_study, "PatientName=*smith*", is_bounded=False),
        Search("PatientName `*zyx*`, rare", of_study, "PatientName=*zyx*", is_bounded=False),
        Search(
            "AccessionNumber, `*` and 7 digits", of_study, f"AccessionNumber=*{accession_number[-7:]}", is_bounded=False
        ),
        Search("StudyDate, a day", of_study, f"StudyDate={date}"),
        Search("StudyDate, a week", of_study, f"StudyDate={date}-{day + timedelta(days=6):%Y%m%d}"),
        Search("StudyDate, 28 days", of_study, f"StudyDate={month}"),
        Search("StudyDate, 3 years", of_study, "StudyDate=20170315-20200410"),
        Search("StudyDate, since the middle", of_study, f"StudyDate={middle:%Y%m%d}-"),
        Search("StudyDate, the last 28 days", of_study, f"StudyDate={last_month}"),
        Search("StudyDate, until the middle", of_study, f"StudyDate=-{middle:%Y%m%d}"),
        Search("StudyTime, 2 hours", of_study, "StudyTime=0900-1059"),
        Search("ModalitiesInStudy `CT`", of_study, "ModalitiesInStudy=CT"),
        Search("ModalitiesInStudy `XA`, rare", of_study, "ModalitiesInStudy=XA"),
        Search("everything, 25", of_study, "limit=25"),
        Search("everything, 100", of_study, ""),
        Search("everything, offset 400", of_study, "offset=400", is_bounded=False),
        Search("everything, offset 400 after 300", of_study, "offset=400", before="offset=300"),
        Search("28 days and `CT`", of_study, f"StudyDate={month}&ModalitiesInStudy=CT", is_bounded=False),
        Search("3 years and `XA`", of_study, "StudyDate=20170315-20200410&ModalitiesInStudy=XA", is_bounded=False),
        Search("a day and `S*`", of_study, f"StudyDate={date}&PatientName=S*", is_bounded=False),
        Search("28 days and `S*`", of_study, f"StudyDate={month}&PatientName=S*", is_bounded=False),
        Search("the last 28 days and `S*`", of_study, f"StudyDate={last_month}&PatientName=S*", is_bounded=False),
        *_searches_by_tags(day, middle),
    ]


def _searches_by_tags(day: datetime, middle: datetime) -> list[Search]:
    """Searches by extended query tags, for a value that one study has, or few, and for one that many have."""
    number = _KNOWN_STUDIES[0]
    of_study, of_series, of_instance = Level.STUDY, Level.SERIES, Level.INSTANCE
    diagnosis, physician, code = "AdmittingDiagnosesDescription", "PerformingPhysicianName", "ProcedureCodeSequence"
    processing, duration = "AcquisitionDeviceProcessingDescription", "AcquisitionDuration"
    taken = "AcquisitionDateTime"
    return [
        Search("tag of studies, text, rare", of_study, f"{diagnosis}=Finding%20{number}"),
        Search("tag of studies, text, frequent", of_study, f"{diagnosis}=Headache"),
        Search("tag of studies, beginning, rare", of_study, f"{diagnosis}=Finding%2077*"),
        Search("tag of studies, beginning, frequent", of_study, f"{diagnosis}=Head*"),
        Search("tag of studies, private, rare", of_study, f"00091001=Protocol%20{number}"),
        Search("tag of studies, private, frequent", of_study, "00091001=Routine"),
        Search("tag of studies, nested, rare", of_study, f"{code}.CodeValue=C%20{number}"),
        Search("tag of studies, nested, frequent", of_study, f"{code}.CodeValue=CODE"),
        Search("tag of series, word of a name, rare", of_series, f"fuzzymatching=true&{physician}=zyx"),
        Search("tag of series, word of a name, frequent", of_series, f"fuzzymatching=true&{physician}=joh"),
        Search("tag of series, a day", of_series, f"SeriesDate={day:%Y%m%d}"),
        Search("tag of series, 3 years", of_series, "SeriesDate=20170315-20200410"),
        Search("tag of instances, number, rare", of_instance, f"{duration}={number + 0.25}"),
        Search("tag of instances, number, frequent", of_instance, f"{duration}=1.50"),
        Search("tag of instances, text, rare", of_instance, f"{processing}=Filter%20{number}"),
        Search("tag of instances, text, frequent", of_instance, f"{processing}=Sharp"),
        Search("tag of instances, beginning, rare", of_instance, f"{processing}=Filter%207*"),
        Search("tag of instances, beginning, frequent", of_instance, f"{processing}=Sh*"),
        Search("tag of instances, a month", of_instance, f"{taken}={day:%Y%m}"),
        Search("tag of instances, since the middle", of_instance, f"{taken}={middle:%Y%m%d}-"),
    ]


def _value(attributes: DicomJson, keyword: str) -> str:
    value = attributes[TAG[keyword]]["Value"][0]
    return str(value["Alphabetic"] if isinstance(value, dict) else value)
