"""Writes the table of docs/tracking.md from the outcomes of the tests that are marked ``on_server(place, actions)``.

``pytest -m on_server --longest --servers docs/tracking.md`` writes it. A test that is not run in this session keeps the
outcome that the page has.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.faults.reliability import worse
from tests.tracking.catalogue import ACTIONS, PLACES

MARK = "on_server"
BEGIN, END = "<!-- written by pytest -m on_server -->\n", "<!-- end of what pytest has written -->\n"
WORDS = {"failed": "**failed**", "skipped": "skipped", "not run": "not run", "passed": "yes"}
"""Outcome -> what the table says; of several outcomes, the first counts."""

TEST = re.compile(r"^- (\d+): `([\w/]+\.py::\w+)` (passed|failed|skipped|not run)$", re.MULTILINE)


class Case(NamedTuple):
    """A test with a place."""

    place: str
    test: str


Outcomes = dict[Case, str]


def properties(item: pytest.Item) -> list[tuple[str, Any]]:
    """Return what the report of a test says of it."""
    return [(MARK, mark.args[0]) for mark in item.iter_markers(MARK)]


class Servers:
    """Collects the outcomes, also those of the processes of pytest-xdist.

    Args:
        file: the page.
    """

    def __init__(self, file: Path) -> None:
        self._file, self._outcomes = file, Outcomes()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the outcome of a test."""
        if report.when == "call" or report.outcome != "passed":
            for name, place in report.user_properties:
                if name == MARK:
                    case = Case(str(place), report.nodeid.partition("[")[0])
                    self._outcomes[case] = worse(self._outcomes.get(case), report.outcome)

    def pytest_sessionfinish(self) -> None:
        """Write the page."""
        self._file.write_text(page(self._file.read_text(encoding="utf-8"), self._outcomes), encoding="utf-8")


def page(text: str, outcomes: Outcomes) -> str:
    """Return the text of the page with the table of these outcomes, and of those that it has of other tests."""
    before, _, rest = text.partition(BEGIN)
    written, _, after = rest.partition(END)
    places = dict(enumerate(PLACES, 1))
    known = {Case(places.get(int(row), ""), test): outcome for row, test, outcome in TEST.findall(written)}
    return before + BEGIN + table({**known, **outcomes}) + END + after


def table(outcomes: Outcomes) -> str:
    """Return the table, and a list of its tests."""
    marked = actions_of(Path(__file__).parents[1])
    lines = [f"| | Server | Artifacts | {' | '.join(ACTIONS.values())} |", f"|---|---|---|{'---|' * len(ACTIONS)}"]
    tests = []
    for row, (name, place) in enumerate(PLACES.items(), 1):
        cases = {case: actions for case, actions in marked.items() if case.place == name}
        cells = []
        for action in ACTIONS:
            found = {outcomes.get(case, "not run") for case, actions in cases.items() if action in actions}
            cells.append(next((word for outcome, word in WORDS.items() if outcome in found), ""))
        lines.append(f"| {row} | {place.server} | {place.artifacts} | {' | '.join(cells)} |")
        for case in sorted(cases):
            tests.append(f"- {row}: `{case.test}` {outcomes.get(case, 'not run')}")
    return "\n".join([*lines, "", *tests, ""])


def actions_of(folder: Path) -> dict[Case, tuple[str, ...]]:
    """Return the actions of each test and place, as the sources mark them."""
    found: dict[Case, tuple[str, ...]] = {}
    for file in sorted(folder.rglob("test_*.py")):
        source = file.read_text(encoding="utf-8")
        if f"{MARK}(" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef):
                for place, actions in _marks(node):
                    case = Case(place, f"{file.relative_to(folder.parent).as_posix()}::{node.name}")
                    found[case] = (*found.get(case, ()), *actions.split())
    return found


def _marks(function: ast.FunctionDef) -> list[tuple[str, str]]:
    """Return the arguments of the marks of a function, also those of its parameters."""
    calls = [node for one in function.decorator_list for node in ast.walk(one) if isinstance(node, ast.Call)]
    marks = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == MARK]
    return [(ast.literal_eval(call.args[0]), ast.literal_eval(call.args[1])) for call in marks]
