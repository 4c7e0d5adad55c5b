"""An archive as a dictionary: what the service must answer to any sequence of stores, deletes and searches."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from tests.support.served_instances import dataset, part10

Uids = tuple[str, str, str]


@dataclass(frozen=True)
class Attributes:
    """What a request says of the studies and series that it stores into."""

    patient_id: str
    patient_name: str
    study_date: str
    modality: str

    @property
    def is_valid(self) -> bool:
        """Whether each value keeps to its VR."""
        return self.study_date.isdigit() or not self.study_date


@dataclass(frozen=True)
class Instance:
    """A part of a store request. `fault`: a required attribute it lacks, or "file" if it is not a DICOM file."""

    study: str
    series: str
    uid: str
    attributes: Attributes
    pixels: bytes
    fault: str | None = None

    @property
    def uids(self) -> Uids:
        return self.study, self.series, self.uid

    @property
    def path(self) -> str:
        return f"/studies/{self.study}/series/{self.series}/instances/{self.uid}"

    @property
    def file(self) -> bytes:
        """The Part 10 file; the same instance always gives the same bytes."""
        if self.fault == "file":
            return b"not a DICOM file"
        values: dict[str, object] = {
            "StudyInstanceUID": self.study,
            "SeriesInstanceUID": self.series,
            "SOPInstanceUID": self.uid,
            "PatientID": self.attributes.patient_id,
            "PatientName": self.attributes.patient_name,
            "StudyDate": self.attributes.study_date,
            "Modality": self.attributes.modality,
            "PixelData": self.pixels,
        }
        return part10(dataset(**{**values, **({self.fault: None} if self.fault else {})}))


@dataclass(frozen=True)
class Series:
    """A series: what the latest store says of it, and its instances by UID."""

    modality: str
    instances: dict[str, Instance]


@dataclass(frozen=True)
class Study:
    """A study: what the latest store says of it, when it was created, and its series by UID."""

    attributes: Attributes
    created: int
    series: dict[str, Series]

    @property
    def modalities(self) -> list[str]:
        return sorted({series.modality for series in self.series.values()})

    @property
    def instances(self) -> list[Instance]:
        return [instance for series in self.series.values() for instance in series.instances.values()]


class ArchiveModel:
    """Studies by UID."""

    def __init__(self) -> None:
        self.studies: dict[str, Study] = {}
        self._stores = 0

    def instances(self, study: str, series: str | None = None, uid: str | None = None) -> list[Instance]:
        """The instances of a resource; none where it does not exist."""
        found = self.studies[study].instances if study in self.studies else []
        return [i for i in found if series in (None, i.series) and uid in (None, i.uid)]

    def every_instance(self) -> list[Instance]:
        return [instance for study in self.studies.values() for instance in study.instances]

    def reason(self, instance: Instance, version: str, study: str | None) -> int | None:
        """The failure reason of a part by itself, whatever else the request holds; else None."""
        attributes = instance.attributes
        if instance.fault == "file":
            return 272
        is_refused_in_v1 = not attributes.is_valid or not attributes.patient_id
        if instance.fault is not None or (version == "v1" and is_refused_in_v1):
            return 43264
        if study not in (None, instance.study):
            return 43265
        return 45070 if self.instances(*instance.uids) else None

    def add(self, instances: Iterable[Instance]) -> None:
        """Enter the instances that a request has stored."""
        self._stores += 1
        for instance in instances:
            study = self.studies.get(instance.study) or Study(instance.attributes, self._stores, {})
            before = study.series.get(instance.series)
            after = Series(
                instance.attributes.modality, {**(before.instances if before else {}), instance.uid: instance}
            )
            series = {**study.series, instance.series: after}
            self.studies[instance.study] = replace(study, attributes=instance.attributes, series=series)

    def remove(self, study: str, series: str | None = None, uid: str | None = None) -> bool:
        """Remove a resource and what it leaves empty; return whether there was anything."""
        removed = {instance.uids for instance in self.instances(study, series, uid)}
        if not removed:
            return False
        found = self.studies.pop(study)
        left = {}
        for series_uid, one in found.series.items():
            instances = {i.uid: i for i in one.instances.values() if i.uids not in removed}
            if instances:
                left[series_uid] = replace(one, instances=instances)
        if left:
            self.studies[study] = replace(found, series=left)
        return True

    def matching(self, level: str, keys: dict[str, str]) -> Iterator[tuple[str, ...]]:
        """The UIDs, from the study down to `level`, of each resource that matches all keys."""
        for uid, study in self.studies.items():
            if not _matches_study(uid, study, keys):
                continue
            if level == "studies":
                yield (uid,)
                continue
            for series_uid, series in study.series.items():
                if not _is(keys, "SeriesInstanceUID", series_uid) or not _is(keys, "Modality", series.modality):
                    continue
                if level == "series":
                    yield uid, series_uid
                else:
                    yield from (i.uids for i in series.instances.values() if _is(keys, "SOPInstanceUID", i.uid))


def _matches_study(uid: str, study: Study, keys: dict[str, str]) -> bool:
    attributes = study.attributes
    modalities = keys.get("ModalitiesInStudy")
    return (
        _is(keys, "StudyInstanceUID", uid)
        and _is(keys, "PatientID", attributes.patient_id)
        and _is(keys, "PatientName", attributes.patient_name)
        and _is_in_range(keys.get("StudyDate"), attributes)
        and (modalities is None or not set(modalities.split(",")).isdisjoint(study.modalities))
    )


def _is(keys: dict[str, str], keyword: str, value: str) -> bool:
    """Whether a key is absent, or one of its values is this one."""
    return keyword not in keys or value.casefold() in keys[keyword].casefold().split(",")


def _is_in_range(key: str | None, attributes: Attributes) -> bool:
    if key is None:
        return True
    first, hyphen, last = key.partition("-")
    date = attributes.study_date
    if not date or not attributes.is_valid:
        return False
    return (first <= date and (not last or date <= last)) if hyphen else date == first
