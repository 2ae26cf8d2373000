"""File systems of this machine and of others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from molq.store.file_systems import file_system_type, is_local

MOUNTS = (
    rb"""22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:20 / /proc rw,nosuid - proc proc rw
30 22 0:41 / /home rw,relatime shared:2 master:1 - autofs auto.home rw
31 30 0:42 / /home/ann rw,relatime - nfs4 server:/home/ann rw
32 22 0:43 / /home/ann/a\040b rw - tmpfs none rw
33 22 0:44 / /scratch rw - ext4 /dev/sdb rw
34 22 0:45 / /scratch rw - lustre mds@tcp:/scratch rw
35 22 0:46 / /m\303\274ll rw - nfs server:/x rw
36 22 0:47 / /caf"""
    b"\xc3\xa9"
    rb""" rw - cifs //server/y rw
37 22 0:48 / /odd"""
    b"\xff\x0c"
    rb""" rw - beegfs z rw
nonsense
38 22
"""
)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/etc/passwd", "ext4"),
        ("/home/bob/x", "autofs"),
        ("/home/ann", "nfs4"),
        ("/home/ann/jobs.db", "nfs4"),
        ("/home/anna/jobs.db", "autofs"),
        ("/home/ann/a b/jobs.db", "tmpfs"),
        ("/scratch/jobs.db", "lustre"),
        ("/müll/jobs.db", "nfs"),
        ("/café/jobs.db", "cifs"),
        (os.fsdecode(b"/odd\xff\x0c/jobs.db"), "beegfs"),
    ],
)
def test_the_innermost_and_latest_mount_counts(path, kind):
    assert file_system_type(Path(path), MOUNTS) == kind


def test_a_file_system_that_cannot_be_told_is_not_local():
    assert file_system_type(Path("/x"), b"") is None


def test_a_link_is_followed(tmp_path):
    (tmp_path / "link").symlink_to("/proc")

    assert file_system_type(tmp_path / "link" / "x") == "proc"
    assert not is_local(tmp_path / "link" / "x")


def test_a_link_to_itself_is_no_error(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")

    assert isinstance(is_local(tmp_path / "loop" / "jobs.db"), bool)
