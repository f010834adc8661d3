# SPDX-License-Identifier: MIT
"""Mistakes of the caller, in every adapter: an error at the call that says what to write."""

from __future__ import annotations

import asyncio
import inspect
import types
import urllib.request
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
import httpx
import httpx2
import pycurl  # type: ignore[import-untyped]
import pytest
import requests
import urllib3

import sse_stream
from sse_stream import SSEDecoder
from sse_stream.adapters import aiohttp as of_aiohttp
from sse_stream.adapters import httpx as of_httpx
from sse_stream.adapters import pycurl as of_pycurl
from sse_stream.adapters import requests as of_requests
from sse_stream.adapters import urllib as of_urllib
from sse_stream.adapters import urllib3 as of_urllib3
from sse_stream.policy import ReconnectionPolicy

from .server import NO_TLS

if TYPE_CHECKING:
    from collections.abc import Callable

URL = "http://localhost/"


class Side(NamedTuple):
    """One half of an adapter, and a right client for it.

    wanted: what the error for a wrong client says.
    """

    adapter: Any
    prefix: str  # of its verbs: "" or "a"
    new: Callable[[], Any]
    wanted: str

    def verb(self, name: str) -> Any:
        return getattr(self.adapter, self.prefix + name)


of_no_tls = partial(partial, verify=NO_TLS)

SIDES = {
    "httpx": Side(of_httpx, "", of_no_tls(httpx.Client), "an httpx.Client, or the module httpx"),
    "httpx2": Side(of_httpx, "", of_no_tls(httpx2.Client), "an httpx.Client, or the module httpx"),
    "httpx, async": Side(of_httpx, "a", of_no_tls(httpx.AsyncClient), "an httpx.AsyncClient"),
    "httpx2, async": Side(of_httpx, "a", of_no_tls(httpx2.AsyncClient), "an httpx.AsyncClient"),
    "aiohttp": Side(of_aiohttp, "a", aiohttp.ClientSession, "an aiohttp.ClientSession"),
    "requests": Side(
        of_requests, "", requests.Session, "a requests.Session, or the module requests"
    ),
    "urllib3": Side(
        of_urllib3,
        "",
        urllib3.PoolManager,
        "a urllib3.PoolManager or ConnectionPool, or the module urllib3",
    ),
    "urllib": Side(
        of_urllib,
        "",
        urllib.request.build_opener,
        "an OpenerDirector of urllib.request, or None for urlopen",
    ),
    "pycurl": Side(of_pycurl, "", pycurl.Curl, "a pycurl.Curl"),
    "pycurl, async": Side(of_pycurl, "a", pycurl.Curl, "a pycurl.Curl"),
}

# What could be taken for a client: each library's clients, their classes, modules, responses.
CLIENTS: dict[str, Callable[[], Any]] = {
    "an httpx.Client": of_no_tls(httpx.Client),
    "an httpx2.Client": of_no_tls(httpx2.Client),
    "an httpx.AsyncClient": of_no_tls(httpx.AsyncClient),
    "an httpx2.AsyncClient": of_no_tls(httpx2.AsyncClient),
    "a ClientSession": aiohttp.ClientSession,
    "a Session": requests.Session,
    "a PoolManager": urllib3.PoolManager,
    "a ConnectionPool": lambda: urllib3.HTTPConnectionPool("localhost"),
    "an OpenerDirector": urllib.request.build_opener,
    "a Curl": pycurl.Curl,
    "the class httpx.Client": lambda: httpx.Client,
    "the class httpx.AsyncClient": lambda: httpx.AsyncClient,
    "the class ClientSession": lambda: aiohttp.ClientSession,
    "the class Session": lambda: requests.Session,
    "the class PoolManager": lambda: urllib3.PoolManager,
    "the class OpenerDirector": lambda: urllib.request.OpenerDirector,
    "the class Curl": lambda: pycurl.Curl,
    "the module httpx": lambda: httpx,
    "the module aiohttp": lambda: aiohttp,
    "the module requests": lambda: requests,
    "the module urllib3": lambda: urllib3,
    "the module urllib.request": lambda: urllib.request,
    "the module pycurl": lambda: pycurl,
    "the module asyncio": lambda: asyncio,
    "None": lambda: None,
    "a URL": lambda: URL,
    "a method": lambda: "GET",
    "bytes": lambda: b"data: x\n\n",
    "a response": lambda: httpx.Response(200),
    "a function": lambda: httpx.get,
}
RIGHT = {
    "httpx": {"an httpx.Client", "an httpx2.Client", "the module httpx"},
    "httpx2": {"an httpx.Client", "an httpx2.Client", "the module httpx"},
    "httpx, async": {"an httpx.AsyncClient", "an httpx2.AsyncClient"},
    "httpx2, async": {"an httpx.AsyncClient", "an httpx2.AsyncClient"},
    "aiohttp": {"a ClientSession"},
    "requests": {"a Session", "the module requests"},
    "urllib3": {"a PoolManager", "a ConnectionPool", "the module urllib3"},
    "urllib": {"an OpenerDirector", "None"},
    "pycurl": {"a Curl"},
    "pycurl, async": {"a Curl"},
}


