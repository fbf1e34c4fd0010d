"""Other rows for ``lifecycle evaluate``: what chose the run's rows within its source, and the name of the others."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from lifecycle.cli.commands.evaluate import _reset_source
from lifecycle.data.formats import names


@pytest.mark.parametrize(
    ("path", "changes", "sheet", "query"),
    [
        ("new.csv", [], None, None),
        ("new.xlsx", [], "of the run", None),
        ("new.db.gz", [], None, "of the run"),
        ("postgresql://host/name", [], None, "of the run"),
        ("https://host/a.xlsx?id=3", [], "of the run", None),
        ("a.zip", [], None, None),  # only reading it would tell; a message then names the option
        (
            "new.csv",
            ["data.query=SELECT 1"],
            None,
            "of the run",
        ),  # given: reading it refuses a file that is no database
    ],
)
def test_sheet_and_query_of_the_run_are_kept_for_such_files_only(
    path: str, changes: list[str], sheet: str | None, query: str | None
) -> None:
    config = OmegaConf.create({"path": path, "sheet": "of the run", "query": "of the run"})
    _reset_source(config, changes)
    assert (config.sheet, config.query) == (sheet, query)


def test_the_name_of_an_address_holds_no_credentials() -> None:
    assert names.stem_of("https://me:pw@host/new.csv.gz?token=a.b") == "new"
    assert names.name_in("https://me:pw@host/test.csv?token=a.b") == "test.csv"
