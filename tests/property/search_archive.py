"""Random studies to search for: in many character sets, with odd, missing, similar values and values of every form."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from pydicom.dataset import Dataset

from shared.dicom.attributes import SEARCHABLE, Level, MatchingKey
from tests.support.served_instances import part10


@dataclass(frozen=True)
class Element:
    """An attribute: text as a person reads it, groups of a name joined by ``=``, numbers of US, items of SQ."""

    vr: str
    values: tuple[Any, ...]


DataSet = dict[str, Element]
"""Elements by tag."""


@dataclass(frozen=True)
class Part:
    """An instance in a store request; its parts agree on what they say of their study and series."""

    study: str
    series: str
    uid: str
    character_set: Sequence[str]
    attributes: DataSet

    @property
    def file(self) -> bytes:
        """The Part 10 file."""
        return part10(_encodable({"00080005": Element("CS", tuple(self.character_set)), **self.attributes}))


def _encodable(data_set: DataSet) -> Dataset:
    made = Dataset()
    for tag, element in data_set.items():
        values = [_encodable(value) if element.vr == "SQ" else value for value in element.values]
        made.add_new(int(tag, 16), element.vr, values if element.vr == "SQ" or len(values) > 1 else (values or [""])[0])
    return made


# What can only be matched within one study: attributes the archive knows, others, private ones, and ones in sequences.
OTHER_KEYS: Final = tuple(
    MatchingKey(name, tuple(path.split(".")), vr, level)
    for name, path, vr, level in [
        ("PatientSex", "00100040", "CS", Level.STUDY),
        ("OtherPatientIDs", "00101000", "LO", Level.STUDY),
        ("PatientWeight", "00101030", "DS", Level.STUDY),
        ("PatientBirthTime", "00100032", "TM", Level.STUDY),
        ("InstitutionName", "00080080", "LO", Level.SERIES),
        ("SeriesDate", "00080021", "DA", Level.SERIES),
        ("SeriesTime", "00080031", "TM", Level.SERIES),
        ("ImageType", "00080008", "CS", Level.INSTANCE),
        ("ContentDate", "00080023", "DA", Level.INSTANCE),
        ("ContentTime", "00080033", "TM", Level.INSTANCE),
        ("AcquisitionDateTime", "0008002A", "DT", Level.INSTANCE),
        ("ContentCreatorName", "00700084", "PN", Level.INSTANCE),
        ("SliceThickness", "00180050", "DS", Level.INSTANCE),
        ("ImageComments", "00204000", "LT", Level.INSTANCE),
        ("Rows", "00280010", "US", Level.INSTANCE),
        ("PatientAge", "00101010", "AS", Level.STUDY),
        ("FrameOfReferenceUID", "00200052", "UI", Level.SERIES),
        ("RetrieveAETitle", "00080054", "AE", Level.INSTANCE),
        ("RecommendedDisplayFrameRateInFloat", "00089459", "FL", Level.INSTANCE),
        ("AcquisitionDuration", "00189073", "FD", Level.INSTANCE),
        ("ReferencePixelX0", "00186020", "SL", Level.INSTANCE),
        ("SelectorAttribute", "00720026", "AT", Level.INSTANCE),
        ("00091001", "00091001", "LO", Level.INSTANCE),
        ("00091002", "00091002", "US", Level.INSTANCE),
        ("00091003", "00091003", "DT", Level.INSTANCE),
        ("00091004", "00091004", "DS", Level.INSTANCE),
        ("00091005", "00091005", "PN", Level.INSTANCE),
        ("ConceptNameCodeSequence.CodeValue", "0040A043.00080100", "SH", Level.INSTANCE),
        ("ConceptNameCodeSequence.CodeMeaning", "0040A043.00080104", "LO", Level.INSTANCE),
        ("ContentSequence.ConceptNameCodeSequence.CodeValue", "0040A730.0040A043.00080100", "SH", Level.INSTANCE),
    ]
)
KEYS: Final = {key.path: key for key in (*SEARCHABLE, *OTHER_KEYS)}

# Character sets, each with names and texts that it can encode.
CHARACTER_SETS: Final = (
    (["ISO_IR 6"], ["Doe^John", "DOE^JANE^Q", "Doe", "Doe^^^Dr", "O'Hara-Smith^Kate (jr.)"], ["Chest PA", "CT HEAD"]),
    (["ISO_IR 100"], ["Müller^Jörg", "Núñez^José María", "MULLER^JORG", "Ångström^Å"], ["Schädel", "Größe", "SCHÄDEL"]),
    (["ISO_IR 144"], ["Люкceмбypг", "Иванов^Пётр", "ИВАНОВ^ПЕТР"], ["Грудная клетка"]),
    (["ISO_IR 126"], ["Διονυσιος", "Παπαδόπουλος^Γιώργος"], ["Θώρακας"]),
    (["ISO_IR 127"], ["قباني^لنزار"], ["الصدر"]),
    (["ISO_IR 138"], ["שרון^דבורה"], ["חזה"]),
    (
        ["", "ISO 2022 IR 87"],
        ["Yamada^Tarou=山田^太郎=やまだ^たろう", "Suzuki^Jirou=鈴木^次郎=すずき^じろう"],
        ["胸部"],
    ),
    (["ISO 2022 IR 13", "ISO 2022 IR 87"], ["ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"], ["ｷｮｳﾌﾞ"]),
    (["", "ISO 2022 IR 149"], ["Hong^Gildong=洪^吉洞=홍^길동", "Kim^Minsu=金^民秀=김^민수"], ["흉부"]),
    (["GB18030"], ["Wang^XiaoDong=王^小东", "Zhang^Xuan=张^昞=", "Zhang=张"], ["胸部正位", "昞"]),
    (
        ["ISO_IR 192"],
        ["Đặng^Văn A", "Wang^XiaoDong=王^小東=ワン", "𠮷野^家", "=山田^花子"],
        ["Brustkorb – Übersicht", "胸部"],
    ),
)
ODD_TEXTS: Final = (
    "a/b", "50% [x]", "what?", "#1", "it's", "a^b", "k=v", "x:y", "!0041", "a!b", "~tilde", "**", "s*r", "[a-z]", '""',
    "' or 1 eq 1", "a&b=c", "a+b", "a  b", "A,B", "x" * 64, "x" * 63 + "y", "0", "00", "-",
)  # fmt: skip
ODD_NAMES: Final = ("A^B^C^D^E", "van der Berg^Jan", "x" * 64, "Smith*", "[Roe]^?", "Doe^%41", "Doe ^ John", "Li^^")
MODALITIES: Final = ("CT", "MR", "SR", "PT", "US")
DATES: Final = (
    "20260101",
    "20260102",
    "20260131",
    "20260201",
    "20251231",
    "20240229",
    "19700101",
    "20260230",
    "01.01.26",
)
TIMES: Final = (
    "10", "1030", "103015", "103015.5", "103015.123456", "000000", "235959.999999", "2359", "113000", "25", "noon",
)  # fmt: skip
MOMENTS: Final = (
    "2026", "202601", "20260101", "2026010110", "20260101103015.25", "20260101103015+0100", "20251231233000-0100",
    "20260101003000+0100", "20260131235959.999999", "2025", "20260101103015.250-0800", "yesterday",
)  # fmt: skip
WHOLE_NUMBERS: Final = ("0", "1", "2", "007", "7", "-3", "12", "123456789")
DECIMALS: Final = ("0", "1.5", "1.50", "75", "75.0", "-0.25", "2.5e1", "25", "1e-3")
FLOATS: Final = (0.0, 0.1, 1.5, 75.0, -2.25, 3e-7, 1e12)
AGES: Final = ("007Y", "070Y", "003M", "010D")
SOP_CLASSES: Final = ("1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.2")


class Studies:
    """Makes studies, each with its own UIDs, of so few values that many agree."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._count = 0

    def uid(self) -> str:
        """A UID not used before; some begin with another."""
        self._count += 1
        return f"1.2.{self._count}"

    def study(self) -> Iterator[list[Part]]:
        """The requests that store one study, the last of which decides the study's attributes."""
        study, series = self.uid(), [self.uid() for _ in range(self._random.choice((1, 1, 1, 2, 3)))]
        for _ in range(self._random.choice((1, 1, 1, 1, 2))):
            yield self.request(study, series)

    def request(self, study: str, all_series: Sequence[str]) -> list[Part]:
        """Instances of one study, and of one or more of its series."""
        character_set, names, texts = self._random.choice(CHARACTER_SETS)
        self._names, self._texts = (*names, *ODD_NAMES), (*texts, *ODD_TEXTS)
        of_study = self._study()
        parts = []
        for series in self._random.sample(all_series, self._random.randint(1, len(all_series))):
            of_series = self._series()
            for _ in range(self._random.choice((1, 1, 2))):
                uid = self.uid()
                uids = zip(("0020000D", "0020000E", "00080018"), (study, series, uid), strict=True)
                attributes = {
                    **of_study,
                    **of_series,
                    **self._instance(),
                    **{tag: Element("UI", (value,)) for tag, value in uids},
                }
                parts.append(Part(study, series, uid, character_set, attributes))
        return parts

    def _study(self) -> DataSet:
        return {
            **self._some("00080020", "DA", DATES),
            **self._some("00080030", "TM", TIMES),
            **self._some("00080050", "SH", [f"A{self._random.randrange(200)}", *ODD_TEXTS[:20]]),
            **self._some("00080090", "PN", self._names),
            **self._some("00081030", "LO", self._texts),
            **self._some("00100010", "PN", self._names),
            "00100020": Element("LO", (self._random.choice([f"ID{self._random.randrange(80)}", *ODD_TEXTS]),)),
            **self._some("00100030", "DA", DATES),
            **self._some("00100032", "TM", TIMES),
            **self._some("00100040", "CS", ("M", "F", "O")),
            **self._some("00101000", "LO", self._texts, most=3),
            **self._some("00101010", "AS", AGES),
            **self._some("00101030", "DS", DECIMALS),
            **self._some("00200010", "SH", [str(self._random.randrange(30)), *ODD_TEXTS[:20]]),
        }

    def _series(self) -> DataSet:
        requests = [
            {
                **self._some("00400009", "SH", ("S1", "S2", "S3")),
                **self._some("00401001", "SH", ("P1", "P2", "p 3", "50%")),
            }
            for _ in range(self._random.choice((0, 1, 1, 2)))
        ]
        return {
            **self._some("00080021", "DA", DATES),
            **self._some("00080031", "TM", TIMES),
            **self._some("00080060", "CS", MODALITIES),
            **self._some("00080080", "LO", self._texts),
            **self._some("00081090", "LO", ("Vision", "VISION 2", *ODD_TEXTS)),
            **self._some("00200011", "IS", WHOLE_NUMBERS),
            **self._some("00200052", "UI", ("1.2.3", "1.2.3.4", "1.2.30")),
            **self._some("00400244", "DA", DATES),
            **self._some("00400245", "TM", TIMES),
            **({"00400275": Element("SQ", tuple(requests))} if self._random.random() < 0.7 else {}),
        }

    def _instance(self) -> DataSet:
        return {
            "00080016": Element("UI", (self._random.choice(SOP_CLASSES),)),
            **self._some("00080008", "CS", ("ORIGINAL", "PRIMARY", "AXIAL", "DERIVED"), most=3),
            **self._some("00080023", "DA", DATES),
            **self._some("0008002A", "DT", MOMENTS),
            **self._some("00080033", "TM", TIMES),
            "00090010": Element("LO", ("TEST",)),
            **self._some("00091001", "LO", self._texts),
            **self._some("00091002", "US", (0, 1, 512)),
            **self._some("00091003", "DT", MOMENTS),
            **self._some("00091004", "DS", DECIMALS),
            **self._some("00091005", "PN", self._names),
            **self._some("00080054", "AE", ("PACS", "pacs 1", "A:B"), most=2),
            **self._some("00089459", "FL", FLOATS),
            **self._some("00180050", "DS", DECIMALS),
            **self._some("00186020", "SL", (-1, 0, 7, 12)),
            **self._some("00189073", "FD", FLOATS, most=2),
            **self._some("00200013", "IS", WHOLE_NUMBERS),
            **self._some("00204000", "LT", (*self._texts, "two\r\nlines")),
            **self._some("00280010", "US", (0, 64, 512)),
            "0040A043": Element("SQ", self._codes()),
            "0040A730": Element("SQ", tuple({"0040A043": Element("SQ", self._codes())} for _ in range(2))),
            **self._some("00700084", "PN", self._names),
            **self._some("00720026", "AT", (0x00100010, 0x0020000D, 0x00081140)),
        }

    def _codes(self) -> tuple[DataSet, ...]:
        return tuple(
            {
                **self._some("00080100", "SH", ("T-04000", "t-04000", "113100")),
                **self._some("00080104", "LO", self._texts),
            }
            for _ in range(self._random.choice((0, 1, 2)))
        )

    def _some(self, tag: str, vr: str, values: Sequence[Any], *, most: int = 1) -> DataSet:
        """The attribute with up to `most` values; sometimes without values, or not at all."""
        chance = self._random.random()
        if chance < 0.08:
            return {}
        if chance < 0.16:
            return {tag: Element(vr, ())}
        return {tag: Element(vr, tuple(self._random.sample(values, self._random.randint(1, most))))}
