# SPDX-License-Identifier: MIT
"""What is copied into another tool, with the vectors beside it.

The folder under another name, or the decoder's file alone.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import sse_stream
from tests import vectors

CASES = [case for file_name in vectors.FILES for case in vectors.load(file_name)]
PACKAGE = Path(sse_stream.__file__).parent
MODULES = [
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py")
]

# Imports every module of the copy, and says what that loaded of a package that it is not.
IMPORT_ALL = f"""
import importlib, sys
for module in {MODULES!r}:
    importlib.import_module("yourtool._vendor.sse." + module)
print([module for module in sys.modules if module.startswith("sse_stream")])
"""

# Each is put at the end of a copy of the decoder.
FAULTS = {
    "wrong only byte by byte": (
        "def feed(self, chunk): return super().feed(b'' if chunk == b'\\r' else chunk)"
    ),
    "the last event ID is lost": "last_event_id = property(lambda self: '')",
    "late: all comes at the end": """
    def feed(self, chunk):
        self.late = getattr(self, "late", []) + super().feed(chunk)
        return []
    def close(self): return getattr(self, "late", []) + super().close()""",
    "raises": "def close(self): return [][0]",
}


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    """Make a folder: a package that vendors this one as `sse`, and what replays the vectors."""
    for folder in ("tests", "yourtool", "yourtool/_vendor"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").touch()
    shutil.copytree(
        PACKAGE, tmp_path / "yourtool/_vendor/sse", ignore=shutil.ignore_patterns("__pycache__")
    )
    here = Path(__file__).parent
    shutil.copytree(here / "data", tmp_path / "tests/data")
    for name in ("vectors.py", "reference.py"):
        shutil.copy(here / name, tmp_path / "tests")
    return tmp_path


def python(tool: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the folder with nothing but its standard library and the folder."""
    command = [sys.executable, "-S", "-E", *arguments]
    return subprocess.run(command, cwd=tool, capture_output=True, text=True, check=False)


def test_the_folder_works_under_another_name(tool: Path) -> None:
    ran = python(tool, "-c", IMPORT_ALL)
    assert (ran.stdout, ran.stderr) == ("[]\n", "")


def test_a_copied_folder_passes_the_vectors(tool: Path) -> None:
    ran = python(tool, "-m", "tests.vectors", "replay", "yourtool._vendor.sse.decoder")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.startswith(f"{tool / 'yourtool/_vendor/sse/decoder.py'}: ")


def test_the_decoder_copied_alone_passes_the_vectors(tool: Path) -> None:
    shutil.copy(PACKAGE / "decoder.py", tool / "events.py")
    shutil.rmtree(tool / "yourtool")
    ran = python(tool, "-m", "tests.vectors", "replay", "events.py")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{tool / 'events.py'}: {len(CASES)} streams, " in ran.stdout


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_copy_does_not_pass(tool: Path, fault: str) -> None:
    text = (PACKAGE / "decoder.py").read_text(encoding="utf-8")
    (tool / "events.py").write_text(
        f"{text}\nclass SSEDecoder(SSEDecoder):\n    {FAULTS[fault]}\n", encoding="utf-8"
    )
    ran = python(tool, "-m", "tests.vectors", "replay", "events.py")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert ran.stdout.startswith("DIFFERENT: ")
    assert ran.stdout.count("\n") == 1


def test_no_copy_is_told_from_a_broken_one(tool: Path) -> None:
    for name, reason in (
        ("nothing.py", "No such file"),
        ("yourtool.nothing", "No module named"),
        ("json", "SSEDecoder"),
    ):
        ran = python(tool, "-m", "tests.vectors", "replay", name)
        assert ran.returncode == 2, ran.stdout
        assert reason in ran.stderr
