# SPDX-License-Identifier: MIT
from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

# No deadlines: a slow machine is no fault of the code. The examples are the same in every run, more
# of them in CI, and new ones each time with SSE_STREAM_EXPLORE=1.
settings.register_profile("default", deadline=None, derandomize=True, max_examples=50)
settings.register_profile("ci", deadline=None, derandomize=True, max_examples=100)
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
    if hasattr(gc, "freeze"):  # not on PyPy
        gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def thorough_collection_at_the_end() -> Iterator[None]:
    yield
    if hasattr(gc, "unfreeze"):
        gc.unfreeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail what is skipped in CI without a reason given there, or since something is missing."""
    report = yield
    if report.skipped and os.environ.get("CI") and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped").removeprefix(": ")
        if reason in ("", "unconditional skip") or reason.startswith("could not import"):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} was skipped: {reason}"
    return report
