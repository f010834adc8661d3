# SPDX-License-Identifier: MIT
from __future__ import annotations

import hypothesis

# No deadlines: a slow machine is no fault of the code. In CI the examples are the same in every run.
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, max_examples=500)
