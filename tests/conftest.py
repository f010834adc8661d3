# SPDX-License-Identifier: MIT
from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

# No deadlines: a slow machine is no fault of the code. The examples are the same in every run, more
# of them in CI, and new ones each time with SSE_STREAM_EXPLORE=1.
settings.register_profile("default", deadline=None, derandomize=True)
settings.register_profile("ci", deadline=None, derandomize=True, max_examples=200)
settings.register_profile("explore", deadline=None, max_examples=2000)
settings.load_profile(
    "explore"
    if os.environ.get("SSE_STREAM_EXPLORE")
    else "ci"
    if os.environ.get("CI")
    else "default"
)


@pytest.fixture(autouse=True, scope="module")
def quick_collections() -> None:
    """Let the collector pass over what stood before the module.

    Many tests collect, to see that nothing was left open; with all that pytest and the clients hold
    each collection would take half a second.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def thorough_collection_at_the_end() -> Iterator[None]:
    yield
    gc.unfreeze()
