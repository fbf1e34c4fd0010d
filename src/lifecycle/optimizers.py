"""Hyper-parameters of the optimizers of ``torch.optim``, by PyTorch's names.

Defaults are PyTorch's too, except for the learning rates of ``sgd`` and ``rmsprop``, which are Keras's. Imports no
torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from lifecycle.checks import count, in_range, one_of
from lifecycle.errors import FieldError, Setting, Text


@dataclass
class OptimizerConfig:
    """Base of all optimizers. ``torch_name`` is the class in ``torch.optim``; the fields are its arguments."""

    torch_name: ClassVar[str] = ""

    lr: float = 1e-3  # learning rate

    def __post_init__(self) -> None:
        in_range(self, "lr", above=0)


@dataclass
class OwnOptimizer(OptimizerConfig):
    """An optimizer that a Python caller's function makes; the fields are for the record. No command chooses it."""

    path: str = ""  # import path of the class or function; empty: it has none

    make: ClassVar[Any] = None
    """The function of the parameters; an instance sets it. It is no field, as no record can hold it."""


@dataclass
class Decaying(OptimizerConfig):
    """Base of optimizers with weight decay."""

    weight_decay: float = 0.0  # share of each weight that is subtracted in a step, times the learning rate

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range(self, "weight_decay", low=0)


@dataclass
class Averaging(OptimizerConfig):
    """Base of the variants of Adam: running averages of the gradient and of its square."""

    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])  # decay of the two running averages
    eps: float = 1e-8  # added to the denominator, against division by 0

    def __post_init__(self) -> None:
        super().__post_init__()
        count(self, "betas", 2, "[0.9,0.999]")
        in_range(self, "betas", low=0, below=1)
        in_range(self, "eps", above=0)


@dataclass
class Adam(Averaging, Decaying):
    """Adam (Kingma and Ba 2015)."""

    torch_name: ClassVar[str] = "Adam"

    amsgrad: bool = False  # use the greatest past average of squared gradients (Reddi et al. 2018)
    # apply weight_decay to the weights, as AdamW does; false: add it to the gradient
    decoupled_weight_decay: bool = False


@dataclass
class AdamW(Averaging, Decaying):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    torch_name: ClassVar[str] = "AdamW"

    weight_decay: float = 1e-2  # share of each weight that is subtracted in a step, times the learning rate
    amsgrad: bool = False  # use the greatest past average of squared gradients (Reddi et al. 2018)


@dataclass
class Adamax(Averaging, Decaying):
    """Adam with the maximum of past gradients in place of the average of squares (Kingma and Ba 2015)."""

    torch_name: ClassVar[str] = "Adamax"

    lr: float = 2e-3


@dataclass
class NAdam(Averaging, Decaying):
    """Adam with Nesterov's momentum (Dozat 2016)."""

    torch_name: ClassVar[str] = "NAdam"

    lr: float = 2e-3
    momentum_decay: float = 4e-3  # how fast the momentum approaches its final value
    # apply weight_decay to the weights, as AdamW does; false: add it to the gradient
    decoupled_weight_decay: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range(self, "momentum_decay", low=0)


@dataclass
class RAdam(Averaging, Decaying):
    """Adam with its variance rectified (Liu et al. 2020)."""

    torch_name: ClassVar[str] = "RAdam"

    # apply weight_decay to the weights, as AdamW does; false: add it to the gradient
    decoupled_weight_decay: bool = False


@dataclass
class SparseAdam(Averaging):
    """Adam for sparse gradients only, such as those of ``nn.Embedding(sparse=True)``."""

    torch_name: ClassVar[str] = "SparseAdam"


@dataclass
class SGD(Decaying):
    """Stochastic gradient descent, with optional momentum."""

    torch_name: ClassVar[str] = "SGD"

    lr: float = 1e-2
    momentum: float = 0.0  # share of the last update that is added to the next
    dampening: float = 0.0  # of the momentum
    nesterov: bool = False  # Nesterov's momentum

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range(self, "momentum", low=0, below=1)
        in_range(self, "dampening", low=0)
        # torch would raise in both cases, without naming a key of ours.
        if self.nesterov and self.momentum == 0:
            remedy: Text = ["Add ", Setting("optimizer.momentum", 0.9), "."]
            raise FieldError("nesterov", "needs a momentum", "momentum=0.0", remedy)
        if self.nesterov and self.dampening:
            raise ValueError(f"dampening must be 0 with nesterov, got {self.dampening}. Leave it out.")


@dataclass
class ASGD(Decaying):
    """Averaged stochastic gradient descent (Polyak and Juditsky 1992)."""

    torch_name: ClassVar[str] = "ASGD"

    lr: float = 1e-2
    lambd: float = 1e-4  # decay of the learning rate and of the weights
    alpha: float = 0.75  # power with which the learning rate falls
    t0: float = 1e6  # step at which averaging begins

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("lambd", "alpha", "t0"):
            in_range(self, name, low=0)


@dataclass
class RMSprop(Decaying):
    """RMSprop (Hinton, Coursera lecture 6e)."""

    torch_name: ClassVar[str] = "RMSprop"

    alpha: float = 0.99  # decay of the running average of squared gradients
    eps: float = 1e-8  # added to the denominator, against division by 0
    momentum: float = 0.0  # share of the last update that is added to the next
    centered: bool = False  # divide by the variance of the gradient in place of its mean square

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range(self, "alpha", low=0, below=1)
        in_range(self, "eps", above=0)
        in_range(self, "momentum", low=0, below=1)


