"""The tutorial's script in Keras 3: read, compile, fit, evaluate, predict. ``KERAS_BACKEND`` selects the backend.

It records no run and writes no checkpoint; the history stays in memory.

    KERAS_BACKEND=jax python -m peers.keras_script job.json
"""

from __future__ import annotations

import time
from typing import Any

import keras
from keras import layers

from peers.rows import Rows, job_of_command_line, print_report, read

LOSSES = {"binary": "binary_crossentropy", "multiclass": "sparse_categorical_crossentropy", "regression": "mse"}
LINKS = {"binary": "sigmoid", "multiclass": "softmax", "regression": None}


def network(job: dict[str, Any], sample: tuple[int, ...], outputs: int) -> keras.Sequential:
    """Return the job's network."""
    model = job["model"]
    drawn = {"activation": model["activation"], "kernel_initializer": model["initializer"]}
    made: list[Any] = [keras.Input(sample)]
    if job["model_name"] == "cnn":
        for channels in model["channels"]:
            made += [
                layers.Conv2D(channels, model["kernel_size"], padding=model["padding"], **drawn),
                layers.MaxPooling2D(model["pool"]),
            ]
        made.append(layers.Flatten())
    elif job["model_name"] == "lstm":
        (units,) = model["units"]
        made.append(layers.LSTM(units, activation=model["cell_activation"], kernel_initializer=model["initializer"]))
    for width in model["hidden"]:
        made.append(layers.Dense(width, **drawn))
        if model["dropout"]:
            made.append(layers.Dropout(model["dropout"]))
    made.append(layers.Dense(outputs, activation=LINKS[job["task"]]))
    return keras.Sequential(made)


def adam(optimizer: dict[str, Any]) -> keras.optimizers.Adam:
    """Return Keras's Adam for PyTorch's arguments."""
    first, second = optimizer["betas"]
    return keras.optimizers.Adam(optimizer["lr"], beta_1=first, beta_2=second, epsilon=optimizer["eps"])


def compiled(job: dict[str, Any], rows: Rows) -> keras.Sequential:
    """Return the job's network, compiled."""
    outputs = int(rows.targets.max()) + 1 if job["task"] == "multiclass" else 1
    model = network(job, rows.inputs.shape[1:], outputs)
    own = {"rmse": keras.metrics.RootMeanSquaredError(name="rmse")}
    model.compile(
        optimizer=adam(job["optimizer"]),
        loss=LOSSES[job["task"]],
        metrics=[own.get(name, name) for name in job["metrics"]],
    )
    return model


def main() -> None:
    """Run the script."""
    job = job_of_command_line()
    rows = read(job)
    if job["model_name"] == "cnn":  # Keras's images are channels-last
        rows = Rows(
            rows.inputs.transpose(0, 2, 3, 1), rows.targets, rows.test_inputs.transpose(0, 2, 3, 1), rows.test_targets
        )
    model = compiled(job, rows)
    started = time.perf_counter()
    fitted = model.fit(rows.inputs, rows.targets, epochs=job["epochs"], batch_size=job["batch_size"], verbose=0)
    seconds = time.perf_counter() - started
    scores = model.evaluate(rows.test_inputs, rows.test_targets, verbose=0, return_dict=True)
    model.predict(rows.test_inputs, verbose=0)
    work = {
        "rows": len(rows.inputs),
        "steps": int(model.optimizer.iterations),
        "epochs": len(fitted.epoch),
        "parameters": model.count_params(),
    }
    print_report(
        seconds,
        work,
        {f"test_{name}": float(value) for name, value in scores.items()},
        backend=keras.backend.backend(),
    )


if __name__ == "__main__":
    main()
