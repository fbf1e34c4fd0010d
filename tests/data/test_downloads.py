"""Downloads: fetched once from a real server, verified each time, never incomplete; MNIST's IDX files."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from lifecycle.data.sources import downloads, idx
from lifecycle.data.sources.downloads import Download
from lifecycle.data.sources.files import read
from lifecycle.errors import RequestError
from tests.conftest import Command

CONTENT = b'"Month","Sales"\n' + b"".join(b'"1960-%02d",%d\n' % (month, month * 10) for month in range(1, 13))


@dataclass
class Server:
    """A local server: its files, and the paths that were requested."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cut_off: set[str] = field(default_factory=set)
    requested: list[str] = field(default_factory=list)

    def download(self, content: bytes = CONTENT, name: str = "sales.csv", served: bytes | None = None) -> Download:
        """Serve a file, as it is or packed, and return how it is registered."""
        self.files[f"/{name}"] = content if served is None else served
        return Download(name, hashlib.sha256(content).hexdigest(), (f"{self.address}/{name}",))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Run a server; requests reach it past any proxy of the machine."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requested.append(self.path)
            if self.path not in state.files:
                self.send_error(404)
                return
            content = state.files[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if self.path in state.cut_off else content)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state.address = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield state
        http.shutdown()
        thread.join()


