"""Synthetic studies, always the same for a number, and the table rows that storing them would write.

An archive of n has the studies 0 to n - 1: ten years of them, three to a patient, in one to three series of one or two
instances. Names come from lists in which the k-th is as frequent as 1/k. A tenth was imported long after it was made.
All are indexed by a few extended query tags. There are no files, only rows that refer to them.
"""

import json
import zlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from typing import Any, Final, cast

from azure.data.tables.aio import TableClient, TableServiceClient

from benchmarks.tags_of_studies import TAGS, attributes_of_tags
from shared.archive.instance import InstanceFacts, NewInstance
from shared.archive.study import StudyRecord, split_by_level, with_instances
from shared.archive.study_terms import terms_of, terms_of_instance
from shared.archive.tag_values import tag_values
from shared.dicom.attributes import BY_KEYWORD, TAG, Level
from shared.dicom.identifiers import DEFAULT_PARTITION, InstanceIdentifiers, StudyKey
from shared.storage import keys
from shared.storage.catalog import Catalog
from shared.storage.parallel import in_parallel
from shared.storage.postings import Postings

Entity = dict[str, Any]

FIRST_DAY: Final = datetime(2015, 1, 1, tzinfo=UTC)
DAYS: Final = 3652
STUDIES_OF_A_PATIENT: Final = 3

_SURNAMES: Final = """
    Smith Johnson Williams Brown Jones Garcia Miller Davis Rodriguez Martinez Hernandez Lopez Gonzalez Wilson Anderson
    Thomas Taylor Moore Jackson Martin Lee Perez Thompson White Harris Sanchez Clark Ramirez Lewis Robinson Walker
    Young Allen King Wright Scott Torres Nguyen Hill Flores Green Adams Nelson Baker Hall Rivera Campbell Mitchell
    Carter Roberts Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Silva Santos Ferreira
    Pereira Oliveira Costa Rossi Russo Ferrari Bianchi Dubois Laurent Lefebvre Moreau Nowak Kowalski Novák Svoboda
    Ivanov Smirnov Yilmaz Kaya Sato Suzuki Tanaka Kim Park Chen Wang Zhang Singh Kumar Khan Hussain Okafor Mensah
    O'Connor Goldsmith Smithson Saint-Clair Zyx
"""
_GIVEN_NAMES: Final = """
    John Mary James Patricia Robert Jennifer Michael Linda David Elizabeth William Barbara Richard Susan Joseph
    Jessica Thomas Sarah Christopher Karen Charles Lisa Daniel Nancy Matthew Betty Anthony Sandra Mark Margaret Donald
    Ashley Steven Kimberly Andrew Emily Paul Donna Joshua Michelle Kenneth Carol Kevin Amanda Brian Melissa George
    Deborah Johanna Joaquin Quentin Xaver
"""

# Modality: its share in percent, SOP class, and the maker's models
_MODALITIES: Final[dict[str, tuple[int, str, str]]] = {
    "CT": (35, "1.2.840.10008.5.1.4.1.1.2", "SOMATOM Force|Revolution CT|Aquilion ONE"),
    "MR": (20, "1.2.840.10008.5.1.4.1.1.4", "MAGNETOM Vida|SIGNA Premier|Ingenia"),
    "DX": (15, "1.2.840.10008.5.1.4.1.1.1.1", "Ysio Max|DigitalDiagnost"),
    "CR": (10, "1.2.840.10008.5.1.4.1.1.1", "DX-M|FCR Capsula"),
    "US": (10, "1.2.840.10008.5.1.4.1.1.6.1", "LOGIQ E10|EPIQ Elite"),
    "MG": (4, "1.2.840.10008.5.1.4.1.1.1.2", "Selenia Dimensions"),
    "NM": (2, "1.2.840.10008.5.1.4.1.1.20", "Symbia Intevo"),
    "PT": (2, "1.2.840.10008.5.1.4.1.1.128", "Biograph Vision"),
    "XA": (1, "1.2.840.10008.5.1.4.1.1.12.1", "Artis Q"),
    "OT": (1, "1.2.840.10008.5.1.4.1.1.7", "Scanner"),
}
_BODY_PARTS: Final = ("CHEST", "ABDOMEN", "HEAD", "KNEE", "SPINE", "PELVIS", "HAND", "FOOT", "NECK", "SHOULDER")
_TRANSFER_SYNTAXES: Final = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90")


