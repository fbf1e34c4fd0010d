"""Names of the files and tags that a run and a saved model consist of."""

DATA = "data.sha256"
"""Tag of a run, and key of a saved model's provenance: the digest of the data."""

VALIDATION, TEST = "split.validation.sha256", "split.test.sha256"
"""Digests of the rows that validate and test, see :func:`lifecycle.runtime.digests.rows_digest`: likewise."""
