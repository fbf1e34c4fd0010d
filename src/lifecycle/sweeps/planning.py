"""Composes the jobs of a sweep, checks what can be checked before the first one starts, and signs them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lifecycle.config.compose import request_of
from lifecycle.config.explain import COMPOSING, explain
from lifecycle.config.options import CHOICES, EXPERIMENT
from lifecycle.config.records import request_record
from lifecycle.config.request import Job, Request, build
from lifecycle.config.resolve import resolve
from lifecycle.config.schema import CvConfig, SweepConfig
from lifecycle.config.structured import copied, without
from lifecycle.credentials import hiding, masked_word
from lifecycle.data.folds import check_can_be_folded
from lifecycle.errors import LifecycleError, RequestError
from lifecycle.sweeps import grid, signature
from lifecycle.sweeps.plan import Plan, PlannedJob, differing, folder_of, unit_in

Compose = Callable[[list[str]], DictConfig]
"""Composes the overrides of a job, with the ``hydra`` node."""

PLAIN = re.compile(r"(?!hydra\b)[A-Za-z_][\w.]*")
"""Keys of fields: without packages, additions and deletions."""


def plan(all_words: Sequence[list[str]], compose: Compose, command: str) -> Plan:
    """Return the sweep of these jobs.

    Args:
        all_words: the overrides of each combination of swept values.
        compose: composes a configuration from overrides.
        command: the command line, for the record.

    Raises:
        RequestError: a combination cannot be composed, or its seeds or folds cannot be met.
    """
    requests, varied, words = [], [], []
    for request, own in zip(composed(all_words, compose, command), differing(all_words), strict=True):
        for one, values in grid.runs_of(request):
            requests.append(one)
            varied.append(values)
            words.append((*map(masked_word, own), *typed(values)))
    grid.check(requests)
    first = requests[0]
    signed = Signatures()
    jobs = _without_repeats(
        [signed.job(number, request, words[number], varied[number]) for number, request in enumerate(requests)]
    )
    settings: SweepConfig = build(first.config, "sweep")
    name = signature.sweep_name([job.signature for job in jobs])
    verbose: int = first.config.verbose
    return Plan(name, command, first.tracking, settings, verbose, folder_of(first.tracking, name), tuple(jobs))


def typed(values: dict[str, int]) -> list[str]:
    """Return the overrides of seed and fold as they would be typed."""
    return [f"{name if name == 'seed' else f'cv.{name}'}={value}" for name, value in values.items()]


def composed(all_words: Sequence[list[str]], compose: Compose, command: str) -> list[Request]:
    """Return the request of each job.

    To compose a configuration takes Hydra 0.1 s or more. Most jobs differ from the one before in plain values only,
    which are set in a copy of its configuration.
    """
    found: list[Request] = []
    base: DictConfig | None = None
    with_hydra: Any = None
    known: Sequence[str] = ()
    for words in all_words:
        try:
            if base is None or not _set_values(base, known, words):
                composed = compose(words)
                with_hydra = composed.hydra
                base = without(composed, "hydra")
            found.append(request_of(copied(base), with_hydra, command, words))
        except COMPOSING as error:
            raise explain(error, list(words)) from error
        known = words
    return found


def _set_values(config: DictConfig, known: Sequence[str], words: Sequence[str]) -> bool:
    """Set the values in which two jobs differ; return whether that is all the difference."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    changed = [(before, word) for before, word in zip(known, words, strict=False) if before != word]
    if len(known) != len(words) or not all(_is_plain(before, word, words) for before, word in changed):
        return False
    parsed = OverridesParser.create().parse_overrides([word for _, word in changed])
    # A mapping would be merged into that of the job before, and null would not be checked.
    if any(override.value() is None or isinstance(override.value(), dict) for override in parsed):
        return False
    for override in parsed:
        OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
    return True


def _is_plain(before: str, word: str, words: Sequence[str]) -> bool:
    """Return whether a word only gives the value of a field, independently of all other words."""
    key = word.partition("=")[0]
    others = [other.partition("=")[0].lstrip("+~") for other in words if other != word]
    # Of two words for one field, the later counts.
    overlaps = any(other == key or other.startswith(f"{key}.") or key.startswith(f"{other}.") for other in others)
    is_field = PLAIN.fullmatch(key) is not None and key not in (*CHOICES, EXPERIMENT)
    # An interpolation is resolved in place later, so that a value set here might come too late for it.
    return before.partition("=")[0] == key and is_field and not (overlaps or "$" in word)


def _without_repeats(jobs: Sequence[PlannedJob]) -> list[PlannedJob]:
    """Return each job once: the same signature twice is the same run."""
    once = {job.signature: job for job in reversed(jobs)}
    kept = [job for job in jobs if once[job.signature] is job]
    return [replace(job, number=number) for number, job in enumerate(kept)]


class Signatures:
    """Signs jobs. What several have in common is read once: their data, and the versions of their code."""

    def __init__(self) -> None:
        self._data: dict[str, str] = {}
        self._code: dict[tuple[str, str], dict[str, str]] = {}

    def job(self, number: int, request: Request, words: tuple[str, ...], varied: dict[str, int]) -> PlannedJob:
        """Return a job of a request.

        Args:
            number: of the job.
            request: of its run.
            words: overrides in which it differs from the other jobs.
            varied: its seed, repetition and fold, where the sweep varies them.
        """
        record = request_record.record_of(request)
        data, code = self.of(request, record)
        signed = signature.signature_of(record, data, code)
        return PlannedJob(
            number, words, varied, signature.configuration_of(record), signed, data, code, record, unit_in(record)
        )

    def of(self, request: Request, record: dict[str, Any]) -> tuple[str, dict[str, str]]:
        """Return the digest of the data and the code of a request; empty for one that cannot be met."""
        try:
            with hiding(request.hidden):
                job = resolve(request)
        except RequestError:
            return "", {}
        plugins = (job.model_name, job.data_kind)
        if plugins not in self._code:
            self._code[plugins] = signature.code_of(job)
        return self._data_of(job, record), self._code[plugins]

    def _data_of(self, job: Job, record: dict[str, Any]) -> str:
        cv: CvConfig = build(job.request.config, "cv")
        split = [cv.folds, cv.repeats, job.seed] if cv.folds is not None else []
        key = json.dumps([record["config"]["data"], split], sort_keys=True, default=str)
        if key not in self._data:
            try:
                with hiding(job.request.hidden):
                    # Before the digest, which says nothing of classes and folds.
                    if cv.folds is not None:
                        check_can_be_folded(job.data, job.seed, cv.folds, cv.repeats)
                    self._data[key] = signature.data_digest(job)
            except LifecycleError:
                if cv.folds is not None:
                    raise
                self._data[key] = ""  # the job will fail with the same error, which is recorded
        return self._data[key]
