"""Where events may be sent: hosts in every spelling, and addresses of every kind."""

from ipaddress import ip_address

import pytest

from shared.errors import BadRequest
from shared.web.event_targets import AllowedTargets

SOME = AllowedTargets.of(("events.example.org", "*.example.com", "localhost", "10.1.0.0/16", "fd00:1::/64"))
ANY = AllowedTargets.of(("*",))
TOPICS = AllowedTargets.of(("*.eventgrid.azure.net",))


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://events.example.org", "events.example.org"),
        ("https://EVENTS.example.ORG:8443/a/b?c=d&e=%20f", "events.example.org"),
        ("https://a.example.com/", "a.example.com"),
        ("https://a.b.example.com/", "a.b.example.com"),
        ("http://localhost:8080/", "localhost"),
        ("https://localhost/", "localhost"),
        ("https://10.1.2.3/", "10.1.2.3"),
        ("https://[fd00:1::7]:443/", "fd00:1::7"),
    ],
)
def test_what_is_allowed(url: str, host: str) -> None:
    assert SOME.host_of(url) == host


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/",
        "https://example.com/",  # *.example.com is what is below it
        "https://notexample.com/",
        "https://events.example.org.evil.net/",
        "https://events.example.org./",
        "https://sub.events.example.org/",
        "https://10.2.0.1/",
        "https://[fd00:2::7]/",
        "https://8.8.8.8/",
        "https://127.0.0.1/",
    ],
)
def test_hosts_that_are_not_named(url: str) -> None:
    with pytest.raises(BadRequest):
        SOME.host_of(url)


SPELLINGS = [
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f.1",
    "0x7f000001",
    "017700000001",
    "0177.0.0.1",
    "127.0.0.01",
    "127.0.0.1.",
    "a.1",
    "a.0x1",
    "0x",
    "[127.0.0.1]",
    "[::1",
    "::1",
    "[::1]x",
    "[fe80::1%25eth0]",
    "[fe80::1%eth0]",
    "[v1.x]",
    "localhost.",
    "%6cocalhost",
    "loc\talhost",
    "localhost\\@events.example.org",
    "user@events.example.org",
    "user:secret@events.example.org",
    "@events.example.org",
    "events.example.org:",
    "events.example.org:0",
    "events.example.org:99999",
    "events.example.org:x",
    "events.example.org:80:80",
    "",
    ":443",
    "a..b",
    "-a.example.com",
    "a b",
    "１２７.0.0.1",
    "ｌocalhost",
    "münchen.example.com",
    "a" * 64 + ".example.com",
    ".".join(["a" * 60] * 5),
]


@pytest.mark.parametrize("host", SPELLINGS)
def test_a_host_is_spelled_in_one_way(host: str) -> None:
    for allowed in (ANY, AllowedTargets.of(("*", host.lower(), "127.0.0.1", "127.0.0.0/8", "::/0"))):
        with pytest.raises(BadRequest):
            allowed.host_of(f"https://{host}/x")


@pytest.mark.parametrize(
    "url",
    [
        "http://events.example.org/",
        "http://10.1.0.1/",
        "ftp://events.example.org/",
        "file:///etc/passwd",
        "gopher://events.example.org/",
        "//events.example.org/",
        "events.example.org",
        "https:events.example.org",
        "https:///events.example.org",
        "https://events.example.org/#fragment",
        "https://events.example.org/\r\nHost: a",
        " https://events.example.org/",
        "https://events.example.org/" + "x" * 2048,
        "",
        "javascript:alert(1)",
    ],
)
def test_other_urls(url: str) -> None:
    with pytest.raises(BadRequest):
        SOME.host_of(url)


