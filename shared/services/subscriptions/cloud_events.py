"""Events as subscribers get them: CloudEvents 1.0, with Microsoft's types and data for instances.

They hold UIDs, and of a study its accession number, modalities and counts: no name or ID of a patient. The same change
makes the same event, whenever it is sent, so that a repeated one can be told by its id.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from shared.archive.study import StudyRecord
from shared.archive.subscription import KIND_OF_ACTION, EventKind, Settling, Subscription
from shared.dicom.attributes import TAG
from shared.storage.feed_rows import FeedEntry

Event = Mapping[str, Any]

TYPES: Final[Mapping[EventKind, str]] = {
    EventKind.CREATED: "Microsoft.HealthcareApis.DicomImageCreated",
    EventKind.UPDATED: "Microsoft.HealthcareApis.DicomImageUpdated",
    EventKind.DELETED: "Microsoft.HealthcareApis.DicomImageDeleted",
    EventKind.STUDY_SETTLED: "Microsoft.HealthcareApis.DicomStudySettled",
}


def image_event(subscription: Subscription, entry: FeedEntry) -> Event:
    """What a change did to an instance."""
    identifiers = entry.change.identifiers
    data = {
        "partitionName": identifiers.study.partition,
        "imageStudyInstanceUid": identifiers.study_instance_uid,
        "imageSeriesInstanceUid": identifiers.series_instance_uid,
        "imageSopInstanceUid": identifiers.sop_instance_uid,
    }
    kind = KIND_OF_ACTION[entry.change.action]
    return _event(subscription, kind, str(entry.sequence), identifiers.path, entry.stamp, data, entry.sequence)


def settled_event(subscription: Subscription, settling: Settling, study: StudyRecord | None) -> Event:
    """What a study is now that it has settled; None: it has gone."""
    accession_numbers = study.attributes.get(TAG["AccessionNumber"], {}).get("Value", ()) if study else ()
    data = {
        "partitionName": settling.study.partition,
        "studyInstanceUid": settling.study.study_instance_uid,
        **({"accessionNumber": str(accession_numbers[0])} if accession_numbers and accession_numbers[0] else {}),
        "modalities": study.modalities if study else [],
        "numberOfSeries": len(study.series) if study else 0,
        "numberOfInstances": study.instance_count if study else 0,
    }
    event_id = f"{settling.sequence}-settled"
    path = settling.study.path
    return _event(subscription, EventKind.STUDY_SETTLED, event_id, path, settling.due, data, settling.sequence)


def host_of(subscription: Subscription) -> str:
    """The service's own host, by which its requests name it."""
    return urlsplit(subscription.service_url).hostname or ""


def _event(
    subscription: Subscription,
    kind: EventKind,
    event_id: str,
    path: str,
    time: datetime,
    data: Mapping[str, Any],
    sequence: int,
) -> Event:
    _, _, place = subscription.service_url.partition("://")
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": subscription.service_url,
        "type": TYPES[kind],
        "subject": f"{place}/{path}",
        "time": time.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": {**data, "serviceHostName": host_of(subscription), "sequenceNumber": sequence},
    }
