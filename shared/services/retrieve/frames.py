"""The Retrieve transaction for frames (PS3.18 10.4.1.1.6), as they are stored or transcoded."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.archive.instance import InstanceWithFrames
from shared.dicom.identifiers import InstanceIdentifiers
from shared.dicom.transfer_syntaxes import frame_transfer_syntax
from shared.services.answer_work import AnswerWork
from shared.services.retrieve.remembered import Remembered, find_again
from shared.services.retrieve.stored_file import StoredFile, open_file
from shared.services.retrieve.stored_frames import stored_frame, stored_frames
from shared.web.content import Content, Parts, Representations, Unread, started
from shared.web.content_negotiation import Offer
from shared.web.offers import frame_offers

if TYPE_CHECKING:
    from shared.storage.archive import Archive


async def retrieve_frames(
    archive: "Archive", identifiers: InstanceIdentifiers, frame_numbers: Sequence[int], work: AnswerWork
) -> Representations | Unread | Remembered:
    """What frames of an instance, by number from 1, can be sent as: one alone, several as parts, in that order.

    Raises NotFound where there is no such instance; opening them does where there is no such frame.
    """

    def represent(record: InstanceWithFrames, work: AnswerWork) -> Representations:
        async def open_frames(offer: Offer) -> Content | Parts:
            return await frames_of(await open_file(archive, record, work), frame_numbers, offer, work)

        return Representations(
            version=(record.blob_version, tuple(frame_numbers)),
            offers=frame_offers(record.transfer_syntax_uid, are_several=len(frame_numbers) > 1),
            open=open_frames,
        )

    return await find_again(archive, identifiers, work, represent)


async def frames_of(file: StoredFile, frame_numbers: Sequence[int], offer: Offer, work: AnswerWork) -> Content | Parts:
    """Frames of a file as one of `frame_offers`. Raises NotFound, and NotAcceptable for what cannot be transcoded."""
    (uid,) = offer.transfer_syntax_uids
    if uid != frame_transfer_syntax(file.transfer_syntax_uid):
        from shared.services.retrieve.transcoding import frames_in  # pydicom

        frames = frames_in(file, work, frame_numbers, uid, offer.media_type)
        return await anext(frames) if len(frame_numbers) == 1 else Parts(await started(frames))
    if len(frame_numbers) == 1:
        return await stored_frame(file, frame_numbers[0], offer.media_type, work)
    return Parts(await started(stored_frames(file, frame_numbers, offer.media_type, work)))
