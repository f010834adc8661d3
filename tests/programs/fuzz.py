# SPDX-License-Identifier: MIT
"""Fuzz the package by coverage.

`python3 -m tests.programs.fuzz [--seconds N] [--target NAME]`

A finding is run again by `python3 -m tests.programs.fuzz --replay FILE`.

atheris (libFuzzer for Python) looks for inputs on which a target of `tests.programs.fuzz_targets`
fails: on which the package differs from the slow reference, or raises what it must not. The time is
shared by the targets, one after the other. An input that fails is written to a file; `--replay`
runs that alone, in any Python, without atheris.

It needs atheris, for which PyPI has wheels for CPython 3.11 to 3.13 on Linux; where it is not
installed, an environment is made for the run. A finding becomes a case of tests/data/fuzz.json,
which the tests replay. The exit status is 0 without findings.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.programs.fuzz", description="Fuzz the package by coverage."
    )
    parser.add_argument(
        "--seconds", type=int, default=3600, help="for all targets together (default: %(default)s)"
    )
    parser.add_argument(
        "--target",
        action="append",
        help="decoder, encoder, ndjson, headers, terminal (default: all)",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--findings", type=Path, help="a folder for failing inputs (default: a new temporary one)"
    )
    parser.add_argument(
        "--replay",
        type=Path,
        metavar="FILE",
        help="run a finding again; its name begins with its target",
    )
    # What this command calls itself with.
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.work is not None:
        return work(options)
    from tests.programs.fuzz_targets import TARGETS

    names = options.target or list(TARGETS)
    if options.replay:
        names = [
            name
            for name in options.target or TARGETS
            if options.replay.name.startswith(name) or options.target
        ]
        if not names:
            parser.error(f"name the target of this file: --target {' | '.join(TARGETS)}")
        TARGETS[names[0]].check(options.replay.read_bytes())
        print(f"{names[0]}: no failure")
        return 0
    if unknown := set(names) - set(TARGETS):
        parser.error(f"there is no target {', '.join(sorted(unknown))}")
    findings = options.findings or Path(tempfile.mkdtemp(prefix="sse_stream-fuzz-"))
    findings.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        python = interpreter(Path(folder))
        seconds = max(1, options.seconds // len(names))
        failed = [
            name
            for name in names
            if not fuzz(python, name, Path(folder), findings, seconds, options.seed)
        ]
    if not options.findings and not failed:
        findings.rmdir()
    return 1 if failed else 0


def interpreter(folder: Path) -> str:
    """Return a Python that has atheris: this one, or one made for it."""
    if importlib.util.find_spec("atheris"):
        return sys.executable
    venv.create(folder / "venv", with_pip=True)
    python = str(folder / "venv" / "bin" / "python")
    installed = subprocess.run(
        [python, "-m", "pip", "install", "-q", "atheris"],
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode:
        sys.exit(
            f"{installed.stderr}\natheris could not be installed for {sys.executable}; "
            "run this command with a CPython that it has a wheel for (3.11 to 3.13, on Linux), "
            "or where it is installed (python3 -m pip install atheris)"
        )
    return python


def fuzz(python: str, name: str, folder: Path, findings: Path, seconds: int, seed: int) -> bool:
    """Fuzz one target in a process of its own, print the outcome, return if nothing was found."""
    before = set(findings.iterdir())
    command = [
        python,
        "-m",
        "tests.programs.fuzz",
        "--work",
        str(folder / name),
        "--target",
        name,
        "--findings",
        str(findings),
    ]
    command += ["--seconds", str(seconds), "--seed", str(seed)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    said = done.stdout + done.stderr
    runs = (
        re.findall(r"^#(\d+)\s", said, re.MULTILINE)
        or re.findall(r"Done (\d+) runs", said)
        or ["0"]
    )
    covered = re.findall(r"cov: (\d+)", said) or ["0"]
    found = sorted(
        file for file in set(findings.iterdir()) - before if not re.search("slow-unit", file.name)
    )
    verdict = "no finding" if not found and not done.returncode else "FAILED"
    print(
        f"{name}: {max(map(int, runs))} inputs in {seconds} s, {covered[-1]} edges reached, "
        f"{verdict}",
        flush=True,
    )
    if done.returncode:
        faults = [line for line in said.splitlines() if not line.startswith("#")]
        print("\n".join(faults[-40:]))
    for file in found:
        print(f"  replay: python3 -m tests.programs.fuzz --target {name} --replay {file}")
    return not found and not done.returncode


def work(options: argparse.Namespace) -> int:
    """Be the process that fuzzes one target."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["sse_stream"], enable_loader_override=False):
        targets = importlib.import_module("tests.programs.fuzz_targets").TARGETS
    (name,) = options.target
    corpus = options.work
    corpus.mkdir()
    for number, seed in enumerate(targets[name].seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    dictionary = corpus.with_suffix(".dictionary")
    words = {"".join(f"\\x{byte:02x}" for byte in token) for token in targets[name].tokens}
    dictionary.write_text("".join(f'"{word}"\n' for word in sorted(words)))
    limits = [
        f"-max_total_time={options.seconds}",
        "-max_len=400",
        "-timeout=30",
        "-rss_limit_mb=2048",
    ]
    files = [f"-artifact_prefix={options.findings}/{name}-", f"-dict={dictionary}", str(corpus)]
    atheris.Setup(
        [sys.argv[0], f"-seed={options.seed}", "-print_final_stats=1", *limits, *files],
        targets[name].check,
    )
    atheris.Fuzz()
    return 0  # not reached: libFuzzer ends the process


if __name__ == "__main__":
    sys.exit(main())
