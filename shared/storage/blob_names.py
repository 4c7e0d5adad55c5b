"""The names of blobs: an instance's file, and whatever of the instance is too large for a table row. Pure."""

import re
from typing import Final

from shared.archive.instance import InstanceFacts
from shared.dicom.identifiers import DEFAULT_PARTITION, InstanceIdentifiers, ResourceIdentifiers, StudyKey, is_uid

# The default partition has no folder.
_PARTITION_FOLDER: Final = re.compile(rf"=(?!{re.escape(DEFAULT_PARTITION)}=)([^/=]+)=/")
_NAME: Final = re.compile(
    rf"(?:{_PARTITION_FOLDER.pattern})?([^/]+)/([^/]+)/([^/_]+)_[0-9a-f]{{32,}}\.(dcm|metadata|frames)"
)


def instance_blob(identifiers: InstanceIdentifiers, blob_version: str) -> str:
    """Name of the blob that holds an instance's Part 10 file as one store wrote it."""
    return f"{_stem(identifiers, blob_version)}.dcm"


def metadata_blob(identifiers: InstanceIdentifiers, blob_version: str) -> str:
    """Name of the blob that holds an instance's metadata where a catalog row cannot."""
    return f"{_stem(identifiers, blob_version)}.metadata"


def frames_blob(identifiers: InstanceIdentifiers, blob_version: str) -> str:
    """Name of the blob that holds an instance's frame table where a catalog row cannot."""
    return f"{_stem(identifiers, blob_version)}.frames"


def blob_prefix(resource: ResourceIdentifiers) -> str:
    """The prefix that the names of all blobs of a resource have, and no others."""
    prefix = _study_folder(resource.study)
    if resource.series_instance_uid is not None:
        prefix += f"{resource.series_instance_uid}/"
    if resource.sop_instance_uid is not None:
        prefix += f"{resource.sop_instance_uid}_"
    return prefix


def instance_of_blob(name: str) -> tuple[InstanceIdentifiers, str]:
    """The instance that a blob of any kind belongs to, and the blob version, both from the blob's name."""
    partition, within = _split(name)
    study_instance_uid, series_instance_uid, rest = within.split("/")
    stem, _, _ = rest.rpartition(".")
    sop_instance_uid, _, blob_version = stem.rpartition("_")
    study = StudyKey(partition, study_instance_uid)
    return InstanceIdentifiers(study, series_instance_uid, sop_instance_uid), blob_version


def study_of_folder(name: str) -> StudyKey:
    """The study whose blobs' names begin with this, which ends with a slash."""
    partition, within = _split(name)
    return StudyKey(partition, within.removesuffix("/"))


def is_partition_folder(name: str) -> bool:
    """Whether this is the prefix that the names of all blobs of a data partition have, and no others."""
    return _PARTITION_FOLDER.fullmatch(name) is not None


def blobs_of(instance: InstanceFacts) -> list[str]:
    """Names of all blobs that belong to an instance."""
    names = [instance_blob(instance.identifiers, instance.blob_version)]
    if instance.has_metadata_blob:
        names.append(metadata_blob(instance.identifiers, instance.blob_version))
    if instance.has_frames_blob:
        names.append(frames_blob(instance.identifiers, instance.blob_version))
    return names


def is_one_of_ours(name: str) -> bool:
    """Whether this service gives such a name to a blob."""
    match = _NAME.fullmatch(name)
    return match is not None and all(map(is_uid, match.groups()[1:4]))


def _split(name: str) -> tuple[str, str]:
    """The data partition that a name begins with, and the rest of it."""
    named = _PARTITION_FOLDER.match(name)
    return (named[1], name[named.end() :]) if named else (DEFAULT_PARTITION, name)


def _study_folder(study: StudyKey) -> str:
    partition = "" if study.partition == DEFAULT_PARTITION else f"={study.partition}=/"
    return f"{partition}{study.study_instance_uid}/"


def _stem(identifiers: InstanceIdentifiers, blob_version: str) -> str:
    series = f"{_study_folder(identifiers.study)}{identifiers.series_instance_uid}"
    return f"{series}/{identifiers.sop_instance_uid}_{blob_version}"
