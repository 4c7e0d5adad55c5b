"""What comes before the data set of a DICOM file: preamble, prefix and file meta group (PS3.10 7.1).

Clients also send data sets without some or all of it. What is stored always has all of it, with a preamble of zeros: a
preamble may hold the head of another format, and turn a file that passes for an image into a program.
"""

from dataclasses import dataclass
from struct import unpack
from typing import Final

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.tag import BaseTag
from pydicom.uid import UID
from pydicom.valuerep import STANDARD_VR

from shared.dicom.element_reader import ElementReader
from shared.dicom.element_values import dictionary_vr, raw_value
from shared.dicom.identifiers import MAX_UID_LENGTH, is_uid
from shared.dicom.parsing import HEAD_BYTES, DicomFileError, DicomFileLimits, Encoding, Head
from shared.dicom.transfer_syntaxes import (
    DEFLATED,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)

# Every other transfer syntax is in Explicit VR Little Endian (PS3.5 A.4).
_ENCODINGS: Final = {
    IMPLICIT_VR_LITTLE_ENDIAN: Encoding(is_implicit_vr=True),
    EXPLICIT_VR_BIG_ENDIAN: Encoding(is_little_endian=False),
}

_PREAMBLE: Final = bytes(128)
_PREFIX: Final = b"DICM"
_PREFIXED: Final = len(_PREAMBLE) + len(_PREFIX)
_FIRST_GROUP: Final = 0x0004  # a DICOMDIR's; other data sets begin with 0008
_SWAPPED_GROUP: Final = _FIRST_GROUP << 8

_META_GROUP: Final = b"\x02\x00"

_GUESSED: Final = "The file names no Transfer Syntax UID; the one that its first element shows is assumed."
_TRANSFER_SYNTAX_UID: Final = 0x00020010
_IMPLEMENTATION_CLASS_UID: Final = "2.25.217347430706284696547132738520179672132"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMeta:
    """What was read before the data set.

    `elements` are those of the file meta group, `encoded` its bytes; `following` are the bytes read after it, which
    begin the data set. `transfer_syntax_uid` is a valid UID; where the file names none, it is the one that the data set
    must be in. `assumptions` says in words what the file leaves open.
    """

    elements: Dataset
    encoded: bytes
    following: bytes
    transfer_syntax_uid: str
    assumptions: tuple[str, ...] = ()

    @property
    def encoding(self) -> Encoding:
        """How the data set is encoded, once inflated."""
        return _ENCODINGS.get(self.transfer_syntax_uid, Encoding())

    @property
    def is_deflated(self) -> bool:
        """Whether the data set is deflated (PS3.5 A.5)."""
        return self.transfer_syntax_uid in DEFLATED

    def stored(self, *, sop_class_uid: str, sop_instance_uid: str) -> bytes:
        """What is stored before the data set: all of PS3.10 7.1, with a preamble of zeros.

        A file meta group that names its transfer syntax stays as it is; the UIDs are only used where there is no group.
        Raises DicomFileError for a group that does not, and cannot be rewritten.
        """
        if _TRANSFER_SYNTAX_UID in self.elements:
            return _PREAMBLE + _PREFIX + self.encoded
        try:
            meta = FileMetaDataset()
            meta.FileMetaInformationVersion = b"\0\1"
            meta.MediaStorageSOPClassUID = UID(sop_class_uid[:MAX_UID_LENGTH])
            meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid[:MAX_UID_LENGTH])
            meta.ImplementationClassUID = UID(_IMPLEMENTATION_CLASS_UID)
            meta.update(self.elements)
            written = _written(meta, self.transfer_syntax_uid)
            FileMetaReader(DicomFileLimits()).feed(written, is_last=True)  # pydicom also writes what nobody can read
            return written
        except Exception:  # noqa: BLE001
            # What is there is converted, which can fail in any way; and errors hold values.
            raise DicomFileError("The file meta group cannot be read.") from None

    def transcoded(self, transfer_syntax_uid: str) -> bytes:
        """What comes before the data set of the same instance in another transfer syntax.

        Elements of a VR that does not exist are left out. Raises DicomFileError for a file meta group that cannot be
        rewritten.
        """
        try:
            meta = FileMetaDataset()
            raw = {tag: self.elements.get_item(tag) for tag in sorted(self.elements.keys())}
            meta.update({tag: element for tag, element in raw.items() if element.VR in STANDARD_VR})
            return _written(meta, transfer_syntax_uid)
        except Exception:  # noqa: BLE001
            raise DicomFileError("The file meta group cannot be read.") from None


