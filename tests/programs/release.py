# SPDX-License-Identifier: MIT
"""Build the release and check it.

`python3 -m tests.programs.release [FOLDER]`

It builds sdist and wheel from two copies of the checkout at different paths and times, which must
give the same bytes (SOURCE_DATE_EPOCH dates them), has `twine` and `check-wheel-contents` look at
them, compares what they hold with what the checkout holds, and vendors the wheel into a package
with `vendoring`, configured as pip configures it: the recorded streams must pass through that copy,
and pyright in its strict mode must have nothing to say of it. FOLDER gets the two files.

It needs .ci/requirements.txt, for pyright the clients of tests/requirements.txt, and a package
index, from which `build` takes the build backend. The exit status is 0 if all is well.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[2]
PACKAGE = "sse_stream"
PACKED = (
    "pyproject.toml",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    PACKAGE,
    "tests",
    "benchmarks",
    ".ci",
)
DISTINFO = ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")

VENDORING = """
[tool.vendoring]
destination = "yourtool/_vendor/"
requirements = "yourtool/_vendor/vendor.txt"
namespace = "yourtool._vendor"
protected-files = ["__init__.py", "vendor.txt"]

[tool.vendoring.transformations]
drop = ["bin/", "*.dist-info"]
"""

# Of someone who checks all of his project, what he vendors too, and has the clients installed.
PYRIGHT = """
{"include": ["yourtool/_vendor"], "typeCheckingMode": "strict", "pythonVersion": "3.10"}
"""


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> str:
    """Run a command, this Python's scripts first in the PATH; return its output.

    If it fails, leave with its output.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, **environment}
    ran = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if ran.returncode:
        raise SystemExit(
            f"{ran.stdout}\nFAULT: {' '.join(map(str, command))} gave status {ran.returncode}"
        )
    return ran.stdout


def copy_checkout(copy: Path) -> Path:
    """Copy what is packed, as if it had been checked out just now."""
    copy.mkdir(parents=True)
    for name in PACKED:
        if (ROOT / name).is_dir():
            junk = shutil.ignore_patterns("__pycache__", "node_modules")
            shutil.copytree(ROOT / name, copy / name, ignore=junk, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(ROOT / name, copy / name)
    return copy


def build(checkout: Path, out: Path) -> tuple[Path, Path]:
    """Build the sdist, and from it the wheel."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "1767225600")
    run(sys.executable, "-m", "build", "--outdir", out, checkout, SOURCE_DATE_EPOCH=epoch)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return sdist, wheel


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def differing(what: str, held: Iterable[str], expected: Iterable[str]) -> list[str]:
    held, expected = set(held), set(expected)
    faults = [f"{what} holds {name}" for name in sorted(held - expected)]
    return faults + [f"{what} lacks {name}" for name in sorted(expected - held)]


def check_sdist(sdist: Path, checkout: Path) -> list[str]:
    with tarfile.open(sdist) as tar:
        names = {member.name.partition("/")[2] for member in tar.getmembers() if member.isfile()}
    return differing(sdist.name, names, {*files_in(checkout), "PKG-INFO"})


def check_wheel(wheel: Path, checkout: Path) -> list[str]:
    name = "-".join(wheel.name.split("-")[:2])
    package = {
        f"{PACKAGE}/{file}"
        for file in files_in(checkout / PACKAGE)
        if file.endswith(".py") or file == "py.typed"
    }
    with zipfile.ZipFile(wheel) as archive:
        faults = differing(
            wheel.name,
            archive.namelist(),
            {*package, *(f"{name}.dist-info/{file}" for file in DISTINFO)},
        )
        metadata = HeaderParser().parsestr(archive.read(f"{name}.dist-info/METADATA").decode())
        entry_points = archive.read(f"{name}.dist-info/entry_points.txt").decode().split()
    description: object = metadata.get_payload()
    if str(description).strip() != (ROOT / "README.md").read_text(encoding="utf-8").strip():
        faults.append("the description is not README.md")
    if entry_points != ["[console_scripts]", "sse-stream=sse_stream.__main__:main"]:
        faults.append(f"entry points: {entry_points}")
    faults += [
        f"needs {need}" for need in metadata.get_all("Requires-Dist", []) if "extra ==" not in need
    ]
    return faults


def vendor(wheel: Path, project: Path) -> str:
    """Let `vendoring` take the wheel into a package; return what the recorded streams say of it."""
    folder = project / "yourtool" / "_vendor"
    folder.mkdir(parents=True)
    for file in (folder / "__init__.py", folder.parent / "__init__.py"):
        file.touch()
    (folder / "vendor.txt").write_text(f"{PACKAGE} @ {wheel.resolve().as_uri()}\n")
    (project / "pyproject.toml").write_text(VENDORING)
    run(sys.executable, "-m", "vendoring", "sync", cwd=project)
    program = "import yourtool._vendor.sse_stream.__main__ as main; main.main()"
    run(sys.executable, "-c", program, "--version", cwd=project)
    (project / "pyrightconfig.json").write_text(PYRIGHT)
    run(sys.executable, "-m", "pyright", "--pythonpath", sys.executable, cwd=project)
    return run(
        sys.executable,
        "-m",
        "tests.vectors",
        "replay",
        "yourtool._vendor.sse_stream.decoder",
        PYTHONPATH=str(project),
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.programs.release", description="Build the release and check it."
    )
    parser.add_argument("folder", nargs="?", type=Path, help="where to put sdist and wheel")
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        checkout = copy_checkout(work / "one")
        sdist, wheel = first = build(checkout, work / "dist")
        second = build(copy_checkout(work / "another" / "place"), work / "again")
        faults = [
            f"{a.name} is not reproducible"
            for a, b in zip(first, second, strict=True)
            if a.read_bytes() != b.read_bytes()
        ]
        run(sys.executable, "-m", "twine", "check", "--strict", *first)
        run(sys.executable, "-m", "check_wheel_contents", wheel)
        faults += check_sdist(sdist, checkout) + check_wheel(wheel, checkout)
        print(vendor(wheel, work / "project"), end="")
        print(*(f"{file.name}: {file.stat().st_size:,} bytes" for file in first), sep="\n")
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
            for file in first:
                shutil.copy(file, folder)
    print(*(f"FAULT: {fault}" for fault in faults), sep="\n", end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
