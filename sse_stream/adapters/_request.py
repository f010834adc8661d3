# SPDX-License-Identifier: MIT
"""What every `connect` and `aconnect` does before a request: find mistakes, start the decoder.

A mistake is an error at the call, in words that say what to write: the wrong client, its class, the
arguments in another order, an option that the client does not know.
"""

from __future__ import annotations

from ..decoder import SSEDecoder
from ..handshake import header_pairs, id_in_headers, require_check, shown_url
from ..streams import check_decoder, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ..handshake import Check

__all__ = [
    "adapter_of",
    "has",
    "is_module",
    "refuse_client",
    "refuse_options",
    "require_request",
    "start",
]

# What the adapters' `subscribe` and `asubscribe` take, and `connect` and `aconnect` do not.
_OF_SUBSCRIBE = (
    "make_decoder",
    "policy",
    "is_transient",
    "repeat",
    "on_connect",
    "on_disconnect",
    "sleep",
)


def has(value: Any, *names: str) -> bool:
    """Return whether a value has all these attributes; one that raises is none.

    value: anything.
    names: of the attributes.
    """
    try:
        return all(hasattr(value, name) for name in names)
    except Exception:  # as `httpx.Response.request` does without a request
        return False


def is_module(value: object) -> bool:
    """Return whether a value is a module, such as `httpx` in place of a client.

    value: anything.
    """
    return type(value).__name__ == "module"


def refuse_client(function: str, wanted: str, client: Any, hint: str = "") -> TypeError:
    """Return the error for what is not the client of this adapter.

    function: the name of the function that was called.
    wanted:   what it takes, with its article.
    client:   what it was given instead.
    hint:     what to do about it, where that is known; "", the default: what can be seen from
              `client`.
    """
    got = type(client).__name__
    if isinstance(client, type):
        got, hint = f"the class {client.__name__}", f"make one: {client.__name__}()"
    elif not hint and hasattr(client, "__await__"):
        hint = "await it first"
    elif not hint and (hasattr(client, "__enter__") or hasattr(client, "__aenter__")):
        name = adapter_of(client)
        hint = name and f"{name} reads what {got} opens"
    return TypeError(f"{function} takes {wanted}, not {got}" + (f"; {hint}" if hint else ""))


def require_request(function: str, method: object, url: object) -> None:
    """Raise TypeError if the method or the URL of a request cannot be one.

    function: the name of the function that was called, whose arguments are `client, method, url`.
    method:   what was given as the method: a str such as "GET".
    url:      what was given as the URL: a str, or an object of the client's own.
    """
    order = f'{function}(client, "GET", url)'
    if not isinstance(method, str):
        raise TypeError(
            f"{function} takes the method as a str, as in {order}, not {type_name(method)}"
        )
    if "://" in method or method.startswith("/"):
        raise TypeError(f"{shown_url(method)!r} is no method; the order is {order}")
    if url is None or callable(url) or isinstance(url, (int, float)):
        raise TypeError(f"{function} takes a URL, as in {order}, not {type_name(url)}")


def adapter_of(value: object) -> str:
    """Return the full name of the adapter for the library of a client or a response, or "".

    value: anything.
    """
    library = type(value).__module__.partition(".")[0].replace("httpx2", "httpx")
    is_known = library in ("aiohttp", "httpx", "requests", "urllib3")
    return f"sse_stream.adapters.{library}" if is_known else ""


def refuse_options(
    function: str,
    options: Iterable[str],
    known_by: Iterable[Callable[..., Any]],
    others: str = "",
    *,
    reserved: str = "",
) -> None:
    """Raise TypeError for an option that the client does not know.

    Nothing is refused where that cannot be known.

    function: the name of the function that was called.
    options:  the names of the options that were given.
    known_by: the client's functions whose parameters they are, together; one that takes any keyword
              knows all.
    others:   what the functions take as any keyword, with blanks between: then they know no more
              than that; "", the default: what they take is not known.
    reserved: an option that the adapter itself sets; "", the default: none.
    """
    from inspect import Parameter, signature

    if reserved and reserved in options:
        raise TypeError(f"{function} sets the option {reserved} itself")
    known = set(others.split())
    for function_of_client in known_by:
        try:
            parameters = signature(function_of_client).parameters.values()
        except (TypeError, ValueError):  # not written in Python
            return
        if not others and any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters):
            return
        known.update(parameter.name for parameter in parameters)
    for name in options:
        if name not in known:
            hint = _whose(name, function, known)
            raise TypeError(f"{function} and the client know no option {name!r}{hint}")


def _whose(name: str, function: str, known: set[str]) -> str:
    """Return what to do about an option that is not known, as the end of a message."""
    from difflib import get_close_matches

    if name in (SSEDecoder.__init__.__kwdefaults__ or ()):
        return f", which SSEDecoder takes: pass decoder=SSEDecoder({name}=...)"
    if name in _OF_SUBSCRIBE:
        return f", which {function.replace('connect', 'subscribe')} takes"
    close = get_close_matches(name, [*known, *_OF_SUBSCRIBE], 1)
    return f"; did you mean {close[0]}?" if close else ""


def start(
    decoder: SSEDecoder | None, last_event_id: str, check: Check, headers: Any
) -> tuple[SSEDecoder, list[tuple[str, Any]]]:
    """Return a connection's decoder, whose `last_event_id` is to be sent, and the header fields.

    decoder:       the caller's, or None for one with the default options.
    last_event_id: the ID to resume from, or "". A Last-Event-ID among the headers is the same,
                   where this is "".
    check:         as `connect` takes it.
    headers:       the caller's header fields: a mapping, pairs, or None.

    Raises TypeError for what is no decoder, ValueError for a decoder that is closed, holds part of
    an event, or is given together with an ID, and for a `check` that says nothing.
    """
    require_check(check)
    fields = header_pairs(headers)
    in_headers = id_in_headers(fields)
    if decoder is None:
        last_event_id = last_event_id or in_headers
    decoder = check_decoder(decoder, last_event_id)
    if decoder.incomplete:  # the rest would go into the first event of the answer
        raise ValueError(
            "this decoder holds part of an event: a decoder serves one stream, make a new one"
        )
    if in_headers and not decoder.last_event_id:
        raise ValueError(
            "pass either decoder or a Last-Event-ID header, or SSEDecoder(last_event_id=...)"
        )
    return decoder, fields