@dataclass
class Rprop(OptimizerConfig):
    """Resilient backpropagation (Riedmiller and Braun 1993); for batches of all rows."""

    torch_name: ClassVar[str] = "Rprop"

    lr: float = 1e-2
    etas: list[float] = field(default_factory=lambda: [0.5, 1.2])  # factors by which a step shrinks and grows
    step_sizes: list[float] = field(default_factory=lambda: [1e-6, 50.0])  # smallest and largest step

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, example in {"etas": "[0.5,1.2]", "step_sizes": "[1e-6,50]"}.items():
            count(self, name, 2, example)
        in_range(self, "step_sizes", above=0)
        if not 0 < self.etas[0] < 1 < self.etas[1]:
            raise ValueError(f"etas must be one below 1 and one above, got {self.etas}. The default is [0.5, 1.2].")
        if self.step_sizes[0] > self.step_sizes[1]:
            raise ValueError(f"step_sizes must rise, got {self.step_sizes}. The default is [1e-06, 50.0].")


@dataclass
class Adagrad(Decaying):
    """Adagrad (Duchi, Hazan and Singer 2011)."""

    torch_name: ClassVar[str] = "Adagrad"

    lr: float = 1e-2
    lr_decay: float = 0.0  # decay of the learning rate with each step
    initial_accumulator_value: float = 0.0  # first value of the sum of squared gradients
    eps: float = 1e-10  # added to the denominator, against division by 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("lr_decay", "initial_accumulator_value"):
            in_range(self, name, low=0)
        in_range(self, "eps", above=0)


@dataclass
class Adadelta(Decaying):
    """Adadelta (Zeiler 2012)."""

    torch_name: ClassVar[str] = "Adadelta"

    lr: float = 1.0
    rho: float = 0.9  # decay of the running average of squared gradients
    eps: float = 1e-6  # added to both averages, against division by 0

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range(self, "rho", low=0, below=1)
        in_range(self, "eps", above=0)


@dataclass
class Adafactor(Decaying):
    """Adafactor, which needs little memory for its state (Shazeer and Stern 2018)."""

    torch_name: ClassVar[str] = "Adafactor"

    lr: float = 1e-2
    beta2_decay: float = -0.8  # power of the step with which the decay of the running average nears 1
    # regularise squared gradients (null: the epsilon of the dtype), and the size of the parameters
    eps: list[float | None] = field(default_factory=lambda: [None, 1e-3])
    d: float = 1.0  # threshold above which an update is clipped

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range(self, "beta2_decay")
        if self.beta2_decay > 0:
            raise ValueError(f"beta2_decay must be 0 or less, got {self.beta2_decay}. The default is -0.8.")
        count(self, "eps", 2, "[null,0.001]")
        in_range(self, "eps", low=0)
        if self.eps[1] is None:
            raise ValueError(f"eps must have a second number, got {self.eps}. The default is [None, 0.001].")
        in_range(self, "d", low=1)


@dataclass
class LBFGS(OptimizerConfig):
    """Limited-memory BFGS (Nocedal and Wright 2006): several evaluations a step; for batches of all rows."""

    torch_name: ClassVar[str] = "LBFGS"

    lr: float = 1.0
    max_iter: int = 20  # iterations a step
    max_eval: int | None = None  # evaluations a step; null: 1.25 times max_iter
    tolerance_grad: float = 1e-7  # a step ends when no component of the gradient is larger
    tolerance_change: float = 1e-9  # a step ends when loss and weights change less
    history_size: int = 100  # past updates that approximate the Hessian
    line_search_fn: str | None = "strong_wolfe"  # or null, PyTorch's default: no line search, which diverges easily

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("max_iter", "max_eval", "history_size"):
            in_range(self, name, low=1)
        for name in ("tolerance_grad", "tolerance_change"):
            in_range(self, name, low=0)
        one_of(self, "line_search_fn", ("strong_wolfe",))


@dataclass
class Muon(Decaying):
    """Muon for the matrices of a network (Jordan et al. 2024), AdamW with the same learning rate for all others."""

    torch_name: ClassVar[str] = "Muon"

    weight_decay: float = 0.1  # share of each weight that is subtracted in a step, times the learning rate
    momentum: float = 0.95  # share of the last update that is added to the next
    nesterov: bool = True  # Nesterov's momentum
    ns_coefficients: list[float] = field(default_factory=lambda: [3.4445, -4.775, 2.0315])  # of the orthogonalisation
    eps: float = 1e-7  # added to the denominator, against division by 0
    ns_steps: int = 5  # iterations of Newton and Schulz that orthogonalise an update
    adjust_lr_fn: str | None = None  # original, or match_rms_adamw; null: original

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range(self, "momentum", low=0, below=1)
        count(self, "ns_coefficients", 3, "[3.4445,-4.775,2.0315]")
        in_range(self, "ns_coefficients")
        in_range(self, "eps", above=0)
        in_range(self, "ns_steps", low=1, below=100)
        one_of(self, "adjust_lr_fn", ("original", "match_rms_adamw"))


_KINDS = (Adadelta, Adafactor, Adagrad, Adam, Adamax, AdamW, ASGD, LBFGS, Muon, NAdam, RAdam, RMSprop, Rprop, SGD)
OPTIMIZERS: dict[str, type[OptimizerConfig]] = {
    **{kind.torch_name.lower(): kind for kind in _KINDS},
    "sparse_adam": SparseAdam,
}
