# SPDX-License-Identifier: MIT
"""How what stands in the place of urllib3's response is read: all its versions, and doubles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sse_stream.adapters._urllib3 import decodable, read_promptly, wake

if TYPE_CHECKING:
    from collections.abc import Iterator


class Raw:
    """What urllib3's responses have, in all its versions, and a note of how it was read."""

    def __init__(self, **attributes: Any) -> None:
        self.calls: list[Any] = []
        self.chunked = self.closed = False
        self.position = 0
        for name, value in attributes.items():
            setattr(self, name, self._read1 if value == "read1" else value)

    def tell(self) -> int:
        return self.position

    def _read1(self, *amount: int, decode_content: bool = False) -> bytes:
        self.calls.append(("read1", *amount, decode_content))
        return b"x" if len(self.calls) < 3 else b""

    def stream(self, *amount: int, decode_content: bool = False) -> Iterator[bytes]:
        self.calls.append(("stream", *amount, decode_content))
        yield b"x"


READ1 = [("read1", 65536, True)] * 3
SMALL, LARGE = [("stream", 1, True)], [("stream", 65536, True)]


@pytest.mark.parametrize(
    ("attributes", "calls"),
    [
        ({"read1": "read1"}, READ1),
        ({"read1": "read1", "_fp": Raw(read1="read1"), "chunked": True}, READ1),
        (
            {"read1": "read1", "_fp": object()},
            SMALL,
        ),  # a fake that reads from an object with `read` alone
        ({"_fp": Raw(read1="read1")}, SMALL),  # before 2.2
        ({"chunked": True}, LARGE),
        ({"read1": "read1", "extension": None}, LARGE),  # urllib3-future
        ({"extension": None, "chunked": True}, LARGE),
    ],
)
def test_how_urllib3_is_read(attributes: dict[str, Any], calls: list[Any]) -> None:
    response = Raw(**attributes)
    assert set(read_promptly(response)) == {b"x"}
    assert response.calls == calls


@pytest.mark.parametrize(
    ("attributes", "used"),
    [
        ({"position": 1}, True),
        ({"position": 1, "closed": True, "length_remaining": 0}, True),
        ({"closed": True}, True),
        ({"closed": True, "length_remaining": None}, True),
        ({"closed": True, "length_remaining": 1}, True),
        ({"closed": True, "length_remaining": 0}, False),  # an empty body
        ({"length_remaining": 1}, False),
    ],
)
def test_a_used_response_of_urllib3(attributes: dict[str, Any], used: bool) -> None:
    response = Raw(**attributes)
    if used:
        with pytest.raises(ValueError, match="read or closed already"):
            read_promptly(response)
    else:
        assert list(read_promptly(response)) == [b"x"]


def test_what_a_response_decodes() -> None:
    assert decodable(Raw(CONTENT_DECODERS=["gzip"])) == ["gzip"]
    assert decodable(Raw()) is None


def test_a_double_without_a_connection_is_woken_in_vain() -> None:
    wake(Raw())
    wake(Raw(_connection=object(), _fp=object()))
