# SPDX-License-Identifier: MIT
"""Break the code and see if the tests notice.

`python3 -m tests.programs.mutation [--list] [MODULE ...]`

mutmut makes the mutants of decoder, streams, handshake and reconnect (or of the modules named): one
small change each, such as `<` for `<=`. Each is tried by the module's tests, in a process of its
own with a limit on its time and memory: first the tests that run the changed line, then the others
that run its function. It must fail one of them.

Left out are type annotations, `__slots__` and `__all__`, the texts of exceptions that are raised on
the spot, None in place of False, names of encodings in capitals, and the fast paths, which stand
between `# pragma: no mutate start` and `# pragma: no mutate end` and are held by tests of their
own. What no test can tell from the original is listed in tests/data/mutants.json with the reason;
`--list` prints the survivors in its form.

The exit status is 0 if at least 95 % of each module's mutants are killed, all survivors are listed,
and all that is listed survives. Nothing is random: the examples of hypothesis are the same in every
run. It works on a copy of the tree, and makes a virtual environment with what it needs if that is
not there. POSIX only, one core; about half an hour.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
EQUIVALENT = ROOT / "tests" / "data" / "mutants.json"
NEEDS = [
    "mutmut==3.8.1",
    "coverage>=7.6",
    "hypothesis>=6.100",
    "pytest>=8",
    "pytest-timeout>=2.3",
    "trio>=0.26",
]
# The modules, and the tests that ought to notice.
MODULES = {
    "decoder": ["tests/test_decoder.py", "tests/test_streams.py"],
    "streams": ["tests/test_streams.py"],
    "handshake": ["tests/test_handshake.py"],
    "reconnect": ["tests/test_reconnect.py"],
}
LEAST = 95  # percent
SECONDS = 10  # for one test, when the slowest takes less than two
MEMORY = 4 << 30
NAMES = ("module", "function", "from", "to", "reason")  # in the list of survivors
NO_TEST, FAULT = 5, 99  # the first is pytest's status when no test runs the function


class Mutant(NamedTuple):
    """A change of one module, and where it is."""

    module: str
    function: str
    line: int  # counted from 1
    span: range  # the lines of the function's body, none outside of functions
    source: str
    removed: str
    added: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What names the mutant even if other lines are added to the file."""
        return self.module, self.function, self.removed, self.added


class Coverage(NamedTuple):
    """What the tests did with the original."""

    # For each line of the module, the tests that ran it; "" for what ran outside of any.
    tests: dict[int, set[str]]
    seconds: dict[str, float]


def mutants(module: str) -> list[Mutant]:
    """Make all the mutants of a module of the copy in the working directory."""
    cst: Any = importlib.import_module("libcst")
    metadata: Any = importlib.import_module("libcst.metadata")
    generator: Any = importlib.import_module("mutmut.mutation.file_mutation")
    source = Path("sse_stream", f"{module}.py").read_text()
    wrapper = metadata.MetadataWrapper(cst.parse_module(source))
    ignored = generator.get_ignored_lines(module, source, wrapper)
    visitor = generator.MutationVisitor(generator.mutation_operators, ignored)
    leave_out(cst, visitor)
    wrapper.visit(visitor)
    positions = wrapper.resolve(metadata.PositionProvider)
    names = wrapper.resolve(metadata.QualifiedNameProvider)
    made: list[Mutant] = []
    for mutation in visitor.mutations:
        function, name, span = mutation.contained_by_top_level_function, "", range(0)
        if isinstance(function, cst.FunctionDef):
            name = next(iter(names[function]())).name
            span = range(positions[function.body].start.line, positions[function.body].end.line + 1)
        code = wrapper.module.deep_replace(mutation.original_node, mutation.mutated_node).code
        difference = list(
            difflib.unified_diff(source.splitlines(), code.splitlines(), n=0, lineterm="")
        )[3:]
        removed, added = (
            " ".join(line[1:].strip() for line in difference if line[0] == sign) for sign in "-+"
        )
        if removed == added.replace('"UTF-8"', '"utf-8"').replace('"LATIN-1"', '"latin-1"'):
            continue  # such names ignore case
        line = next(
            (
                i
                for i, (a, b) in enumerate(
                    zip(source.splitlines(), code.splitlines(), strict=False), 1
                )
                if a != b
            ),
            0,
        )
        made.append(Mutant(module, name, line, span, code, removed, added))
    return made


