"""Instances that are stored already: finding them, and comparing them with those that arrive."""

from collections.abc import Sequence

from shared.archive.instance import InstanceFacts, NewInstance
from shared.storage.archive import Archive
from shared.storage.parallel import in_parallel
from shared.web.failure_reasons import Duplicate

Existing = dict[str, InstanceFacts]
"""Instances that were there already, as they stand in the catalog, keyed by the blob version that lost to them."""


async def not_in_catalog(archive: Archive, instances: Sequence[NewInstance], existing: Existing) -> list[NewInstance]:
    """The instances that still have to be entered; those that others stored in their place go to `existing`.

    One that stands there with our own blob version was entered by a batch whose answer was lost.
    """
    found = await in_parallel(archive.catalog.read_instance(i.facts.identifiers) for i in instances)
    missing = []
    for instance, row in zip(instances, found, strict=True):
        if row is None:
            missing.append(instance)
        elif row.blob_version != instance.facts.blob_version:
            existing[instance.facts.blob_version] = row
    return missing


def compared(ours: InstanceFacts, existing: InstanceFacts) -> Duplicate:
    """Whether an instance that was not stored has the same content as the one that was there."""
    return Duplicate.IDENTICAL if ours.sha256 == existing.sha256 else Duplicate.DIFFERENT


def comment_on(duplicate: Duplicate) -> str:
    """What the answer says about a duplicate in words, besides its code."""
    if duplicate is Duplicate.IDENTICAL:
        return "The instance is stored already, with identical content."
    return "An instance of this UID is stored already, with different content."
