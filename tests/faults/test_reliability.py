"""The table of docs/reliability.md."""

from __future__ import annotations

from pathlib import Path

from tests.faults import reliability
from tests.faults.catalogue import FAULTS

DOCS = Path(__file__).parents[2] / "docs" / "reliability.md"


def test_there_are_46_faults_and_each_has_a_test() -> None:
    assert list(FAULTS) == list(range(1, 47))
    found = reliability.tests_of(DOCS.parents[1] / "tests")
    assert [number for number, tests in found.items() if not tests] == []


def test_the_table_has_a_row_for_each_fault_with_its_tests_and_none_has_failed() -> None:
    rows = {int(row[1]): row for row in reliability.ROW.finditer(DOCS.read_text(encoding="utf-8"))}
    assert list(rows) == list(FAULTS)
    for number, tests in reliability.tests_of(DOCS.parents[1] / "tests").items():
        row = rows[number]
        assert (row[2], row[3]) == (FAULTS[number].fault, FAULTS[number].outcome)
        outcomes = dict(reliability.TEST.findall(row[5]))
        assert sorted(outcomes) == sorted(tests), number
        assert "failed" not in outcomes.values(), number
        assert "passed" in outcomes.values(), number


def test_a_session_that_runs_a_part_keeps_the_other_outcomes(tmp_path: Path) -> None:
    file = tmp_path / "table.md"
    (one, other, *_) = reliability.tests_of(DOCS.parents[1] / "tests")[11]
    file.write_text(reliability.table(file, {one: "passed", other: "passed"}, {one: [11]}, {11: "the first (0)"}))
    again = reliability.table(file, {other: "failed"}, {other: [11]}, {})
    assert f"`{one}` passed" in again
    assert f"`{other}` failed" in again
    assert "| the first (0) |" in again


def test_a_message_is_shown_without_folders_and_ids() -> None:
    message = f"/tmp/pytest-1/test0/mlruns/a.ckpt of {'0f' * 16} is missing|gone"
    assert reliability.plain(message) == "a.ckpt of ID is missing\\|gone"
    assert reliability.plain("x" * 300).endswith("x...")
