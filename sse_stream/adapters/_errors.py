# SPDX-License-Identifier: MIT
"""What the adapters ask of an exception, whoever raised it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["is_refused_certificate", "is_system_error"]


def is_system_error(error: BaseException) -> bool:
    """Return whether an exception is Python's own OSError, of a socket or of TLS.

    error: any exception. A class of a client is none, though many clients derive theirs from
           OSError.
    """
    return isinstance(error, OSError) and type(error).__module__ in ("builtins", "socket", "ssl")


def is_refused_certificate(error: BaseException) -> bool:
    """Return whether an exception comes from a refused certificate: that will stay.

    error: any exception; what it was raised from, and what it wraps, is looked at as well.
    """
    made_from: list[Any] = [error]
    for part in made_from:
        if type(part).__name__ == "SSLCertVerificationError":  # `ssl` may be missing
            return True
        wrapped = (getattr(part, "reason", None), part.__cause__, *part.args)
        made_from += [
            other
            for other in wrapped
            if isinstance(other, BaseException) and other not in made_from
        ]
    return False
