"""Groups runs whose scores were computed on the same rows, as only those can be ranked, and finds the best of them.

The lowest of several validation losses on different rows is that of the easiest rows. Runs record digests of their
split, see :mod:`lifecycle.tracking.provenance`; for runs older than that, equal data, seed and split parameters imply
equal splits. Imports no torch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

from lifecycle import layout
from lifecycle.errors import COMMAND_LINE, RequestError, Setting, did_you_mean
from lifecycle.layout import DATA_DIGEST, TEST_DIGEST, VALIDATION_DIGEST

UNKNOWN = "unknown"
"""Prefix of the key of a run whose rows are unknown; such keys are unique."""

BY_VALIDATION = ("kept_val_", "val_")
BY_TEST = ("test_", "evaluate_test_")

SEED, SPLIT_SEED = "seed", "data.split_seed"
UNITS = (SEED, SPLIT_SEED, "cv.repeat", "cv.fold")
"""Parameters in which the runs of one configuration differ."""
SIZES = ("data.test_size", "data.val_size", "data.validation_split", "data.test_rows")
NOT_OF_THE_SPLIT = (
    *("data.path", "data.drop", "data.missing_zeros", "data.scaling", "data.scale_target", "data.memory_gb"),
    *("data.shape", "data.max_value", "data.season", SPLIT_SEED),
)
"""Fields of data that do not affect which rows validate."""


class Recorded(Protocol):
    """The part of a run that is read: MLflow's ``run.data``, or a :class:`lifecycle.tracking.found_run.FoundRun`."""

    @property
    def params(self) -> dict[str, str]:
        """Parameters."""
        ...

    @property
    def metrics(self) -> dict[str, float]:
        """Scores."""
        ...

    @property
    def tags(self) -> dict[str, str]:
        """Tags."""
        ...


DEFAULTS = ("kept_val_loss", "test_loss", "training_set_loss")
"""The metric of ``best`` where none is named: the first that all runs have. Test scores come last."""

OF_FOLDS = ("test_loss", "kept_val_loss")
"""The same in cross-validation, where each row is a test row once."""


def row_sets(runs: Sequence[Recorded], metric: str) -> list[str]:
    """Return a key for each run; two keys are equal if the score was computed on the same rows.

    Args:
        runs: in any order.
        metric: the score: of validation rows (``kept_val_loss``), test rows (``test_loss``), other rows that were
            scored later (``evaluate_<name>_loss``), or training rows (all others).
    """
    # A run without digests has the digests of a run with the same recipe: both drew the same split.
    known = {recipe: _digests(run) for run in runs if _digests(run) and (recipe := _recipe(run))}
    return [_rows(run, metric, known) or f"{UNKNOWN}:{at}" for at, run in enumerate(runs)]


def _rows(run: Recorded, metric: str, known: dict[str, dict[str, str]]) -> str | None:
    if (other := _evaluated(run, metric)) is not None:
        return other
    recipe = _recipe(run)
    digests = _digests(run) or known.get(recipe or "")
    if digests and DATA_DIGEST in run.tags:
        return " ".join([run.tags[DATA_DIGEST], *(digests[name] for name in digests_of(metric))])
    return recipe


def digests_of(metric: str) -> tuple[str, ...]:
    """Return the digests that identify the rows of a score; training rows are those in neither held-out part."""
    if metric.startswith(BY_VALIDATION):
        return (VALIDATION_DIGEST,)
    return (TEST_DIGEST,) if metric.startswith(BY_TEST) else (VALIDATION_DIGEST, TEST_DIGEST)


def _evaluated(run: Recorded, metric: str) -> str | None:
    """Return the digest of external rows that the score is of; ``None``: it is of the run's own rows."""
    found = [tag for tag in run.tags if tag.startswith("evaluate.") and tag.endswith(".sha256")]
    names = [tag.removeprefix("evaluate.").removesuffix(".sha256") for tag in found]
    fitting = [
        name for name in names if metric.startswith(f"evaluate_{name}_") and name not in ("test", "training_set")
    ]
    # The longest: one name may begin another, as in evaluate_new_loss and evaluate_new_2_loss.
    return run.tags[f"evaluate.{max(fitting, key=len)}.sha256"] if fitting else None


def _digests(run: Recorded) -> dict[str, str]:
    return (
        {name: run.tags[name] for name in (VALIDATION_DIGEST, TEST_DIGEST)}
        if {VALIDATION_DIGEST, TEST_DIGEST} <= set(run.tags)
        else {}
    )


def _recipe(run: Recorded) -> str | None:
    """Return what determined the split, if recorded: equal values have equal splits."""
    params = run.params
    if DATA_DIGEST not in run.tags or SEED not in params or _has_validation_data(run):
        return None
    fields = {
        name: value
        for name, value in params.items()
        if name.startswith("data.") and name not in NOT_OF_THE_SPLIT and value != "None"
    }
    # scikit-learn draws the split: another version may draw another one from the same seed.
    made_with = run.tags.get("version.scikit-learn")
    return json.dumps([run.tags[DATA_DIGEST], made_with, _split_seed(params), sorted(fields.items())])


