"""What is read in a job's folder counts only when it is whole, and is read through no link."""

from __future__ import annotations

import os

import pytest

from molq.backend import CommandReply
from molq.job_files import ExitFile, JobFiles, StartFile


@pytest.fixture
def folder(tmp_path):
    return JobFiles(tmp_path)


def put(folder, name, content, at=7.0):
    path = folder.path / name
    path.write_bytes(content)
    os.utime(path, (at, at))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"0\n", ExitFile(0, 7.0)),
        (b"137\n", ExitFile(137, 7.0)),
        (b"1 cannot enter the working directory '/x'\n", ExitFile(1, 7.0, "cannot enter the working directory '/x'")),
        (b"", None),
        (b"0", None),
        (b"13", None),
        (b"1 cannot enter", None),
        (b"-1\n", None),
        (b"1234\n", None),
        (b"zero\n", None),
        (b"0\n0\n", None),
        ("٣\n".encode(), None),
        (b"\xff\n", None),
        (b"1 \xff\n", ExitFile(1, 7.0, "\N{REPLACEMENT CHARACTER}")),
    ],
)
def test_an_exit_file_counts_only_when_it_is_whole(folder, content, found):
    put(folder, "exit", content)

    assert folder.read_exit() == found


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"101 42 node1 0\n", StartFile("101", "node1", 0, 7.0)),
        (b"12[].server 42 n.example.org 3\n", StartFile("12[].server", "n.example.org", 3, 7.0)),
        (b"101 42 node1 0", None),
        (b"101 42 node1\n", None),
        (b"101 x node1 0\n", None),
        (b"101 42 node1 " + b"9" * 5000 + b"\n", None),
        (b"", None),
    ],
)
def test_a_start_file_counts_only_when_it_is_whole(folder, content, found):
    put(folder, "start", content)

    assert folder.read_start() == found


def test_files_of_elements_are_their_own(folder):
    put(folder, "exit.3", b"4\n")
    put(folder, "start.3", b"101 42 node1 0\n")

    assert (folder.read_exit(3).code, folder.read_start(3).host) == (4, "node1")
    assert (folder.read_exit(), folder.read_exit(4), folder.read_start()) == (None, None, None)


def test_evidence_is_read_through_no_link(tmp_path, folder):
    (tmp_path / "planted").write_bytes(b"0\n")
    (folder.path / "exit").symlink_to(tmp_path / "planted")

    assert folder.read_exit() is None


@pytest.mark.parametrize(
    ("files", "reply"),
    [
        ({}, None),
        ({"submit.exit": b"0\n"}, None),
        ({"submit.out": b"ok"}, CommandReply(exit_code=None, stdout="ok", stderr="")),
        ({"submit.out": b"", "submit.err": b"?", "submit.exit": b"1\n"},
         CommandReply(exit_code=1, stdout="", stderr="?")),
        ({"submit.out": b"", "submit.exit": b"-9\n"}, CommandReply(exit_code=-9, stdout="", stderr="")),
        ({"submit.out": b"", "submit.exit": b""}, CommandReply(exit_code=None, stdout="", stderr="")),
        ({"submit.out": b"", "submit.exit": b"1"}, CommandReply(exit_code=None, stdout="", stderr="")),
    ],
)  # fmt: skip
def test_a_submit_reply_is_read_as_far_as_it_is_on_disk(folder, files, reply):
    for name, content in files.items():
        put(folder, name, content)

    assert folder.read_submit_reply() == reply
