# SPDX-License-Identifier: MIT
from __future__ import annotations

import os

from hypothesis import settings

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
