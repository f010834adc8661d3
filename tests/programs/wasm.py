# SPDX-License-Identifier: MIT
"""Replay the recorded streams in WebAssembly.

`python3 -m tests.programs.wasm [--pyodide VERSION]`

It installs the npm package pyodide, which is CPython in WebAssembly, into a temporary folder,
mounts this checkout there, and runs under node what `python3 -m tests.vectors replay` runs here;
then it imports every module of the package that needs no client. Pyodide's version begins with
CPython's (314.0.7 is on 3.14).

It needs node and npm, and npm's registry, and takes about ten seconds, so it is no part of the
tests that pytest collects. The exit status is 0 if every replay gave what it must.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Runs in the folder where pyodide is installed; its argument is the checkout.
SCRIPT = """
import { loadPyodide, version } from "pyodide";
const python = await loadPyodide();
python.mountNodeFS("/checkout", process.argv[2]);
console.log(`pyodide ${version} on node ${process.version}`);
const status = await python.runPythonAsync(`
import importlib, os, sys
sys.dont_write_bytecode = True
sys.path.insert(0, "/checkout")
os.chdir("/checkout")
print(sys.version, sys.platform)
from tests import vectors
status = vectors.main(["replay"])
modules = [
    "__main__", "encoder", "handshake", "ndjson", "payloads", "reconnect", "relay", "streams",
    "adapters.urllib",
]
for module in modules:
    importlib.import_module("sse_stream." + module)
print("imported", *modules)
status
`);
process.exit(status);
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.programs.wasm",
        description="Replay the recorded streams in WebAssembly.",
    )
    parser.add_argument(
        "--pyodide",
        default="latest",
        metavar="VERSION",
        help="which version (default: %(default)s)",
    )
    options = parser.parse_args()
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        parser.error("node and npm are needed; install Node.js")
    with tempfile.TemporaryDirectory() as folder:
        quiet = ["--no-audit", "--no-fund", "--no-progress", "--loglevel=error"]
        subprocess.run(
            [npm, "install", *quiet, f"pyodide@{options.pyodide}"], cwd=folder, check=True
        )
        script = Path(folder, "replay.mjs")
        script.write_text(SCRIPT)
        return subprocess.run([node, script, ROOT], cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
