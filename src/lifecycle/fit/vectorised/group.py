"""Fits the members of a group at once: one stack of weights, and for each member its own rows, order and end."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lifecycle.compile import stepping
from lifecycle.compile.devices import device_of, repeatable
from lifecycle.compile.optimization import build_schedule
from lifecycle.compile.scores import prefixed
from lifecycle.data.batches import Batches
from lifecycle.errors import TrainingError
from lifecycle.fit.epochs import diverged
from lifecycle.fit.history import History, Row
from lifecycle.fit.preflight import batch_size
from lifecycle.fit.trainer import history_of, training_batches
from lifecycle.fit.vectorised.copies import Copies, StackedOptimizer, Tensors, ordered
from lifecycle.fit.vectorised.dropout import Call, Masks
from lifecycle.fit.vectorised.members import Member
from lifecycle.fit.vectorised.rows import StackedRows
from lifecycle.fit.vectorised.scoring import CopyScores
from lifecycle.fit.vectorised.steps import StepBatch, networks_for
from lifecycle.fit.vectorised.stopping import Stopping
from lifecycle.runtime import memory
from lifecycle.schedules import NoSchedule

MOST_BYTES = 32 * 1024**2
"""Largest size of the inputs that are gathered at once."""

MOST_NUMBERS = 2**22
"""Most numbers in the inputs of a validation pass: the activations of all copies are in memory together."""

OnRow = Callable[[int, Row], bool]
"""Called with the number of a member and the row of an epoch; returns whether the member ends here."""

ENDED_BY_CALLER = "it was pruned"


class StepClock:
    """Measures steps: in CPU seconds, which other processes do not change; on a GPU in seconds until it is done.

    Args:
        device: on which they are taken.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._started = self._now()

    def seconds(self) -> float:
        """Return the seconds since this object was made."""
        return self._now() - self._started

    def _now(self) -> float:
        if self._device.type != "cuda":
            return time.process_time()
        torch.cuda.synchronize(self._device)
        return time.perf_counter()


