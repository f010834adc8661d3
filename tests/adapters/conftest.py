# SPDX-License-Identifier: MIT
from __future__ import annotations

import gc
import ssl
from typing import TYPE_CHECKING, NamedTuple

import pytest
import trustme

from .server import Server, becomes_true, open_descriptors
from .services import AiohttpWeb, Hypercorn, Service, Uvicorn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Certificates(NamedTuple):
    """A certificate for "localhost", in the forms in which clients and servers want it.

    ca_file: the authority's certificate as a PEM file, for clients; `client_context()` makes a
             context that trusts it.
    chain_file, key_file: the server's.
    """

    ca_file: Path
    chain_file: Path
    key_file: Path

    def client_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca_file)

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain_file, self.key_file)
        return context


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    certificates = Certificates(folder / "ca.pem", folder / "chain.pem", folder / "key.pem")
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(str(certificates.ca_file))
    certificates.key_file.write_bytes(certificate.private_key_pem.bytes())
    certificates.chain_file.write_bytes(
        b"".join(pem.bytes() for pem in certificate.cert_chain_pems)
    )
    return certificates


@pytest.fixture
def server() -> Iterator[Server]:
    """The scripted server; a handler that failed fails the test."""
    with Server() as server:
        yield server


@pytest.fixture
def tls_server(certificates: Certificates) -> Iterator[Server]:
    with Server(certificates.server_context()) as server:
        yield server


@pytest.fixture(scope="session")
def uvicorn_server() -> Iterator[Service]:
    with Uvicorn() as service:
        yield service


@pytest.fixture(scope="session")
def aiohttp_server() -> Iterator[Service]:
    with AiohttpWeb() as service:
        yield service


@pytest.fixture(scope="session")
def hypercorn_server(certificates: Certificates) -> Iterator[Service]:
    """HTTP/2 over TLS; clients trust `certificates`."""
    with Hypercorn(certificates.chain_file, certificates.key_file) as service:
        yield service


@pytest.fixture
def no_descriptor_left(server: Server) -> Iterator[Callable[[], None]]:
    """A function that checks that no more descriptors are open than at the start of the test.

    It is called at the end of the test, too.
    """
    gc.collect()
    before = open_descriptors()

    def check() -> None:
        assert becomes_true(lambda: open_descriptors() <= before), (
            f"{open_descriptors() - before} descriptors are left open"
        )

    yield check
    check()
