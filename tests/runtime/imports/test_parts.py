"""Deferred modules: not imported until they are used, and complete then."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lifecycle.runtime.imports import of_torch

SIGNAL = """
import sys
from lifecycle.runtime.imports import of_torchmetrics
with of_torchmetrics.without_signal():
    import torchmetrics
assert "scipy.signal" not in sys.modules
import scipy, scipy.signal
assert scipy.signal.windows.hann(3).tolist() == [0.0, 1.0, 0.0]
assert scipy.signal.lfilter([1.0], [1.0], [2.0]).tolist() == [2.0]
assert "torchmetrics" in sys.modules
"""
MEANWHILE = """
import sys
from lifecycle.runtime.imports import of_torchmetrics
with of_torchmetrics.without_signal():
    from scipy.signal import lfilter
    import inspect
    inspect.getmodule(lfilter)  # looks at all modules
assert lfilter([1.0], [1.0], [2.0]).tolist() == [2.0]
assert sys.modules["scipy.signal"].lfilter is lfilter
"""
ALREADY = """
import scipy.signal, sys
from lifecycle.runtime.imports import of_torchmetrics
with of_torchmetrics.without_signal():
    assert sys.modules["scipy.signal"] is scipy.signal
assert sys.modules["scipy.signal"] is scipy.signal
"""
TRACER = """
import sys, torch
from lifecycle.runtime.imports import of_torch
of_torch.defer_tracer()
import pytorch_lightning
weights = [torch.nn.Parameter(torch.ones(2))]
optimizer = torch.optim.Adam(weights)
weights[0].sum().backward()
optimizer.step()
assert not isinstance(weights[0], torch._dynamo.OptimizedModule)
assert "torch._dynamo.convert_frame" not in sys.modules and "sympy" not in sys.modules
from lightning_fabric.wrappers import OptimizedModule
network = torch.nn.Linear(2, 1)
compiled = torch.compile(network, backend="eager")
assert torch.equal(compiled(torch.ones(1, 2)), network(torch.ones(1, 2)))
assert isinstance(compiled, OptimizedModule) and not isinstance(network, OptimizedModule)
assert isinstance(compiled, torch._dynamo.OptimizedModule)
assert sys.modules["torch._dynamo"] is torch._dynamo and "OptimizedModule" in torch._dynamo.__all__
"""
WITHIN = """
import sys, torch
from lifecycle.runtime.imports import deferred, of_torch
of_torch.defer_tracer()
import torch._dynamo.variables.base as base
from torch._dynamo import config
assert sys.modules["torch._dynamo"].config is config is sys.modules["torch._dynamo.config"]
variables = torch._dynamo.variables
assert variables.base is base and variables.__spec__.loader is variables.__loader__
assert base.__spec__.loader is base.__loader__
assert not any(isinstance(module, deferred.Deferred) for module in sys.modules.values())
"""


METRICS = """
import sys
from importlib.util import find_spec
from lifecycle.runtime.imports import of_torchmetrics
of_torchmetrics.defer_metrics()
import pytorch_lightning
assert not {"torchmetrics.functional", "matplotlib", "scipy.signal"} & set(sys.modules)
from torchmetrics import Metric
import torch, torchmetrics
assert issubclass(sys.modules["pytorch_lightning.trainer.connectors.logger_connector.result"]._ResultMetric, Metric)
assert find_spec("torchmetrics").origin.endswith("__init__.py")  # config.tasks reads its source
accuracy = torchmetrics.Accuracy(task="binary")
assert isinstance(accuracy, Metric) and torchmetrics.metric.Metric is Metric is sys.modules["torchmetrics"].Metric
assert accuracy(torch.tensor([0.9, 0.2]), torch.tensor([1, 1])) == 0.5
assert "scipy.signal" not in sys.modules
figure, _ = accuracy.plot()
assert type(figure).__name__ == "Figure"
"""
STATISTICS = """
import io, sys
from lifecycle.runtime.imports import deferred, of_scipy
of_scipy.defer_scipy()
from sklearn.preprocessing import PowerTransformer, QuantileTransformer, SplineTransformer, StandardScaler
from sklearn.covariance import MinCovDet
import numpy as np, inspect
assert "scipy.stats._stats_py" not in sys.modules
inspect.getmodule(MinCovDet)  # looks at all modules
values = np.random.default_rng(0).normal(size=(60, 2))
assert "scipy.stats._stats_py" not in sys.modules
assert abs(QuantileTransformer(n_quantiles=20, output_distribution="normal").fit_transform(values).mean()) < 0.2
assert abs(MinCovDet(random_state=0).fit(values).location_).max() < 1  # by chi2, which was imported by name
assert SplineTransformer().fit_transform(values).shape == (60, 14)
import scipy.io, scipy.special
assert scipy.special.expit.__doc__.startswith("expit(x, /") and "Examples" in scipy.special.logsumexp.__doc__
stored = io.BytesIO()
scipy.io.savemat(stored, {"a": values})
assert (scipy.io.loadmat(stored)["a"] == values).all()
import scipy.stats
assert scipy.stats.rankdata([3, 1]).tolist() == [2.0, 1.0] and sys.modules["scipy.stats"] is scipy.stats
assert not isinstance(sys.modules["scipy.interpolate"], deferred.Deferred)
"""
TRUSTED = """
import sys, numpy as np, torch
from lifecycle.runtime.imports import of_scipy, of_skops, of_torch
of_torch.defer_tracer(); of_scipy.defer_scipy(); of_skops.defer_trusted_types()
import skops.io
from sklearn.preprocessing import StandardScaler
fitted = StandardScaler().fit(np.arange(6.0).reshape(3, 2))
written = skops.io.dumps({"inputs": fitted})
assert "sklearn.ensemble" not in sys.modules  # the lists have not been made
class Unknown: pass
assert skops.io.get_untrusted_types(data=skops.io.dumps([Unknown()])) == ["__main__.Unknown"]
assert skops.io.get_untrusted_types(data=written) == []
assert skops.io.loads(written)["inputs"].mean_.tolist() == [2.0, 3.0]
assert "torch._dynamo.convert_frame" not in sys.modules  # although skops looks at all modules
real = sys.modules["skops.io._trusted_types"]
assert "sklearn.tree._classes.DecisionTreeClassifier" in real.SKLEARN_ESTIMATOR_TYPE_NAMES
from lifecycle.data.preprocessing import OWN_TYPES
from lifecycle.predict.saved_model import TRUSTED
assert {name for name in OWN_TYPES if name.startswith("sklearn.")} <= set(real.SKLEARN_ESTIMATOR_TYPE_NAMES)
plain = [{"a": (1, 1.5, True, "b", slice(1))}, np.zeros(2), np.float32(1), np.int64(1), np.dtype("int64"), float]
assert set(skops.io.get_untrusted_types(data=skops.io.dumps(plain))) <= TRUSTED
assert {name for name in vars(real) if name.endswith("_TYPE_NAMES")} == set(of_skops.LISTS_OF_TYPES)
"""

ESTIMATORS = """
import sys, numpy as np
from lifecycle.runtime.imports import deferred, quick
with quick.quick_imports():
    from lifecycle.runs import pipeline