def test_http_needs_a_loopback_host_that_is_named() -> None:
    named = AllowedTargets.of(("127.0.0.1", "::1", "*"))
    assert named.host_of("http://127.0.0.1:7000/") == "127.0.0.1"
    assert named.host_of("http://[::1]:7000/") == "::1"
    assert AllowedTargets.of(("127.0.0.0/8",)).host_of("http://127.0.0.1:7000/") == "127.0.0.1"
    for allowed, url in ((ANY, "http://127.0.0.1/"), (named, "http://localhost/"), (named, "http://8.8.8.8/")):
        with pytest.raises(BadRequest):
            allowed.host_of(url)


NOT_PUBLIC = [
    "0.0.0.0",  # noqa: S104 -- not bound to
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.2.1",
    "192.168.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:168.63.129.16",
    "::ffff:0:127.0.0.1",
    "::ffff:0:8.8.8.8",
    "5f00::1",
    "4000::1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::10.0.0.1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2001:0:1::1",
    "2001:db8::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "100::1",
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_addresses_that_are_not_public(address: str) -> None:
    parsed = ip_address(address)
    assert not ANY.reaches("events.example.org", parsed)
    assert not ANY.reaches("localhost", parsed)  # it is not named
    literal = f"[{address}]" if ":" in address else address
    with pytest.raises(BadRequest, match="public"):
        ANY.host_of(f"https://{literal}/")


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"]
)
def test_public_addresses(address: str) -> None:
    assert ANY.reaches("events.example.org", ip_address(address))
    assert ANY.host_of(f"https://[{address}]/" if ":" in address else f"https://{address}/")


def test_an_address_that_is_named_is_reached_by_itself_alone() -> None:
    named = AllowedTargets.of(("127.0.0.1", "10.0.0.5", "fd00::1", "*"))
    assert named.host_of("https://10.0.0.5/") == "10.0.0.5"
    assert named.host_of("https://[FD00:0::1]/") == "fd00:0::1"
    for address in ("127.0.0.1", "10.0.0.5", "fd00::1"):
        assert not named.reaches("events.example.org", ip_address(address))


def test_networks_and_loopback_names() -> None:
    assert SOME.reaches("events.example.org", ip_address("10.1.255.1"))
    assert SOME.reaches("events.example.org", ip_address("::ffff:10.1.0.1"))
    assert not SOME.reaches("events.example.org", ip_address("10.2.0.1"))
    assert not SOME.reaches("events.example.org", ip_address("127.0.0.1"))
    assert SOME.reaches("localhost", ip_address("127.0.0.1"))
    assert SOME.reaches("localhost", ip_address("::1"))
    assert not SOME.reaches("localhost", ip_address("10.2.0.1"))


def test_topics() -> None:
    TOPICS.check_topic("https://dicom.westeurope-1.eventgrid.azure.net/api/events")
    ANY.check_topic("https://DICOM.westeurope-1.eventgrid.azure.net/api/events")


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://dicom.westeurope-1.eventgrid.azure.net/api/events",
        "https://dicom.westeurope-1.eventgrid.azure.net/api/events/",
        "https://dicom.westeurope-1.eventgrid.azure.net/",
        "https://dicom.westeurope-1.eventgrid.azure.net/api/events?a=b",
        "https://dicom.westeurope-1.eventgrid.azure.net/api/events#a",
        "https://dicom.westeurope-1.eventgrid.azure.net:8443/api/events",
        "https://evil.net/api/events",
        "https://evil.net/.eventgrid.azure.net/api/events",
        "https://evil.net?.eventgrid.azure.net/api/events",
        "https://me@dicom.westeurope-1.eventgrid.azure.net/api/events",
        "https://evileventgrid.azure.net/api/events",
        "https://[::1]/api/events",
        "https://[/api/events",
        "",
    ],
)
def test_what_is_no_topic(endpoint: str) -> None:
    with pytest.raises(BadRequest, match="eventGridTopic"):
        ANY.check_topic(endpoint)


def test_a_topic_has_to_be_allowed() -> None:
    with pytest.raises(BadRequest, match="SUBSCRIPTION_HOSTS"):
        SOME.check_topic("https://dicom.westeurope-1.eventgrid.azure.net/api/events")
