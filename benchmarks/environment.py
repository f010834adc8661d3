# SPDX-License-Identifier: MIT
"""An environment for the contenders: a virtual environment and a folder of Node packages.

Both lie below the user's cache folder, and are used again as long as the pins and the interpreter
are the same.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_REQUIREMENTS = _HERE / "requirements.txt"


def cache_folder() -> Path:
    return (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sse_stream-benchmarks"
    )


def make_python(python: str, cache: Path) -> Path:
    """Return the interpreter of a virtual environment of `python` with the pinned contenders."""
    about = subprocess.run([python, "-VV"], stdout=subprocess.PIPE, check=True).stdout
    key = hashlib.sha256(
        about + os.path.realpath(python).encode() + _REQUIREMENTS.read_bytes()
    ).hexdigest()[:12]
    folder = cache / f"python-{key}"
    inside = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if (folder / "complete").exists():
        print(f"using the environment {folder}")
        return inside
    print(
        f"making the environment {folder}: venv, then pip install -r benchmarks/requirements.txt",
        flush=True,
    )
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([python, "-m", "venv", str(folder)], check=True)
    install = [str(inside), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    if subprocess.run([*install, "-r", str(_REQUIREMENTS)], check=False).returncode != 0:
        print("not all can be had for this interpreter: installing them one by one", flush=True)
        for line in _REQUIREMENTS.read_text().splitlines():
            if (
                not line.startswith("#")
                and subprocess.run([*install, line], check=False).returncode != 0
            ):
                print(f"without {line}", flush=True)
    (folder / "complete").touch()
    return inside


def make_node(cache: Path) -> tuple[Path, Path] | None:
    """Return Node and a folder with the pinned parser and its script; None: they cannot be had."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        print("without eventsource-parser: node and npm are not installed")
        return None
    package = _HERE / "package.json"
    folder = cache / f"node-{hashlib.sha256(package.read_bytes()).hexdigest()[:12]}"
    if not (folder / "complete").exists():
        print(
            f"making the environment {folder}: npm install of benchmarks/package.json", flush=True
        )
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(package, folder)
        command = [
            npm,
            "install",
            "--no-audit",
            "--no-fund",
            "--no-package-lock",
            "--ignore-scripts",
            "--silent",
        ]
        if subprocess.run(command, cwd=folder, check=False).returncode != 0:
            print("without eventsource-parser: npm could not install it")
            return None
        (folder / "complete").touch()
    shutil.copy(_HERE / "eventsource_parser.mjs", folder)
    return Path(node), folder
