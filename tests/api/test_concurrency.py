"""Fits on several threads: results are those of the same fits one after the other, and the process stays as it was."""

from __future__ import annotations

import asyncio
import builtins
import gc
import locale
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import matplotlib as mpl
import mlflow
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from sklearn.model_selection import cross_val_predict

import lifecycle
from lifecycle.api.model import Model
from lifecycle.errors import RequestError
from lifecycle.runtime import memory, processes, quiet, threads
from lifecycle.sklearn import LifecycleClassifier
from tests.conftest import QUICK, Command, ready
from tests.packages import Site, fresh_site

site = pytest.fixture(fresh_site)
SEEDS = range(8)
GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(120, 3))
Y = np.where(X[:, 0] + X[:, 1] > 0, "above", "below")


def fitted(seed: int = 0, dropout: float = 0.3, **options: Any) -> Model:
    model = Model("mlp", hidden=[8], dropout=dropout)
    model.compile(lr=0.02)
    model.fit(X, Y, seed=seed, **{"epochs": 3, "batch_size": 16, "verbose": 0, "validation_split": 0.2, **options})
    return model


def results(seed: int, dropout: float = 0.3) -> tuple[list[dict[str, float]], bytes, dict[str, float]]:
    """Return the results of a fit: the scores of its epochs, its predictions to the last bit, its evaluation."""
    model = fitted(seed, dropout)
    rows = [{name: value for name, value in row.items() if name != "epoch_seconds"} for row in model.history.rows]
    return rows, model.predict_proba(X).tobytes(), model.evaluate(X, Y)


@pytest.fixture(scope="module")
def serial() -> list[Any]:
    return [results(seed) for seed in SEEDS]


def test_fits_on_threads_are_those_of_the_same_seeds_alone(serial: list[Any]) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(results, SEEDS)) == serial


def test_fits_without_dropout_too() -> None:
    alone = [results(seed, 0.0) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda seed: results(seed, 0.0), range(4))) == alone


def test_fits_of_asyncio_too(serial: list[Any]) -> None:
    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*(asyncio.to_thread(results, seed) for seed in SEEDS))

    assert asyncio.run(all_at_once()) == serial


def test_scikit_learns_folds_on_joblibs_threads_too() -> None:
    classifier = LifecycleClassifier(fields={"hidden": [8], "dropout": 0.3}, epochs=3, batch_size=16)
    alone = cross_val_predict(classifier, X, Y, cv=4, method="predict_proba")
    with joblib.parallel_config("threading", n_jobs=4):
        assert (cross_val_predict(classifier, X, Y, cv=4, method="predict_proba") == alone).all()


def test_runs_of_the_command_on_threads_are_each_its_own(
    tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ready(tmp_path, empty_database)

    def scores(seed: int) -> dict[str, float]:
        words = ["data=iris", "model.dropout=0.2", "trainer.max_epochs=2", f"seed={seed}", *QUICK]
        return lifecycle.run(words).scores

    alone = [scores(seed) for seed in range(3)]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(scores, range(3))) == alone
    runs = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db").search_runs(["1"])
    assert [run.info.status for run in runs] == ["FINISHED"] * 6


class During(pl.Callback):
    """Calls a function once, in the middle of a fit."""

    def __init__(self, function: Callable[[], Any], hook: str = "on_train_epoch_end") -> None:
        self.function, self.found = function, []
        setattr(self, hook, self._call)

    def _call(self, *_: Any) -> None:
        if not self.found:
            self.found.append(self.function())


