"""A process of ours ends quickly, and still does what Python does at the end."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import atexit, concurrent.futures, sys, threading, time
from lifecycle.runtime.endings import leave

class Last:
    def __del__(self):
        print("taken apart", file=sys.stderr)

kept, pool = Last(), concurrent.futures.ThreadPoolExecutor(1)
atexit.register(lambda: print("at exit"))
threading.Thread(target=lambda: (time.sleep(0.2), print("thread"))).start()
pool.submit(lambda: print("pool"))
pool.shutdown(wait=False)
leave(7)
"""


def test_threads_and_exit_functions_are_done_and_output_is_written() -> None:
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (7, "")
    # A pipe is buffered: without a flush there would be nothing.
    assert sorted(ended.stdout.splitlines()[:2]) == ["pool", "thread"]
    assert ended.stdout.endswith("\nat exit\n")
