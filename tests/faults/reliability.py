"""Writes docs/reliability.md from the outcomes of the tests that are marked ``fault(number)``.

``pytest -m fault --longest --reliability docs/reliability.md`` writes it. A test that is not run in this session keeps
the outcome that the table has.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.faults.catalogue import FAULTS, GROUPS

MARK = "fault"
ENDED = "ended"
"""Name of the property of a test that says how a command ended."""
MOST_CHARACTERS = 240
TITLE = """# What happens when something goes wrong

Each row is a fault that is caused on purpose by the tests it names, and what the tests then find: the exit code, the
message, the status of the run in MLflow, and a checkpoint that loads. This table is written by running them:

```text
pytest -m fault --longest --reliability docs/reliability.md
```

The message is the last one that the command printed in that run; folders and ids are left out.
"""
HEAD = "| | fault | what happens | message | tests |\n|---|---|---|---|---|"
TEST = re.compile(r"`([\w/]+\.py::\w+)` (passed|failed|skipped|not run)")
ROW = re.compile(r"^\| (\d+) \| (.*?) \| (.*?) \| (.*?) \| (.*) \|$", re.MULTILINE)


def numbers_of(item: pytest.Item) -> list[int]:
    """Return the faults that a test is about."""
    return [number for mark in item.iter_markers(MARK) for number in mark.args]


def note(request: pytest.FixtureRequest, code: int, err: str) -> None:
    """Keep how a command of a test about a fault ended."""
    lines = [line for line in err.splitlines() if line.startswith("lifecycle: ")]
    if not lines or not request.node.get_closest_marker(MARK):
        return
    # A test of several faults has a parameter that says which one it is about now.
    params = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    numbers = [params["number"]] if "number" in params else numbers_of(request.node)
    text = f"{plain(lines[-1].removeprefix('lifecycle: '))} ({code})"
    request.node.user_properties.append((ENDED, [numbers, text]))


def plain(message: str) -> str:
    """Return a message without what differs between two runs, for a cell of the table."""
    message = re.sub(r"(?<![\w.])/(?:[\w.-]+/)+", "", message)
    message = re.sub(r"\b[0-9a-f]{32}\b", "ID", message)
    message = message.replace("|", "\\|")
    return message if len(message) <= MOST_CHARACTERS else f"{message[:MOST_CHARACTERS]}..."


class Reliability:
    """Collects the outcomes, also those of the processes of pytest-xdist.

    Args:
        file: the table.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._outcomes: dict[str, str] = {}
        self._numbers: dict[str, list[int]] = {}
        self._messages: dict[int, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the outcome of a test."""
        numbers = [int(value) for name, value in report.user_properties if name == MARK]
        if not numbers:
            return
        test = report.nodeid.partition("[")[0]
        self._numbers[test] = numbers
        if report.when == "call" or report.outcome != "passed":
            self._outcomes[test] = worse(self._outcomes.get(test), report.outcome)
        if report.when == "call":
            for about, message in (value for name, value in report.user_properties if name == ENDED):
                for number in about:
                    self._messages.setdefault(number, message)

    def pytest_sessionfinish(self) -> None:
        """Write the table."""
        self._file.write_text(table(self._file, self._outcomes, self._numbers, self._messages), encoding="utf-8")


def table(file: Path, outcomes: dict[str, str], numbers: dict[str, list[int]], messages: dict[int, str]) -> str:
    """Return the text of the table.

    Args:
        file: the table of an earlier session.
        outcomes: by test.
        numbers: of faults, by test.
        messages: by number.
    """
    earlier = {int(row[1]): row for row in ROW.finditer(file.read_text(encoding="utf-8"))} if file.is_file() else {}
    marked = tests_of(Path(__file__).parents[1])
    text = TITLE
    for group, faults in GROUPS.items():
        text += f"\n## {group}\n\n{HEAD}\n"
        for number, fault in faults.items():
            was = earlier.get(number)
            known = dict(TEST.findall(was[5])) if was else {}
            tests = sorted({*marked.get(number, []), *(test for test, of in numbers.items() if number in of)})
            listed = "<br>".join(f"`{test}` {outcomes.get(test, known.get(test, 'not run'))}" for test in tests)
            message = messages.get(number) or (was[4] if was else "")
            text += f"| {number} | {fault.fault} | {fault.outcome} | {message} | {listed} |\n"
    return text


def tests_of(folder: Path) -> dict[int, list[str]]:
    """Return the tests of each fault, as their source marks them."""
    found: dict[int, list[str]] = {number: [] for number in FAULTS}
    for file in sorted(folder.rglob("test_*.py")):
        marked: list[int] = []
        for line in file.read_text(encoding="utf-8").splitlines():
            if mark := re.match(rf"@pytest\.mark\.{MARK}\(([\d, ]+)\)", line):
                marked = [int(number) for number in mark[1].split(",")]
            elif test := re.match(r"(?:async )?def (test_\w+)", line):
                for number in marked:
                    found[number].append(f"{file.relative_to(folder.parent)}::{test[1]}")
                marked = []
    return found


def worse(known: str | None, outcome: str) -> str:
    """Return the outcome of a test with parameters, which has passed if it did with each of them."""
    both = {"failed", "skipped"} & {known, outcome}
    return "failed" if "failed" in both else "skipped" if both else "passed"


def properties(item: pytest.Item) -> list[tuple[str, Any]]:
    """Return what the report of a test says of it."""
    return [(MARK, number) for number in numbers_of(item)]
