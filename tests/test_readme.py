# SPDX-License-Identifier: MIT
"""README.md and the recipes keep their word: code runs and has the right types, names exist.

README.md is the package's page in the registry, too. That its examples survive what services really
send is in test_examples.py.
"""

from __future__ import annotations

import importlib
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import pytest
import urllib3

import sse_stream
from sse_stream import (
    TRANSIENT_STATUSES,
    IncompleteEventError,
    ReconnectionPolicy,
    ServerSentEvent,
    SSEEncoder,
    adapters,
    iter_payloads,
)
from tests import llm, pages, vectors
from tests.pages import PYTHON, README, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = README.read_text(encoding="utf-8")
PACKAGE = Path(sse_stream.__file__).parent
# Where there is no tomllib, pytest needs tomli, too.
tomllib: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
POLICY = {
    name: parameter.default
    for name, parameter in inspect.signature(ReconnectionPolicy).parameters.items()
}
EVENTS = b": hello\n" + b"".join(
    SSEEncoder().encode(ServerSentEvent(data=f'{{"text": "{text}"}}', id=str(i)))
    for i, text in enumerate("abc", 1)
)


# The blocks of code.


@pytest.fixture(scope="module")
def service() -> Iterator[pages.Service]:
    with pages.no_tls(), pages.Service() as service:
        service.answers["/nothing-here"] = pages.Answer(b"", 404)
        for protocol in llm.PROTOCOLS.values():
            service.answers[protocol.path] = pages.Answer(b"".join(protocol.parts))
        service.answers["/v1/answers"] = pages.Answer(b"data: {}\n\ndata: [DONE]\n\n")
        service.answers["/mcp"] = pages.Answer(b'data: {"id": 1, "result": "a"}\n\n')
        service.answers["/rpc"] = service.answers["/mcp"]
        service.answers["/chat"] = pages.Answer(b"".join(llm.OPENAI.parts))
        service.answers["/token"] = pages.Answer(b'{"token": "T"}', content_type="application/json")
        lines = b'{"message": {"content": "Hel"}}\n{"message": {"content": "lo"}, "done": true}\n'
        service.answers["/api/chat"] = pages.Answer(lines, content_type="application/x-ndjson")
        service.other = pages.Answer(EVENTS)
        yield service


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.name)
def test_every_python_block_runs(
    block: pages.Block,
    service: pages.Service,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    pages.connect_again_at_once(monkeypatch)
    pages.run(block.at_its_line(), service.origin, str(block.page))
    shown = capsys.readouterr().out
    assert "print(" not in block.code or shown
    assert "The answer broke off" not in shown
    assert "is gone" not in shown


@pytest.fixture(scope="module")
def found_by_pyright(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pyright says of all blocks, each in a file named after its page and line."""
    pytest.importorskip("pyright")
    folder = tmp_path_factory.mktemp("blocks")
    for block in PYTHON:
        name = f"{block.page.parent.name}_{block.line}.py"
        (folder / name).write_text(block.code, encoding="utf-8")
    settings = f'{{"extraPaths": ["{PACKAGE.parent.as_posix()}"], "typeCheckingMode": "basic"}}'
    (folder / "pyrightconfig.json").write_text(settings, encoding="utf-8")
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "-p", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def test_the_types_of_the_python_blocks(found_by_pyright: str) -> None:
    assert re.search(r"^0 errors", found_by_pyright, re.MULTILINE), found_by_pyright


@pytest.mark.parametrize(
    ("path", "head", "events"),
    [
        ("/events", "200 text/event-stream", 3),
        ("/api/chat", "200 application/x-ndjson", 0),
        ("/nothing-here", "404 text/event-stream", 0),
    ],
)
def test_progress(
    path: str, head: str, events: int, service: pages.Service, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status and type come first, then the chunks.

    Each body, of events or not, is known to have come to its end.
    """
    code = pages.code_with("bytes more")
    pages.run(code.replace("/events", path), service.origin)
    first, *lines, last = capsys.readouterr().out.splitlines()
    assert first == head
    assert re.match(
        rf"TeeOutcome\(state='complete', error=None, bytes=\d+, events={events}, ", last
    )
    shown = [line for line in lines if not line.endswith(" bytes more")]
    assert len(shown) == events


def test_a_timer_that_cuts_a_stream(
    service: pages.Service, capsys: pytest.CaptureFixture[str]
) -> None:
    code = pages.code_with("threading.Timer(10")
    service.other = pages.Answer(EVENTS, stays=True)
    pages.run(code.replace("Timer(10", "Timer(0.1"), service.origin)
    service.other = pages.Answer(EVENTS)
    assert capsys.readouterr().out.splitlines()[-1] == "cut by the timer"


def test_waiting_with_a_limit(service: pages.Service, capsys: pytest.CaptureFixture[str]) -> None:
    code = pages.code_with("asyncio.wait({read}")
    service.other = pages.Answer(EVENTS, pause=0.2)
    pages.run(code.replace("timeout=5", "timeout=0.05"), service.origin)
    service.other = pages.Answer(EVENTS)
    shown = capsys.readouterr().out
    assert "nothing for" in shown
    assert shown.count('"text"') == 3


# The page as a whole.


def test_the_page_in_the_registry() -> None:
    """It is README.md, whose promise is the one line that lists show."""
    assert PYPROJECT["project"]["readme"] == "README.md"
    promise = next(line for line in TEXT.splitlines() if line.startswith("Read "))
    assert promise.replace("`", "").replace(" in Python", "") == PYPROJECT["project"]["description"]


def test_code_comes_early() -> None:
    assert next(block.line for block in PYTHON if block.page == README) < 15


def test_the_length() -> None:
    assert len(TEXT.splitlines()) <= 450


def test_the_first_screen_has_the_two_commands() -> None:
    commands = [block for block in pages.blocks(README) if block.language == "console"]
    text = "".join(block.code for block in commands if block.line < 40)
    assert "python3 -m sse_stream --demo\n" in text
    assert "pytest" in text


def all_text() -> str:
    return "".join(page.read_text(encoding="utf-8") for page in pages.PAGES)


def test_the_commands_of_the_tests_exist() -> None:
    commands = {*re.findall(r"-m tests\.([\w.]+)", all_text())}
    assert commands
    for command in commands:
        assert (ROOT / "tests" / f"{command.replace('.', '/')}.py").exists(), command


def anchors(page: Path) -> set[str]:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return {
        re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)", text, re.MULTILINE)
    }


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_it_links_to_exists(page: Path) -> None:
    targets = re.findall(r"\]\(([^):]+)\)", page.read_text(encoding="utf-8"))
    assert targets
    for target in targets:
        file, _, anchor = target.partition("#")
        path = page.parent / file if file else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


def test_the_contents_name_all_sections() -> None:
    contents = TEXT[TEXT.index("**Contents**") : TEXT.index("## Which part")]
    sections = re.findall(r"^## (.+)", TEXT, re.MULTILINE)
    linked = {*re.findall(r"\(#([^)]+)\)", contents)}
    assert linked == anchors(README) - {"sse_stream", "install", "licence"}
    assert len(sections) == len(linked) + 2


def test_the_contents_of_the_recipes() -> None:
    text = pages.RECIPES.read_text(encoding="utf-8")
    linked = re.findall(r"\(#([^)]+)\)", text[: text.index("\n## ")])
    sections = re.findall(
        r"^## (.+)", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE
    )
    assert len(linked) == len(sections)


def rows(first: str) -> list[list[str]]:
    """Return the cells of the README's table whose head begins with this cell."""
    (table,) = [part for part in TEXT.split("\n\n") if part.startswith(f"| {first} |")]
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in table.splitlines()[2:]
    ]


