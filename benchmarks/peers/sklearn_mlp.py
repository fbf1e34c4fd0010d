"""scikit-learn's MLPClassifier or MLPRegressor, for networks of dense layers.

It computes only the loss of each epoch and no other metric. Its initial weights are always Glorot's. Regularisation and
early stopping are off.

    python -m peers.sklearn_mlp job.json
"""

from __future__ import annotations

import math
import time
import warnings
from typing import Any

from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

from peers.rows import job_of_command_line, print_report, read


def model_of(job: dict[str, Any]) -> Any:
    """Return the job's network."""
    optimizer, cls = job["optimizer"], MLPRegressor if job["task"] == "regression" else MLPClassifier
    first, second = optimizer["betas"]
    return cls(
        hidden_layer_sizes=tuple(job["model"]["hidden"]),
        activation=job["model"]["activation"],
        solver="adam",
        alpha=0.0,
        batch_size=job["batch_size"],
        learning_rate_init=optimizer["lr"],
        beta_1=first,
        beta_2=second,
        epsilon=optimizer["eps"],
        max_iter=job["epochs"],
        n_iter_no_change=job["epochs"] + 1,
        random_state=job["seed"],
    )


def main() -> None:
    """Run the script."""
    job = job_of_command_line()
    rows = read(job)
    model = model_of(job)
    warnings.simplefilter("ignore", ConvergenceWarning)  # max_iter is the job's number of epochs
    started = time.perf_counter()
    model.fit(rows.inputs, rows.targets)
    seconds = time.perf_counter() - started
    name = "test_r2" if job["task"] == "regression" else "test_accuracy"
    scores = {name: float(model.score(rows.test_inputs, rows.test_targets))}
    model.predict(rows.test_inputs)
    work = {
        "rows": len(rows.inputs),
        "steps": model.n_iter_ * math.ceil(len(rows.inputs) / job["batch_size"]),
        "epochs": model.n_iter_,
        "parameters": sum(values.size for values in [*model.coefs_, *model.intercepts_]),
    }
    print_report(seconds, work, scores)


if __name__ == "__main__":
    main()
