"""Names of files and tags of runs and saved models that several packages use."""

DATA = "data.sha256"
"""Tag of a run, and key of a saved model's provenance: the digest of the data."""

VALIDATION, TEST = "split.validation.sha256", "split.test.sha256"
"""Likewise: the digests of the validation and test rows; see :func:`lifecycle.runtime.digests.rows_digest`."""
