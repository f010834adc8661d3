# SPDX-License-Identifier: MIT
"""What holds for the package as a whole: its public names, its layers, and what importing it loads."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import sse_stream

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(sse_stream.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# Which modules of the package a module may import.
LAYERS: dict[str, set[str]] = {
    "decoder": set(),
    "streams": {"decoder"},
    "encoder": {"decoder"},
    "handshake": {"decoder"},
    "payloads": {"decoder", "streams"},
    "relay": {"decoder", "streams"},
    "ndjson": {"decoder", "streams"},
    "reconnect": {"decoder", "streams", "handshake"},
}
ABOVE = {*LAYERS}
ADAPTERS = {"decoder", "streams", "handshake", "reconnect"}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield each import of a file: the module inside the package and True, or the absolute name and False."""
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text())):
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


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_go_one_way(path: Path) -> None:
    name = module_name(path)
    inside = {module for module, relative in imports(path) if relative and module != "__version__"}
    outside = {module.partition(".")[0] for module, relative in imports(path) if not relative}
    assert PACKAGE.name not in outside, "imports inside the package are relative"
    if name in LAYERS:
        assert inside <= LAYERS[name]
    elif name.startswith("adapters."):
        assert inside <= ADAPTERS, "adapters never import one another"
    elif name == "__init__":
        assert inside <= ABOVE
    elif name == "__main__":
        assert all(module in ABOVE or module.startswith("adapters.") for module in inside)
    else:
        assert not inside, f"{name} has no place in the layers"
    clients = {"aiohttp", "httpx", "httpx2", "pycurl", "requests", "urllib3"}
    runtime = {alias for alias, _ in imports(path) if alias.partition(".")[0] in clients}
    assert not runtime or name.startswith("adapters."), "only adapters know a client"
    assert outside <= sys.stdlib_module_names | clients, "no dependency at run time"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_every_file_says_its_licence_and_what_it_is(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("# SPDX-License-Identifier: MIT\n")
    assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_all_names_what_is_defined(path: Path) -> None:
    name = module_name(path)
    if name == "__main__":
        return
    dotted = (
        sse_stream.__name__
        if name == "__init__"
        else f"{sse_stream.__name__}.{name.removesuffix('.__init__')}"
    )
    module = importlib.import_module(dotted)
    public = {
        key
        for key, value in vars(module).items()
        if not key.startswith("_") and getattr(value, "__module__", None) == module.__name__
    }
    exported = set(getattr(module, "__all__", ()))
    assert all(hasattr(module, key) for key in exported)
    if name == "__init__":
        assert public == set()
    elif public:
        assert public - exported <= {"Opening", "AsyncOpening"}, (
            "what connect returns is not made by hand"
        )


def test_the_public_names() -> None:
    assert sorted(sse_stream.__all__) == sorted(
        [
            "ServerSentEvent", "SSEDecoder", "EventStream", "AsyncEventStream", "SSEError", "EventTooLargeError",
            "IncompleteEventError", "ResponseError", "StatusError", "ContentTypeError",
        ]
    )  # fmt: skip


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


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_functions_are_short(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            hot_loop = (
                node.name == "_decode"
            )  # a call for each line would cost as much as the rest of the work on it
            assert lines <= 40 or hot_loop, f"{node.name} has {lines} lines"


def run(program: str, *options: str) -> str:
    path = f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r})\n"
    ran = subprocess.run(
        [sys.executable, *options, "-c", path + program], capture_output=True, text=True, check=True
    )
    return ran.stdout


def test_importing_loads_no_client_and_nothing_heavy() -> None:
    loaded = set(run("import sse_stream\nprint(*sys.modules)", "-I", "-S").split())
    assert "sse_stream.streams" in loaded
    heavy = {
        "asyncio",
        "ssl",
        "json",
        "typing",
        "socket",
        "http",
        "urllib",
        "re",
        "contextlib",
        "email",
        "logging",
    }
    assert not loaded & {*heavy, "aiohttp", "httpx", "httpx2", "pycurl", "requests", "urllib3"}


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.parent.name == "adapters"], ids=module_name
)
def test_importing_an_adapter_imports_no_client(path: Path) -> None:
    name = module_name(path).removesuffix(".__init__")
    loaded = set(run(f"import sse_stream.{name}\nprint(*sys.modules)", "-I").split())
    assert not loaded & {
        "aiohttp",
        "httpx",
        "httpx2",
        "pycurl",
        "requests",
        "urllib3",
        "asyncio",
        "ssl",
        "http.client",
    }
