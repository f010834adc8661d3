# SPDX-License-Identifier: MIT
"""Proofs that take long, or need more than pytest: each is a program, and is run by hand.

Run them from the root of the checkout with a Python that has tests/requirements.txt; what a program
needs besides is said in its docstring. Each ends with status 0 if what it proves holds, and each
explains itself with `--help`. The tests beside them (test_*.py) try the programs in a short form;
tables.py puts what faults, hostile and migration found into the pages of their names.

    python3 -m tests.programs.browser     a minute        Chromium reads what SSEEncoder, `arewrite`
                                                          and `atee(keepalive=...)` wrote
    python3 -m tests.programs.covered     ten minutes     each module is run, with all its branches,
                                                          by its own tests alone
    python3 -m tests.programs.faults      ten seconds     what each client's user sees of a broken
                                                          connection: the table of faults
    python3 -m tests.programs.fuzz        an hour         no input makes the package differ from a
                                                          slow reference (the targets stand in
                                                          fuzz_targets.py; `--seconds 60`: a minute)
    python3 -m tests.programs.hostile     two minutes     a hostile server costs no client more
                                                          memory or time than its bounds
    python3 -m tests.programs.lasting     an hour         subscriptions outlive every kind of loss,
                                                          each event once and in order, no growth
    python3 -m tests.programs.migration   half a minute   what differs after a change from another
                                                          library: the table of migration
    python3 -m tests.programs.mutation    an hour         a module's own tests notice at least 95 %
                                                          of small changes to it
    python3 -m tests.programs.release     a minute        wheel and sdist are complete and
                                                          reproducible, and can be vendored
    python3 -m tests.programs.soak        three minutes   ten million events through each client:
                                                          none lost or doubled, no growth of memory
    python3 -m tests.programs.threads     a minute        many decoders in many threads, and one
                                                          stream closed while another thread reads
    python3 -m tests.programs.wasm        ten seconds     the recorded streams in WebAssembly
"""
