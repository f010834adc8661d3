# SPDX-License-Identifier: MIT
"""What error messages show of a text that came over the network."""

from __future__ import annotations


def excerpt(text: str, limit: int = 200) -> str:
    """Return the start of a text as an error message may show it.

    text: anything that came over the network.
    limit: how many characters are shown at the most; " ..." says that there were more.

    White space is folded, so that it stays on one line, and what a terminal would obey or not
    show becomes U+FFFD. Only the first 4 * `limit` characters are looked at.
    """
    start = " ".join(text[: 4 * limit].split())
    start = "".join(c if c.isprintable() else "\ufffd" for c in start)
    return start if len(start) <= limit and len(text) <= 4 * limit else start[:limit] + " ..."
