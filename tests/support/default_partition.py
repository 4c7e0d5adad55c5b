"""Studies, series and instances of the default partition, by their UIDs alone."""

from hypothesis import strategies as st

from shared.dicom.identifiers import DEFAULT_PARTITION, InstanceIdentifiers, ResourceIdentifiers, StudyKey

PARTITIONS = st.from_regex(r"[A-Za-z0-9._\-]{1,64}", fullmatch=True).filter(lambda name: name not in (".", ".."))
"""Names that a data partition may have."""


def study_key(study: str) -> StudyKey:
    return StudyKey(DEFAULT_PARTITION, study)


def resource_of(study: str, series: str | None = None, instance: str | None = None) -> ResourceIdentifiers:
    return ResourceIdentifiers(study_key(study), series, instance)


def identifiers_of(study: str, series: str, instance: str) -> InstanceIdentifiers:
    return InstanceIdentifiers(study_key(study), series, instance)