import skops.io
from lifecycle.data.preprocessing import Preprocessing
from skops.io.exceptions import UnsupportedTypeException
from sklearn.preprocessing import StandardScaler
values = np.random.default_rng(0).normal(size=(40, 3))
Preprocessing(StandardScaler().fit(values), None).serialized
assert isinstance(sys.modules["skops.io._sklearn"], deferred.Deferred)
from sklearn.cluster import Birch
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.tree import DecisionTreeRegressor
for estimator in (DecisionTreeRegressor(max_depth=2), HistGradientBoostingRegressor(max_iter=2)):
    held = Preprocessing(estimator.fit(values, values[:, 1]), None).serialized  # with a Tree, and with a loss
    read = skops.io.loads(held, trusted=skops.io.get_untrusted_types(data=held))["inputs"]
    assert read.predict(values).tolist() == estimator.predict(values).tolist()
try:
    Preprocessing(Birch(n_clusters=None).fit(values), None).serialized
except UnsupportedTypeException as error:
    assert "Birch" in str(error)
else:
    raise AssertionError("skops has saved a Birch")
"""
OPTIMIZERS = """
import sys, numpy as np
from lifecycle.runtime.imports import deferred, quick
with quick.quick_imports():
    from lifecycle.runs import pipeline
from sklearn.compose import ColumnTransformer
from sklearn.metrics import classification_report, consensus_score
late = {"scipy.optimize._optimize", "scipy.optimize._linprog", "scipy.spatial.transform._rotation", "numpy.f2py.f2py2e"}
assert not late & set(sys.modules)
from sklearn.linear_model import LogisticRegression
values = np.random.default_rng(0).normal(size=(60, 2))
fitted = [LogisticRegression(solver=name).fit(values, values[:, 0] > 0).coef_ for name in ("newton-cg", "lbfgs")]
assert np.allclose(*fitted, rtol=1e-2)  # by a line search, and by scipy.optimize.minimize
rows = np.array([[True, False]]), np.array([[True, True]])
assert consensus_score(rows, rows) == 1.0  # by linear_sum_assignment
import scipy.optimize, scipy.spatial, numpy.f2py
assert scipy.spatial.transform.Rotation.identity().magnitude() == 0
assert scipy.optimize.minimize(lambda x: (x - 2) ** 2, [0.0]).x.round(3) == [2.0]
assert numpy.f2py.get_include() and np.f2py is sys.modules["numpy.f2py"]
assert not any(isinstance(sys.modules[name], deferred.Deferred) for name in ("scipy.optimize", "numpy.f2py"))
"""


RECORDING = """
import sys
from importlib.util import find_spec
assert find_spec("polars")  # which scikit-learn cannot have half imported by the thread that sends to a server
from lifecycle.runs import recording_process
recording_process.prepare()
import mlflow.data
assert not any(name.partition(".")[0] == "polars" for name in sys.modules)
assert not hasattr(mlflow.data, "from_polars") and hasattr(mlflow.data, "from_pandas")
try:
    import polars
