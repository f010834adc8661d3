# SPDX-License-Identifier: MIT
"""Show which lines of a module are run by the tests of other modules alone, or by none.

`python3 -m tests.programs.covered [MODULE ...]`

A line that only the tests of something else run is held by chance: whoever mends it runs the tests
of its module, and they say nothing. So each module is covered, with its branches, by its own tests;
TESTS says which those are, where it is not the one file of the same name. The modules named are
measured one after the other, `adapters/httpx` and the like too, by default all of them; the lines
that were not run are printed. The exit status is 0 if there are none.

It needs tests/requirements.txt and .ci/requirements.txt, and takes about ten minutes for all.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "sse_stream"

#: By module: its tests, where they are not test_MODULE.py beside it.
TESTS = {
    "__init__": ["test_package"],
    "__main__": ["test_main"],
    "_demo": ["test_main"],
    "_excerpt": ["test_handshake"],
    "_pieces": ["adapters/test_shared"],
    "streams": ["test_streams", "test_faces"],
    "adapters/__init__": ["test_package"],
    "adapters/_aiohttp": ["adapters/test_aiohttp", "adapters/test_shared"],
    "adapters/_errors": ["adapters/test_errors"],
    "adapters/_httpx": ["adapters/test_httpx", "adapters/test_shared"],
    "adapters/_pycurl": ["adapters/test_pycurl"],
    "adapters/_request": ["adapters/test_shared", "adapters/test_mistakes"],
    "adapters/_response": [
        "adapters/test_shared",
        "adapters/test_closing",
        "adapters/test_leaving",
    ],
    "adapters/_source": ["adapters/test_source"],
    "adapters/_urllib3": ["adapters/test_urllib3", "adapters/test_reading_urllib3"],
    # What all adapters have alike is tested for all of them together.
    **{
        f"adapters/{client}": [
            f"adapters/test_{client}",
            "adapters/test_subscribe",
            "adapters/test_mistakes",
        ]
        for client in ("aiohttp", "httpx", "pycurl", "requests", "urllib", "urllib3")
    },
}
MODULES = sorted(
    path.relative_to(PACKAGE).with_suffix("").as_posix() for path in PACKAGE.rglob("*.py")
)


def tests_of(module: str) -> list[str]:
    """Return the paths of a module's own tests."""
    folder, _, name = module.rpartition("/")
    names = TESTS.get(module, [f"{folder}/test_{name}" if folder else f"test_{name}"])
    return [f"tests/{name}.py" for name in names]


def measure(module: str, folder: str) -> bool:
    """Run a module's own tests, print what of it they do not run, and return if that is nothing."""
    environ = {**os.environ, "COVERAGE_FILE": f"{folder}/{module.replace('/', '.')}"}
    coverage = [sys.executable, "-m", "coverage"]
    ran = subprocess.run(
        [*coverage, "run", "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests_of(module)],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        print(f"{module}: its tests fail\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}", flush=True)
        return False
    subprocess.run(
        [*coverage, "combine", "-q"], cwd=ROOT, env=environ, capture_output=True, check=True
    )
    report = [*coverage, "report", f"--include=sse_stream/{module}.py", "--fail-under=100"]
    ran = subprocess.run(
        [*report, "--skip-covered"], cwd=ROOT, env=environ, capture_output=True, text=True
    )
    rows = [line for line in ran.stdout.splitlines() if line.startswith("sse_stream/")]
    print(*(rows or [f"sse_stream/{module}.py: all, by {' '.join(tests_of(module))}"]), flush=True)
    return ran.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.programs.covered",
        description="Show what of each module its own tests do not run.",
    )
    parser.add_argument("modules", metavar="MODULE", nargs="*", help="such as adapters/httpx")
    modules = parser.parse_args().modules or MODULES
    if unknown := {*modules} - {*MODULES}:
        parser.error(f"the modules are {', '.join(MODULES)}, not {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as folder:
        missing = [module for module in modules if not measure(module, folder)]
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