def _split_seed(params: dict[str, str]) -> str | None:
    """Return the seed of a split; ``None`` for a series, which is split by time."""
    if "data.window" in params and "data.test_rows" not in params:
        return None
    own = params.get(SPLIT_SEED, "None")  # MLflow stores null as the text "None"
    return params.get(SEED) if own == "None" else own


def _has_validation_data(run: Recorded) -> bool:
    """Return whether a Python caller passed ``validation_data``, which no parameter records."""
    params = run.params
    shares = [params.get(name, "None") for name in ("data.val_size", "data.validation_split")]
    # Rows in memory, no share of them held out, and yet validation scores: they came from validation_data.
    in_memory = params.get("data.path") == "X" and not any(share not in ("None", "0", "0.0") for share in shares)
    return in_memory and any(name.startswith(BY_VALIDATION) for name in run.metrics)


def refusal(runs: Sequence[Recorded], sets: Sequence[str], metric: str) -> RequestError:
    """Return the error that says why ``run=best`` cannot choose, and what to do.

    Args:
        runs: the candidates.
        sets: their keys, as :func:`row_sets` returns them; at least two differ.
        metric: the score.
    """
    unknown = sum(key.startswith(UNKNOWN) for key in sets)
    if unknown:
        why = f"{unknown} of them did not record which {_kind(metric)} they have"
        remedy: list[str | Setting] = ["Train again"]
    else:
        why = f"they have {len(set(sets))} different sets of {_kind(metric)}{_cause(runs)}"
        remedy = _remedy(runs)
    sweep = _ranked_sweep(runs, sets)
    name = f"name a sweep of one split, sweep={sweep}" if sweep else "name the run (`lifecycle compare` groups them)"
    problem = f"cannot rank {len(runs)} runs by {metric}: {why}"
    return RequestError(Setting("run", "best"), problem, remedy=[*remedy, f", or {name}."])


def note(runs: Sequence[Recorded], sets: Sequence[str]) -> str | None:
    """Return a note on several splits of the same data; ``None``: each data set was split in one way."""
    by_data: dict[str, set[str]] = {}
    for run, key in zip(runs, sets, strict=True):
        by_data.setdefault(run.tags.get(DATA_DIGEST, ""), set()).add(key)
    if all(len(keys) < 2 for keys in by_data.values()):
        return None
    # One note only: that of the data set with the most splits.
    most = max(by_data, key=lambda digest: len(by_data[digest]))
    same_data = [run for run in runs if run.tags.get(DATA_DIGEST, "") == most]
    return (
        f"The runs have {len(by_data[most])} different splits of the same data{_cause(same_data)}: only runs with the "
        f"same rows are ranked. {COMMAND_LINE.text(_remedy(same_data))}."
    )


def _kind(metric: str) -> str:
    if metric.startswith(BY_VALIDATION):
        return "validation rows"
    if metric.startswith(BY_TEST):
        return "test rows"
    return "rows" if metric.startswith("evaluate_") else "training rows"


def _differing(runs: Sequence[Recorded]) -> list[str]:
    """Return the parameters that differ between runs and change the split, the likeliest first."""
    names = {name for run in runs for name in run.params if name.startswith("data.")} - set(NOT_OF_THE_SPLIT)
    seeds = {_split_seed(run.params) for run in runs}
    found = [name for name in sorted(names) if len({run.params.get(name) for run in runs}) > 1]
    return [*([SEED] if len(seeds) > 1 else []), *found]


def _cause(runs: Sequence[Recorded]) -> str:
    if len({run.tags.get(DATA_DIGEST) for run in runs}) > 1:
        return ", as the data differ"
    differing = _differing(runs)
    if differing[:1] == [SEED]:
        own = all(run.params.get(SPLIT_SEED, "None") != "None" for run in runs)
        return f", as {SPLIT_SEED} differs" if own else ", as seed draws the split too"
    return f", as {differing[0]} differs" if differing else ""


def _remedy(runs: Sequence[Recorded]) -> list[str | Setting]:
    if len({run.tags.get(DATA_DIGEST) for run in runs}) > 1:
        return ["Train them on the same data"]
    differing = _differing(runs)
    if differing[:1] == [SEED] and all(run.params.get("data.path") == "X" for run in runs):
        return ["Fit them with one split_seed, such as split_seed=0"]  # the runs are fits from Python
    if differing[:1] == [SEED]:
        return ["Train them with one ", Setting(SPLIT_SEED), ", such as ", Setting(SPLIT_SEED, 0)]
    if differing and differing[0] not in SIZES and any("data.window" in run.params for run in runs):
        sizes = Setting("data.val_size"), " and ", Setting("data.test_size")
        return ["Train them with ", *sizes, " as numbers of rows, such as 12"]
    return ["Train them with one ", Setting(differing[0])] if differing else ["Train them on one split"]


