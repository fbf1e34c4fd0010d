"""Tables of scores, with their intervals and baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from lifecycle.evaluate.scoring import Evaluation

NETWORK = "network"
"""Name of the row with the network's scores in ``baselines.csv``."""


def scores_table(evaluation: Evaluation) -> pd.DataFrame:
    """Return a row for each score: its value, the ends of its 95% interval, and the value of the baseline to beat."""
    ends = [evaluation.intervals.get(name, (None, None)) for name in evaluation.scores]
    return pd.DataFrame(
        {
            "score": list(evaluation.scores),
            "value": list(evaluation.scores.values()),
            "low": [low for low, _ in ends],
            "high": [high for _, high in ends],
            "baseline": [evaluation.baseline[name] for name in evaluation.scores],
        }
    )


def baselines_table(evaluation: Evaluation) -> pd.DataFrame:
    """Return a row for the network and each baseline, with a column for each score."""
    rows = {NETWORK: evaluation.scores, **evaluation.baselines}
    return pd.DataFrame([{"prediction": name, **scores} for name, scores in rows.items()])
