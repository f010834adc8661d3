# SPDX-License-Identifier: MIT
"""Measure the decoder against its peers: `python3 -m benchmarks`, run from the checkout.

shapes.py      what is decoded: seeded streams, each with the events it must give
cuts.py        how it is cut into chunks
contenders.py  who decodes: from bytes to each one's event objects, no JSON, no I/O; the floor
measure.py     time per event, after every result was checked
memory.py      peak memory for a large event, and how time grows with its size
startup.py     what `import sse_stream` costs
report.py      means, ratios, Markdown;   chart.py: the SVG of the README
environment.py a virtual environment with the pinned contenders;   run.py: what happens inside it
"""