def names_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# Names, options and defaults.


def public_names(adapter: str) -> set[str]:
    return {*importlib.import_module(f"{adapters.__name__}.{adapter}").__all__}


ADAPTERS = sorted(path.stem for path in Path(adapters.__file__).parent.glob("[!_]*.py"))


def test_which_part_do_i_need() -> None:
    of_adapters = set[str]().union(*(public_names(adapter) for adapter in ADAPTERS))
    shown = set[str]()
    for _, parts, source in rows("you want to"):
        for name in names_in(parts):
            assert name in (of_adapters if "adapter" in source else ()) or (
                "`sse_stream`" in source and name in sse_stream.__all__
            ), name
            shown.add(name)
    assert of_adapters - shown == {"is_transient", "perform"}


SYNC = {"connect", "iter_events", "subscribe"}
SIDES = {"sync": (True, False), "async": (False, True), "both": (True, True)}


def test_the_table_of_the_adapters() -> None:
    shown = {names_in(cells[0])[-1]: SIDES[cells[1]] for cells in rows("client, adapter")}
    assert sorted(shown) == ADAPTERS
    for name, sides in shown.items():
        for expected, verbs in zip(sides, (SYNC, {f"a{verb}" for verb in SYNC}), strict=True):
            assert public_names(name) & verbs == (verbs if expected else set()), name
    assert "perform" in public_names("pycurl")