except ModuleNotFoundError as error:
    assert str(error) == "No module named 'polars'", error
else:
    raise AssertionError("polars was imported")
"""


SCRIPTS = {
    "lazy": SIGNAL,
    "imported meanwhile": MEANWHILE,
    "imported before": ALREADY,
    "until something is compiled": TRACER,
    "a module within it": WITHIN,
    "metrics until one is used": METRICS,
    "statistics until one is computed": STATISTICS,
    "optimizers until one is used": OPTIMIZERS,
    "what skops knows of estimators": ESTIMATORS,
    "trusted types until a file is read": TRUSTED,
    "polars in the process that records": RECORDING,
}
EACH = """
import json, os, sys, torch
assert not {"torchmetrics", "scipy", "torch._dynamo", "pytorch_lightning"} & set(sys.modules)
for name, script in json.loads(sys.argv[1]).items():
    child = os.fork()
    if not child:
        exec(script, {"__name__": "__main__"})
        print(name, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""
"""A new Python that imports torch, and has each script run in a process of its own from there."""


@pytest.fixture(scope="module")
def ran() -> tuple[list[str], str]:
    """Run all scripts; return the names of those that succeeded, and the output of the others."""
    command = [sys.executable, "-c", EACH, json.dumps(SCRIPTS)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    return ended.stdout.splitlines(), ended.stderr


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_module_that_is_put_off_is_there_when_it_is_used(ran: tuple[list[str], str], name: str) -> None:
    complete, errors = ran
    assert name in complete, errors


SHAPES = """
import sys
from importlib import metadata
from lifecycle.runtime.imports import of_torch, quick
if len(sys.argv) > 1:
    version = metadata.version
    metadata.version = lambda name: sys.argv[1] if name == "torch" else version(name)
of_torch.defer_tracer()
of_torch.import_without_shapes()
import torch
print(of_torch.SHAPES in sys.modules)
assert torch.Generator().manual_seed(1).initial_seed() == 1
network = torch.nn.Sequential(torch.nn.Conv1d(1, 2, 3), torch.nn.BatchNorm1d(2), torch.nn.Flatten())
assert network(torch.zeros(2, 1, 5)).shape == (2, 6)
twin = torch.nn.Conv1d(1, 2, 3, device="meta")
if of_torch.SHAPES not in sys.modules:
    try:
        twin(torch.zeros(2, 1, 5, device="meta"))
    except NotImplementedError:
        print("no shapes")
if sys.argv[2:] == ["traced"]:
    compiled = torch.compile(network, backend="aot_eager")  # which asks for the shape that each operator returns
    assert torch.allclose(compiled(torch.ones(2, 1, 5)), network(torch.ones(2, 1, 5)))
else:
    with quick.quick_imports():  # as of another plugin
        pass
assert of_torch.SHAPES in sys.modules
assert twin(torch.zeros(2, 1, 5, device="meta")).shape == (2, 2, 3)
assert torch.Generator().manual_seed(1).initial_seed() == 1
"""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "False\nno shapes\n" if torch.__version__.startswith(of_torch.WITHOUT_SHAPES) else "True\n"),
        ([torch.__version__, "traced"], None),
        (["2.99.0"], "True\n"),
    ],
    ids=["completed", "traced", "another version"],
)
def test_shapes_of_operators_are_known_when_they_are_asked_for(words: list[str], said: str | None) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SHAPES, *words], capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert said is None or ended.stdout == said


