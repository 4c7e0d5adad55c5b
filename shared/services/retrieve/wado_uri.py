"""The URI Service (WADO-URI, PS3.18 9): an instance as its file, or rendered."""

from shared.archive.instance import InstanceWithFrames
from shared.services.answer_work import AnswerWork
from shared.services.retrieve.instances import file_in
from shared.services.retrieve.remembered import Remembered, find_again
from shared.services.retrieve.rendered_instance import can_be_rendered, media_type_as_it_is, picture
from shared.storage.archive import Archive
from shared.web.content import Content, Representations, Unread
from shared.web.content_negotiation import Offer
from shared.web.offers import DICOM, uri_offers
from shared.web.rendering_parameters import RenderingParameters
from shared.web.uri_request import UriRequest


async def retrieve_by_uri(
    archive: Archive, asked: UriRequest, work: AnswerWork, parameters: RenderingParameters
) -> Representations | Unread | Remembered:
    """What the instance named by a request can be sent as; an image is rendered by default. Raises NotFound."""
    numbers = None if asked.frame_number is None else [asked.frame_number]

    def represent(record: InstanceWithFrames, work: AnswerWork) -> Representations:
        async def open_file_or_picture(offer: Offer) -> Content:
            if offer.media_type != DICOM:
                return await picture(archive, record, work, offer.media_type, parameters, numbers)
            (uid,) = offer.transfer_syntax_uids
            return await file_in(archive, record, work, uid)

        shown_as = media_type_as_it_is(record)
        return Representations(
            version=(record.blob_version, parameters, asked.frame_number),
            offers=uri_offers(record.transfer_syntax_uid, shown_as, is_rendered=can_be_rendered(record)),
            open=open_file_or_picture,
        )

    return await find_again(archive, asked.identifiers, work, represent)
