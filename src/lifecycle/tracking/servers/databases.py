"""Databases that runs are sent to without a server: how long they are waited for."""

from __future__ import annotations

from urllib.parse import urlencode

from lifecycle.config.database_drivers import driver_of, split

LIBPQ = {"connect_timeout": 10, "tcp_user_timeout": 60_000, "keepalives_idle": 30, "keepalives_interval": 10}
OF_MYSQL = {"connect_timeout": 10, "read_timeout": 60, "write_timeout": 60}
OPTIONS = {"psycopg": LIBPQ, "psycopg2": LIBPQ, "pymysql": OF_MYSQL, "mysqldb": OF_MYSQL}
"""Driver -> options that end the wait for a database that has gone without a word."""


def with_driver(address: str) -> str:
    """Return the address of a database with a driver that is installed, where it names none, and with its options.

    >>> with_driver("http://host:5000"), with_driver("sqlite:///a.db")
    ('http://host:5000', 'sqlite:///a.db')
    >>> with_driver("mysql+pymysql://host/db?read_timeout=5")
    'mysql+pymysql://host/db?read_timeout=5&connect_timeout=10&write_timeout=60'
    """
    dialect, driver = split(address)[0], driver_of(address)
    if not driver:
        return address
    rest = address.partition(":")[2]
    new = {key: value for key, value in OPTIONS.get(driver, {}).items() if f"{key}=" not in rest}
    sign = "&" if "?" in rest else "?"
    return f"{dialect}+{driver}:{rest}{sign if new else ''}{urlencode(new)}"


def check(address: str) -> None:
    """Connect to a database once: MLflow tries for 100 s before it says why it cannot.

    Args:
        address: as :func:`with_driver` returns it; a server's, or that of an SQLite file, is not looked at.

    Raises:
        Exception: the driver's own.
    """
    if not split(address)[1]:
        return
    import sqlalchemy
    from sqlalchemy.exc import DBAPIError

    engine = sqlalchemy.create_engine(address, poolclass=sqlalchemy.NullPool)
    try:
        engine.connect().close()
    except DBAPIError as error:
        raise error.orig or error from error
    finally:
        engine.dispose()