def test_the_options_of_the_decoder() -> None:
    parameters = inspect.signature(sse_stream.SSEDecoder).parameters
    shown = {option.strip("`"): default.strip("`") for option, default, _ in rows("option")}
    assert shown == {name: default(parameter.default) for name, parameter in parameters.items()}


def default(value: object) -> str:
    return f"{value >> 20} MiB" if isinstance(value, int) else repr(value).replace("'", '"')


def test_the_defaults_of_the_policy() -> None:
    """Each that the section names, with what it says of it."""
    section = TEXT[TEXT.index("## Connections that last") : TEXT.index("## Chats")]
    shown = {
        name: (value, unit)
        for name, value, unit in re.findall(r"`(\w+)` \(([\d.]+)( s)?[;)]", section)
    }
    assert {"max_attempts", "healthy_after", "initial", "maximum"} == {*shown}
    for name, (value, unit) in shown.items():
        assert (float(value), bool(unit)) == (POLICY[name], name != "max_attempts"), name
    assert POLICY["factor"] == 2
    assert "it doubles up to" in section
    delays = [min(POLICY["initial"] * 2**n, POLICY["maximum"]) for n in range(8)]
    assert sum(delays) == pytest.approx(120, abs=5)
    assert "away for two minutes" in section
    assert ReconnectionPolicy(max_attempts=None, max_elapsed=3600)
    statuses = ", ".join(map(str, sorted(TRANSIENT_STATUSES)))
    statuses = statuses.replace("520, 521, 522, 523, 524, 525", "520 to 525")
    assert f"`policy.statuses` ({statuses})" in " ".join(section.split())
    assert ReconnectionPolicy().statuses == TRANSIENT_STATUSES
    assert {*re.findall(r"`(\w+)`", section)} >= {"max_elapsed"} <= {*POLICY}


def test_the_table_of_the_errors() -> None:
    shown = {name.strip("`") for name, *_ in rows("error")}
    assert shown == {
        name
        for name in sse_stream.__all__
        if name.endswith("Error") and issubclass(getattr(sse_stream, name), sse_stream.SSEError)
    } - {"SSEError"}


def test_what_it_says_of_the_clients() -> None:
    assert httpx.Client().timeout == httpx.Timeout(5)
    assert not httpx.Client().follow_redirects
    assert aiohttp.client.DEFAULT_TIMEOUT.total == 5 * 60
    assert inspect.signature(urllib3.request).parameters["timeout"].default == 3


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_redirects_and_compression(adapter: str) -> None:
    """What each client does when nobody told it anything."""
    (cells,) = [cells for cells in rows("client, adapter") if names_in(cells[0])[-1] == adapter]
    with pages.Service() as service:
        service.answers["/away"] = pages.Answer(b"", 302, location="/events")
        service.other = pages.Answer(EVENTS)
        statuses: list[int] = []
        try:
            pages.read_with(adapter, service.origin + "/away")
        except sse_stream.StatusError as error:
            statuses.append(error.status)
        accepted = service.requests[-1].get("Accept-Encoding", "")
    assert statuses == ([] if cells[4] == "yes" else [302])
    assert ("gzip" in accepted) == (cells[5] == "yes")


# Services.


def test_the_marks_of_the_services() -> None:
    """Each as it stands there, on a stream of that service, whole and without its last event."""
    of_readme = {
        name.partition(" (")[0]: (mark, text)
        for names, mark, text in rows("service")
        for name in names.split(", ")
    }
    assert len(of_readme) == 10
    for name, (mark, text) in of_readme.items():
        shape = llm.SHAPES[name]
        done = eval(names_in(mark)[0])  # code of our own page
        events = [*sse_stream.EventStream(shape.parts)]
        payloads = [*iter_payloads(events, done=done, require_done=True)]
        assert len(payloads) == shape.payloads
        assert "".join(texts(payloads, *names_in(text))), name
        with pytest.raises(IncompleteEventError):
            list(iter_payloads(events[:-1], done=done, require_done=True))


