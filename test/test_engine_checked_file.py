"""Files with a checksum: any change is found, and none of it costs memory or an exception."""

from __future__ import annotations

import os
import random
import threading

import pytest

from any2seg_ros.engine.checked_file import CheckedFile, write

PARTS = [b"<net/>", random.Random(0).randbytes(10_000), b""]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "below" / "graph"
    write(path, PARTS)
    return path


def test_what_was_written_is_read(path):
    assert [bytes(part) for part in CheckedFile(path).parts] == PARTS
    assert [file.name for file in path.parent.iterdir()] == ["graph"]
    assert path.stat().st_mode & 0o044 == 0o044


def test_what_was_released_is_read_again_from_the_file(path):
    file = CheckedFile(path)
    file.release()
    assert [bytes(part) for part in file.parts] == PARTS


@pytest.mark.parametrize("seed", range(20))
def test_a_flipped_bit_is_found(path, seed):
    content = bytearray(path.read_bytes())
    generator = random.Random(seed)
    # What is between the parts to fill a page is not read.
    offset = generator.choice([generator.randrange(60), 2 * 4096 + generator.randrange(10_000)])
    content[offset] ^= 1 << generator.randrange(8)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="graph"):
        CheckedFile(path)


@pytest.mark.parametrize("length", [0, 10, 4000, 4096, 9000])
def test_a_file_that_was_cut_off_is_found(path, length):
    os.truncate(path, length)
    with pytest.raises(ValueError, match="graph"):
        CheckedFile(path)


@pytest.mark.parametrize(
    "header",
    [
        b'{"lengths": [4611686018427387904], "sha256": ""}',
        b'{"lengths": [-1], "sha256": ""}',
        b'{"lengths": [], "sha256": ""}',
        b'{"lengths": 3}',
        b'{"lengths": [1e999], "sha256": ""}',
        b"[1]",
        b"[" * 3000,
        b"\xff\xfe",
    ],
)
def test_a_header_that_promises_anything_is_refused(path, header):
    path.write_bytes((b"any2seg-graph 1\n" + header + b"\n").ljust(4096, b"\0") + bytes(4096))
    with pytest.raises(ValueError, match="graph"):
        CheckedFile(path)


def test_another_programs_file_is_refused_and_no_file_is_an_os_error(tmp_path):
    (tmp_path / "graph").write_bytes(b"PK\3\4" * 10_000)
    with pytest.raises(ValueError, match="no graph of any2seg"):
        CheckedFile(tmp_path / "graph")
    with pytest.raises(OSError):
        CheckedFile(tmp_path / "nothing")


@pytest.mark.timeout(30)
def test_a_pipe_is_no_file_and_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no file"):
        CheckedFile(tmp_path / "pipe")


def test_a_write_that_fails_leaves_what_was_there(path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("any2seg_ros.engine.checked_file.os.replace", full)
    with pytest.raises(OSError, match="No space"):
        write(path, [b"other"])
    assert [bytes(part) for part in CheckedFile(path).parts] == PARTS
    assert [file.name for file in path.parent.iterdir()] == ["graph"]


def test_many_may_write_the_same_file_at_once(path):
    threads = [threading.Thread(target=write, args=(path, PARTS)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [bytes(part) for part in CheckedFile(path).parts] == PARTS
