# SPDX-License-Identifier: MIT
"""The tests: one file for each module of the package, named after it, and what goes over several.

    python3 -m pytest -q                                  all that pytest collects
    python3 -m pytest -q tests/test_decoder.py -k bound   one module, or one test of it
    python3 -m pytest -q -m large                         what takes long or much memory
    SSE_STREAM_EXPLORE=1 python3 -m pytest -q             new random examples, ten times as many
    bash .ci/run lint                                     the check of one minute before a commit

No test module imports another: what several of them use stands in the support modules below.

One module each
    test_decoder, test_encoder, test_handshake, test_main (the command line), test_ndjson,
    test_payloads, test_policy, test_reconnect, test_relay, test_streams
    adapters/test_aiohttp, test_httpx, test_pycurl, test_requests, test_urllib, test_urllib3
Several modules
    test_faces        what every face of the two read loops promises
    test_cost         time in proportion to the bytes, memory in proportion to the event
    test_package      layers, public names, style, docstrings and their examples, this index
    test_typing       what users write, with the types that checkers see
    test_vectors      the recorded streams as files, and how one is added
    test_vendoring    the folder under another name, and the decoder copied alone
    test_llm          chats in the protocols of OpenAI and Anthropic, by every client
    test_proxy        the proxy of the recipes, between a real server and a real client
    test_readme       the README and the recipes run as they stand
    test_examples     the same examples with everything that services really send
    test_benchmarks   the benchmark's inputs and arithmetic
All clients, one situation each, in adapters/
    test_answers      odd headers, no body, a document in place of a stream
    test_closing      `close()` from another thread
    test_leaving      an async client let go by GeneratorExit or cancellation
    test_subscribe    the lost connection, resumed
    test_tried_again  which failures are tried again, and which are raised
    test_recipes      recipes for subscriptions
    test_relay        a proxy of the relay's parts
    test_ndjson       JSON lines
    test_read_to_end  a connection used again after the mark
    test_hostile      a hostile server, and a terminal
    test_mistakes     mistakes of the caller
    test_docstrings   the examples in docstrings
    test_doubles      what tests of applications put in a client's place
    test_shared, test_source, test_errors, test_reading_urllib3   what adapters share
    test_server       the tests' own servers
Support
    support           chunks that fail, things with a close, strategies for hypothesis
    reference         a second decoder, slow and literal, sentence after sentence of the standard
    vectors           the recorded streams in data/, and two commands (below)
    clients           every client under `connect`, in one form
    llm               what services of chat send
    pages             the README and the recipes as blocks of code
    adapters/server   a scripted HTTP server: a function of a connection answers each request
    adapters/services real servers: uvicorn, hypercorn, aiohttp
    adapters/contract what every sync adapter must do
    adapters/subscribers   every client under `subscribe`, in one form
    adapters/typing_mistakes   what type checkers must refuse
    conftest          the profiles of hypothesis
Programs that take long and are run by hand
    programs/         an index of its own

To add a field to the events
    In decoder.py: `_Fields` (twice: for checkers, for Python), a slot, `_interpret`, and the three
    places that make an event of a bare tuple (`fields = ...`; two are fast paths): nothing counts
    its items. Tell support.outcome_of and reference.py of the field, and test_decoder finds what
    is forgotten there. Unpackings, JSON keys and docstrings fail by themselves. Nothing tells of
    SSEEncoder, relay's `_encoded`, the command line's `_readable`, the strategies in test_encoder
    and test_relay, the form of the vectors, and the README.

To add an adapter
    Begin with a copy of adapters/requests.py, or of aiohttp.py for an async client. What is the
    client's own: its Protocols and options, `_open` (the chunks as they come, how a read of them is
    woken, what came of status, headers and URL), `is_transient`. All else is called from the files
    whose name begins with `_`; `subscribe` is the same in each, but for its options.
    1. tests/adapters/test_NAME.py: a subclass of SyncContract, whose head says what to provide,
       such as the client's exception in each fault; an async one is written as test_aiohttp.py is.
    2. Enter it in clients.py and adapters/subscribers.py, and in the tables that
       test_package.test_each_adapter_is_in_the_tables_of_clients asks for.
    3. Its library: tests/requirements.txt, pyproject.toml, CLIENTS in test_package.py, `adapter_of`
       in adapters/_request.py; programs/covered.py, if a file with `_` belongs to it.
    4. README's table of clients and this index, which tests ask for; the docstring of
       adapters/__init__.py; `python3 -m tests.programs.faults --write`, and hostile likewise.

The vectors are text that anyone can read, and belong to no language:

    python3 -m tests.vectors replay path/to/decoder.py    all of them through any copy
    python3 -m tests.vectors add NAME 'data: a\\n\\n'       a new one; the reference decoder says
                                                          what must come of it
"""
