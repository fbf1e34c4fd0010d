"""Labels the lines that a process prints, where several processes print on one terminal."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import TextIO


class UnbrokenStream(io.TextIOBase):
    """Writes to another stream for as long as somebody reads it: the output of a process may outlive its reader.

    Args:
        stream: that is written to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Of the stream."""
        return self._stream.encoding

    def fileno(self) -> int:
        """Return that of the stream."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """Return that it can be written to."""
        return True

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        return self._stream.isatty()

    def write(self, text: str) -> int:
        """Write a text, unless nobody reads the stream any more."""
        with suppress(BrokenPipeError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered, unless nobody reads the stream any more."""
        with suppress(BrokenPipeError):
            self._stream.flush()


class LabelledStream(io.TextIOBase):
    """Writes whole lines to another stream, each with a label in front.

    Args:
        stream: that is written to. It is flushed after each line, so that those of two processes do not mix.
        label: in front of each line that is not empty.
    """

    def __init__(self, stream: TextIO, label: str) -> None:
        self._stream, self._label, self._line = stream, label, ""

    def writable(self) -> bool:
        """Return that it can be written to."""
        return True

    def isatty(self) -> bool:
        """Return that it is no terminal: two progress bars would overwrite each other."""
        return False

    def write(self, text: str) -> int:
        """Write the lines that are complete, and keep the rest."""
        *lines, self._line = (self._line + text).split("\n")
        if lines:
            self._stream.write("".join(f"{self._label}{line}\n" if line else "\n" for line in lines))
            self._stream.flush()
        return len(text)

    def end(self) -> None:
        """Write what is left of a line."""
        if self._line:
            self.write("\n")


@contextmanager
def lines_labelled(label: str) -> Iterator[None]:
    """Put a label in front of each line that Python code prints within the block."""
    out, err = LabelledStream(sys.stdout, label), LabelledStream(sys.stderr, label)
    with redirect_stdout(out), redirect_stderr(err):
        try:
            yield
        finally:
            out.end()
            err.end()
