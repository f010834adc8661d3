# SPDX-License-Identifier: MIT
"""What holds for the package as a whole: its layers, public names, style, what importing loads."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import sse_stream

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(sse_stream.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in FILES}
CLIENTS = {"aiohttp", "httpx", "httpx2", "pycurl", "requests", "urllib3"}

# Which modules of the package a module may import.
LAYERS: dict[str, set[str]] = {
    "decoder": set(),
    "streams": {"decoder"},
    "encoder": {"decoder"},
    "handshake": {"decoder", "_excerpt"},
    "payloads": {"decoder", "streams", "_excerpt"},
    "ndjson": {"decoder", "streams", "payloads", "_pieces"},
    # What a chunk of a response may be read as hangs on its media type. How that is found in the
    # header fields is said in handshake, and should not be said twice: the one exception.
    "relay": {"decoder", "streams", "encoder", "handshake", "_pieces"},
    "policy": {"decoder"},
    "reconnect": {"decoder", "streams", "handshake", "policy", "_excerpt"},
    "_demo": set(),
    "_excerpt": set(),
    "_pieces": set(),
}
TOP = {name for name in LAYERS if not name.startswith("_")}
ADAPTERS = {"decoder", "streams", "handshake", "policy", "reconnect", "_excerpt", "_pieces"}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def is_adapter(name: str) -> bool:
    return name.startswith("adapters.")


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield each import of a file.

    That is the module inside the package and True, or the absolute name and False.
    """
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            yield from ((alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or "", False
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= depth, f"{path}: an import leaves the package"
            inside = (
                []
                if node.level == depth
                else list(path.relative_to(PACKAGE).parts[: depth - node.level])
            )
            base = [*inside, *(node.module or "").split(".")] if node.module else inside
            names = [node.module] if node.module else [alias.name for alias in node.names]
            for name in names:
                yield ".".join(base if node.module else [*base, name or ""]), True


def is_for_types_only(path: Path, module: str) -> bool:
    """Return whether a file imports a module under `if TYPE_CHECKING` alone."""
    blocks = [
        node
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
    ]
    for_types = {id(part) for block in blocks for node in block.body for part in ast.walk(node)}
    return all(
        id(node) in for_types
        for node in ast.walk(TREES[path])
        if (isinstance(node, ast.ImportFrom) and node.module == module)
        or (isinstance(node, ast.Import) and module in [alias.name for alias in node.names])
    )


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_go_one_way(path: Path) -> None:
    name = module_name(path)
    inside = {module for module, relative in imports(path) if relative and module != "__version__"}
    outside = {module.partition(".")[0] for module, relative in imports(path) if not relative}
    assert PACKAGE.name not in outside, "imports inside the package are relative"
    if name in LAYERS:
        assert inside <= LAYERS[name]
    elif is_adapter(name):
        shared = {module for module in inside if module.startswith("adapters._")}
        assert inside - shared <= ADAPTERS, "adapters never import one another"
    elif name == "__init__":
        assert inside <= TOP
    elif name == "__main__":
        assert all(module in LAYERS or is_adapter(module) for module in inside)
    else:
        assert not inside, f"{name} has no place in the layers"
    assert is_adapter(name) or not outside & CLIENTS, "only adapters know a client"
    for_types = {"typing_extensions"} & outside  # which type checkers bring with them
    assert outside - for_types <= sys.stdlib_module_names | CLIENTS, "no dependency at run time"
    assert not for_types or is_for_types_only(path, "typing_extensions")


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_every_file_says_its_licence_and_what_it_is(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("# SPDX-License-Identifier: MIT\n")
    assert ast.get_docstring(ast.parse(text))


def module_of(path: Path) -> Any:
    name = module_name(path).removesuffix("__init__").removesuffix(".")
    return importlib.import_module(f"{sse_stream.__name__}.{name}".removesuffix("."))


def names_taken_from(module: str) -> set[str]:
    """Return what other modules of the package import from a module by name."""
    last = module.rpartition(".")[2]
    return {
        alias.name
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
        if (node.module or "").rpartition(".")[2] == last
    }


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_all_names_what_is_defined(path: Path) -> None:
    """What is neither private nor exported is what the package shares inside."""
    name = module_name(path)
    if name == "__main__":
        return
    module = module_of(path)
    public = {
        key
        for key, value in vars(module).items()
        if not key.startswith("_") and getattr(value, "__module__", None) == module.__name__
    }
    exported = set(getattr(module, "__all__", ()))
    assert all(hasattr(module, key) for key in exported)
    if name == "__init__":
        assert public == set()
    else:
        shared = names_taken_from(name) | {"Generic"}  # which stands in for typing's
        assert public - exported <= shared, "nobody shares it: underscore, or export"


# The names of the top level.

MODULES = [
    "decoder", "streams", "handshake", "encoder", "payloads", "ndjson", "relay", "policy",
    "reconnect",
]  # fmt: skip
AT_ONCE = {"decoder", "streams", "handshake"}


def expected_names() -> dict[str, str]:
    """Return the public names that the top level has, each with the module that it is in."""
    names: dict[str, str] = {}
    for module in reversed(MODULES):  # that a name is defined in, not one that shows it again
        for name in importlib.import_module(f"sse_stream.{module}").__all__:
            if module != "handshake" or name.endswith("Error"):
                names[name] = module
    return names


def test_the_public_names_are_those_of_the_modules() -> None:
    assert sorted(sse_stream.__all__) == sorted(expected_names())
    assert len(sse_stream.__all__) == len({*sse_stream.__all__})
    assert {*sse_stream.__all__} <= {*dir(sse_stream)}


@pytest.mark.parametrize("name", sse_stream.__all__)
def test_a_public_name_is_that_of_its_module(name: str) -> None:
    value = getattr(sse_stream, name)
    assert value is getattr(importlib.import_module(f"sse_stream.{expected_names()[name]}"), name)
    scope: dict[str, Any] = {}
    exec(f"from sse_stream import {name}", scope)
    assert scope[name] is value


@pytest.mark.parametrize("module", [module for module in MODULES if module not in AT_ONCE])
def test_a_name_is_loaded_when_it_is_first_asked_for(module: str) -> None:
    for name in (name for name, where in expected_names().items() if where == module):
        program = f"""
            import sse_stream, sys
            assert "sse_stream.{module}" not in sys.modules
            assert "{name}" in dir(sse_stream) and "{name}" not in vars(sse_stream)
            assert sse_stream.{name} is sys.modules["sse_stream.{module}"].{name}
            assert "{name}" in vars(sse_stream)
        """
        run("\n".join(line.strip() for line in program.splitlines()), "-I", "-S")


@pytest.mark.parametrize(
    "verb", ["connect", "aconnect", "subscribe", "asubscribe", "iter_events", "aiter_events"]
)
def test_the_verbs_say_where_they_are(verb: str) -> None:
    with pytest.raises(AttributeError) as missing:
        getattr(sse_stream, verb)
    assert f"from sse_stream.adapters.httpx import {verb} " in str(missing.value)
    with pytest.raises(ImportError, match=verb):
        exec(f"from sse_stream import {verb}")


def test_a_name_that_there_is_not() -> None:
    with pytest.raises(AttributeError) as missing:
        getattr(sse_stream, "nothing")  # noqa: B009  type checkers know
    assert str(missing.value) == "module 'sse_stream' has no attribute 'nothing'"


def test_what_is_loaded_late_can_be_pickled() -> None:
    event = sse_stream.ServerSentEvent(data="a")
    values: list[Any] = [
        sse_stream.ReconnectionPolicy(max_attempts=3),
        sse_stream.TeeOutcome("complete", None, 1, 1, "7"),
        *(getattr(sse_stream, name) for name in sse_stream.__all__),
    ]
    errors = [
        sse_stream.ReconnectionError("gave up", 3),
        sse_stream.PayloadError(event, 1, "no JSON"),
        sse_stream.ServiceError(event, {"error": "a"}),
        sse_stream.DocumentError("no JSON", 1, "x"),
        sse_stream.StreamClosedError("closed", "7"),
    ]
    assert pickle.loads(pickle.dumps(values)) == values
    shown = [(type(error), str(error), vars(error)) for error in errors]
    program = (
        f"import pickle\nerrors = pickle.loads({pickle.dumps(errors)!r})\n"
        "print([(type(error).__name__, str(error)) for error in errors])"
    )
    expected = [(kind.__name__, text) for kind, text, _ in shown]
    assert run(program, "-I") == f"{expected}\n"
    again = pickle.loads(pickle.dumps(errors))
    assert [(type(error), str(error), vars(error)) for error in again] == shown


# The style, as a parser sees it.


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_public_things_have_docstrings(path: Path) -> None:
    tree = ast.parse(path.read_text())
    classes = [
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    for node in [*tree.body, *(member for kind in classes for member in kind.body)]:
        if isinstance(
            node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        ) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} has no docstring"


# The methods of named tuples, which begin with an underscore lest they be taken for fields.
NAMED_TUPLE = {"_asdict", "_replace", "_fields", "_make"}
LOOP = (
    "_interpret"  # of the decoder: a call for each line would cost as much as all other work on it
)
KNOWLEDGE = {*CLIENTS, "gi_running", "add_field"}


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_what_a_parser_sees_of_a_module(path: Path) -> None:
    name = module_name(path)
    assert not [*private_names_of_others(path)]
    assert not [*long_functions(path)]
    assert not [n for n, line in enumerate(path.read_text().splitlines(), 1) if len(line) > 100]
    assert is_adapter(name) or not names_used(path) & KNOWLEDGE, "only adapters know a client"
    assert not [*unexplained_parameters(path)]


def private(name: str) -> bool:
    return re.match("_[A-Za-z]", name) is not None


def own_names(path: Path) -> set[str]:
    """Return the names that a module defines: its functions, classes, variables, attributes."""
    names: set[str] = set()
    for node in ast.walk(TREES[path]):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                names.add(node.attr)
        elif isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__slots__" for target in node.targets
        ):
            names |= {str(c.value) for c in ast.walk(node.value) if isinstance(c, ast.Constant)}
    return names


def private_names_of_others(path: Path) -> Iterator[str]:
    """Yield each underscore name of another module: imported, or used as an attribute.

    An adapter may use those of its client.
    """
    own = own_names(path)
    of_others = {name for other in FILES if other != path for name in own_names(other)}
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield from (alias.name for alias in node.names if private(alias.name))
        elif isinstance(node, ast.Attribute) and private(node.attr):
            base = node.value.id if isinstance(node.value, ast.Name) else ""
            known = own | NAMED_TUPLE
            if base in ("self", "cls") or node.attr in known:
                continue
            if not is_adapter(module_name(path)) or node.attr in of_others:
                yield f"line {node.lineno}: {node.attr}"


def long_functions(path: Path) -> Iterator[str]:
    """Yield each function of more than 40 lines, without its docstring and parameters."""
    for node in ast.walk(TREES[path]):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            if lines > (62 if (path.name, node.name) == ("decoder.py", LOOP) else 40):
                yield f"{node.name} has {lines} lines"


def names_used(path: Path) -> set[str]:
    """Return the names and attributes that a module uses, also by getattr and hasattr."""
    names: set[str] = set()
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("getattr", "hasattr"):
            names |= {str(c.value) for c in node.args[1:2] if isinstance(c, ast.Constant)}
    return names


def public_functions(tree: ast.Module) -> Iterator[tuple[str, Any, str]]:
    """Yield each public function and method, with the docstrings that explain its parameters."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node, ast.get_docstring(node) or ""
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for member in node.body:
                if isinstance(member, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    docs = f"{ast.get_docstring(member)}\n{ast.get_docstring(node)}"
                    public = not member.name.startswith("_") or member.name in MAKERS
                    yield f"{node.name}.{member.name}" if public else "_", member, docs


MAKERS = ("__init__", "__new__", "__call__")


def unexplained_parameters(path: Path) -> Iterator[str]:
    """Yield each parameter of a public function that no docstring of it, or its class, names."""
    for name, function, doc in public_functions(TREES[path]):
        arguments = function.args
        parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        parameters += [extra for extra in (arguments.vararg, arguments.kwarg) if extra]
        for parameter in parameters if not name.startswith("_") else ():
            explained = re.search(rf"\b{parameter.arg}\b", doc)
            if not explained and parameter.arg not in ("self", "cls") and parameter.arg[0] != "_":
                yield f"{name}: {parameter.arg}"


def public_callables() -> Iterator[tuple[str, Any, str]]:
    """Yield what a user may call, as it is at run time, with the docstrings that explain it.

    That is each function and class of an `__all__`, also of the adapters, and each public method,
    inherited ones, too.
    """
    for path in FILES:
        if path.name == "__main__.py" or (path.name.startswith("_") and path.name != "__init__.py"):
            continue
        module = module_of(path)
        for name in getattr(module, "__all__", ()) if module is not sse_stream else ():
            value = getattr(module, name)
            where = f"{module.__name__}.{name}"
            if inspect.isfunction(value):
                yield where, value, value.__doc__ or ""
            elif inspect.isclass(value):
                ours = [kind for kind in value.__mro__ if kind.__module__.startswith("sse_stream")]
                docs = "\n".join(kind.__doc__ or "" for kind in ours)
                made = value.__init__ if inspect.isfunction(value.__init__) else value
                yield where, made, docs
                for key, member in inspect.getmembers(value, inspect.isfunction):
                    if not key.startswith("_") and member.__module__.startswith("sse_stream"):
                        yield (
                            f"{where}.{key}",
                            member,
                            f"{inspect.getdoc(getattr(value, key))}\n{docs}",
                        )


PUBLIC = {where: (function, doc) for where, function, doc in public_callables()}


@pytest.mark.parametrize("where", PUBLIC)
def test_every_parameter_is_explained_where_it_is_asked_for(where: str) -> None:
    """In a line of its own that begins with it, or in prose in backquotes."""
    function, doc = PUBLIC[where]
    assert doc.strip()
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # of an exception without an __init__ of its own
        return
    for name in parameters:
        explained = rf"(?m)^ *(\w+, )*{name}(, \w+)*: |[`(]{name}[`,)(=]|`[^`\n]*\b{name}\b[^`\n]*`"
        assert name in ("self", "args", "kwargs", "cls") or re.search(explained, doc), name


def test_the_examples_in_docstrings_run() -> None:
    """Those with `>>>`, of all modules; tests/adapters/test_docstrings.py runs the others."""
    have = set[str]()
    for path in FILES:
        if path.name != "__main__.py":
            failed, tried = doctest.testmod(module_of(path))
            assert not failed
            have |= {module_name(path)} if tried else set()
    assert have >= {"decoder", "streams", "encoder", "payloads", "ndjson"}


def run(program: str, *options: str) -> str:
    path = f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r})\n"
    ran = subprocess.run(
        [sys.executable, *options, "-c", path + program], capture_output=True, text=True, check=True
    )
    return ran.stdout


def test_importing_loads_no_client_and_nothing_heavy() -> None:
    loaded = set(run("import sse_stream\nprint(*sys.modules)", "-I", "-S").split())
    inside = {name.partition(".")[2] for name in loaded if name.startswith("sse_stream.")}
    assert {name for name in inside if not name.startswith("_")} == AT_ONCE
    heavy = {
        "asyncio", "contextlib", "dataclasses", "email", "http", "inspect", "json", "logging",
        "random", "re", "socket", "ssl", "threading", "typing", "urllib",
    }  # fmt: skip
    assert not loaded & {*heavy, *CLIENTS}


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.parent.name == "adapters"], ids=module_name
)
def test_importing_an_adapter_imports_no_client(path: Path) -> None:
    name = module_name(path).removesuffix(".__init__")
    loaded = set(run(f"import sse_stream.{name}\nprint(*sys.modules)", "-I").split())
    assert not loaded & {*CLIENTS, "asyncio", "ssl", "http.client"}


# The layout of the tests.

TESTS = Path(__file__).parent
TEST_MODULES = sorted(TESTS.rglob("*.py"))


def modules_imported(path: Path) -> Iterator[str]:
    """Yield the absolute name of each module, or name in one, that a test module imports."""
    package = ["tests", *path.parent.relative_to(TESTS).parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            source = ".".join([*base, *filter(None, [node.module])])
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)


def test_no_test_module_imports_another() -> None:
    imported = {
        f"{path.relative_to(TESTS)}: {name}"
        for path in TEST_MODULES
        for name in modules_imported(path)
        if re.match(r"tests(\.\w+)*\.test_\w+(\.\w+)?$", name)
    }
    assert not imported


# Where each adapter has to be named, so that what is proved of every client is proved of it.
TABLES = [
    "clients.py", "adapters/subscribers.py", "adapters/test_mistakes.py",
    "adapters/test_subscribe.py", "adapters/typing_mistakes.py", "programs/hostile.py",
    "programs/lasting.py",
]  # fmt: skip


@pytest.mark.parametrize("name", [path.stem for path in FILES if path.match("adapters/[!_]*")])
def test_each_adapter_is_in_the_tables_of_clients(name: str) -> None:
    verbs = importlib.import_module(f"sse_stream.adapters.{name}").__all__
    tables = [*TABLES]
    tables += ["adapters/test_closing.py"] * ("connect" in verbs)
    tables += ["adapters/test_leaving.py"] * ("aconnect" in verbs)
    for table in tables:
        text = (TESTS / table).read_text(encoding="utf-8")
        assert re.search(rf"\badapters(\.| import ){name}\b", text), f"{table} does not name it"
    text = (TESTS / "adapters" / "test_docstrings.py").read_text(encoding="utf-8")
    assert f'    "{name}": (' in text


@pytest.mark.parametrize("index", ["__init__.py", "programs/__init__.py"])
def test_the_index_names_every_file(index: str) -> None:
    folder = (TESTS / index).parent
    text = ast.get_docstring(ast.parse((TESTS / index).read_text(encoding="utf-8"))) or ""
    paths = [*folder.glob("*.py"), *(TESTS.glob("adapters/*.py") if folder == TESTS else ())]
    for path in paths:
        if path.name not in ("__init__.py", "conftest.py") and "programs/test_" not in str(path):
            assert re.search(rf"\b{path.stem}\b", text), f"{path.name} is missing"
    for name in re.findall(r"tests\.programs\.(\w+)", text):
        assert (TESTS / "programs" / f"{name}.py").exists(), name
