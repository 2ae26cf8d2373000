"""One job's folder is deleted whatever is in it, and nothing outside of it changes."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molq.folder_removal import ASIDE, FolderKeptError, doomed_folders
from molq.job_folder import JobFolder, JobPlace
from molq.manifest import MANIFEST
from molq.tree_removal import NotEmptiedError, empty

JOB = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
OTHER = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"


@pytest.fixture
def place(tmp_path):
    place = tmp_path / "jobs"
    place.mkdir()
    return place


def a_folder(place, job_id=JOB):
    return JobFolder.create(JobPlace(place), job_id, 100.0).path


def delete(path, job_id=None):
    """Delete a job's folder as a cleanup does; return what that freed, or None if there is none."""
    with ExitStack() as descriptors:
        freed = None
        for folder in doomed_folders(str(path), job_id or Path(path).name, descriptors):
            assert folder.put_aside()
            freed = folder.delete()
        return freed


def look(path, job_id=None):
    with ExitStack() as descriptors:
        return len(doomed_folders(str(path), job_id or Path(path).name, descriptors))


def facts(root):
    """Return all that is to be seen of a tree without following links, byte for byte."""
    found = {}
    for folder, folders, files in os.walk(os.fsencode(root)):
        for name in [*folders, *files, b"."]:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            content = b""
            if stat.S_ISREG(status.st_mode):
                content = Path(os.fsdecode(path)).read_bytes()
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            found[path] = (status.st_mode, status.st_uid, content)
    return found


def descriptors_in_use():
    return len(os.listdir("/proc/self/fd"))


def test_a_folder_goes_with_all_that_is_in_it(place):
    path = a_folder(place)
    (path / "stdout.log").write_bytes(b"x" * 100_000)
    (path / "a" / "b").mkdir(parents=True)
    (path / "a" / "b" / "c").write_text("x")
    before = descriptors_in_use()

    freed = delete(path)

    assert os.listdir(place) == []
    assert freed >= 100_000
    assert descriptors_in_use() == before


def test_a_folder_that_is_not_there_is_nothing(place):
    assert delete(place / JOB) is None
    assert delete(place / "nowhere" / JOB) is None


def test_looking_changes_nothing(place):
    path = a_folder(place)
    before = facts(place)

    assert look(path) == 1
    assert facts(place) == before


@pytest.mark.parametrize(
    ("manifest", "sentence"),
    [
        (None, "it has no manifest.json by molq"),
        (b"", "it has no manifest.json by molq"),
        (b"[" * 50_000, "it has no manifest.json by molq"),
        (b'"text"', "it has no manifest.json by molq"),
        (b"\xff", "it has no manifest.json by molq"),
        (json.dumps({"job_id": OTHER, "uid": os.getuid()}).encode(), f"its manifest.json is that of job {OTHER!r}"),
        (json.dumps({"uid": os.getuid()}).encode(), "its manifest.json is that of job None"),
        (json.dumps({"job_id": JOB, "uid": os.getuid() + 1}).encode(), "its manifest.json is that of another user"),
        (json.dumps({"job_id": JOB}).encode(), "its manifest.json is that of another user (uid None)"),
    ],
)
@pytest.mark.parametrize("suffix", ["", ASIDE])
def test_a_folder_without_the_jobs_manifest_is_left_alone(place, manifest, sentence, suffix):
    path = place / (JOB + suffix)
    path.mkdir()
    (path / "precious").write_text("x")
    if manifest is not None:
        (path / MANIFEST).write_bytes(manifest)
    before = facts(place)

    with pytest.raises(FolderKeptError) as caught:
        delete(place / JOB)

    assert not caught.value.is_ours
    assert f"the folder {str(place / JOB)!r} is left alone: {sentence}" in str(caught.value)
    assert facts(place) == before


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_a_manifest_that_is_no_file_is_none(place, kind):
    path = a_folder(place)
    real = path / MANIFEST
    real.rename(place / "real")
    if kind == "link":
        real.symlink_to(place / "real")
    elif kind == "fifo":
        os.mkfifo(real)
    else:
        real.mkdir()

    with pytest.raises(FolderKeptError, match=r"it has no manifest\.json by molq"):
        delete(path)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("what", ["folder", "manifest"])