def leave_out(cst: Any, visitor: Any) -> None:
    """Tell mutmut's visitor what else to mutate, or not.

    It leaves out decorated functions and `__new__`, which it could not switch to while the program
    runs; here the file itself is changed. And it does not know what only type checkers and
    importers read, nor what is text for people.
    """
    left_out: set[Any] = set()
    messages: set[Any] = set()
    skip, create = visitor._skip_node_and_children, visitor._create_mutations

    def skip_more(node: Any) -> bool:
        if isinstance(node, cst.FunctionDef):
            return bool(
                visitor.get_metadata(visitor.METADATA_DEPENDENCIES[0], node).start.line
                in visitor._ignored_node_lines
            )
        if (
            isinstance(node, cst.If)
            and isinstance(node.test, cst.Name)
            and node.test.value == "TYPE_CHECKING"
        ):
            left_out.add(node.body)
        if isinstance(node, cst.Assign):
            return getattr(node.targets[0].target, "value", None) in (
                "__slots__",
                "__all__",
                "TYPE_CHECKING",
            )
        if isinstance(node, cst.Raise) and isinstance(node.exc, cst.Call):
            texts = [
                argument.value
                for argument in node.exc.args
                if isinstance(argument.value, cst.BaseString)
            ]
            left_out.update(texts)
            messages.update([node.exc] if texts else [])
        return node in left_out or bool(skip(node))

    def create_less(node: Any) -> None:
        # None for False would be the same to all conditions; each False becomes True, too.
        for_false = (
            isinstance(node, (cst.Assign, cst.AnnAssign))
            and getattr(node.value, "value", None) == "False"
        )
        if node not in messages and not for_false:
            create(node)

    visitor._skip_node_and_children = skip_more
    visitor._create_mutations = create_less


class Order:
    """A plugin of pytest: run the tests that may notice a mutant, the likely and quick first."""

    def __init__(self, mutant: Mutant | None, coverage: Coverage | None) -> None:
        self.mutant, self.coverage = mutant, coverage
        self.seconds: Counter[str] = Counter()

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        if self.mutant is None or self.coverage is None:
            return
        tests, seconds = self.coverage
        on_line = tests.get(self.mutant.line, set[str]())
        in_function = {test for line in self.mutant.span for test in tests.get(line, ())}
        if self.mutant.span and "" not in in_function:  # else a thread, or the import
            items[:] = [item for item in items if item.originalname in in_function]
        items.sort(
            key=lambda item: (item.originalname not in on_line, seconds.get(item.originalname, 0.0))
        )

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.location[2].partition("[")[0]] += report.duration


def run_pytest(module: str, plugin: Order, seconds: float = 120) -> int:
    import pytest

    options = [
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        f"timeout={seconds}",
        "--tb=no",
        "--hypothesis-profile=mutation",
    ]
    # It ends the process: a mutant may swallow exceptions.
    options += ["-o", "timeout_method=thread"]
    # Its own plugins are loaded by now.
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        return int(pytest.main([*options, *MODULES[module]], plugins=[plugin]))


def cover(module: str) -> Coverage:
    """Run the tests on the original, in this process, which thereby loads all that they need."""
    coverage: Any = importlib.import_module("coverage")
    collector = coverage.Coverage(data_file=None, include=["sse_stream/*"], config_file=False)
    collector.set_option("run:dynamic_context", "test_function")
    plugin = Order(None, None)
    with collector.collect():
        status = run_pytest(module, plugin)
    if status != 0:
        raise SystemExit(
            f"the tests of {module} fail on the unchanged code: pytest's status is {status}"
        )
    path = str(Path("sse_stream", f"{module}.py").resolve())
    if sys.modules[f"sse_stream.{module}"].__file__ != path:
        raise SystemExit(f"the tests do not meet the copy {path}")
    contexts: dict[int, list[str]] = collector.get_data().contexts_by_lineno(path)
    for name in [name for name in sys.modules if name.partition(".")[0] in ("sse_stream", "tests")]:
        del sys.modules[name]  # but what they import stays
    tests = {
        line: {context.rpartition(".")[2] for context in several}
        for line, several in contexts.items()
    }
    return Coverage(tests, dict(plugin.seconds))


def survives(mutant: Mutant, coverage: Coverage) -> bool:
    """Try a mutant in a process of its own; what does not end in time is killed."""
    path = Path("sse_stream", f"{mutant.module}.py")
    path.write_text(mutant.source)
    slowest = max(coverage.seconds.values())
    total = sum(coverage.seconds.values())
    ended, alive = os.pipe()  # the child's end of it closes with the child
    child = os.fork()
    if child == 0:
        try:
            os.close(ended)
            os.setsid()  # so that its own children end with it
            sys.dont_write_bytecode = True  # two mutants may have the same size and time of change
            os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            resource.setrlimit(resource.RLIMIT_CPU, (int(5 + 3 * total), int(5 + 3 * total)))
            os._exit(run_pytest(mutant.module, Order(mutant, coverage), max(SECONDS, 5 * slowest)))
        finally:
            os._exit(FAULT)
    os.close(alive)
    select.select([ended], [], [], 30 + 10 * total)  # seconds
    os.close(ended)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == FAULT:
        raise SystemExit(f"pytest could not be run on the mutant {mutant.key}")
    return status in (0, NO_TEST)


