"""The 46 faults of docs/reliability.md: what is done to a run, and what must come of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """A row of the table."""

    fault: str
    outcome: str


GROUPS: dict[str, dict[int, Fault]] = {
    "Crash and resume": {
        1: Fault("`kill -9` at the end of an epoch", "`resume` gives the weights of a run that was not interrupted"),
        2: Fault("`kill -9` within an epoch, at 20 random moments", "the same, 20 times"),
        3: Fault("SIGTERM", "exit code 143, KILLED, `last.ckpt` is written"),
        4: Fault("Ctrl-C", "exit code 130, KILLED, `last.ckpt` is written"),
        5: Fault("`kill -9` while a checkpoint is written", "no damaged checkpoint; the one before it loads"),
        6: Fault("`last.ckpt` is missing", "refused; the command that finishes the run with `best.ckpt` is printed"),
        7: Fault("`last.ckpt` is cut short or has a flipped bit", "refused by its SHA-256; `best.ckpt` is offered"),
        8: Fault("`resume` with other settings", "refused, with the old and the new value"),
        9: Fault("a run is interrupted again and again", "few epochs are fitted twice; the same result"),
        10: Fault("a RUNNING run whose process is gone", "KILLED as soon as the database is opened again"),
    },
    "Tracking outage": {
        11: Fault("the server is down at the start", "exit code 0; the run is recorded here, and sent later"),
        12: Fault("the server stops during a run, or restarts", "training completes; no point is lost"),
        13: Fault("the server hangs, answers 500 or 429, or cuts connections", "training does not wait for it"),
        14: Fault("points sent twice", "as many points as were logged, none of them twice"),
        15: Fault("an artifact cannot be uploaded", "it stays here and is sent again; the run is named as pending"),
    },
    "Concurrency": {
        16: Fault("four processes begin in an empty folder at once", "each run is FINISHED"),
        17: Fault("8 processes log 200 points each", "1,600 points"),
        18: Fault("another process has locked the database for 90 s", "exit code 0; nothing is lost"),
        19: Fault("a network disk without working locks", "the run is recorded, with a warning that names the cure"),
    },
    "Sweeps": {
        20: Fault("one job raises", "the others are FINISHED; exit code 1, and the leader board"),
        21: Fault("one job calls `sys.exit`, or is killed for memory", "the others are FINISHED; exit code 1"),
        22: Fault("the loss of one job is NaN", "that run is FAILED; the others are FINISHED"),
        23: Fault("a job fails each time that it is tried", "tried once more and then given up"),
        24: Fault("a sweep is started again", "jobs that are done are not run again"),
    },
    "Bad data": {
        25: Fault("a row with more or fewer cells than the header", "exit code 2, with the number of the line"),
        26: Fault("another encoding, an empty file, a header alone", "exit code 2"),
        27: Fault("NaN or infinity in a feature", "NaN is counted and filled; infinity: exit code 2, column and row"),
        28: Fault("NaN or infinity in the target", "exit code 2, with column, count and first row"),
        29: Fault("no target column, one class", "exit code 2"),
        30: Fault("a category or a label that training has not seen", "the category is counted; the label is refused"),
        31: Fault("columns are missing or in another order at prediction", "found by name; a missing one: exit code 2"),
        32: Fault("a column twice, huge whole numbers, text among numbers", "exit code 2, or a finding with the value"),
        33: Fault("an archive that writes elsewhere, or is a bomb", "exit code 2; nothing is written"),
    },
    "Bad configuration": {
        34: Fault("a misspelt key, `+key`, a group replaced by a value", "exit code 2, with the nearest name"),
        35: Fault("nan, infinity, negative or of another type", "exit code 2 before any data are read"),
        36: Fault("a YAML file with an alias bomb or with a key twice", "exit code 2, without expanding it"),
    },
    "Untrusted files": {
        37: Fault("a checkpoint that runs code (file, address, `_instantiator`)", "refused; nothing is run"),
        38: Fault("an evil `.pt2`, an MLmodel with `code/`", "refused; nothing is run"),
        39: Fault("an evil `_target_`", "refused; nothing is run"),
        40: Fault("DNS rebinding, CORS and traversal of paths at a server", "refused"),
        41: Fault("secrets in the environment", "none in the store, the saved model, the journal or on the screen"),
    },
    "Resources": {
        42: Fault(
            "a disk of 2 MB becomes full, in each phase",
            "FAILED with one message; `last.ckpt` loads, `resume` completes",
        ),
        43: Fault("memory does not suffice", "exit code 1 or 2, FAILED, with what to lower"),
        44: Fault("the loss becomes NaN", "exit code 1, FAILED; the weights of `last.ckpt` are finite"),
    },
    "Reproducibility": {
        45: Fault("the same command twice", "the same weights, bit for bit"),
        46: Fault("other numbers of workers or threads", "workers: the same weights; threads: within 1e-6"),
    },
}

FAULTS: dict[int, Fault] = {number: fault for group in GROUPS.values() for number, fault in group.items()}
