"""A model predicts the file that it was trained on, whatever its format and wherever it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lifecycle.data.kinds.table import Table
from lifecycle.data.sources import files
from lifecycle.data.sources.source_fields import SourceFields
from lifecycle.errors import RequestError
from lifecycle.plugins.mlp import MLP
from lifecycle.predict.predict_file import predict_file
from tests.data.test_formats import BASE, WRITERS
from tests.predict.test_predict_file import trained


@pytest.mark.parametrize("ending", WRITERS)
def test_a_model_predicts_the_file_that_it_was_trained_on(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"houses.{ending}"
    WRITERS[ending](BASE, file)
    plugin = Table(path=str(file), target="price", val_size=0.2, test_size=0.2)
    model = trained(plugin, MLP(hidden=[4]))
    out = tmp_path / "out.feather"
    assert predict_file(model, file, out) == len(BASE)
    wanted = model.predict(plugin.read())["predicted"]
    np.testing.assert_array_equal(files.read(str(out))["predicted"], wanted)


def test_a_pattern_a_sheet_and_a_query_are_predicted(tmp_path: Path) -> None:
    for number in range(2):
        BASE[number * 6 :][:6].to_csv(tmp_path / f"part-{number}.csv.gz", index=False)
    pattern = str(tmp_path / "part-*.csv.gz")
    plugin = Table(path=pattern, target="price", val_size=0.2, test_size=0.2)
    model = trained(plugin, MLP(hidden=[4]))
    wanted = model.predict(BASE)["predicted"]
    out = tmp_path / "out.csv.zip"
    predict_file(model, pattern, out)
    np.testing.assert_array_equal(files.read(str(out))["predicted"], wanted)
    # The second time, the output would be one of the inputs.
    with pytest.raises(RequestError, match=r"^output=\S+part-0\.csv\.gz is the input\. Give another file\.$"):
        predict_file(model, pattern, tmp_path / "part-0.csv.gz")
    with pd.ExcelWriter(tmp_path / "a.xlsx") as book:
        BASE.to_excel(book, sheet_name="houses", index=False)
        BASE[:1].to_excel(book, sheet_name="flats", index=False)
    assert predict_file(model, tmp_path / "a.xlsx", out, fields=SourceFields(sheet="flats")) == 1
    model.data.sheet = "houses"  # type: ignore[attr-defined]
    assert predict_file(model, tmp_path / "a.xlsx", out) == len(BASE)
    np.testing.assert_array_equal(files.read(str(out))["predicted"], wanted)
    assert predict_file(model, pattern, out) == len(BASE)  # of text files, the sheet does not count
    WRITERS["sqlite"](BASE, tmp_path / "a.db")
    query = SourceFields(query="SELECT * FROM houses WHERE rooms = 3")
    assert predict_file(model, tmp_path / "a.db", out, fields=query) == int((BASE["rooms"] == 3).sum())
