"""Drivers of databases that runs are sent to, without importing any."""

from __future__ import annotations

from importlib.util import find_spec

DRIVERS = {
    "postgresql": ("psycopg", "psycopg2", "pg8000"),
    "mysql": ("pymysql", "mysqldb"),
    "mssql": ("pyodbc", "pymssql"),
}
"""Dialect -> SQLAlchemy's names of its drivers; the first that is installed is used where an address names none."""

MODULES = {"mysqldb": "MySQLdb"}
"""Name of a driver -> its module, where they differ."""

PACKAGES = {
    "psycopg": "psycopg[binary]",
    "psycopg2": "psycopg2-binary",
    "pymysql": "nn-lifecycle[mysql]",
    "mysqldb": "mysqlclient",
}
"""Name of a driver -> what pip installs, where they differ."""

DEFAULT = {"postgresql": "psycopg2"}
"""Dialect -> the driver to install where there is none, if it is not the first."""


def split(address: str) -> tuple[str, str]:
    """Return the dialect and the driver that an address names; "": it names none.

    >>> split("postgres://host/db"), split("mysql+pymysql://host/db"), split("https://host")
    (('postgresql', ''), ('mysql', 'pymysql'), ('https', ''))
    """
    dialect, _, driver = address.partition(":")[0].strip().lower().partition("+")
    return "postgresql" if dialect == "postgres" else dialect, driver


def driver_of(address: str) -> str:
    """Return the driver of an address, the first that is installed where it names none; "": there is none."""
    dialect, named = split(address)
    return named or next((name for name in DRIVERS.get(dialect, ()) if is_installed(name)), "")


def missing(address: str) -> str | None:
    """Return the driver to install before an address can be used; ``None``: it can.

    >>> missing("https://host:5000") is None
    True
    """
    dialect, named = split(address)
    known = DRIVERS.get(dialect)
    if known is None or is_installed(driver_of(address)):
        return None
    return named or DEFAULT.get(dialect, known[0])


def is_installed(driver: str) -> bool:
    """Return whether the module of a driver can be imported; "": there is no driver."""
    return bool(driver) and find_spec(MODULES.get(driver, driver)) is not None
