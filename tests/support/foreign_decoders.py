"""Other people's decoders of multipart messages."""

from email import message_from_bytes
from email.policy import HTTP

import requests
from dicomweb_client.web import DICOMwebClient
from requests_toolbelt import MultipartDecoder as ToolbeltDecoder  # type: ignore[import-untyped]


def decoded_by_toolbelt(data: bytes, content_type: str) -> list[bytes]:
    return [part.content for part in ToolbeltDecoder(data, content_type).parts]


def decoded_by_dicomweb_client(data: bytes, content_type: str) -> list[bytes]:
    response = requests.Response()
    response.headers["Content-Type"] = content_type
    response._content = data
    client = DICOMwebClient("http://localhost")
    return [bytes(body) for body in client._decode_multipart_message(response, stream=False)]


def decoded_by_email(data: bytes, content_type: str) -> list[bytes]:
    message = message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + data, policy=HTTP)
    assert message.defects == []
    bodies = [part.get_payload(decode=True) for part in message.iter_parts()]
    return [body for body in bodies if isinstance(body, bytes)]
