# SPDX-License-Identifier: MIT
"""Measure the decoder against its peers: `python3 -m benchmarks`, run from the checkout.

It is driven in two ways, which the tables call EventStream and feed: as the iterator that gives the
events, and by handing each chunk to `SSEDecoder.feed`. "async" is AsyncEventStream. Means are given
apart for chunks as networks deliver them (one event, 1,448 bytes, 64 KiB) and for 16 bytes, which
nobody receives. `--against FOLDER` measures the package in another checkout, too, in the same run:
before and after a change. For a first look: `--quick --only ours --shapes chat`.

shapes.py      what is decoded: seeded streams, each with the events it must give
cuts.py        how it is cut into chunks
contenders.py  who decodes: from bytes to each one's event objects, no JSON, no I/O; the floor
measure.py     time per event, after every result was checked
memory.py      peak memory for a large event, and how time grows with its size
startup.py     what `import sse_stream` costs
report.py      means, ratios, Markdown;   chart.py: the SVG of the README
environment.py a virtual environment with the pinned contenders;   run.py: what happens inside it
"""
