"""Labels in front of printed lines."""

from __future__ import annotations

import os
import sys

import pytest

from lifecycle.runtime.labels import UnbrokenStream, lines_labelled


def test_each_line_has_the_label_once_however_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    with lines_labelled("[3] "):
        print("\none", "two")
        print("th", end="")
        print("ree\nfour")
        print("broken", file=sys.stderr)
        print("not ended", end="")
        assert not sys.stdout.isatty()
    print("after")
    out, err = capsys.readouterr()
    assert out == "\n[3] one two\n[3] three\n[3] four\n[3] not ended\nafter\n"
    assert err == "[3] broken\n"


def test_a_stream_that_nobody_reads_takes_what_is_written() -> None:
    reader, writer = os.pipe()
    stream = UnbrokenStream(os.fdopen(writer, "w", buffering=1))
    assert stream.write("read\n") == 5
    assert os.read(reader, 100) == b"read\n"
    os.close(reader)
    assert stream.write("lost\n") == 5
    stream.flush()
    assert stream.encoding.lower() == "utf-8"
    assert not stream.isatty()
