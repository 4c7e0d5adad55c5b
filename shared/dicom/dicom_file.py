"""Reads one DICOM Part 10 file (PS3.10 7) as its bytes arrive, in bounded memory, and returns the bytes to store.

The file is stored as it came, with two exceptions: the preamble becomes zeros, and a missing preamble, prefix or file
meta group is put in front. What comes before Pixel Data is read, and only its short elements are held; Pixel Data
passes, and only the places of its frames are noted. No I/O, and no judgement on what the attributes say: a file is
refused only if it cannot be read, exceeds a limit or is cut short.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import chain
from typing import Final

from shared.dicom.data_set_reader import DataSetReader, Metadata
from shared.dicom.file_meta import FileMeta, FileMetaReader
from shared.dicom.frame_layout import frames_remarks
from shared.dicom.frame_table import FrameTable
from shared.dicom.identifiers import InstanceIdentifiers, StudyKey, is_uid
from shared.dicom.parsing import DicomFileError, DicomFileLimits
from shared.dicom.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN

__all__ = ["DicomFileError", "DicomFileLimits", "DicomFileReader", "DicomIdentity", "DicomInstance"]

_STEP_BYTES: Final = 64 * 1024  # read and inflated at a time, so that nothing large is copied more than once
_DEFAULT_LIMITS: Final = DicomFileLimits()
_UID_TAGS: Final = {
    "study_instance_uid": "0020000D",
    "series_instance_uid": "0020000E",
    "sop_instance_uid": "00080018",
    "sop_class_uid": "00080016",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomIdentity:
    """Which instance a file says it is.

    The UIDs are those of the data set, which take precedence over the file meta group. They are as they stand there,
    without padding; "" when absent. Only `transfer_syntax_uid` is certain to be a valid UID.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str

    def identifiers_in(self, partition: str) -> InstanceIdentifiers | None:
        """The instance's identifiers in a data partition, which no file names; None unless each UID is valid."""
        study, *below = self.study_instance_uid, self.series_instance_uid, self.sop_instance_uid
        return InstanceIdentifiers(StudyKey(partition, study), *below) if all(map(is_uid, (study, *below))) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomInstance(DicomIdentity):
    """A whole file. `metadata` has every attribute, including Pixel Data and what follows it.

    `header_bytes` is where Pixel Data begins in the stored file. Without Pixel Data, and for a deflated file, no part
    of which can be read alone, it equals `size_bytes`, the whole stored file, and `frames` is None. `assumptions` says
    in words what had to be assumed to read the file, and what of its Pixel Data cannot be read.
    """

    metadata: Metadata
    frames: FrameTable | None
    header_bytes: int
    size_bytes: int
    assumptions: tuple[str, ...] = ()


