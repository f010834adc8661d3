# SPDX-License-Identifier: MIT
"""Measure the decoder against its peers, in an environment of its own: `python3 -m benchmarks` from the checkout.

shapes.py      what is decoded: seeded streams, each with the events it must give
cuts.py        how it is cut into chunks
contenders.py  who decodes: each from bytes to its own event objects, without JSON and I/O; and the floor
measure.py     time per event, after every result was checked
memory.py      peak memory for a large event, and how time grows with its size
startup.py     what `import sse_stream` costs
report.py      means, ratios, Markdown;   chart.py: the SVG of the README
environment.py a virtual environment with the pinned contenders;   run.py: what happens inside it
"""
