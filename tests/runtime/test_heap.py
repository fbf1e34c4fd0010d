"""Memory that stays with the process while a network is fitted: counted in page faults."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lifecycle.runtime import memory

PAGES = """
import contextlib, ctypes, resource, sys
from lifecycle.runtime import memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]


def step():
    blocks = [libc.malloc(8 << 20) for _ in range(6)]
    for block in blocks:
        ctypes.memset(block, 1, 8 << 20)
    for block in reversed(blocks):
        libc.free(block)


def pages():
    step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


with memory.kept() if sys.argv[1] == "kept" else contextlib.nullcontext():
    print(pages())
held = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
print(held)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux") or memory._glibc() is None, reason="glibc alone gives it back")
def test_what_a_step_frees_is_there_for_the_next_and_given_back_in_the_end() -> None:
    def run(how: str) -> tuple[int, int]:
        said = subprocess.run([sys.executable, "-c", PAGES, how], capture_output=True, text=True, check=True).stdout
        pages, held = map(int, said.split())
        return pages, held

    (usual, _), (kept, held) = run("usual"), run("kept")
    assert usual > 10_000  # 5 steps of 48 MB in pages of 4 KB: all are cleared again
    assert kept < 500
    assert held < 45_000_000  # of the 48 MB of the last step nothing is left


def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert memory._glibc() is None
    with memory.kept():
        assert memory._glibc() is None
