"""The short table of the README is what the benchmarks have stored."""

from __future__ import annotations

from pathlib import Path

import summary


def test_the_table_in_the_readme_is_what_was_measured() -> None:
    assert f"{summary.BEGIN}\n{summary.table()}\n{summary.END}" in summary.README.read_text()


def test_writing_it_leaves_the_rest_as_it_was(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{summary.BEGIN}\nold\n{summary.END}\nafter\n")
    for _ in range(2):
        summary.write(readme)
        assert readme.read_text() == f"before\n{summary.BEGIN}\n{summary.table()}\n{summary.END}\nafter\n"


def test_medians_are_those_of_the_stored_measurements() -> None:
    """Counted by hand from the files: the scores of 30 seeds, and the pairs of times."""
    assert "| pima | training-set accuracy 0.77 | test accuracy 0.772 | 1.16 | 0.154 | 0.394 |" in summary.table()
