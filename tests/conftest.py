# SPDX-License-Identifier: MIT
from __future__ import annotations

import os

from hypothesis import settings

# No deadlines: a slow machine is no fault of the code. In CI the examples are the same in every run, and more.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, max_examples=200)
settings.load_profile("ci" if os.environ.get("CI") else "default")
