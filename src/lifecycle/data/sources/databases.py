"""Rows of databases: SQLite files, and any that SQLAlchemy knows; they are only read."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lifecycle.data.formats import names
from lifecycle.data.sources.addresses import fetch
from lifecycle.errors import RequestError, Setting, Text, did_you_mean, first_line, said_by_driver

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import URL, Engine

MAGIC = b"SQLite format 3\0"
"""The first bytes of an SQLite file, unless it is empty."""

TABLES = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' ORDER BY name"
READ_ONLY = {
    "postgresql": "SET TRANSACTION READ ONLY",
    "oracle": "SET TRANSACTION READ ONLY",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
}
"""Dialect -> the statement after which a transaction cannot write; all are rolled back."""

DRIVERS = {
    "postgresql": ("psycopg", "psycopg2", "pg8000"),
    "mysql": ("mysqldb", "pymysql", "mysqlconnector"),
    "mariadb": ("mysqldb", "pymysql", "mariadbconnector"),
    "mssql": ("pyodbc", "pymssql"),
    "oracle": ("oracledb", "cx_oracle"),
}
"""Dialect -> SQLAlchemy's names of its drivers; where an address names none, the first that is installed is used."""

PACKAGES = {
    "psycopg": "psycopg[binary]",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "nn-lifecycle[mysql]",  # needs no compiler
    "mysql": "mysql-connector-python",
    "cx_Oracle": "oracledb",
}
"""Module of a driver -> what pip installs, where the names differ."""

NAMED = {"MySQLdb": "mysqlclient"}
"""Likewise of a driver that the address names."""