@pytest.fixture(params=SIDES)
def name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def side(name: str) -> Side:
    return SIDES[name]


def in_loop(new: Callable[[], Any], call: Callable[[Any], object]) -> None:
    """Make a client, call with it, and close it, on a running loop as aiohttp asks."""

    async def main() -> None:
        client = new()
        try:
            call(client)
        finally:
            if not isinstance(client, (type, types.ModuleType, types.FunctionType)):
                close = getattr(client, "aclose", None) or getattr(client, "close", None)
                closing = close() if close is not None else None
                if inspect.isawaitable(closing):
                    await closing

    asyncio.run(main())


@pytest.mark.parametrize("verb", ["connect", "subscribe"])
@pytest.mark.parametrize("given", CLIENTS)
def test_the_wrong_client(name: str, given: str, verb: str) -> None:
    side = SIDES[name]

    def call(client: Any) -> None:
        if given in RIGHT[name]:
            side.verb(verb)(client, "GET", URL)
            return
        with pytest.raises(TypeError) as caught:
            side.verb(verb)(client, "GET", URL)
        message = str(caught.value)
        if "async client; pass it to aconnect" not in message:
            assert message.startswith(f"{side.prefix}connect takes {side.wanted}, not ")
        assert "\n" not in message
        if given.startswith("the class") and side.adapter is not of_pycurl:
            assert f"the class {client.__name__}; make one: {client.__name__}()" in message

    in_loop(CLIENTS[given], call)


@pytest.mark.parametrize("verb", ["connect", "subscribe"])
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (lambda client: ("GET", client, URL), "takes the method as a str, as in "),
        (lambda client: ("GET", URL, client), "is no method; the order is "),
        (lambda client: (client, URL, "GET"), "is no method; the order is "),
        (lambda client: (client, "/events", "GET"), "is no method; the order is "),
        (lambda client: (client, b"GET", URL), "takes the method as a str, as in "),
        (lambda client: (client, None, URL), "takes the method as a str, as in "),
        (lambda client: (client, "GET", None), "takes a URL, as in "),
        (lambda client: (client, "GET", 80), "takes a URL, as in "),
        (lambda client: (client, "GET", print), "takes a URL, as in "),
        (lambda client: (URL, "GET", client), "{0} takes {1}, not str"),
    ],
)
def test_arguments_in_the_wrong_order(
    side: Side, arguments: Callable[[Any], Any], text: str, verb: str
) -> None:
    def call(client: Any) -> None:
        with pytest.raises(TypeError) as caught:
            side.verb(verb)(*arguments(client))
        said = text.format(f"{side.prefix}connect", side.wanted)
        assert said in str(caught.value).replace("<class 'str'>", "str")
        if "as in" in text or "the order is" in text:
            assert f'{side.prefix}connect(client, "GET", url)' in str(caught.value)

    in_loop(side.new, call)


@pytest.mark.parametrize("field", ReconnectionPolicy.__slots__)
def test_a_field_of_the_policy(side: Side, field: str) -> None:
    def call(client: Any) -> None:
        with pytest.raises(TypeError, match=rf"pass policy=ReconnectionPolicy\({field}=3\)"):
            side.verb("subscribe")(client, "GET", URL, **{field: 3})

    in_loop(side.new, call)