class Group:
    """A vectorised fit.

    Attributes:
        members: in the order of the copies: those with equal optimizers are neighbours.
        batch_size: rows of a step of one copy.
        copies: their weights.
        device: on which they are trained; the models stay on the CPU.

    Args:
        members: of one kind, see :func:`lifecycle.fit.vectorised.members.kind_of`.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self._place = ordered([member.module.optimizer_config for member in members])
        self.members = [members[place] for place in self._place]
        first, count = self.members[0], len(members)
        self._config, self._module = first.config, first.module
        self.batch_size = batch_size(first.config, first.data)
        networks = [member.network for member in self.members]
        self.device = device_of(first.config)
        self.copies = Copies(networks, self.device)
        self._masks = Masks(networks, self.device)
        dims = len(first.data.train.inputs.shape) - 1
        self._networks = networks_for(first.network, copy.deepcopy(self._module.loss), self._masks, dims)
        configs = [member.module.optimizer_config for member in self.members]
        self._optimizer = StackedOptimizer(self.copies.flat, configs)
        self._batches = [training_batches(m.config, m.data, m.seed) for m in self.members]
        self._train = StackedRows([member.data.train for member in self.members], self.device)
        self._train_scores = CopyScores([m.module.train_scores for m in self.members], self._train)
        self._val, self._val_scores = self._validation()
        weights = [m.module.loss.class_weights for m in self.members]
        self._class_weights: Tensor | None = None
        if weights[0] is not None:
            self._class_weights = torch.stack([w for w in weights if w is not None]).to(self.device)
        self._calls: dict[int, list[Call]] = {}
        self._stopping = Stopping(first, count)
        self._schedule = build_schedule(self._module.schedule_config, self._optimizer.optimizer, 0)
        self._stack = list(range(count))  # number of the member in each row of the stack
        self._running = set(range(count))
        self._rows: list[list[Row]] = [[] for _ in self.members]
        self._errors: dict[int, TrainingError] = {}
        self._pruned: set[int] = set()
        self._kept: dict[int, tuple[Tensor, Tensors]] = {}

    def _validation(self) -> tuple[StackedRows | None, CopyScores | None]:
        parts = [member.data.val for member in self.members if member.data.val is not None]
        if not parts:
            return None, None
        rows = StackedRows(parts, self.device)
        return rows, CopyScores([member.module.val_scores for member in self.members], rows)

    def fit(self, on_row: OnRow | None = None) -> list[History | TrainingError]:
        """Fit all members, and leave each model with the weights of its best epoch.

        Args:
            on_row: called with the row of each member after each epoch.

        Returns:
            The history of each member in the order in which they were given, or the error that ended it.
        """
        with self._settings():
            self._run(on_row)
        return self._conclude()

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """Use as many threads as a single fit, its order of sums on a GPU, and no autograd."""
        threads = stepping.threads(self._module, self.batch_size)
        with threads, memory.kept(), torch.no_grad(), repeatable(self.device):
            yield

    def _run(self, on_row: OnRow | None) -> None:
        """Train until each member has ended."""
        for epoch in range(self._config.max_epochs):
            if not self._running:
                break
            started = time.perf_counter()
            rates = self._rates()
            scores = self._epoch(epoch)
            seconds = (time.perf_counter() - started) / len(self._stack)
            rows = [
                {"epoch": epoch + 1, **score, **rate, "epoch_seconds": seconds}
                for score, rate in zip(scores, rates, strict=True)
            ]
            self._take(rows, epoch + 1, on_row)
            if self._schedule is not None:
                self._schedule.step()
            # A schedule holds a rate for each group of the optimizer, so its copies stay.
            elif 0 < 2 * len(self._running) <= len(self._stack):
                self._gather()
        for number in self._running:
            self._keep_last(number)

    def step_seconds(self, steps: int) -> float:
        """Return the seconds of a step of all members, before the fit, which is not changed by it.

        Args:
            steps: how many are timed.
        """
        copies, size = self.copies, self.batch_size
        flat, others = copies.flat.clone(), {name: value.clone() for name, value in copies.others.items()}
        with self._settings():
            numbers = self._orders(0)
            self._masks.begin([member.seed for member in self.members], 0)
            fewest = int(self._train.counts.min())
            whole = [numbers[:, start : start + size] for start in range(0, fewest - size + 1, size)]
            self._step(whole[0])  # traces it
            clock = StepClock(self.device)
            for number in range(steps):
                self._step(whole[number % len(whole)])
            seconds = clock.seconds() / steps
        copies.flat.copy_(flat)
        for name, value in others.items():
            copies.others[name].copy_(value)
        self._optimizer.forget()
        return seconds

    def _conclude(self) -> list[History | TrainingError]:
        """Give the models their weights, and return the histories in the order of the members as given."""
        found: dict[int, History | TrainingError] = {}
        for number, (place, member) in enumerate(zip(self._place, self.members, strict=True)):
            if number in self._errors:
                found[place] = self._errors[number]
                continue
            self.copies.load(member.network, self._kept[number])
            best = int(self._stopping.best_epoch[number]) or None
            history = history_of(self._config, self._rows[number], best, self._config.early_stopping)
            stopped = ENDED_BY_CALLER if number in self._pruned else history.stopped
            found[place] = History(history.rows, history.best_epoch, history.weights_epoch, stopped)
        return [found[place] for place in range(len(self.members))]

    def _epoch(self, epoch: int) -> list[Row]:
        """Train all copies for an epoch, and return the scores of each."""
        numbers = self._orders(epoch)
        self._masks.begin([self.members[member].seed for member in self._stack], epoch)
        at_once = max(1, MOST_BYTES // max(1, self._train.bytes_of_a_row() * len(self._stack) * self.batch_size))
        counts = self._train.counts[self._stack]
        fewest, outputs, done = int(counts.min()), [], 0
        for chunk in torch.split(numbers, at_once * self.batch_size, dim=1):
            inputs = self._train.inputs(chunk)
            for part, own in zip(
                torch.split(chunk, self.batch_size, 1), torch.split(inputs, self.batch_size, 1), strict=True
            ):
                left, done = counts - done, done + part.shape[1]
                outputs.append(self._step(part, own, left.clamp(max=part.shape[1]) if done > fewest else None))
        scores = self._scored(self._train_scores, self._train, torch.cat(outputs, 1), numbers)
        rows = [prefixed(score, "train") for score in scores]
        if self._val is not None and self._val_scores is not None:
            numbers = self._val.all_numbers(self._stack)
            scores = self._scored(self._val_scores, self._val, self._validated(self._val, numbers), numbers)
            rows = [row | prefixed(score, "val") for row, score in zip(rows, scores, strict=True)]
        return rows

    def _orders(self, epoch: int) -> Tensor:
        """Return the numbers of the training rows of each copy in the order of an epoch, ``(copies, most rows)``.

        Those of a copy with fewer rows end with repetitions of its first row, which are not used.
        """
        orders = [_order(self._batches[member], epoch) for member in self._stack]
        return self._train.numbers(self._stack, pad_sequence(orders, batch_first=True))

    def _scored(self, scores: CopyScores, rows: StackedRows, outputs: Tensor, numbers: Tensor) -> list[Row]:
        """Return the scores of each copy on its rows; arguments as in :meth:`CopyScores.of`."""
        found: dict[int, Row] = {}
        if len(groups := _equal(rows.counts[self._stack])) == 1:
            return scores.of(self._stack, outputs, numbers)
        for count, places in groups:
            own = [self._stack[place] for place in places]
            found |= zip(places, scores.of(own, outputs[places, :count], numbers[places, :count]), strict=True)
        return [found[place] for place in range(len(self._stack))]

    def _step(self, numbers: Tensor, inputs: Tensor | None = None, sizes: Tensor | None = None) -> Tensor:
        """Take a step of all copies, and return their outputs before it.

        Args:
            numbers: ``(copies, batch)`` of the rows.
            inputs: of these rows, if they have been gathered.
            sizes: ``(copies,)`` rows of each copy, the first ones; ``None``: all.

        Returns:
            ``(copies, batch, num_outputs)``; 0 after the last row of a copy.
        """
        inputs = self._train.inputs(numbers) if inputs is None else inputs
        if sizes is None:
            gradients, outputs = self._gradients(self.copies, range(len(self._stack)), numbers, inputs)
        else:
            gradients, outputs = self._gradients_by_size(sizes, numbers, inputs)
        self._optimizer.step(self._clipped(gradients), self._schedule is not None)
        return outputs

    def _gradients(
        self, copies: Copies, places: Sequence[int], numbers: Tensor, inputs: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the gradients and outputs of the copies at some places of the stack."""
        stack = [self._stack[place] for place in places]
        options = {}
        if self._class_weights is not None:
            options["class_weights"] = self._class_weights[stack]
        if (weights := self._train.weights(numbers)) is not None:
            options["row_weights"] = weights
        if (rows := inputs.shape[1]) not in self._calls:
            self._calls[rows] = self._networks.calls(inputs[0].cpu())
        masks = self._masks.draw(self._calls[rows], stack, places)
        batch = StepBatch(inputs, self._train.targets(numbers), options, masks)
        return self._networks.gradients(copies, batch)

    def _gradients_by_size(self, sizes: Tensor, numbers: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients and outputs of the last step of an epoch, in which copies have unequal numbers of rows.

        Rows of weight 0 would do for a loss, but not for batch normalisation.
        """
        gradients, outputs = torch.empty_like(self.copies.flat), None
        for size, places in _equal(sizes):
            rows = torch.tensor(places)
            part = self.copies.part(rows)
            found, own = self._gradients(part, places, numbers[rows, :size], inputs[rows, :size])
            gradients[rows] = found
            self.copies.write_others(part, rows)
            outputs = own.new_zeros(*numbers.shape, *own.shape[2:]) if outputs is None else outputs
            outputs[rows, :size] = own
        assert outputs is not None  # noqa: S101 - there are copies
        return gradients, outputs

    def _clipped(self, gradients: Tensor) -> Tensor:
        """Clip the gradient of each copy, as ``torch.nn.utils.clip_grad_norm_`` and ``clip_grad_value_`` do."""
        most = self._config.gradient_clip_val
        if most is None:
            return gradients
        if self._config.gradient_clip_algorithm == "value":
            return gradients.clamp_(-most, most)
        norms = torch.linalg.vector_norm(gradients, dim=1, keepdim=True)
        return gradients.mul_((most / (norms + 1e-6)).clamp_(max=1.0))

    def _validated(self, rows: StackedRows, numbers: Tensor) -> Tensor:
        """Return the outputs of validation rows, ``(copies, rows, num_outputs)``."""
        at_once = max(1, MOST_NUMBERS // (len(self._stack) * max(1, rows.bytes_of_a_row() // 4)))
        return torch.cat(
            [self._networks.outputs(self.copies, rows.inputs(part)) for part in torch.split(numbers, at_once, 1)], 1
        )

    def _rates(self) -> list[Row]:
        """Return ``{"lr": ...}`` of each copy before an epoch; empty of a constant rate, which is not recorded."""
        if isinstance(self._module.schedule_config, NoSchedule):
            return [{}] * len(self._stack)
        groups = self._optimizer.optimizer.param_groups
        return [{"lr": float(group["lr"])} for group in groups for _ in group["params"][0]]

    def _take(self, rows: Sequence[Row], epoch: int, on_row: OnRow | None) -> None:
        """Record the rows of the members that are running, and end those that diverged, stopped or were pruned."""
        running = [place for place, number in enumerate(self._stack) if number in self._running]
        for place in running:
            number, row = self._stack[place], rows[place]
            self._rows[number].append(row)
            if on_row is not None and on_row(self._place[number], row):
                self._pruned.add(number)
            # As in a single fit, which is pruned before it is seen to diverge.
            is_pruned = number in self._pruned
            error = None if is_pruned else diverged(row, self.members[number].module.optimizer_config.lr)
            if error is not None:
                self._errors[number] = error
                self._running.discard(number)
        running = [place for place in running if self._stack[place] in self._running]
        numbers = [self._stack[place] for place in running]
        better, stops = self._stopping.update(numbers, [rows[place] for place in running], epoch)
        for place, number, is_better, stopped in zip(running, numbers, better, stops, strict=True):
            if is_better and self._config.restore_best:
                self._kept[number] = self.copies.snapshot(place)
            if stopped or number in self._pruned:
                self._keep_last(number)
                self._running.discard(number)

    def _keep_last(self, number: int) -> None:
        """Keep the weights of a member that ends, unless those of its best epoch are wanted."""
        if not (self._stopping.monitors and self._config.restore_best):
            self._kept[number] = self.copies.snapshot(self._stack.index(number))

    def _gather(self) -> None:
        """Continue with the copies that are still running."""
        rows = torch.tensor([place for place, number in enumerate(self._stack) if number in self._running])
        self._stack = [self._stack[int(row)] for row in rows]
        self.copies.keep(rows)
        self._optimizer.keep(self.copies.flat, rows)


def _equal(counts: Tensor) -> list[tuple[int, list[int]]]:
    """Return each count, and the places at which it is."""
    return [(count, torch.nonzero(counts == count).flatten().tolist()) for count in sorted(set(counts.tolist()))]


def _order(batches: Batches, epoch: int) -> Tensor:
    batches.set_epoch(epoch)
    order = batches.order()
    return torch.arange(len(batches.inputs)) if order is None else order