def elsewhere(function: Callable[[], Any]) -> Any:
    """Call a function on a thread that has never used torch, and return its result."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result(timeout=60)


def test_a_fitted_model_predicts_and_is_scored_while_another_is_fitted_without_waiting_for_it() -> None:
    model = fitted()

    def use() -> tuple[bytes, dict[str, float], str]:
        return model.predict_proba(X).tobytes(), model.evaluate(X, Y), str(model.summary())

    watch = During(lambda: elsewhere(use))  # the fit holds the turn: to wait for it would never end
    other = fitted(seed=1, callbacks=watch)
    assert watch.found == [use()]
    assert other.predict_proba(X).tobytes() == fitted(seed=1).predict_proba(X).tobytes()


def test_predictions_during_scoring_are_without_dropout() -> None:
    model, wanted = fitted(dropout=0.5), fitted(dropout=0.5).predict_proba(X)
    assert not model.trained.network.training  # so that nothing which restores its mode switches dropout on
    ended = threading.Event()

    def score() -> None:
        while not ended.is_set():
            model.evaluate(X, Y)
            model.summary()

    with ThreadPoolExecutor(2) as pool:
        scoring = pool.submit(score)
        try:
            assert all((model.predict_proba(X) == wanted).all() for _ in range(30))
        finally:
            ended.set()
        scoring.result()


def test_a_fit_within_a_fits_callback_changes_neither() -> None:
    for hook in ("on_train_epoch_end", "on_validation_epoch_end"):  # the second is called under inference_mode
        watch = During(lambda: fitted(seed=2).predict_proba(X).tobytes(), hook)
        assert fitted(seed=1, callbacks=watch).predict_proba(X).tobytes() == fitted(1).predict_proba(X).tobytes()
        assert watch.found == [fitted(2).predict_proba(X).tobytes()]


def test_the_threads_of_torch_are_each_threads_own() -> None:
    assert torch.get_num_threads() > 1, "this test needs two cores or OMP_NUM_THREADS=2"
    before = torch.get_num_threads()
    watch = During(lambda: (torch.get_num_threads(), elsewhere(torch.get_num_threads)))
    fitted(callbacks=watch)
    assert watch.found == [(1, before)]  # one for small steps; a thread that starts during the fit has the caller's
    with threads.limited(1):
        assert (torch.get_num_threads(), elsewhere(torch.get_num_threads)) == (1, before)
        fitted()
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
    model = fitted()
    used: list[tuple[int, int]] = []
    model.trained.network.register_forward_hook(
        lambda *_: used.append((torch.get_num_threads(), elsewhere(torch.get_num_threads)))
    )
    model.predict(X)
    assert used == [(1, before)]


def test_steps_on_several_threads_are_the_same_on_any_thread() -> None:
    rows = np.random.default_rng(1).normal(size=(512, 40))

    def weights() -> bytes:
        model = Model("mlp", hidden=[600])  # rows times parameters are over stepping.SMALL_STEP
        model.fit(rows, rows[:, 0], epochs=2, batch_size=512, verbose=0)
        return model.predict(rows).tobytes()

    alone = weights()
    with ThreadPoolExecutor(2) as pool:
        assert [job.result() for job in [pool.submit(weights) for _ in range(3)]] == [alone] * 3


def state() -> dict[str, Any]:
    """Return the global state of the process that a fit must not change."""
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    loggers = {name: logging.getLogger(name) for name in ("", *quiet.LOGGERS, "torch", "lightning_utilities")}
    umask = os.umask(0o22)
    os.umask(umask)
    return {
        "torch's random numbers": torch.get_rng_state().tolist(),
        "numpy's": str(np.random.get_state()),
        "python's": random.getstate(),
        "threads": (torch.get_num_threads(), elsewhere(torch.get_num_threads)),
        "signals": handlers,
        "filters": list(warnings.filters),
        "the list of filters": id(warnings.filters),
        "logs": {name: (log.level, list(log.handlers), log.propagate, log.disabled) for name, log in loggers.items()},
        "environment": dict(os.environ),
        "mlflow": (mlflow.get_tracking_uri(), mlflow.active_run()),
        "deterministic": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            torch.backends.cudnn.deterministic,
            torch.backends.cudnn.benchmark,
        ),
        "arithmetic": (torch.get_default_dtype(), torch.get_default_device(), torch.get_float32_matmul_precision()),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_anomaly_enabled()),
        "autocast": torch.is_autocast_enabled("cpu"),
        "matplotlib": (dict(mpl.rcParams), mpl.get_backend()),
        "garbage": (gc.isenabled(), gc.get_threshold()),
        "hooks": (sys.excepthook, threading.excepthook, sys.unraisablehook, sys.displayhook, builtins.__import__),
        "imports": (list(sys.meta_path), list(sys.path)),
        "streams": (sys.stdout, sys.stderr, sys.argv),
        "folder": Path.cwd(),
        "locale": (locale.setlocale(locale.LC_ALL), umask),
        "threads that run": {thread.name for thread in threading.enumerate()} - {"lifecycle_0", "lifecycle_1"},
    }


@pytest.fixture
def odd() -> Any:
    """Put the process into a state that no library's default is."""
    fitted(epochs=1).history.plot()  # the imports of the first call
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.filterwarnings("error", message="ours")
        logging.getLogger("pytorch_lightning").setLevel(logging.DEBUG)
        patch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
        torch.manual_seed(5)
        np.random.seed(5)
        random.seed(5)
        handlers = [signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)]
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        thresholds = gc.get_threshold()
        gc.set_threshold(900, 9, 9)
        try:
            yield
        finally:
            gc.set_threshold(*thresholds)
            torch.set_grad_enabled(True)
            torch.set_default_dtype(torch.float32)
            torch.use_deterministic_algorithms(False)
            logging.getLogger("pytorch_lightning").setLevel(logging.INFO)
            for number, handler in zip((signal.SIGINT, signal.SIGTERM), handlers, strict=True):
                signal.signal(number, handler)


