"""Names of the files and tags that a run and a saved model consist of. Runs of earlier versions have the same."""

# In tracking.dir.
DATABASE = "mlflow.db"
ARTIFACTS = "artifacts"
CHECKPOINTS = "checkpoints"
LOCK = ".lock"
SPOOL = "spool"
"""Journals of runs whose database lacks a part of them."""

OUTBOX = "outbox"
"""Runs that a server does not have in full."""

SWEEPS = "sweeps"
SWEEP_PAGE = "sweep.html"

# In sweeps/<name>.
JOBS = "jobs.jsonl"
CLAIMS = "claims"
"""Locks of the processes of a search; in sweeps itself, of the jobs of all sweeps."""
STUDY = "study.journal"

# A saved model.
MANIFEST = "lifecycle.json"
WEIGHTS = "weights.safetensors"
PREPROCESSING = "preprocessing.skops"

# In the folder of a run's checkpoints.
BEST_CHECKPOINT = "best.ckpt"
LAST_CHECKPOINT = "last.ckpt"

# Artifacts of a run.
REQUEST = "request.json"
CONFIG = "config.yaml"
AUDIT = "audit.json"
REQUIREMENTS = "requirements.txt"
HISTORY = "history.csv"
PREDICTIONS = "predictions.csv"
SCORES = "scores.csv"
BASELINES = "baselines.csv"
CURVES = "curves.png"
MODEL_DIAGRAM = "model.svg"
TAGS = "tags.json"
"""All tags of a run, as MLflow's page of the run shows few."""

PROFILE_TABLE = "profile.csv"
PROFILE_PAGE = "profile.html"
ERROR_TRACE = "error.txt"
DIGESTS = "files.sha256"
"""On a server only: the SHA-256 of each artifact, as `sha256sum -c` reads it."""
SAVED = "saved"
"""The saved model of a run that has no MLflow model yet."""
MODEL_LATER = "mlflow_model.json"
"""What an MLflow model of it needs in addition."""

NOTE = "mlflow.note.content"
"""MLflow's tag of the description of a run, in Markdown."""

# Tags of a run. The digests are also keys of a saved model's provenance.
COMMAND = "lifecycle.command"
OVERRIDES = "lifecycle.overrides"
MODEL = "lifecycle.model"
DATA_NAME = "lifecycle.data"
NOT_RECORDED = "lifecycle.not_recorded"
"""Which Python objects a run depends on that its record lacks, so that it cannot be repeated."""
READING = "lifecycle.reading"
"""How the text file of the data is read."""
SWEEP = "lifecycle.sweep"
ROLE = "lifecycle.role"
"""Tag of a run that is no fit: ``sweep`` of the summary of a sweep."""
SIGNATURE = "lifecycle.signature"
CONFIGURATION = "lifecycle.configuration"
"""Digest of a configuration without seed and fold."""
ATTEMPT = "lifecycle.attempt"
VECTORISED = "lifecycle.vectorised"
"""Number of fits in the group in which a run was fitted."""
STATUS = "lifecycle.status"
PRUNED = "pruned"
"""Value of :data:`STATUS` of a run that its search ended early: MLflow shows it as FINISHED, and it has no model."""
ERROR = "lifecycle.error"
ERROR_BEFORE = "lifecycle.error_before"
RESUMED = "lifecycle.resumed"
DAMAGED = "lifecycle.damaged_journal"
"""How much of what a run has recorded was lost, as its disk has changed it."""
FINISHED_FROM = "lifecycle.finished_from"
RUN_ID = "lifecycle.run_id"
"""Of a run on a server: its id in the folder that it was recorded in."""
SERVER, SERVER_RUN = "lifecycle.server", "lifecycle.server_run"
"""Of a run in a folder: the server that has it too, and its id there."""
HEARTBEAT = "lifecycle.heartbeat"
"""Of a RUNNING run on a server: host, process and seconds since 1970, once a minute."""
SUSPECTED = "lifecycle.suspected"
"""Of a RUNNING run on a server without a recent heartbeat: when that was noticed first, in seconds since 1970."""
RERUN_OF = "lifecycle.rerun_of"
MAX_EPOCHS = "lifecycle.max_epochs"
BATCH_SIZE = "lifecycle.batch_size"
HIGHER_IS_BETTER = "lifecycle.higher_is_better"

AUDIT_TAG = "lifecycle.audit"
"""What was found in the data before training, in one line."""

SPLIT_TAG = "lifecycle.split"
"""How the rows were divided, where not as usual."""

SPLIT_ROWS = "lifecycle.split_rows"
"""Numbers of training, validation and test rows, as ``120,15,15``."""

TASK_TAG = "lifecycle.task"
"""Which task was inferred for a target of few different whole numbers, and the option for the other."""

INFERRED = "lifecycle.inferred"
"""What the data plugin found in the training rows, as a sentence."""

DATA_DIGEST = "data.sha256"
"""Of the file or the rows."""

TEST_FILE_DIGEST = "data.test_path.sha256"
"""Of the rows of a separate file of test rows."""

VALIDATION_DIGEST, TEST_DIGEST = "split.validation.sha256", "split.test.sha256"
"""Of the validation and test rows; see :func:`lifecycle.data.digests.rows_digest`."""


def folder_of_experiment(name: str) -> str:
    """Return the folder of an experiment's artifacts, relative to that of all artifacts.

    >>> folder_of_experiment("iris"), folder_of_experiment("/Users/me/iris")
    ('iris', 'Users/me/iris')
    """
    return name.strip("/")