@dataclass(frozen=True, slots=True)
class MadeStudy:
    """A study as an archive has it: its instances and the metadata of each."""

    record: StudyRecord
    instances: Sequence[NewInstance]
    metadata: Sequence[dict[str, Any]]


def made_study(number: int) -> MadeStudy:
    """The study of this number, which orders nothing."""
    random = Random(f"study {number}")
    made = FIRST_DAY + timedelta(days=random.randrange(DAYS), seconds=int(random.triangular(0, 86_399, 43_200)))
    late = timedelta(days=random.randrange(30, 1500)) if random.random() < 0.1 else timedelta()
    created = made + late + timedelta(seconds=random.randrange(60, 3600), microseconds=number)
    modality = random.choices(list(_MODALITIES), [share for share, *_ in _MODALITIES.values()])[0]
    body_part = random.choice(_BODY_PARTS)
    study_attributes = {
        "SpecificCharacterSet": "ISO_IR 192",
        "StudyDate": made.strftime("%Y%m%d"),
        "StudyTime": made.strftime("%H%M%S"),
        "AccessionNumber": f"A{made.year % 100}{number:07d}",
        "ReferringPhysicianName": _name(Random(f"physician {random.randrange(300)}")),
        "StudyDescription": f"{modality} {body_part}{random.choice(('', ' W CONTRAST', ' WO CONTRAST', ' AP LAT'))}",
        **_patient(number // STUDIES_OF_A_PATIENT),
        "StudyInstanceUID": _uid(random),
        "StudyID": str(number % 10_000),
    }
    of_tags = attributes_of_tags(number, _name(Random(f"performing {number}")), made)
    new = []
    metadata = []
    for series_number in range(1, random.randrange(1, 4) + 1):
        series_attributes = {**study_attributes, **_series(random, modality, series_number, number, made)}
        for instance_number in range(1, random.randrange(1, 3) + 1):
            attributes = {**series_attributes, "SOPInstanceUID": _uid(random), "InstanceNumber": instance_number}
            metadata.append(dict(sorted({**_metadata(attributes), **of_tags}.items())))
            new.append(_new_instance(random, attributes, metadata[-1], created))
    study = with_instances(None, new, created)
    return MadeStudy(replace(study, posted=terms_of(study)), new, metadata)


async def rows_of_studies(numbers: Iterable[int]) -> AsyncIterator[tuple[list[Entity], list[Entity]]]:
    """What each study leaves in the catalog, once its changes are in the feed, and in the table of terms."""
    for number in numbers:
        made = made_study(number)
        record = made.record
        catalog, terms = _Rows(), _Rows()
        facts = [instance.facts for instance in made.instances]
        single = {term for one in facts for term in terms_of_instance(one.identifiers, one.tags)}
        await Postings(cast(TableClient, terms)).add(record.key, record.created, {*record.posted, *single})
        await Catalog(cast(TableClient, catalog)).commit(None, record, added=made.instances)
        kept = [entity for entity in catalog.entities if not keys.is_change_row(entity["RowKey"])]
        yield kept, terms.entities


async def write_studies(numbers: Iterable[int], connection_string: str) -> None:
    """Write the rows of studies into the tables of an archive, 100 of a table partition in a batch."""
    partitions: dict[tuple[str, str], list[Entity]] = {}
    async for rows in rows_of_studies(numbers):
        for name, entities in zip(("catalog", "terms"), rows, strict=True):
            for entity in entities:
                partitions.setdefault((name, entity["PartitionKey"]), []).append(entity)
    async with TableServiceClient.from_connection_string(connection_string) as service:
        tables = {name: service.get_table_client(name) for name in ("catalog", "terms")}

        async def write(name: str, entities: Sequence[Entity]) -> None:
            # Azurite ends connections after five seconds, even those about to be used.
            await tables[name].submit_transaction(
                [("upsert", entity) for entity in entities], retry_on_methods=["POST"]
            )

        await in_parallel(
            write(name, entities[start : start + 100])
            for (name, _), entities in partitions.items()
            for start in range(0, len(entities), 100)
        )


@dataclass(slots=True)
class _Rows:
    """Stands in for a table: keeps what is written to it."""

    entities: list[Entity] = field(default_factory=list)

    async def upsert_entity(self, entity: Entity, **_: Any) -> None:
        self.entities.append(entity)

    async def submit_transaction(self, operations: Iterable[tuple[Any, ...]], **_: Any) -> list[dict[str, str]]:
        written = [entity for _, entity, *_ in operations]
        self.entities += written
        return [{"etag": ""} for _ in written]


def _name(random: Random) -> str:
    return "^".join(random.choices(*_weighted(names))[0] for names in (_SURNAMES, _GIVEN_NAMES))


@cache
def _weighted(names: str) -> tuple[list[str], list[float]]:
    found = names.split()
    return found, [1 / rank for rank in range(1, len(found) + 1)]


def _patient(number: int) -> dict[str, str]:
    random = Random(f"patient {number}")
    return {
        "PatientName": _name(random),
        "PatientID": f"{number * 7919 % 10**7:07d}",  # 7919 is prime, so there are 10**7
        "PatientBirthDate": (FIRST_DAY - timedelta(days=random.randrange(33_000))).strftime("%Y%m%d"),
        "PatientSex": random.choice("FM"),
    }


def _series(random: Random, modality: str, series_number: int, number: int, made: datetime) -> dict[str, Any]:
    _, sop_class_uid, models = _MODALITIES[modality]
    return {
        "SOPClassUID": sop_class_uid,
        "Modality": modality,
        "Manufacturer": "Example",
        "ManufacturerModelName": random.choice(models.split("|")),
        "SeriesDescription": f"Series {series_number}",
        "SeriesInstanceUID": _uid(random),
        "SeriesNumber": series_number,
        "Rows": 512,
        "Columns": 512,
        "BitsAllocated": 16,
        "PerformedProcedureStepStartDate": made.strftime("%Y%m%d"),
        "PerformedProcedureStepStartTime": made.strftime("%H%M%S"),
        "RequestAttributesSequence": [
            {
                "00400009": {"vr": "SH", "Value": [f"S{number}"]},
                "00401001": {"vr": "SH", "Value": [f"R{number}"]},
            }
        ],
    }


def _uid(random: Random) -> str:
    return f"2.25.{random.getrandbits(128)}"


def _metadata(attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes by keyword in the DICOM JSON Model."""
    found = {}
    for keyword, value in attributes.items():
        known = BY_KEYWORD[keyword]
        values = value if isinstance(value, list) else [{"Alphabetic": value} if known.vr == "PN" else value]
        found[known.tag] = {"vr": known.vr, "Value": values}
    return found


def _new_instance(
    random: Random, attributes: dict[str, Any], metadata: dict[str, Any], created: datetime
) -> NewInstance:
    transfer_syntax_uid = random.choice(_TRANSFER_SYNTAXES)
    stored = {**metadata, TAG["AvailableTransferSyntaxUID"]: {"vr": "UI", "Value": [transfer_syntax_uid]}}
    size_bytes = random.randrange(100_000, 600_000)
    study_key = StudyKey(DEFAULT_PARTITION, attributes["StudyInstanceUID"])
    values = tag_values(metadata.items(), TAGS.indexed).by_level
    facts = InstanceFacts(
        InstanceIdentifiers(study_key, attributes["SeriesInstanceUID"], attributes["SOPInstanceUID"]),
        f"{random.getrandbits(128):032x}000000",
        sop_class_uid=attributes["SOPClassUID"],
        transfer_syntax_uid=transfer_syntax_uid,
        size_bytes=size_bytes,
        header_bytes=size_bytes,
        sha256=f"{random.getrandbits(256):064x}",
        stored=created,
        has_metadata_blob=False,
        has_frames_blob=False,
        tags=values[Level.INSTANCE],
    )
    text = json.dumps(dict(sorted(stored.items())), ensure_ascii=False, separators=(",", ":"))
    of_study, of_series = split_by_level(metadata)
    of_study, of_series = {**of_study, **values[Level.STUDY]}, {**of_series, **values[Level.SERIES]}
    return NewInstance(facts, zlib.compress(text.encode()), b"", of_study, of_series)