OWN = """
import json, sys
from lifecycle.cli.main import main
from lifecycle.runtime.imports import of_torch
for words in json.loads(sys.argv[1]):
    sys.argv[1:] = [*words, "trainer.max_epochs=2", "verbose=0"]
    assert main() == 0, words
    assert of_torch.SHAPES not in sys.modules, words
    import torch
    assert torch.__version__.startswith(of_torch.WITHOUT_SHAPES)
print("complete")
"""
LAYERS = "[conv: 4, batch_norm, gelu, max_pool, flatten, layer_norm, dense: 8, swish, output]"
RUNS = [
    *(["data=iris", f"optimizer={name}"] for name in ("adam", "adagrad")),
    ["data=iris", "model.batch_norm=true", "model.dropout=0.3", "model.activation=selu", "model.initializer=he_normal"],
    ["data=digits", "model=cnn", "data.augment=[rotate,shift,flip]"],
    ["data=digits", "model=lstm", "schedule=cosine", "trainer.gradient_clip_val=1"],
    ["data=digits", "model=sequential", f"model.layers={LAYERS}", "trainer.precision=bf16-mixed"],
    ["data=airline_passengers", "model=lstm", "data.horizon=2", "metrics=[mae,r2]"],
    ["data=boston_housing", "cv.folds=2", "loss=huber"],
    ["data=two_classes", "data.test_size=0.3", "metrics=[auroc,f1,cohen_kappa]", "trainer.class_balanced=true"],
]


@pytest.mark.skipif(
    not torch.__version__.startswith(of_torch.WITHOUT_SHAPES), reason="another PyTorch is imported as a whole"
)
def test_runs_of_our_own_plugins_need_no_shapes_of_operators(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", OWN, json.dumps(RUNS)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.stdout.endswith("complete\n"), ended.stderr


def test_a_run_imports_neither_mlflow_nor_what_it_does_not_use(tmp_path: object) -> None:
    script = (
        "import sys; from lifecycle.cli.main import main; "
        "sys.argv[1:] = ['trainer.max_epochs=1', 'verbose=0', 'tracking.figures=false']; code = main(); "
        "unused = {'mlflow', 'sqlalchemy', 'git', 'scipy.signal', 'sympy', 'torch._inductor', 'scipy.stats._stats_py', "
        "'torchmetrics.functional', 'matplotlib', 'sklearn.ensemble', 's3fs', 'gcsfs', 'aiohttp', 'pytest'}; "
        "print(code, sorted(unused & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=str(tmp_path), capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.stdout == "0 []\n", ended.stderr