@pytest.mark.parametrize("option", ["time_out", "no_such_option"])
def test_an_unknown_option(side: Side, option: str) -> None:
    def call(client: Any) -> None:
        for verb in ("connect", "subscribe"):
            with pytest.raises(TypeError, match=option) as caught:
                side.verb(verb)(client, "GET", URL, **{option: 1})
            if side.adapter not in (of_urllib, of_pycurl) and option == "time_out":
                assert "did you mean timeout?" in str(caught.value)

    in_loop(side.new, call)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"decoder": SSEDecoder}, TypeError, "such as SSEDecoder()"),
        ({"decoder": SSEDecoder(), "last_event_id": "7"}, ValueError, "pass either decoder or"),
        ({"decoder": SSEDecoder(), "headers": {"last-event-id": "7"}}, ValueError, "pass either"),
        ({"last_event_id": 7}, TypeError, "last_event_id must be a str"),
        ({"check": "Status"}, ValueError, 'check must be True, "status" or False'),
        ({"check": None}, ValueError, 'check must be True, "status" or False'),
    ],
)
def test_wrong_options(
    side: Side, options: dict[str, Any], error: type[Exception], text: str
) -> None:
    def call(client: Any) -> None:
        with pytest.raises(error) as caught:
            side.verb("connect")(client, "GET", URL, **options)
        assert text in str(caught.value)

    in_loop(side.new, call)


def test_a_closed_decoder(side: Side) -> None:
    decoder = SSEDecoder()
    decoder.close()

    def call(client: Any) -> None:
        with pytest.raises(ValueError, match="one stream"):
            side.verb("connect")(client, "GET", URL, decoder=decoder)

    in_loop(side.new, call)


def test_decoder_in_place_of_make_decoder(side: Side) -> None:
    def call(client: Any) -> None:
        options: dict[str, Any] = {"decoder": SSEDecoder()}
        with pytest.raises(TypeError, match="pass make_decoder in place of decoder"):
            side.verb("subscribe")(client, "GET", URL, **options)

    in_loop(side.new, call)


RESPONSES: dict[str, Any] = {
    "None": None,
    "bytes": b"data: x\n\n",
    "chunks": [b"data: x\n\n"],
    "a URL": URL,
    "an object": object(),
    "a class": httpx.Response,
    "a context manager": httpx.stream("GET", URL),
}


@pytest.mark.parametrize("given", RESPONSES)
def test_what_is_no_response(side: Side, given: str) -> None:
    kind = "pycurl.Curl" if side.adapter is of_pycurl else "response"
    wrong = RESPONSES[given]
    with pytest.raises(
        TypeError, match=f"^{side.prefix}iter_events takes (a|the) {kind}"
    ) as caught:
        side.verb("iter_events")(wrong)
    if given == "a context manager" and side.adapter is of_httpx:
        assert "enter it with `with`" in str(caught.value)


VERBS = [
    pytest.param(side, verb, id=f"{name}, {verb}")
    for name, side in SIDES.items()
    for verb in ("iter_events", "connect", "subscribe", "perform", "is_transient")
    if hasattr(side.adapter, (side.prefix + verb)) or hasattr(side.adapter, verb)
]


@pytest.mark.parametrize(("side", "verb"), VERBS)
def test_every_verb_is_a_page_of_its_own(side: Side, verb: str) -> None:
    """A plain function of its module, whose docstring has every parameter."""
    function = getattr(side.adapter, side.prefix + verb, None) or getattr(side.adapter, verb)
    assert isinstance(function, types.FunctionType)
    assert function.__module__ == side.adapter.__name__
    assert function.__code__.co_filename == side.adapter.__file__
    assert function.__qualname__ == function.__name__
    documented = inspect.getdoc(function) or ""
    for parameter in inspect.signature(function).parameters:
        assert f"{parameter}: " in documented, parameter


def test_the_verbs_have_the_same_options_everywhere() -> None:
    common = {
        "connect": "client method url decoder last_event_id check headers",
        "subscribe": (
            "client method url make_decoder policy last_event_id check is_transient repeat "
            "on_connect on_disconnect sleep headers"
        ),
    }
    for side in SIDES.values():
        for verb, names in common.items():
            parameters = inspect.signature(side.verb(verb)).parameters
            assert [name for name in parameters if name in names.split()] == names.split()
            kinds = {str(parameters[name].kind) for name in names.split()[3:]}
            assert kinds == {"KEYWORD_ONLY"}


def test_importing_the_adapters_imports_no_client() -> None:
    import subprocess
    import sys

    names = ", ".join(f"sse_stream.adapters.{name.split(',')[0]}" for name in SIDES)
    names = names.replace("adapters.httpx2", "adapters.httpx")
    code = (
        f"import sys, {names}\n"
        "loaded = {'httpx', 'httpx2', 'aiohttp', 'requests', 'urllib3', 'pycurl', 'urllib.request',"
        "'asyncio', 'typing', 'dataclasses', 'json'} & {*sys.modules}\n"
        "print(sorted(loaded))"
    )
    root = sse_stream.__path__[0].rpartition("sse_stream")[0]
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", f"import sys; sys.path[:0] = [{root!r}]\n{code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