def texts(payloads: list[Any], path: str, kind: str = "") -> Iterator[str]:
    """Yield what is at a path such as `choices[].delta.content`, of payloads of a type or all."""
    for payload in payloads:
        places = [payload] if kind in ("", payload.get("type")) else []
        for step in path.split("."):
            name = step.removesuffix("[]")
            found = [place[name] for place in places if place.get(name) is not None]
            places = [item for items in found for item in items] if name != step else found
        yield from places


def test_one_request_two_kinds_of_answer(capsys: pytest.CaptureFixture[str]) -> None:
    document = b'{"jsonrpc": "2.0", "id": 1, "result": "one document"}'
    for answer in (
        pages.Answer(document, content_type="application/json"),
        pages.Answer(b"data: " + document + b"\n\n"),
    ):
        with pages.Service(answer) as service:
            pages.run(pages.code_with("/mcp"), service.origin)
            assert "'one document'" in capsys.readouterr().out
            accept = "application/json, text/event-stream"
            assert service.requests[0].get("Accept") == accept


# What is copied.

FILES = r"((?:`\w+\.py`(?:, | and )?)+)"


def closure(names: list[str]) -> set[str]:
    """Return these files of the package and all that the README says they need."""
    said = " ".join(TEXT.split())
    needs = {
        name: {*names_in(needed)}
        for kept, needed in re.findall(rf"{FILES} needs? {FILES}", said)
        for name in names_in(kept)
    }
    assert len(needs) == 9
    found, rest = set[str](), [*names]
    while rest:
        name = rest.pop()
        if name not in found:
            found.add(name)
            rest += needs.get(name, set())
    return found


@pytest.mark.parametrize(
    "kept", ["decoder", "", "payloads", "ndjson", "relay", "encoder", "urllib"]
)
def test_what_may_be_deleted(kept: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    is_adapter = kept in ADAPTERS
    for name in closure(["reconnect.py" if is_adapter else f"{kept or '__init__'}.py"]):
        shutil.copy(PACKAGE / name, copy)
    for path in [] if kept == "decoder" else PACKAGE.glob("_[a-z]*.py"):
        shutil.copy(path, copy)
    if is_adapter:
        here = PACKAGE / "adapters"
        (copy / "adapters").mkdir()
        for path in [*here.glob("_*.py"), here / f"{kept}.py"]:
            shutil.copy(path, copy / "adapters")
    (copy / "__init__.py").touch()
    module = f"copy_of.adapters.{kept}" if is_adapter else f"copy_of.{kept}".removesuffix(".")
    copy.rename(tmp_path / "copy_of")
    command = [sys.executable, "-S", "-c", f"import {module}"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


# The project's files.


def test_the_commands_of_contributing() -> None:
    section = " ".join(TEXT[TEXT.index("## Contributing") : TEXT.index("## Compatibility")].split())
    file, word = re.findall(r"pytest -q (\S+) -k (\w+)`", section)[0]
    assert re.search(rf"def test_\w*{word}", (ROOT / file).read_text(encoding="utf-8"))
    assert "`.venv/bin/python -m tests.vectors add NAME " in section
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    (parts,) = re.findall(r"^case .*? in (.*) \| all\)", script, re.MULTILINE)
    assert {*parts.split(" | ")} == {"lint", "types", "tests", "wheel"}
    assert "`bash .ci/run lint`" in section
    assert "`types`, `tests`, `wheel`" in section


def test_the_number_of_recorded_streams() -> None:
    (number,) = re.findall(r"replays ([\d,]+) streams and more", TEXT)
    cases = sum(len(vectors.load(file)) for file in vectors.FILES)
    assert 0 <= cases - int(number.replace(",", "")) < 500


def test_the_changelog_names_the_version() -> None:
    heading = re.escape(f"## [{sse_stream.__version__}] - ") + r"20\d\d-\d\d-\d\d$"
    if ".dev" in sse_stream.__version__:
        heading = re.escape("## [Unreleased]") + "$"
    assert re.search(heading, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize(
    ("group", "file"), [("test", "tests/requirements.txt"), ("check", ".ci/requirements.txt")]
)
def test_the_dependency_groups_are_the_requirements(group: str, file: str) -> None:
    """Current tools read the groups; pip as it comes with Python 3.11 reads files."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    assert PYPROJECT["dependency-groups"][group] == [
        line for line in lines if line and not line.startswith("#")
    ]
