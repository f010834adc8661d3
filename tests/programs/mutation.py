# SPDX-License-Identifier: MIT
"""Break the code and see if the tests notice.

`python3 -m tests.programs.mutation [--list] [MODULE ...]`

mutmut makes the mutants of decoder, streams, handshake, policy, reconnect, payloads and relay (or
of the modules named): one small change each, such as `<` for `<=`. Each is tried by the module's
own tests (covered.py says which those are), in a process of its own with a limit on its time and
memory. It must fail one of them.

How: the tests are run once on the original, to learn which of them run which line. Then they are
collected once, and for each mutant a copy of that process puts the changed function in the place of
the original and runs the tests that run the changed statement, until one fails. What survives that
and is not listed, and what is changed outside of functions, is tried again from the start: the
changed file is imported, and all the tests that may notice are collected and run, slow ones too.
Before all that the original is tried the first way: it must survive.

Left out are types (annotations, variables, bases), `__slots__` and `__all__`, the texts of
exceptions that are raised on the spot, None in place of False, names of encodings in capitals, and
the fast paths (FAST_PATHS), which are held by tests of their own. What no test can tell from the
original is listed in
tests/data/mutants.json with the reason; `--list` prints the survivors in its form.

The exit status is 0 if at least 95 % of each module's mutants are killed, all survivors are listed,
and all that is listed survives. Nothing is random: the examples of hypothesis are the same in every
run. It works on a copy of the tree, and makes a virtual environment with what it needs if that is
not there. POSIX only, one core; about an hour for all.
"""

from __future__ import annotations
import __future__

import argparse
import ast
import contextlib
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
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .covered import tests_of

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
EQUIVALENT = ROOT / "tests" / "data" / "mutants.json"
NEEDS = ["mutmut==3.8.1", "coverage>=7.6"]  # and tests/requirements.txt
MODULES = ("decoder", "streams", "handshake", "policy", "reconnect", "payloads", "relay")
FAST_PATHS = {"decoder": ("SSEDecoder._whole_event", "SSEDecoder.pull")}  # its section 7
LEAST = 95  # percent
# What one test may take: so many seconds of CPU and by the clock, and so many times what it took.
CPU_SECONDS, SECONDS, TIMES = 3, 8, 10
MEMORY = 4 << 30
QUICK = 3  # seconds; tests that take longer are run for what the others do not notice
NAMES = ("module", "function", "from", "to", "reason")  # in the list of survivors
NO_TEST, FAULT = 5, 99  # the first is pytest's status when no test runs the statement


class Mutant(NamedTuple):
    """A change of one module, and where it is."""

    module: str
    function: str  # "" outside of functions
    line: int  # the first that differs, counted from 1
    statement: range  # the lines of the statement that is changed
    span: range  # the lines of the function, without decorators; none outside of functions
    longer: int  # lines than the original
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


# The mutants.


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
    statements = statements_by_line(source)
    made: list[Mutant] = []
    for mutation in visitor.mutations:
        function, name, span = mutation.contained_by_top_level_function, "", range(0)
        if isinstance(function, cst.FunctionDef):
            name = next(iter(names[function]())).name
            span = range(positions[function.name].start.line, positions[function].end.line + 1)
        if name in FAST_PATHS.get(module, ()):
            continue
        at = positions[mutation.original_node]
        code = spliced(source, at, text_of(cst, mutation.mutated_node))
        line, removed, added = difference(source, code)
        if removed == added.replace('"UTF-8"', '"utf-8"').replace('"LATIN-1"', '"latin-1"'):
            continue  # such names ignore case
        statement = statements.get(line, range(line, line + 1))
        longer = code.count("\n") - source.count("\n")
        made.append(Mutant(module, name, line, statement, span, longer, code, removed, added))
    return made


def text_of(cst: Any, node: Any) -> str:
    """Return a node as source, without what its position does not count: parentheses and blanks."""
    if getattr(node, "lpar", ()):
        node = node.with_changes(lpar=[], rpar=[])
    text: str = cst.Module([]).code_for_node(node)
    return text.strip()


def spliced(source: str, at: Any, text: str) -> str:
    """Return the source with a text in the place of what stands at a position of libcst."""
    lines = source.splitlines(keepends=True)
    start = sum(map(len, lines[: at.start.line - 1])) + at.start.column
    end = sum(map(len, lines[: at.end.line - 1])) + at.end.column
    return source[:start] + text + source[end:]


def difference(source: str, code: str) -> tuple[int, str, str]:
    """Return the number of the first line that differs, and the lines that do, in one each."""
    old, new = source.splitlines(), code.splitlines()
    first = next(i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b)
    same = 0
    while old[-1 - same] == new[-1 - same] and same < min(len(old), len(new)) - first:
        same += 1
    parts = [lines[first : len(lines) - same] for lines in (old, new)]
    removed, added = (" ".join(line.strip() for line in part) for part in parts)
    return first + 1, removed, added