_TO_FILE = re.compile(r"\bINTO\s+(?:OUTFILE|DUMPFILE)\b", re.IGNORECASE)
_COMMENT = re.compile(r"--[^\n]*|/\*(?!M?!).*?\*/", re.DOTALL)  # MySQL executes what is in /*! ... */
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`")


def is_address(path: str) -> bool:
    """Return whether a path is the address of a database, such as ``postgresql://host/name``."""
    scheme = names.scheme_of(path)
    return scheme is not None and scheme != "file" and not fetch.is_remote(path)


def of_file(file: Path, query: str | None, key: Setting) -> pd.DataFrame:
    """Return rows of an SQLite file, which is opened for reading only.

    Args:
        file: the file.
        query: a SELECT statement, or the name of a table; ``None``: all rows of the only table.
        key: of the file, for messages.

    Raises:
        RequestError: it is no SQLite file, there are several tables, or the statement cannot be used.
    """
    with file.open("rb") as stream:
        if stream.read(len(MAGIC)) not in (MAGIC, b""):
            raise RequestError(key, "is no SQLite file", remedy="Give a file of rows.")
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file.resolve()))}?mode=ro", uri=True)) as connection:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("PRAGMA trusted_schema = OFF")  # a file of someone else's must not call functions
            tables = [name for (name,) in connection.execute(TABLES)]
            cursor = connection.execute(_statement(tables, query, key, lambda name: _in_quotes(name, '"')))
            return _frame([column[0] for column in cursor.description], cursor.fetchall(), key)
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise _refused(query, key, error) from error


def of_address(address: str, query: str | None, key: Setting) -> pd.DataFrame:
    """Return rows of a database that SQLAlchemy knows, in a transaction that is rolled back.

    Args:
        address: such as ``postgresql://me:${oc.env:PW}@host/name``.
        query: as for :func:`of_file`.
        key: of the address, for messages.

    Raises:
        RequestError: a package is missing, there is no connection, or the statement cannot be used.
    """
    try:
        import sqlalchemy
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError as error:
        remedy = "Type pip install 'nn-lifecycle[sql]'."
        raise RequestError(key, "is a database, which needs SQLAlchemy", remedy=remedy) from error
    engine = _engine(address, key)
    try:
        with _read_only(engine, key) as connection:
            inspector = sqlalchemy.inspect(connection)
            tables = sorted([*inspector.get_table_names(), *inspector.get_view_names()])
            statement = _statement(tables, query, key, engine.dialect.identifier_preparer.quote)
            # As it is: in text(), a colon would begin a parameter, and with parameters a percent sign.
            result = connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
            return _frame(list(result.keys()), result.fetchall(), key)
    except SQLAlchemyError as error:
        raise _refused(query, key, getattr(error, "orig", None) or error) from error
    finally:
        engine.dispose()


def _engine(address: str, key: Setting) -> Engine:
    import sqlalchemy
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    # SQLAlchemy refuses the name that hosts of PostgreSQL write.
    address = f"postgresql://{address.partition('://')[2]}" if address.startswith("postgres://") else address
    try:
        url = sqlalchemy.make_url(address)
        if url.get_backend_name() == "sqlite":
            file = Path(url.database or "").expanduser()
            if not file.is_file():
                raise names.no_file(key, file)
            path = f"file:{quote(str(file.resolve()))}?mode=ro&uri=true"
            return sqlalchemy.create_engine(f"sqlite:///{path}", poolclass=sqlalchemy.NullPool)
        return _with_a_driver(url)
    except NoSuchModuleError as error:
        scheme = names.scheme_of(address)
        remedy = "Give https://, s3://, gs:// or an address of SQLAlchemy's, such as postgresql://host/name."
        raise RequestError(key, f"begins with {scheme}://, which is not known", remedy=remedy) from error
    except ImportError as error:
        package = {**PACKAGES, **(NAMED if "+" in url.drivername else {})}.get(error.name or "", error.name)
        remedy = f"Install the driver of the database: pip install '{package}'." if package else "Install its driver."
        raise RequestError(key, f"needs a driver: {first_line(error)}", remedy=remedy) from error
    except (ArgumentError, ValueError) as error:
        remedy = "Write it as in postgresql://me@host:5432/name."
        raise RequestError(key, "is no address of a database", remedy=remedy) from error


def _with_a_driver(url: URL) -> Engine:
    """Return the engine of an address, with a driver that is installed where the address names none.

    Raises:
        ImportError: there is none.
    """
    import sqlalchemy

    others = () if "+" in url.drivername else DRIVERS.get(url.drivername, ())
    drivers = [url, *(url.set(drivername=f"{url.drivername}+{name}") for name in others)]
    missing: list[ImportError] = []
    for one in drivers:
        try:
            return sqlalchemy.create_engine(one, poolclass=sqlalchemy.NullPool)
        except ImportError as error:
            missing.append(error)
    raise missing[0]  # of the driver that SQLAlchemy prefers


@contextmanager
def _read_only(engine: Engine, key: Setting) -> Iterator[Any]:
    from sqlalchemy.exc import DBAPIError

    try:
        opened = engine.connect()
    except DBAPIError as error:
        raise _refused(None, key, error.orig or error) from error
    with opened as connection:
        try:
            if statement := READ_ONLY.get(engine.dialect.name):
                connection.exec_driver_sql(statement)
            if engine.dialect.name in ("mysql", "mariadb"):
                connection.rollback()  # the statement holds for the next transaction
            yield connection
        finally:
            connection.rollback()


def _statement(tables: Sequence[str], query: str | None, key: Setting, quoted: Any) -> str:
    """Return the statement that a query stands for."""
    if query is None:
        if not tables:
            raise RequestError(key, "has no table", remedy="Give a database with rows.")
        if len(tables) > 1:
            tables_named: Text = ["Add ", Setting(_field(key), tables[0]), f", or {_field(key)}='SELECT ...'."]
            raise RequestError(key, f"has the tables {', '.join(tables)}", remedy=tables_named)
        query = tables[0]
    if query in tables:
        return f"SELECT * FROM {quoted(query)}"  # noqa: S608 - the name of a table of the database
    setting = Setting(_field(key), query)
    bare = _QUOTED.sub("''", _COMMENT.sub(" ", query)).strip().rstrip(";").strip()
    if len(bare.split()) == 1:
        remedy = f"{did_you_mean(query, tables)} Tables: {', '.join(tables) or 'none'}."
        raise RequestError(setting, "is no table", remedy=remedy)
    if ";" in bare:
        raise RequestError(setting, "has more than one statement", remedy="Give one SELECT statement.")
    if bare.split()[0].upper() not in ("SELECT", "WITH") or _TO_FILE.search(bare):
        raise RequestError(
            setting, "is no SELECT statement", remedy=f"Databases are only read: use {_field(key)}='SELECT ...'."
        )
    return query


def _frame(columns: Sequence[str], rows: Sequence[Any], key: Setting) -> pd.DataFrame:
    import pandas as pd

    repeated = [name for name in columns if list(columns).count(name) > 1]
    if repeated:
        problem, remedy = f"returns the column {repeated[0]} twice", f"Rename one in {_field(key)} with AS."
        raise RequestError(key, problem, remedy=remedy)
    if not rows:
        raise RequestError(key, "returns no rows", remedy=f"Change {_field(key)}.")
    for place, name in enumerate(columns):
        if any(isinstance(row[place], bytes | memoryview) for row in rows):
            raise RequestError(key, f"holds bytes in column {name}", remedy=f"Leave it out in {_field(key)}.")
    # coerce_float: of decimal numbers.
    return pd.DataFrame.from_records([tuple(row) for row in rows], columns=list(columns), coerce_float=True)


def _refused(query: str | None, key: Setting, error: BaseException) -> RequestError:
    remedy = "Check the address and the connection." if query is None else "Fix the statement."
    subject = key if query is None else Setting(_field(key), query)
    return RequestError(subject, f"cannot be read: {said_by_driver(error) or first_line(error)}", remedy=remedy)


def _field(key: Setting) -> str:
    """Return the option that holds the statement: of a run, or of ``lifecycle predict``."""
    return f"{key.key.removesuffix('path').removesuffix('input')}query"


def _in_quotes(name: str, quote_sign: str) -> str:
    return f"{quote_sign}{name.replace(quote_sign, quote_sign * 2)}{quote_sign}"
