"""Data sets of OpenML, which scikit-learn fetches into the cache folder and verifies by their digests."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING
from urllib.error import HTTPError

from lifecycle.data.sources.downloads import folder
from lifecycle.errors import RequestError, Setting, first_line
from lifecycle.runtime.lines import say

if TYPE_CHECKING:
    import pandas as pd


def read(number: str, key: Setting) -> pd.DataFrame:
    """Return the rows of a data set; columns that OpenML marks as row identifiers are no part of them.

    Args:
        number: of the data set, as in the address of its page.
        key: for messages.

    Raises:
        RequestError: there is no such data set, or no connection.
    """
    if not number.isdigit():
        remedy = "Search https://www.openml.org for the data set; its number is in the address of its page."
        raise RequestError(key, "must end in the number of a data set", remedy=remedy)
    from sklearn.datasets import fetch_openml

    home = folder() / "openml"  # scikit-learn adds this name
    if not (home / "openml.org" / "api" / "v1" / "json" / "data" / f"{number}.gz").exists():
        say(f"Downloading openml:{number} to {home}", file=sys.stderr, flush=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of retries, and of data sets that have a newer version
            found = fetch_openml(data_id=int(number), data_home=str(folder()), parser="pandas", n_retries=1, delay=0.1)
    except HTTPError as error:
        problem = f"could not be fetched: the server answers {error.code} {error.reason}"
        raise RequestError(key, problem, remedy="Check the number.") from error
    except OSError as error:
        reason = getattr(error, "reason", error)
        remedy = "Check the connection."
        raise RequestError(key, f"could not be fetched: {reason}", remedy=remedy) from error
    except (ValueError, KeyError) as error:  # OpenMLError is a ValueError
        raise RequestError(key, f"cannot be read: {first_line(error)}", remedy="Check the number.") from error
    frame: pd.DataFrame = found.frame
    return frame