def statements_by_line(source: str) -> dict[int, range]:
    """Return for each line the lines of its statement; of a compound one, those of its head."""
    found: dict[int, range] = {}
    for node in ast.walk(ast.parse(source)):  # outer ones first
        if isinstance(node, (ast.stmt, ast.ExceptHandler)):
            body: list[ast.stmt] = getattr(node, "body", [])
            last = body[0].lineno - 1 if body else node.end_lineno or 0
            lines = range(node.lineno, max(node.lineno, last) + 1)
            found.update(dict.fromkeys(lines, lines))
    return found


def leave_out(cst: Any, visitor: Any) -> None:
    """Tell mutmut's visitor what else to mutate, or not.

    It leaves out decorated functions and `__new__`, which it could not switch to while the program
    runs; here the function itself is changed. And it does not know what only type checkers and
    importers read, nor what is text for people.
    """
    left_out: set[Any] = set()
    messages: set[Any] = set()
    skip, create = visitor._skip_node_and_children, visitor._create_mutations

    def skip_more(node: Any) -> bool:
        if isinstance(node, cst.FunctionDef):
            return False
        if (
            isinstance(node, cst.If)
            and isinstance(node.test, cst.Name)
            and node.test.value == "TYPE_CHECKING"
        ):
            left_out.add(node.body)
        if isinstance(node, cst.ClassDef):
            left_out.update(argument.value for argument in node.bases)
        if isinstance(node, cst.Assign):
            of_a_type = getattr(getattr(node.value, "func", None), "value", None) == "TypeVar"
            return of_a_type or getattr(node.targets[0].target, "value", None) in (
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


# The tests.


class Order:
    """A plugin of pytest: run the tests that may notice a mutant, the likely and quick first."""

    def __init__(self, mutant: Mutant | None = None, coverage: Coverage | None = None) -> None:
        self.mutant, self.coverage = mutant, coverage
        self.seconds: Counter[str] = Counter()

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        if self.mutant is not None and self.coverage is not None:
            items[:] = chosen(items, self.mutant, self.coverage)
            limit_seconds(items, self.coverage)

    def pytest_runtest_protocol(self, item: Any) -> None:
        if self.coverage is not None:
            limit_cpu(item, self.coverage)

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.location[2].partition("[")[0]] += report.duration


def chosen(items: list[Any], mutant: Mutant, coverage: Coverage) -> list[Any]:
    """Return the tests that may notice a mutant, the likely and quick ones first.

    A test that does not run the statement cannot; but who runs what is not known of threads and of
    the import.
    """
    tests, seconds = coverage
    on_line = {test for line in mutant.statement for test in tests.get(line, ())}
    in_function = {test for line in mutant.span for test in tests.get(line, ())}

    def order(item: Any) -> tuple[bool, bool, float]:
        name = item.originalname
        return name not in on_line, name not in in_function, seconds.get(name, 0.0)

    if mutant.span and "" not in on_line:
        items = [item for item in items if item.originalname in on_line]
    return sorted(items, key=order)


def limit_cpu(item: Any, coverage: Coverage) -> None:
    """Let the process end itself (SIGPROF) if a test takes far more time than it took before."""
    seconds = CPU_SECONDS + TIMES * coverage.seconds.get(item.originalname, 0.0)
    signal.setitimer(signal.ITIMER_PROF, seconds)


def limit_seconds(items: list[Any], coverage: Coverage) -> None:
    """Let the process end itself if a test waits far longer than it took before."""
    for item in items:
        seconds = SECONDS + TIMES * coverage.seconds.get(item.originalname, 0.0)
        item.add_marker(importlib.import_module("pytest").mark.timeout(seconds))


class Trials:
    """A plugin of pytest: in place of the tests, run each mutant's in a copy of the process."""

    def __init__(self, candidates: list[Mutant], coverage: Coverage) -> None:
        self.candidates, self.coverage = candidates, coverage
        self.survivors: list[int] = []

    def pytest_runtestloop(self, session: Any) -> bool:
        import gc

        limit_seconds(session.items, self.coverage)
        gc.collect()
        gc.freeze()  # the copies need not look at what is there
        seconds = self.coverage.seconds
        quick = [item for item in session.items if seconds.get(item.originalname, 0.0) < QUICK]
        for number, mutant in enumerate(self.candidates):
            items = chosen(quick, mutant, self.coverage)
            path = Path("sse_stream", f"{mutant.module}.py")
            path.write_text(mutant.source)  # some tests read it
            if in_child(partial(self.tried, mutant, items), self.wait(items)):
                self.survivors.append(number)
                if number:  # else it is the original
                    show(described(mutant))
            if number % 100 == 0:
                show(f"{mutant.module}: {number} tried, {len(self.survivors)} to be tried again")
        return True

    def wait(self, items: list[Any]) -> float:
        """Return how many seconds tests may take by the clock."""
        names = {item.originalname for item in items}
        return 60 + TIMES * sum(self.coverage.seconds.get(name, 0.0) for name in names)

    def tried(self, mutant: Mutant, items: list[Any]) -> int:
        """Put a mutant in, run the tests until one fails, and return pytest's status."""
        try:
            put_in(mutant)
        except Exception:  # it cannot be: try it the other way
            return 0
        for item, following in zip(items, [*items[1:], None], strict=True):
            limit_cpu(item, self.coverage)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if item.session.testsfailed:
                return 1
        return 0


