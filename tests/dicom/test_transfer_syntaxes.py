"""The table of transfer syntaxes, and what is derived from it."""

from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from shared.dicom.transfer_syntaxes import (
    DECODABLE,
    ENCODABLE,
    LOSSY_METHODS,
    NATIVE,
    TRANSFER_SYNTAXES,
    PixelCoding,
    frame_media_type,
    frame_transfer_syntax,
    is_video,
)


def test_each_transfer_syntax_is_listed_once() -> None:
    uids = [row.uid for row in TRANSFER_SYNTAXES]
    assert len(uids) == len(set(uids))


def test_every_coding_is_that_of_a_transfer_syntax() -> None:
    assert {row.coding for row in TRANSFER_SYNTAXES} == {None, *PixelCoding}


def test_encodable_ones_are_in_order_of_preference_decodable_and_lossless() -> None:
    preferences = sorted(row.encoding_preference for row in TRANSFER_SYNTAXES if row.encoding_preference)
    assert preferences == list(range(1, len(ENCODABLE) + 1))
    assert ENCODABLE[0] == ExplicitVRLittleEndian  # which every client reads
    assert DECODABLE.issuperset(ENCODABLE)
    assert not LOSSY_METHODS.keys() & {*ENCODABLE}


def test_native_frames_are_octets() -> None:
    assert {frame_media_type(uid) for uid in (*NATIVE, "1.2.3")} == {"application/octet-stream"}
    assert frame_transfer_syntax(ImplicitVRLittleEndian) == ExplicitVRLittleEndian


def test_videos_are_recognized_by_their_media_type() -> None:
    assert is_video("1.2.840.10008.1.2.4.102.1")
    assert not is_video(RLELossless)