class DicomFileReader:
    """Reads the chunks of one file, cut anywhere, and returns the bytes to store.

    After an error, every further call raises it again.
    """

    def __init__(self, *, limits: DicomFileLimits = _DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._meta_reader = FileMetaReader(limits)
        self._body: _Body | None = None
        self._size_bytes = 0
        self._failure: str | None = None
        self._is_finished = False

    @property
    def identity(self) -> DicomIdentity | None:
        """Which instance the file is, once that has been read; else None."""
        return self._body.identity if self._body is not None else None

    @property
    def is_header_read(self) -> bool:
        """Whether all that comes before Pixel Data has been read; a file without any is all header."""
        return self._body is not None and self._body.is_header_read

    @property
    def is_light(self) -> bool:
        """Whether it takes a few milliseconds at most to read another 256 KiB, or to finish and validate it."""
        return self._body is not None and self._body.is_light

    @property
    def held_bytes(self) -> int:
        """About how many bytes of the file are held until more of it comes."""
        return self._body.held_bytes if self._body is not None else 0

    @property
    def attributes_bytes(self) -> int:
        """About how much memory the attributes take that have been read, besides the bytes held."""
        return self._body.attributes_bytes if self._body is not None else 0

    def feed(self, chunk: bytes) -> bytes:
        """Read a chunk, and return bytes to store.

        These are b"" until the file's identity is known, then everything withheld so far, then each chunk as it is.

        Raises DicomFileError as soon as the file turns out not to be DICOM, broken, or over a limit.
        """
        self._check_usable()
        try:
            stored = self._feed(chunk)
        except DicomFileError as error:
            self._failure = str(error)
            raise
        self._size_bytes += len(stored)
        return stored

    def finish(self) -> tuple[bytes, DicomInstance]:
        """The last bytes to store, and what the file is, once all of it has been fed.

        Raises DicomFileError, also for a file that is cut short: one that ends within an element or a sequence.
        """
        self._check_usable()
        try:
            stored = self._read_beginning(b"", is_last=True) if self._body is None else b""
            if self._body is None:
                raise DicomFileError("The file ends before its data set.")
            stored += self._body.finish()
        except DicomFileError as error:
            self._failure = str(error)
            raise
        self._is_finished = True
        self._size_bytes += len(stored)
        return stored, self._body.instance(self._size_bytes)

    def _check_usable(self) -> None:
        if self._failure is not None:
            raise DicomFileError(self._failure)
        if self._is_finished:
            raise RuntimeError("The file has been finished.")

    def _feed(self, chunk: bytes) -> bytes:
        stored = []
        position = 0
        while not self.is_header_read and position < len(chunk):
            step = chunk[position : position + _STEP_BYTES]
            position += _STEP_BYTES
            stored.append(self._read_beginning(step, is_last=False) if self._body is None else self._body.read(step))
        if self._body is not None and position < len(chunk):
            stored.append(self._body.read(chunk[position:]))
        return b"".join(stored)

    def _read_beginning(self, chunk: bytes, *, is_last: bool) -> bytes:
        meta = self._meta_reader.feed(chunk, is_last=is_last)
        if meta is None:
            return b""
        self._body = _Body(meta, self._limits)
        return self._body.read(meta.following)


def inflate_file(data: bytes, *, limits: DicomFileLimits = _DEFAULT_LIMITS) -> tuple[bytes, DicomInstance]:
    """Inflate a stored file with a deflated data set to Explicit VR Little Endian; return its bytes and what it is.

    Raises DicomFileError when it is not such a file, or inflates to more than the limits allow.
    """
    meta_reader, meta, position = FileMetaReader(limits), None, 0
    while meta is None:
        step, position = data[position : position + _STEP_BYTES], position + _STEP_BYTES
        meta = meta_reader.feed(step, is_last=position >= len(data))
    if not meta.is_deflated:
        raise DicomFileError("The bytes are not those of a deflated file.")
    inflater, plain = _Inflater(limits.max_inflated_bytes), BytesIO()
    plain.write(meta.transcoded(EXPLICIT_VR_LITTLE_ENDIAN))
    steps = (data[start : start + _STEP_BYTES] for start in range(position, len(data), _STEP_BYTES))
    for step in chain((meta.following,), steps):
        for inflated in inflater.inflate(step):
            plain.write(inflated)
    inflater.finish()
    inflated_file = plain.getvalue()  # which is no copy
    reader = DicomFileReader(limits=limits)
    for start in range(0, len(inflated_file), _STEP_BYTES):
        reader.feed(inflated_file[start : start + _STEP_BYTES])
    _, instance = reader.finish()
    return inflated_file, instance


class _Body:
    """The data set of a file, and the bytes to store for the whole file."""

    def __init__(self, meta: FileMeta, limits: DicomFileLimits) -> None:
        self._meta = meta
        self._limits = limits
        self._inflater = _Inflater(limits.max_inflated_bytes) if meta.is_deflated else None
        self._data_set = DataSetReader(meta.encoding, transfer_syntax_uid=meta.transfer_syntax_uid, limits=limits)
        self._data_set_offset = 0
        self._withheld = bytearray()
        self.identity: DicomIdentity | None = None

    @property
    def is_header_read(self) -> bool:
        return self._data_set.metadata is not None

    @property
    def is_light(self) -> bool:
        return self._inflater is None and self._data_set.is_light

    @property
    def held_bytes(self) -> int:
        return len(self._withheld) + self._data_set.held_bytes

    @property
    def attributes_bytes(self) -> int:
        return self._data_set.attributes_bytes

    def read(self, chunk: bytes) -> bytes:
        """Read a chunk of the data set in its stored form, and return bytes to store."""
        for plain in self._inflater.inflate(chunk) if self._inflater else (chunk,):
            self._data_set.feed(plain)
        if self.identity is not None:
            return chunk
        self._withheld += chunk
        if self._data_set.identification is not None:
            return self._release(self._data_set.identification)
        # Only deflated bytes that inflate to nothing get here.
        if len(self._withheld) > self._limits.max_header_bytes + _STEP_BYTES:
            raise DicomFileError(f"More than {self._limits.max_header_bytes} bytes come to no Pixel Data.")
        return b""

    def finish(self) -> bytes:
        """The last bytes to store, once all of the data set has been read."""
        if self._inflater:
            self._inflater.finish()
        metadata = self._data_set.finish()
        if self.identity is None:
            return self._release(metadata)
        if self._identity(metadata) != self.identity:
            raise DicomFileError("The attributes are out of order: the UIDs of the instance do not come first.")
        return b""

    def instance(self, size_bytes: int) -> DicomInstance:
        """The whole file, stored in `size_bytes`; only after `finish`."""
        metadata = self._data_set.finish()
        pixel_data_offset = None if self._inflater else self._data_set.pixel_data_offset
        if pixel_data_offset is None:
            frames, header_bytes = None, size_bytes
        else:
            frames = self._data_set.frames(self._data_set_offset)
            header_bytes = self._data_set_offset + pixel_data_offset
        return DicomInstance(
            **_uids(metadata),
            transfer_syntax_uid=self._meta.transfer_syntax_uid,
            metadata=metadata,
            frames=frames,
            header_bytes=header_bytes,
            size_bytes=size_bytes,
            assumptions=(
                *self._meta.assumptions,
                *sorted(self._data_set.assumptions),
                *frames_remarks(metadata, frames, self._meta.transfer_syntax_uid),
            ),
        )

    def _identity(self, metadata: Metadata) -> DicomIdentity:
        return DicomIdentity(**_uids(metadata), transfer_syntax_uid=self._meta.transfer_syntax_uid)

    def _release(self, metadata: Metadata) -> bytes:
        identity = self.identity = self._identity(metadata)
        beginning = self._meta.stored(sop_class_uid=identity.sop_class_uid, sop_instance_uid=identity.sop_instance_uid)
        self._data_set_offset = len(beginning)
        stored = beginning + self._withheld
        self._withheld = bytearray()
        return stored


class _Inflater:
    """Inflates a data set (PS3.5 A.5) a little at a time, up to `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._inflated_bytes = 0
        self._decompressor = zlib.decompressobj(-zlib.MAX_WBITS)

    def inflate(self, chunk: bytes) -> Iterator[bytes]:
        """Inflate a chunk. Raises DicomFileError when it cannot be inflated, or exceeds the limit."""
        while not self._decompressor.eof:
            try:
                plain = self._decompressor.decompress(chunk, _STEP_BYTES)
            except zlib.error:
                raise DicomFileError("The deflated data set cannot be inflated.") from None
            self._inflated_bytes += len(plain)
            if self._inflated_bytes > self._max_bytes:
                raise DicomFileError(f"The data set inflates to more than {self._max_bytes} bytes.")
            yield plain
            chunk = self._decompressor.unconsumed_tail
            # A padding byte may follow the end (PS3.5 A.5), and output may remain when all input is taken.
            if not chunk and len(plain) < _STEP_BYTES:
                return

    def finish(self) -> None:
        """Check that the deflated bytes have ended. Raises DicomFileError where they have not."""
        if not self._decompressor.eof:
            raise DicomFileError("The file is cut short in its deflated data set.")


def _uids(metadata: Metadata) -> dict[str, str]:
    return {name: _uid(metadata, tag) for name, tag in _UID_TAGS.items()}


def _uid(metadata: Metadata, tag: str) -> str:
    value = metadata.get(tag, {}).get("Value", [""])[0]
    return value if isinstance(value, str) else ""
