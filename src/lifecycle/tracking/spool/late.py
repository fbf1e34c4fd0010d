"""Creates a run that began while its database was locked, under the id that it began with."""

from __future__ import annotations

from contextlib import closing

from lifecycle.tracking.database import tables
from lifecycle.tracking.database.connection import MAX_WAIT, connect
from lifecycle.tracking.messages import CreateRun
from lifecycle.tracking.pages import names, tags
from lifecycle.tracking.provenance import commit
from lifecycle.tracking.store import Store, database_file


def insert(store: Store, message: CreateRun) -> None:
    """Write the rows of a run, unless they are there: MLflow chooses the id of a run itself.

    Raises:
        sqlite3.Error: the database cannot be written.
    """
    location = store.client.get_experiment(store.experiment_id).artifact_location
    uri = f"{location}/{message.run_id}/artifacts"
    experiment = int(store.experiment_id)
    name = names.free(store.folder, experiment, [message.name])[0] if message.is_numbered else message.name
    user = message.tags.get("mlflow.user", "unknown")
    run = tables.run_row(message.run_id, name, user, "RUNNING", (message.begun, None), uri, experiment)
    own = {**message.tags, **commit(), "mlflow.runName": name}
    with closing(connect(database_file(store.folder), to_write=True, wait=MAX_WAIT)) as database, database:
        tables.insert(database, "runs", [run], "IGNORE")
        listed = [(tags.stored(key), text, message.run_id) for key, text in own.items()]
        tables.insert(database, "tags", listed, "IGNORE")
