"""Whose request it is, where nobody signs in: the address that the host in front names."""

import pytest
from starlette.requests import Request

from functions.edge.headers import client_address
from shared.settings import Settings


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ([], "192.0.2.9"),
        (["192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1:51234"], "192.0.2.1"),
        (["203.0.113.5, 192.0.2.1:51234"], "192.0.2.1"),
        (["192.0.2.1", "192.0.2.2:1"], "192.0.2.2"),
        (["2001:db8::1"], "2001:db8::1"),
        (["[2001:db8::1]:51234"], "[2001:db8::1]"),
    ],
)
def test_the_address_is_the_last_one_named_without_its_port(forwarded: list[str], address: str) -> None:
    headers = [(b"x-forwarded-for", line.encode()) for line in forwarded]
    request = Request({"type": "http", "headers": headers, "client": ("192.0.2.9", 1)})
    assert client_address(request, Settings(trust_forwarded=True)) == address
    assert client_address(request, Settings()) == "192.0.2.9"
