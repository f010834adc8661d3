# SPDX-License-Identifier: MIT
"""What the adapters ask of an exception, whoever raised it."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest

from sse_stream.adapters._errors import is_refused_certificate, is_system_error


def test_certificates_that_are_refused() -> None:
    refused = ssl.SSLCertVerificationError("expired")
    outer = OSError("wrapped")
    outer.__cause__ = refused
    assert is_refused_certificate(refused)
    assert is_refused_certificate(outer)
    reason: Any = OSError()
    reason.reason = outer
    assert is_refused_certificate(reason)
    other: Any = ssl.SSLError(1, "[SSL] other")
    other.__cause__ = other.__context__ = None
    assert not is_refused_certificate(other)
    circle: Any = OSError("a")
    circle.reason = circle
    assert not is_refused_certificate(circle)
    while_handling = OSError("another connection, tried in place of the refused one")
    while_handling.__context__ = refused
    assert not is_refused_certificate(while_handling)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (socket.gaierror(), True),
        (ssl.SSLError(), True),
        (type("ClientOSError", (OSError,), {"__module__": "a_client"})(), False),
        (ValueError(), False),
    ],
)
def test_errors_of_the_system(error: Exception, expected: bool) -> None:
    assert is_system_error(error) is expected