def test_what_belongs_to_another_user_is_left_alone(place, what):
    path = a_folder(place)
    os.chown(path if what == "folder" else path / MANIFEST, 12345, -1)

    with pytest.raises(FolderKeptError) as caught:
        delete(path)

    assert not caught.value.is_ours
    assert (path / MANIFEST).exists()


@pytest.mark.parametrize("suffix", ["", ASIDE])
def test_a_link_is_left_alone_even_if_it_leads_to_the_jobs_folder(place, suffix):
    path = a_folder(place)
    path.rename(place / "moved")
    (place / (JOB + suffix)).symlink_to(place / "moved")

    with pytest.raises(FolderKeptError, match="it is a link, or no folder"):
        delete(path)

    assert (place / "moved" / MANIFEST).exists()


@pytest.mark.parametrize(
    "path", ["/", "", ".", "..", f"relative/{JOB}", f"/nowhere/{JOB}/", f"/nowhere/{JOB}/..", f"/nowhere/{OTHER}"]
)
def test_a_path_that_is_not_the_jobs_own_is_refused_unseen(path):
    with pytest.raises(FolderKeptError, match=f"that is no name of the folder of job {JOB}") as caught:
        look(path, JOB)

    assert not caught.value.is_ours


@pytest.mark.parametrize(
    "job_id", ["notes", "..", "", "\n", JOB.upper(), JOB + "\n", "6ba7b8109dad11d180b400c04fd430c8"]
)
def test_a_name_that_is_no_job_id_is_refused(place, job_id):
    with pytest.raises(FolderKeptError, match="that is no name of the folder"):
        look(place / job_id, job_id)


def test_what_a_killed_cleanup_left_is_taken_up(place):
    a_folder(place).rename(place / (JOB + ASIDE))

    assert delete(place / JOB) is not None
    assert os.listdir(place) == []


def test_an_empty_leftover_is_taken_up(place):
    (place / (JOB + ASIDE)).mkdir()

    delete(place / JOB)

    assert os.listdir(place) == []


def test_an_empty_folder_under_its_own_name_is_left_alone(place):
    (place / JOB).mkdir()

    with pytest.raises(FolderKeptError, match=r"has no manifest\.json"):
        delete(place / JOB)


def test_a_folder_that_came_back_beside_its_leftover_goes_too(place):
    a_folder(place).rename(place / (JOB + ASIDE))
    a_folder(place)

    delete(place / JOB)

    assert os.listdir(place) == []


def test_a_folder_that_was_exchanged_after_the_look_is_left_alone(place):
    path = a_folder(place)
    with ExitStack() as descriptors:
        (doomed,) = doomed_folders(str(path), JOB, descriptors)
        path.rename(place / "kept by its user")
        (place / JOB).mkdir()
        (place / JOB / "new").write_text("x")

        with pytest.raises(FolderKeptError, match="another has taken its name"):
            doomed.put_aside()

    assert (place / JOB / "new").read_text() == "x"
    assert (place / "kept by its user" / MANIFEST).exists()


def test_a_folder_that_its_user_moved_after_the_look_is_not_emptied(place):
    path = a_folder(place)
    with ExitStack() as descriptors:
        (doomed,) = doomed_folders(str(path), JOB, descriptors)
        path.rename(place / "kept by its user")

        assert doomed.put_aside()
        assert doomed.delete() is None

    assert (place / "kept by its user" / MANIFEST).exists()


def test_two_never_empty_one_folder_at_once(place):
    path = a_folder(place)
    with ExitStack() as descriptors:
        (first,) = doomed_folders(str(path), JOB, descriptors)
        assert first.put_aside()
        (second,) = doomed_folders(str(path), JOB, descriptors)

        assert not second.put_aside()
        assert first.delete() is not None

    assert delete(path) is None


@pytest.mark.parametrize("where", [".molq/jobs", "scratch", "a/b/c"])
@pytest.mark.parametrize("suffix", ["", ASIDE])
def test_the_folder_of_another_job_inside_keeps_it_whole(place, where, suffix):
    path = a_folder(place)
    inner = path / where
    inner.mkdir(parents=True)
    a_folder(inner, OTHER).rename(inner / (OTHER + suffix))
    before = facts(place)

    with pytest.raises(FolderKeptError, match=f"the folder of job {OTHER} is in it") as caught:
        delete(path)

    assert caught.value.is_ours
    assert facts(place) == before