def _ranked_sweep(runs: Sequence[Recorded], sets: Sequence[str]) -> str | None:
    """Return the first sweep with several runs, all on the same rows."""
    by_sweep: dict[str, list[str]] = {}
    for run, key in zip(runs, sets, strict=True):
        by_sweep.setdefault(run.tags.get(layout.SWEEP, ""), []).append(key)
    fitting = [name for name, keys in by_sweep.items() if name and len(keys) > 1 and len(set(keys)) == 1]
    return fitting[0] if fitting else None


def best_of(runs: list[Any], metric: str | None, of_sweep: bool = False) -> Any:
    """Return the best run; of a sweep, one of the configuration with the best mean over its seeds or folds.

    Raises:
        RequestError: the runs have no common score, or scores of different rows.
    """
    data = sorted({run.data.tags.get(layout.DATA_NAME, "") for run in runs})
    # Scores of evaluate_* may be of one external data set even where the training data differ.
    if len(data) > 1 and not (metric or "").startswith("evaluate_"):
        raise RequestError(
            Setting("run", "best"),
            f"compares runs on the same data, and these are on {', '.join(data)}",
            remedy="Name a sweep=..., a tracking.experiment=... or the run itself.",
        )
    names = sorted({name for run in runs for name in run.data.metrics})
    if metric is None:
        in_order = DEFAULTS if "cv.fold" not in runs[0].data.params else OF_FOLDS
        metric = next((name for name in in_order if all(name in run.data.metrics for run in runs)), None)
        if metric is None:
            raise RequestError(
                Setting("run", "best"),
                f"has no score that all {len(runs)} runs have",
                remedy="Name one with metric=....",
            )
    # Reversed: of runs with equal scores, the one that started first is taken.
    having = [run for run in reversed(runs) if metric in run.data.metrics]
    if not having:
        scores = [name for name in names if name.startswith(("kept_", "test_", "training_set_"))]
        raise RequestError(
            Setting("metric", metric),
            "is a score of none of these runs",
            remedy=f"{did_you_mean(metric, names)} Scores: {', '.join(scores)}.",
        )
    better = bool(higher_is_better(json.loads(having[0].data.tags.get(layout.HIGHER_IS_BETTER, "{}")), metric))
    if of_sweep and (best := _best_configuration(having, metric, better)) is not None:
        having = best
    sets = row_sets([run.data for run in having], metric)
    if len(set(sets)) > 1:
        raise refusal([run.data for run in having], sets, metric)
    return sorted(having, key=lambda run: run.data.metrics[metric], reverse=better)[0]


def _best_configuration(runs: list[Any], metric: str, higher: bool) -> list[Any] | None:
    """Return runs of the configuration with the best mean over the same seeds or folds.

    Returns:
        All of its runs where they have the same rows, else the first one, as scores of different rows cannot be ranked;
        ``None`` where configurations were not run with the same seeds or folds on the same rows.
    """
    by_configuration: dict[str, dict[tuple[str | None, ...], Any]] = {}
    sets = row_sets([run.data for run in runs], metric)
    rows = {run.info.run_id: key for run, key in zip(runs, sets, strict=True)}
    for run in sorted(runs, key=lambda run: int(run.info.start_time)):
        unit = tuple(run.data.params.get(name) for name in UNITS)
        of = run.data.tags.get(layout.CONFIGURATION)
        if of is None:
            return None
        by_configuration.setdefault(of, {})[unit] = run
    # A configuration with fewer runs than others, of which some failed, cannot be the best.
    most = max(map(len, by_configuration.values()))
    whole = [found for found in by_configuration.values() if len(found) == most]
    if any(_rows_of(found, rows) != _rows_of(whole[0], rows) for found in whole):
        return None
    means = [sum(run.data.metrics[metric] for run in found.values()) / most for found in whole]
    found = whole[means.index(max(means) if higher else min(means))]
    best = [found[unit] for unit in sorted(found, key=_in_order)]
    return best if len({rows[run.info.run_id] for run in best}) == 1 else best[:1]


def _in_order(unit: tuple[str | None, ...]) -> list[int]:
    """Return the sorting key of a seed and fold."""
    return [int(value) if value is not None and value.isdigit() else -1 for value in unit]


def _rows_of(found: dict[tuple[str | None, ...], Any], rows: dict[str, str]) -> dict[tuple[str | None, ...], str]:
    return {unit: rows[run.info.run_id] for unit, run in found.items()}


def higher_is_better(directions: dict[str, bool], metric: str) -> bool | None:
    """Return whether a higher score is better, or ``None`` where that is unknown.

    Args:
        directions: by the name of the score, from the tag :data:`lifecycle.layout.HIGHER_IS_BETTER` of a run.
        metric: of any rows: ``test_accuracy``, ``evaluate_other_accuracy``.
    """
    if metric.endswith("_loss"):
        return False
    fitting = [name for name in directions if metric.endswith(f"_{name}")]
    # The longest: test_average_precision ends with the name of another metric, precision, too.
    return directions[max(fitting, key=len)] if fitting else None
