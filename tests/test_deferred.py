"""What is put off: not there as long as nobody asks, and whole as soon as somebody does."""

from __future__ import annotations

import subprocess
import sys

import pytest

SIGNAL = """
import sys
from lifecycle import deferred
with deferred.without_signal():
    import torchmetrics
assert "scipy.signal" not in sys.modules
import scipy, scipy.signal
assert scipy.signal.windows.hann(3).tolist() == [0.0, 1.0, 0.0]
assert scipy.signal.lfilter([1.0], [1.0], [2.0]).tolist() == [2.0]
assert "torchmetrics" in sys.modules
"""
MEANWHILE = """
import sys
from lifecycle import deferred
with deferred.without_signal():
    from scipy.signal import lfilter
    import inspect
    inspect.getmodule(lfilter)  # looks at all modules
assert lfilter([1.0], [1.0], [2.0]).tolist() == [2.0]
assert sys.modules["scipy.signal"].lfilter is lfilter
"""
ALREADY = """
import scipy.signal, sys
from lifecycle import deferred
with deferred.without_signal():
    assert sys.modules["scipy.signal"] is scipy.signal
assert sys.modules["scipy.signal"] is scipy.signal
"""


@pytest.mark.parametrize("script", [SIGNAL, MEANWHILE, ALREADY], ids=["put off", "asked for meanwhile", "there before"])
def test_a_module_that_is_put_off_is_there_when_it_is_used(script: str) -> None:
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr


def test_a_run_imports_neither_mlflow_nor_what_torchmetrics_mends(tmp_path: object) -> None:
    script = (
        "import sys; from lifecycle.__main__ import main; "
        "sys.argv[1:] = ['trainer.max_epochs=1', 'verbose=0', 'tracking.figures=false']; code = main(); "
        "print(code, sorted({'mlflow', 'sqlalchemy', 'scipy.signal', 'git'} & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=str(tmp_path), capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.stdout == "0 []\n", ended.stderr