def test_a_users_own_manifests_and_uuids_inside_do_not_keep_it(place):
    path = a_folder(place)
    (path / OTHER).mkdir()
    (path / "x").mkdir()
    (path / "x" / MANIFEST).write_text(json.dumps({"job_id": OTHER}))

    delete(path)

    assert os.listdir(place) == []


def test_a_folder_that_grows_while_it_is_emptied_keeps_its_manifest(place, monkeypatch):
    path = a_folder(place)
    (path / "a").write_text("x")
    unlink = os.unlink

    def unlink_slowly(name, *, dir_fd):
        unlink(name, dir_fd=dir_fd)
        if name == "a":
            (place / (JOB + ASIDE) / "late").write_text("x")

    monkeypatch.setattr(os, "unlink", unlink_slowly)
    with pytest.raises(FolderKeptError, match="'late' was written into it meanwhile"):
        delete(path)
    monkeypatch.undo()

    assert delete(path) is not None
    assert os.listdir(place) == []


def test_a_tree_of_any_depth_goes_with_few_descriptors(place):
    path = a_folder(place)
    folder = os.open(path, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d" * 200, dir_fd=folder)
        inner = os.open("d" * 200, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)

    delete(path)

    assert os.listdir(place) == []


def test_many_entries_and_names_like_molqs_own_go(place):
    path = a_folder(place)
    for number in range(200):
        (path / f"moved-{number}").mkdir()
        (path / f"moved-{number}" / f"moved-{number}").mkdir()
        (path / f"moved-{number}" / "file").write_text("x")
    (path / "moved-500").write_text("x")
    (path / (JOB + ASIDE)).mkdir()

    delete(path)

    assert os.listdir(place) == []


def test_sockets_fifos_and_dangling_links_are_just_deleted(place, monkeypatch):
    path = a_folder(place)
    os.mkfifo(path / "fifo")
    (path / "dangling").symlink_to("/no/such/place")
    monkeypatch.chdir(path)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")
    monkeypatch.chdir("/")

    delete(path)

    assert os.listdir(place) == []


def _without_root_rights(*program):
    """Return a command in whose eyes file modes count, even if root runs it."""
    if os.getuid() != 0:
        return list(program)
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *program]