def left(folder: Path) -> list[str]:
    """Return all files and folders below a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def refused(download: Download, cache: Path) -> str:
    with pytest.raises(RequestError) as caught:
        downloads.content(download, "download:sales", cache)
    return str(caught.value)


def test_a_file_is_fetched_once_and_it_the_address_is_printed(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    download = server.download()
    assert downloads.content(download, "download:sales", tmp_path / "new" / "cache") == CONTENT
    assert capsys.readouterr().err == (f"Downloading {server.address}/sales.csv to {tmp_path}/new/cache/sales.csv\n")
    assert downloads.content(download, "download:sales", tmp_path / "new" / "cache") == CONTENT
    assert capsys.readouterr().err == ""
    assert server.requested == ["/sales.csv"]
    assert left(tmp_path / "new" / "cache") == ["sales.csv"]


def test_a_packed_file_is_known_by_what_is_in_it(server: Server, tmp_path: Path) -> None:
    for level in (1, 9):  # packed anew, the bytes of the file are others
        download = server.download(name=f"{level}/sales.gz", served=gzip.compress(CONTENT, level))
        assert downloads.content(download, "download:sales", tmp_path) == CONTENT


def test_a_file_that_the_server_has_not_is_one_sentence(server: Server, tmp_path: Path) -> None:
    download = Download("sales.csv", "0", (f"{server.address}/gone.csv",))
    assert refused(download, tmp_path) == (
        f"data.path=download:sales could not be downloaded from {server.address}/gone.csv (404 Client Error: Not "
        f"Found). Put it at {tmp_path}/sales.csv by hand, or set LIFECYCLE_CACHE to a folder that has sales.csv."
    )
    assert left(tmp_path) == []


def test_another_file_than_the_registered_one_is_refused_and_not_kept(server: Server, tmp_path: Path) -> None:
    download = replace(server.download(), sha256="0" * 64)
    digest = hashlib.sha256(CONTENT).hexdigest()
    message = refused(download, tmp_path)
    assert (
        f"(is not the file that is registered: its sha256 is {digest[:16]}..., not {'0' * 16}...). Put it at" in message
    )
    assert left(tmp_path) == []


def test_a_file_that_is_cut_off_is_refused_and_not_kept(server: Server, tmp_path: Path) -> None:
    download = server.download()
    server.cut_off.add("/sales.csv")
    assert f"from {server.address}/sales.csv (the connection was cut off). Put it" in refused(download, tmp_path)
    assert left(tmp_path) == []


def test_a_server_that_is_not_there_is_one_sentence(server: Server, tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as http:
        nobody = f"http://127.0.0.1:{http.server_address[1]}/sales.csv"  # a port that is free again
    message = refused(Download("sales.csv", "0", (nobody,)), tmp_path)
    assert f"could not be downloaded from {nobody} (no connection). Put it at {tmp_path}/sales.csv by hand" in message
    assert left(tmp_path) == []


def test_the_second_address_is_tried_where_the_first_fails(server: Server, tmp_path: Path) -> None:
    download = server.download()
    download = replace(download, addresses=(f"{server.address}/gone.csv", *download.addresses))
    assert downloads.content(download, "download:sales", tmp_path) == CONTENT
    both = replace(download, addresses=(f"{server.address}/a", f"{server.address}/b"), name="other.csv")
    assert re.search(r"from \S+/a \(404 .*\) nor from \S+/b \(404 .*\)\. Put it", refused(both, tmp_path))


def test_a_kept_file_that_was_altered_is_refused_and_left_as_it_is(server: Server, tmp_path: Path) -> None:
    download = server.download()
    (tmp_path / "sales.csv").write_bytes(b"altered")
    message = refused(download, tmp_path)
    assert message.startswith(
        f"data.path=download:sales is read from {tmp_path}/sales.csv, which is not the file that is registered: "
        f"its sha256 is {hashlib.sha256(b'altered').hexdigest()[:16]}..., not {download.sha256[:16]}.... Remove that "
        "file, and the "
    )
    assert server.requested == []
    assert (tmp_path / "sales.csv").read_bytes() == b"altered"


def test_a_kept_file_that_cannot_be_unpacked_is_refused(server: Server, tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_bytes(gzip.compress(CONTENT)[:-20])
    assert "sales.csv, which cannot be unpacked (Compressed file ended" in refused(server.download(), tmp_path)


def test_a_cache_that_cannot_be_written_is_one_sentence(server: Server, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    assert refused(server.download(), tmp_path / "cache") == (
        f"data.path=download:sales cannot be kept in {tmp_path}/cache: File exists. Make room there, or set "
        "LIFECYCLE_CACHE to another folder."
    )


def test_processes_that_fetch_at_once_do_each_other_no_harm(server: Server, tmp_path: Path) -> None:
    content = np.random.default_rng(0).bytes(3_000_000)
    download = server.download(content, "large.bin")
    code = (
        "import sys\nfrom pathlib import Path\nfrom lifecycle.data.sources.downloads import Download, content\n"
        f"assert len(content({download!r}, 'x', Path(sys.argv[1]))) == {len(content)}"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stderr=subprocess.DEVNULL) for _ in range(4)
    ]
    assert [process.wait(60) for process in running] == [0, 0, 0, 0]
    assert left(tmp_path) == ["large.bin"]


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("LIFECYCLE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert downloads.folder() == Path("/home/me/.cache/lifecycle")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/me")
    assert downloads.folder() == Path("/var/cache/me/lifecycle")
    monkeypatch.setenv("LIFECYCLE_CACHE", "~/data")
    assert downloads.folder() == Path("/home/me/data")


def test_a_run_fetches_what_it_needs_and_the_next_needs_no_server(
    server: Server, job: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFECYCLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(downloads.REGISTERED, "sales.csv", (server.download(),))
    arguments = [
        "data=series",
        "data.path=download:sales.csv",
        "data.target=Sales",
        "data.window=2",
        "trainer.max_epochs=1",
    ]
    first = job(*arguments)
    assert (first.code, first.err) == (0, f"Downloading {server.address}/sales.csv to {tmp_path}/cache/sales.csv\n")
    server.files.clear()
    assert job(*arguments).code == 0
    (tmp_path / "cache" / "sales.csv").unlink()
    refusal = job(*arguments)
    assert refusal.code == 2
    assert f"Put it at {tmp_path}/cache/sales.csv by hand" in refusal.err


def test_a_name_that_is_not_registered_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        RequestError,
        match=r"^data\.path=download:mnits is not known\. Did you mean mnist\? "
        r"Choose from: monthly-car-sales\.csv, mnist\.$",
    ):
        read("download:mnits")


def packed(values: np.ndarray) -> bytes:  # type: ignore[type-arg]
    """Return bytes in the format IDX."""
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.astype(np.uint8).tobytes()


def test_an_idx_file_is_read_as_its_header_says() -> None:
    values = np.arange(24).reshape(2, 3, 4)
    np.testing.assert_array_equal(idx.parse(packed(values), "a"), values)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", r"a is no IDX file of bytes: it begins with \. Download it again\."),
        (b"\0\0\x0d\1\0\0\0\1\0\0\0\0", r"a is no IDX file of bytes: it begins with 00000d01\. Download"),
        (packed(np.zeros((2, 3, 4)))[:-1], r"a states 2 x 3 x 4 values and holds 23\. Download it again\."),
        (packed(np.zeros((2, 3, 4)))[:10], r"a is no IDX file"),
    ],
)
def test_an_idx_file_that_is_none_is_refused(content: bytes, sentence: str) -> None:
    with pytest.raises(RequestError, match=f"^{sentence}"):
        idx.parse(content, "a")


def mnist(images: int = 3, labels: int = 3) -> dict[str, bytes]:
    generator = np.random.default_rng(0)
    return {
        f"{part}-{kind}": packed(generator.integers(0, 256, shape))
        for part in idx.PARTS
        for kind, shape in (("images-idx3-ubyte", (images, 2, 2)), ("labels-idx1-ubyte", (labels,)))
    }


def test_the_training_images_come_before_the_test_images() -> None:
    files = mnist()
    frame = idx.digits(files)
    assert list(frame) == ["pixel_0_0", "pixel_0_1", "pixel_1_0", "pixel_1_1", "digit"]
    wanted = [idx.parse(files[f"{part}-images-idx3-ubyte"], "").reshape(3, 4) for part in ("train", "t10k")]
    np.testing.assert_array_equal(frame.iloc[:, :4], np.concatenate(wanted))
    assert frame["digit"].tolist() == [
        *idx.parse(files["train-labels-idx1-ubyte"], ""),
        *idx.parse(files["t10k-labels-idx1-ubyte"], ""),
    ]


def test_fewer_labels_than_images_are_refused() -> None:
    with pytest.raises(
        RequestError, match=r"^train-labels-idx1-ubyte has the shape \(2,\) and .* \(3, 2, 2\): not one"
    ):
        idx.digits(mnist(labels=2))


CACHED = Path(os.environ.get("LIFECYCLE_CACHE", "/nowhere"))


@pytest.mark.skipif(
    not (CACHED / "mnist" / "t10k-labels-idx1-ubyte.gz").is_file(), reason="LIFECYCLE_CACHE has no mnist"
)
def test_mnist_has_its_published_counts_and_its_last_rows_test() -> None:
    from lifecycle.cli.commands.data import job_of
    from lifecycle.data.load import load

    job = job_of(["data=mnist"])
    data = load(job.data, "mnist", "images", 0)
    assert data.spec.input_shape == (1, 28, 28)
    assert data.spec.class_names == tuple("0123456789")
    assert data.test is not None
    assert data.val is not None
    assert (data.num_rows, len(data.train), len(data.val)) == (70_000, 46_000, 14_000)
    assert data.test.rows.tolist() == list(range(60_000, 70_000))
    assert data.test.labels[:10].tolist() == list("7210414959")  # as every tutorial prints them
    assert float(data.train.inputs.max()) == 1.0
    # Mean and deviation of the 60,000 training images, as they are published everywhere.
    frame = job.data.read()
    pixels = frame.iloc[:60_000, :784].to_numpy(dtype=np.float32) / 255
    assert (round(float(pixels.mean()), 4), round(float(pixels.std()), 4)) == (0.1307, 0.3081)