def check(module: str, as_list: bool) -> bool:
    """Try all mutants of a module, and print what came of it."""
    began = time.monotonic()
    reasons = equivalent(module)
    path = Path("sse_stream", f"{module}.py")
    original = path.read_text()
    all_mutants = mutants(module)
    coverage = cover(module)
    for compiled in Path("sse_stream", "__pycache__").glob(f"{module}.*"):
        compiled.unlink()
    survivors: list[dict[str, str]] = []
    unexplained = 0
    for mutant in all_mutants:
        if survives(mutant, coverage):
            reason = reasons[mutant.key].pop() if reasons.get(mutant.key) else ""
            survivors.append(dict(zip(NAMES, (*mutant.key, reason), strict=True)))
            if not reason:
                unexplained += 1
                print(
                    f"  survived: line {mutant.line}, {mutant.function}\n"
                    f"    - {mutant.removed}\n    + {mutant.added}",
                    flush=True,
                )
    path.write_text(original)
    stale = [key for key, rest in reasons.items() for _ in rest]
    for _, function, removed, added in stale:
        print(
            f"  listed, but it is killed or no mutant: {function}\n    - {removed}\n    + {added}"
        )
    killed, score = len(all_mutants) - len(survivors), 100 - 100 * len(survivors) / len(all_mutants)
    print(
        f"{module}: {killed} of {len(all_mutants)} mutants killed, {score:.1f} %; "
        f"{len(survivors) - unexplained} of {len(survivors)} survivors equivalent by the list "
        f"({time.monotonic() - began:.0f} s)"
    )
    if as_list:
        print(json.dumps(survivors, indent=2, ensure_ascii=False))
    sys.stdout.flush()
    return score >= LEAST and not unexplained and not stale


def equivalent(module: str) -> dict[tuple[str, ...], list[str]]:
    """Return the reasons why no test can kill mutants of a module, by what is changed.

    There is one reason for each of the mutants that look alike.
    """
    reasons: dict[tuple[str, ...], list[str]] = {}
    for entry in json.loads(EQUIVALENT.read_text()):
        if entry["module"] == module:
            reasons.setdefault(tuple(entry[name] for name in NAMES[:-1]), []).append(
                entry["reason"]
            )
    return reasons


def environment(directory: Path) -> str:
    """Return a Python that has what is needed: this one, or that of a new virtual environment."""
    probe = "import mutmut, coverage, hypothesis, pytest, pytest_timeout, trio; "
    probe += "from importlib.metadata import version"
    probe += f"\nassert 'mutmut==' + version('mutmut') == {NEEDS[0]!r}"
    if (
        subprocess.run(
            [sys.executable, "-c", probe], stderr=subprocess.DEVNULL, check=False
        ).returncode
        == 0
    ):
        return sys.executable
    print("Making an environment with", *NEEDS, flush=True)
    subprocess.run([sys.executable, "-m", "venv", directory], check=True)
    python = str(directory / "bin" / "python")
    subprocess.run(
        [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *NEEDS], check=True
    )
    return python


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests.programs.mutation")
    parser.add_argument(
        "modules",
        metavar="MODULE",
        nargs="*",
        help=f"of {', '.join(MODULES)}; by default all of them",
    )
    parser.add_argument(
        "--list",
        action="store_true",
        help="print the survivors in the form of tests/data/mutants.json",
    )
    # The working directory is the copy.
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    modules = options.modules or MODULES
    if not set(modules) <= MODULES.keys():
        parser.error(f"the modules are {', '.join(MODULES)}")
    if options.here:
        settings: Any = importlib.import_module("hypothesis").settings
        phase: Any = importlib.import_module("hypothesis").Phase
        # A failure need not be made small.
        settings.register_profile(
            "mutation", deadline=None, derandomize=True, phases=[phase.explicit, phase.generate]
        )
        results = [check(module, options.list) for module in modules]
        return 0 if all(results) else 1
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary, "sse_stream")
        for name in ("sse_stream", "tests"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        python = environment(Path(temporary, "environment"))
        command = [
            python,
            "-m",
            "tests.programs.mutation",
            "--here",
            *(["--list"] if options.list else []),
            *modules,
        ]
        environ = {
            name: value
            for name, value in os.environ.items()
            if name not in ("PYTHONPATH", "SSE_STREAM_EXPLORE", "CI")
        }
        return subprocess.run(command, cwd=copy, env=environ, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
