"""An authority on this machine: it publishes its keys, signs tokens, and can rotate, hide or lose keys."""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

ISSUER = "https://sts.example.org/tenant/"
AUDIENCE = "api://dicom"
DAY = 86_400
OWNER: dict[str, Any] = {"roles": ["Dicom.Owner"]}
READER: dict[str, Any] = {"roles": ["Dicom.Reader"]}


@cache
def rsa_key(name: str) -> RSAPrivateKey:
    """A key of that name, the same each time: making one is slow."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_pem(name: str) -> bytes:
    return rsa_key(name).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def jwk(name: str, **members: str) -> dict[str, Any]:
    """The public key as Entra publishes it: without "alg"."""
    return {**RSAAlgorithm.to_jwk(rsa_key(name).public_key(), as_dict=True), "use": "sig", "kid": name} | members


def claims(**changed: Any) -> dict[str, Any]:
    """The claims of an accepted token; None leaves one out."""
    now = int(time.time())
    all_claims = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + DAY, "sub": "me", **changed}
    return {name: value for name, value in all_claims.items() if value is not None}


def token(key: str = "first", algorithm: str = "RS256", kid: str | None = None, **changed: Any) -> str:
    return jwt.encode(claims(**changed), rsa_key(key), algorithm, {"kid": kid or key})


def encoded(value: bytes | dict[str, Any]) -> str:
    """A part of a token."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """A running authority. `documents` are its answers by path, and `requests` the requested paths."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.documents: dict[str, Any] = {}
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.requests.append(self.path)
                document = issuer.documents.get(self.path)
                body = json.dumps(document).encode()
                self.send_response(503 if document is None else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self.server.server_port}"
        self.url = f"{self.base_url}/tenant"
        self.documents["/tenant/.well-known/openid-configuration"] = {
            "issuer": ISSUER,
            "jwks_uri": f"{self.base_url}/keys",
        }
        self.publish(jwk("first"))

    def publish(self, *keys: dict[str, Any]) -> None:
        """Publish these keys from now on."""
        self.documents["/keys"] = {"keys": list(keys)}

    @property
    def fetches(self) -> int:
        """How often its keys were fetched."""
        return self.requests.count("/keys")


@contextmanager
def issuing() -> Iterator[Issuer]:
    issuer = Issuer()
    thread = Thread(target=issuer.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield issuer
    finally:
        issuer.server.shutdown()
        issuer.server.server_close()
        thread.join()