@pytest.mark.skipif(os.getuid() == 0 and shutil.which("setpriv") is None, reason="root needs setpriv for it")
@pytest.mark.parametrize("mode", [0o000, 0o400, 0o100, 0o500, 0o300])
@pytest.mark.parametrize("where", ["", "a", "a/b", "a/b/c"])
def test_folders_that_the_job_closed_are_opened_and_deleted(place, mode, where):
    path = a_folder(place)
    (path / "a" / "b" / "c" / "d").mkdir(parents=True)
    (path / "a" / "b" / "c" / "d" / "file").write_text("x")
    (path / where).chmod(mode)
    code = "import sys; sys.path.insert(0, sys.argv[2]); from test_folder_removal import delete; delete(sys.argv[1])"

    done = subprocess.run(
        _without_root_rights(sys.executable, "-c", code, str(path), str(Path(__file__).parent)),
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    if where == "" and mode & 0o500 != 0o500:
        assert "could not be deleted: Permission denied" in done.stderr
        (path / where).chmod(0o700)
        assert (path / "a" / "b" / "c" / "d" / "file").exists()
    else:
        assert done.stderr == ""
        assert os.listdir(place) == []


_MOUNT = """
set -e
mkdir -p "$1"
mount --bind "$2" "$1"
chmod "$3" "$2"
shift 3
exec "$@"
"""


def _can_mount(folder):
    if os.getuid() != 0 or shutil.which("unshare") is None:
        return False
    probe = ["unshare", "-m", "mount", "--bind", folder, folder]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("where", ["", "mnt", "a/mnt", "a/b/mnt"])
@pytest.mark.parametrize("mode", ["700", "000"])
def test_what_is_mounted_inside_is_neither_emptied_nor_changed(place, tmp_path, where, mode):
    if not _can_mount(tmp_path):
        pytest.skip("needs root, to mount")
    path = a_folder(place)
    outside = Path(shutil.copytree(path, tmp_path / "outside"))
    (outside / "file").write_text("precious")
    code = "import sys; sys.path.insert(0, sys.argv[2]); from test_folder_removal import delete; delete(sys.argv[1])"
    python = _without_root_rights(sys.executable, "-c", code, str(path), str(Path(__file__).parent))

    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", _MOUNT, "sh", str(path / where), str(outside), mode, *python],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert "FolderKeptError" in done.stderr, done.stderr
    assert stat.S_IMODE(outside.stat().st_mode) == int(mode, 8)
    assert sorted(os.listdir(outside)) == ["file", MANIFEST]
    assert os.listdir(place) in ([JOB], [JOB + ASIDE])


def test_a_folder_that_is_exchanged_for_a_link_meanwhile_is_not_followed(place, tmp_path, monkeypatch):
    path = a_folder(place)
    (path / "a").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("precious")
    stat_of = os.stat

    def exchange(name, **how):
        status = stat_of(name, **how)
        if name == "a":
            os.rmdir(name, dir_fd=how["dir_fd"])
            os.symlink(tmp_path / "outside", name, dir_fd=how["dir_fd"])
        return status

    monkeypatch.setattr(os, "stat", exchange)
    with pytest.raises(FolderKeptError, match="'a': Not a directory"):
        delete(path)
    monkeypatch.undo()

    assert (tmp_path / "outside" / "file").read_text() == "precious"
    assert delete(path) is not None


def test_what_cannot_be_deleted_does_not_keep_the_rest(tmp_path, monkeypatch):
    for name in ("a", "stuck", "z"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    rmdir = os.rmdir

    def refuse(name, *, dir_fd):
        if name == "stuck":
            raise PermissionError(1, "Operation not permitted", name)
        rmdir(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "rmdir", refuse)
    folder = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(NotEmptiedError, match="'stuck': Operation not permitted"):
        empty(folder, keep="manifest.json")
    os.close(folder)

    assert os.listdir(tmp_path) == ["stuck"]


names = st.binary(min_size=1, max_size=12).filter(lambda n: b"/" not in n and b"\0" not in n and n not in (b".", b".."))
targets = st.sampled_from(
    [b".", b"..", b"../..", b"../outside", b"../outside/file", b"/", b"nowhere", b"../../outside/sub", b"manifest.json"]
)
entries = st.one_of(
    st.binary(max_size=20).map(lambda content: ("file", content)),
    targets.map(lambda target: ("link", target)),
    st.just(("fifo", b"")),
    st.just(("hard link", b"")),
    st.just(("closed folder", b"")),
)


def deeper(inner):
    return st.dictionaries(names, entries | inner, max_size=4)


trees = st.recursive(st.dictionaries(names, entries, max_size=4), deeper)


def grow(folder, tree, outside):
    for name, what in tree.items():
        path = os.path.join(folder, name)
        if isinstance(what, dict):
            os.mkdir(path)
            grow(path, what, outside)
            continue
        kind, content = what
        if kind == "file":
            Path(os.fsdecode(path)).write_bytes(content)
        elif kind == "link":
            os.symlink(content, path)
        elif kind == "fifo":
            os.mkfifo(path)
        elif kind == "closed folder":
            os.mkdir(path, 0o000)
        else:
            os.link(os.path.join(outside, b"file"), path)


@given(tree=trees)
@settings(max_examples=150, deadline=None)
def test_whatever_is_in_a_folder_it_goes_and_nothing_outside_changes(tree):
    with tempfile.TemporaryDirectory() as root:
        place, outside = Path(root, "jobs"), Path(root, "outside")
        place.mkdir()
        (outside / "sub").mkdir(parents=True)
        (outside / "file").write_text("precious")
        (outside / "sub" / "closed").mkdir(0o500)
        neighbour = a_folder(place, OTHER)
        (neighbour / "back").symlink_to(place / JOB)
        path = a_folder(place)
        grow(
            os.fsencode(path),
            {name: what for name, what in tree.items() if name != b"manifest.json"},
            os.fsencode(outside),
        )
        kept = {name: fact for name, fact in facts(root).items() if not name.startswith(os.fsencode(path))}
        before = descriptors_in_use()

        delete(path)

        assert not path.exists()
        assert facts(root) == kept
        assert descriptors_in_use() == before