class FileMetaReader:
    """Reads everything before the data set."""

    def __init__(self, limits: DicomFileLimits) -> None:
        self._limits = limits
        self._beginning = b""
        self._reader: ElementReader | None = None

    def feed(self, chunk: bytes, *, is_last: bool = False) -> FileMeta | None:
        """Return what was read, or None while more is needed, never None when `is_last`.

        Raises DicomFileError when this is not a DICOM file, or cannot be recognized as one.
        """
        if self._reader is None:
            chunk = self._beginning = self._beginning + chunk
            if len(chunk) < _PREFIXED + HEAD_BYTES and not is_last:
                return None
            if chunk.startswith(_PREFIX, len(_PREAMBLE)):
                chunk = chunk[_PREFIXED:]
            elif chunk.startswith(_PREFIX):
                chunk = chunk[len(_PREFIX) :]
            if not chunk.startswith(_META_GROUP):
                return FileMeta(
                    elements=Dataset(),
                    encoded=b"",
                    following=chunk,
                    transfer_syntax_uid=_guessed_transfer_syntax_uid(chunk),
                    assumptions=(_GUESSED,),
                )
            # Explicit VR Little Endian in every file: PS3.10 7.1.
            self._reader = ElementReader(Encoding(), limits=self._limits, is_certain=True, is_file_meta=True)
        if not self._reader.feed(chunk, stop=_is_after_meta, is_last=is_last):
            return None
        reader = self._reader
        elements, following = reader.data_set, reader.data[reader.position :]
        uid = raw_value(elements, _TRANSFER_SYNTAX_UID)
        assumptions = (*reader.assumptions, *(() if uid is not None else (_GUESSED,)))
        return FileMeta(
            elements=elements,
            encoded=reader.data[: reader.position],
            following=following,
            transfer_syntax_uid=_guessed_transfer_syntax_uid(following) if uid is None else _transfer_syntax_uid(uid),
            assumptions=assumptions,
        )


def read_header(data: bytes, limits: DicomFileLimits) -> tuple[FileMeta, Dataset]:
    """The beginning of a stored file, and the data set without its Pixel Data.

    `data` is the file without its Pixel Data element: the bytes before it and, where there are any, those after it.
    Raises DicomFileError when it is not such a file.
    """
    meta = FileMetaReader(limits).feed(data, is_last=True)
    if meta is None:
        raise DicomFileError("The bytes are not those of a stored file.")
    reader = ElementReader(meta.encoding, limits=limits)
    reader.feed(meta.following, is_last=True)
    return meta, reader.data_set


def _written(meta: FileMetaDataset, transfer_syntax_uid: str) -> bytes:
    """Preamble, prefix and a file meta group that names the transfer syntax."""
    meta.FileMetaInformationGroupLength = 0  # counted as it is written
    meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    written = DicomBytesIO()
    write_file_meta_info(written, meta, enforce_standard=False)
    return _PREAMBLE + _PREFIX + written.getvalue()


def _is_after_meta(head: Head) -> bool:
    return head.tag >> 16 != 0x0002


def _transfer_syntax_uid(value: bytes) -> str:
    uid = value.decode("latin-1").strip("\0 ")
    if not is_uid(uid):
        raise DicomFileError("Transfer Syntax UID (0002,0010) is not a UID.")
    return uid


def _guessed_transfer_syntax_uid(beginning: bytes) -> str:
    """The native transfer syntax of a data set that begins with these bytes."""
    if len(beginning) >= HEAD_BYTES:
        group, number = unpack("<HH", beginning[:4])
        if beginning[4:6].decode("latin-1") in STANDARD_VR:
            return EXPLICIT_VR_BIG_ENDIAN if group >= _SWAPPED_GROUP else EXPLICIT_VR_LITTLE_ENDIAN
        # The first attribute of any data set is a standard one.
        if group >= _FIRST_GROUP and dictionary_vr(BaseTag(group << 16 | number), Dataset()) != "UN":
            return IMPLICIT_VR_LITTLE_ENDIAN
    raise DicomFileError(
        "This is not a DICOM file: it names no transfer syntax, and does not begin with an element that shows it."
    )