def put_in(mutant: Mutant) -> None:
    """Change a function of the module that is loaded."""
    if not mutant.span:
        return
    module = sys.modules[f"sse_stream.{mutant.module}"]
    *classes, name = mutant.function.split(".")
    start = mutant.span.start - 1
    text = mutant.source.splitlines()[start : mutant.span.stop - 1 + mutant.longer]
    if classes:
        text = ["class Class:", *text]
        start -= 1
    code = compile(
        "\n" * start + "\n".join(text),
        str(module.__file__),
        "exec",
        flags=__future__.annotations.compiler_flag,
        dont_inherit=True,
    )
    namespace = dict(vars(module))
    exec(code, namespace)
    new: Any = vars(namespace["Class"])[name] if classes else namespace[name]
    old: Any = module
    for part in (*classes, name):
        old = vars(old)[part]
    old = getattr(old, "fget", None) or getattr(old, "__func__", old)  # without its decorator
    old.__code__ = new.__code__
    old.__defaults__, old.__kwdefaults__ = new.__defaults__, new.__kwdefaults__


def run_pytest(module: str, plugin: object) -> int:
    """Run or collect the tests of a module in this process, and return pytest's status."""
    import pytest

    options = ["-x", "-q", "--tb=no", "-p", "no:cacheprovider", "--hypothesis-profile=mutation"]
    # It ends the process: a mutant may swallow exceptions.
    options += ["-o", "timeout=600", "-o", "timeout_method=thread"]
    # Its own plugins are loaded by now.
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        return int(pytest.main([*options, *tests_of(module)], plugins=[plugin]))


def cover(module: str) -> Coverage:
    """Run the tests on the original, in this process, which thereby loads all that they need."""
    coverage: Any = importlib.import_module("coverage")
    collector = coverage.Coverage(data_file=None, include=["sse_stream/*"], config_file=False)
    collector.set_option("run:dynamic_context", "test_function")
    plugin = Order()
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


# The trials.


def show(progress: str) -> None:
    """Tell who waits how far it is, also from where pytest's output goes nowhere."""
    print(progress, file=sys.__stderr__, flush=True)


def in_child(function: Callable[[], int], seconds: float) -> bool:
    """Call a function in a copy of this process; return whether it returned 0 in time."""
    ended, alive = os.pipe()  # the child's end of it closes with the child
    child = os.fork()
    if child == 0:
        try:
            os.close(ended)
            os.setsid()  # so that its own children end with it
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            sys.dont_write_bytecode = True  # two mutants may have the same size and time of change
            os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            os._exit(function())
        finally:
            os._exit(FAULT)
    os.close(alive)
    select.select([ended], [], [], seconds)
    os.close(ended)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status in (0, NO_TEST)


def quick_survivors(candidates: list[Mutant], coverage: Coverage) -> list[int]:
    """Try mutants with tests that are collected once; return the numbers of those that survive."""
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder, "found")

        def run() -> int:
            trials = Trials(candidates, coverage)
            status = run_pytest(candidates[0].module, trials)
            found.write_text(json.dumps(trials.survivors))
            return status

        child = os.fork()
        if child == 0:
            try:
                os._exit(run())
            finally:
                os._exit(FAULT)
        os.waitpid(child, 0)
        numbers: list[int] = json.loads(found.read_text())
    return numbers


def survives(mutant: Mutant, coverage: Coverage) -> bool:
    """Try a mutant from the start; what does not end in time is killed."""
    Path("sse_stream", f"{mutant.module}.py").write_text(mutant.source)

    def run() -> int:
        return run_pytest(mutant.module, Order(mutant, coverage))

    return in_child(run, 60 + TIMES * sum(coverage.seconds.values()))


