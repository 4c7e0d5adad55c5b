"""The URI Service (WADO-URI, PS3.18 9): an instance as its file, or rendered."""

from shared.services.answer_work import AnswerWork
from shared.services.retrieve.instances import file_in
from shared.services.retrieve.rendered_instance import can_be_rendered, media_type_as_it_is, picture
from shared.services.retrieve.stored_instances import find_instance
from shared.storage.archive import Archive
from shared.web.content import Content, Representations
from shared.web.content_negotiation import Offer
from shared.web.offers import DICOM, uri_offers
from shared.web.rendering_parameters import RenderingParameters
from shared.web.uri_request import UriRequest


async def retrieve_by_uri(
    archive: Archive, asked: UriRequest, work: AnswerWork, parameters: RenderingParameters
) -> Representations:
    """What the instance named by a request can be sent as; an image is rendered by default. Raises NotFound."""
    record = await find_instance(archive, asked.identifiers)
    shown_as = media_type_as_it_is(record)
    numbers = None if asked.frame_number is None else [asked.frame_number]

    async def open_file_or_picture(offer: Offer) -> Content:
        if offer.media_type != DICOM:
            return await picture(archive, record, work, offer.media_type, parameters, numbers)
        (uid,) = offer.transfer_syntax_uids
        return await file_in(archive, record, work, uid)

    return Representations(
        version=(record.blob_version, parameters, asked.frame_number),
        offers=uri_offers(record.transfer_syntax_uid, shown_as, is_rendered=can_be_rendered(record)),
        open=open_file_or_picture,
    )