@pytest.mark.usefixtures("odd")
@pytest.mark.parametrize("where", ["here", "threads", "asyncio", "an error"])
def test_the_process_is_left_as_it_was(where: str, serial: list[Any]) -> None:
    before, frozen = state(), gc.get_freeze_count()
    if where == "here":
        assert results(0) == serial[0]  # whatever the caller's types, gradients and switches are
        fitted(0).history.plot()
    elif where == "threads":
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda seed: (results(seed), fitted(seed).history.plot()), range(4)))
    elif where == "asyncio":
        asyncio.run(asyncio.to_thread(results, 0))
    else:
        with pytest.raises(ZeroDivisionError):
            fitted(callbacks=During(lambda: 1 / 0))
    after = state()
    assert {name: (before[name], after[name]) for name in before if before[name] != after[name]} == {}
    assert gc.get_freeze_count() <= frozen  # less where an object that was frozen has been freed


@pytest.mark.parametrize(
    "block",
    [
        torch.no_grad,
        torch.inference_mode,
        lambda: torch.autocast("cpu", torch.bfloat16),
        lambda: torch.device("meta"),
    ],
    ids=["no_grad", "inference_mode", "autocast", "device"],
)
def test_a_torch_context_of_the_caller_does_not_affect_a_fit(block: Any, serial: list[Any]) -> None:
    with block():
        assert results(0) == serial[0]


def test_libraries_say_nothing_on_any_thread_and_say_it_again_afterwards(capfd: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("pytorch_lightning")
    level, handler = log.level, logging.StreamHandler(sys.stderr)
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    capfd.readouterr()
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(results, SEEDS))
        fitted()
        assert capfd.readouterr() == ("", "")
        log.info("its own")
        assert capfd.readouterr().err == "its own\n"
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def test_a_fit_that_waits_for_its_turn_is_ended_by_ctrl_c(script: Command) -> None:
    code = """
import os, signal, threading, time
from lifecycle.runtime import processes
from lifecycle import Model
held, ended = threading.Event(), threading.Event()
def hold():
    with processes.turn():
        held.set()
        ended.wait()
threading.Thread(target=hold).start()
held.wait()
threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    Model("mlp").fit([[1.0], [2.0]], [1.0, 2.0], epochs=1, verbose=0)
except KeyboardInterrupt:
    print("interrupted", processes._turn.acquire(blocking=False))
ended.set()
"""
    ended = script(code)
    assert (ended.out, ended.err, ended.code) == ("interrupted False\n", "", 0)


def test_ctrl_c_within_a_fit_on_a_thread_is_ctrl_c() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with ThreadPoolExecutor(1) as pool, pytest.raises(KeyboardInterrupt):
        pool.submit(lambda: fitted(callbacks=During(interrupt))).result()
    assert fitted().history is not None


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_a_process_that_is_forked_while_another_thread_fits_can_fit() -> None:
    def fork() -> int:
        child = os.fork()
        if not child:
            os._exit(fitted(epochs=1).history is None)
        return os.waitpid(child, 0)[1]

    watch = During(lambda: elsewhere(fork))
    fitted(callbacks=watch)
    assert watch.found == [0]


def test_the_first_use_may_be_on_several_threads_at_once() -> None:
    code = """
import sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
X = np.arange(20.0).reshape(10, 2)
def one(seed):
    from lifecycle import Model
    model = Model("mlp", hidden=[4])
    model.fit(X, X[:, 0], epochs=1, seed=seed, verbose=0)
    return model.predict(X).tobytes()
with ThreadPoolExecutor(4) as pool:
    at_once = list(pool.map(one, range(4)))
assert at_once == [one(seed) for seed in range(4)]
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_plugin_is_found_by_its_name_while_other_threads_look_too(site: Site) -> None:
    site.install("lifecycle-net", {"net": "Net"})

    def make(_: int) -> str:
        return repr(Model("net", width=5)) + repr(Model("mlp"))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(make, range(200)))) == 1
    finally:
        sys.setswitchinterval(interval)


def test_memory_settings_of_the_user_are_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000000")
    assert memory._glibc() is None
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_")
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=1000000")
    assert memory._glibc() is None


def test_a_refused_fit_gives_its_turn_back() -> None:
    with pytest.raises(RequestError, match="epochs must be 1 or more"):
        fitted(epochs=0)
    assert elsewhere(lambda: processes._turn.acquire(blocking=False) and (processes._turn.release() or True))