def survivors_of(module: str, listed: set[tuple[str, ...]]) -> tuple[list[Mutant], int]:
    """Try all mutants of a module; return those that survive, and how many there are.

    listed: what names those of which the list says so: they are not tried twice.
    """
    path = Path("sse_stream", f"{module}.py")
    original = path.read_text()
    candidates = mutants(module)
    lines = range(1, len(original.splitlines()) + 1)
    unchanged = Mutant(module, "", 0, lines, range(0), 0, original, "", "")
    coverage = cover(module)
    for compiled in Path("sse_stream", "__pycache__").glob(f"{module}.*"):
        compiled.unlink()
    try:
        quick = [unchanged, *(mutant for mutant in candidates if mutant.span)]
        alive = [quick[number] for number in quick_survivors(quick, coverage)]
        if unchanged not in alive:
            raise SystemExit(f"the tests of {module} fail on the unchanged code in a copy")
        found = [mutant for mutant in alive[1:] if mutant.key in listed]
        again = [mutant for mutant in alive[1:] if mutant.key not in listed]
        again += [mutant for mutant in candidates if not mutant.span]
        show(f"{module}: {len(again)} of {len(candidates)} to be tried again")
        found += [mutant for mutant in again if survives(mutant, coverage)]
    finally:
        path.write_text(original)
    return found, len(candidates)


def check(module: str, as_list: bool) -> bool:
    """Try all mutants of a module, and print what came of it."""
    began = time.monotonic()
    reasons = equivalent(module)
    found, number = survivors_of(module, {*reasons})
    survivors: list[dict[str, str]] = []
    unexplained = 0
    for mutant in found:
        reason = reasons[mutant.key].pop() if reasons.get(mutant.key) else ""
        survivors.append(dict(zip(NAMES, (*mutant.key, reason), strict=True)))
        if not reason:
            unexplained += 1
            print(described(mutant))
    stale = [key for key, rest in reasons.items() for _ in rest]
    for _, function, removed, added in stale:
        print(f"  listed, but it is killed or no mutant: {function}")
        print(f"    - {removed}\n    + {added}")
    score = 100 - 100 * len(found) / number
    print(
        f"{module}: {number - len(found)} of {number} mutants killed, {score:.1f} %; "
        f"{len(found) - unexplained} of {len(found)} survivors equivalent by the list "
        f"({time.monotonic() - began:.0f} s)"
    )
    if as_list:
        print(json.dumps(survivors, indent=2, ensure_ascii=False))
    sys.stdout.flush()
    return score >= LEAST and not unexplained and not stale


def described(mutant: Mutant) -> str:
    """Return what is printed of a mutant that survives."""
    place = f"  survived: line {mutant.line}, {mutant.function}"
    return f"{place}\n    - {mutant.removed}\n    + {mutant.added}"


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


# The program.


def environment(directory: Path) -> str:
    """Return a Python that has what is needed: this one, or that of a new virtual environment."""
    probe = "import mutmut, coverage, hypothesis, pytest, pytest_timeout, trio, h2; "
    probe += "from importlib.metadata import version"
    probe += f"\nassert 'mutmut==' + version('mutmut') == {NEEDS[0]!r}"
    if (
        subprocess.run(
            [sys.executable, "-c", probe], stderr=subprocess.DEVNULL, check=False
        ).returncode
        == 0
    ):
        return sys.executable
    print("Making an environment with", *NEEDS, "and tests/requirements.txt", flush=True)
    subprocess.run([sys.executable, "-m", "venv", directory], check=True)
    python = str(directory / "bin" / "python")
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    requirements = str(ROOT / "tests" / "requirements.txt")
    subprocess.run([*pip, *NEEDS, "-r", requirements], check=True)
    return python


def run_here(modules: list[str], as_list: bool) -> int:
    """Check modules of the copy in the working directory, and return the exit status."""
    settings: Any = importlib.import_module("hypothesis").settings
    phase: Any = importlib.import_module("hypothesis").Phase
    phases = [phase.explicit, phase.generate]  # a failure need not be made small
    settings.register_profile(
        "mutation", deadline=None, derandomize=True, max_examples=50, phases=phases
    )
    results = [check(module, as_list) for module in modules]
    return 0 if all(results) else 1


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
    modules = options.modules or [*MODULES]
    if not {*modules} <= {*MODULES}:
        parser.error(f"the modules are {', '.join(MODULES)}")
    if options.here:
        return run_here(modules, options.list)
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary, "sse_stream")
        for name in ("sse_stream", "tests"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        python = environment(Path(temporary, "environment"))
        command = [python, "-m", "tests.programs.mutation", "--here", *modules]
        if options.list:
            command.append("--list")
        environ = {
            name: value
            for name, value in os.environ.items()
            if name not in ("PYTHONPATH", "SSE_STREAM_EXPLORE", "CI")
        }
        return subprocess.run(command, cwd=copy, env=environ, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
