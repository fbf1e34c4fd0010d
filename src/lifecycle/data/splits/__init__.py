"""Division of samples into training, validation and test samples, and into folds."""

from lifecycle.data.splits.folds import check_folds, chronological_fold, folded
from lifecycle.data.splits.holdout import LAST, RANDOM, chronological, draw, stratified
from lifecycle.data.splits.rules import ByColumns, Shuffled
from lifecycle.data.splits.shares import Shares

__all__ = [
    "LAST",
    "RANDOM",
    "ByColumns",
    "Shares",
    "Shuffled",
    "check_folds",
    "chronological",
    "chronological_fold",
    "draw",
    "folded",
    "stratified",
]
