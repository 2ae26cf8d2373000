"""The file of profiles is read only where nobody else could have written it, and replaced in one step."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from molq.config_file import config_path, parse, read_text, replace_text
from molq.errors import ConfigFileError

NOBODY = 65534


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    path = folder / "config.toml"
    path.write_text("[profiles]\n")
    path.chmod(0o600)
    return path


def refused(path: Path) -> str:
    with pytest.raises(ConfigFileError) as caught:
        read_text(path)
    assert caught.value.path == path
    return str(caught.value)


def test_the_file_is_where_molq_keeps_its_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("MOLQ_HOME", str(tmp_path))

    assert config_path() == tmp_path / "config.toml"
    assert config_path("~/x.toml") == Path.home() / "x.toml"


def test_a_file_that_is_not_there_has_no_text(tmp_path: Path):
    assert read_text(tmp_path / "nothing" / "config.toml") is None


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_refused_with_what_to_do(file: Path, mode: int):
    file.chmod(mode)

    told = refused(file)

    assert "can be written by others" in told
    assert told.endswith(f"chmod go-w {file}")


def test_a_folder_that_others_can_write_is_refused_with_what_to_do(file: Path):
    file.parent.chmod(0o777)

    assert refused(file).endswith(f"chmod go-w {file.parent}")


def test_who_may_only_read_does_no_harm(file: Path):
    file.chmod(0o644)
    file.parent.chmod(0o755)

    assert read_text(file) == "[profiles]\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("of", ["file", "folder"])
def test_what_belongs_to_somebody_else_is_refused(file: Path, of: str):
    os.chown(file if of == "file" else file.parent, NOBODY, -1)

    told = refused(file)

    assert "belongs to the user 'nobody', not to you" in told
    assert "use a copy of your own" in told


def as_nobody(path: str) -> str:
    """Return what a user without rights reads from a file, or the error."""
    code = f"""
import os, pathlib
from molq.config_file import read_text
from molq.errors import ConfigFileError
b"x".decode("utf-8-sig")  # what is installed may be out of reach later
os.setgid({NOBODY})
os.setuid({NOBODY})
try:
    print(read_text(pathlib.Path({path!r})))
except ConfigFileError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_what_belongs_to_root_is_trusted_by_all():
    assert as_nobody("/etc/passwd").startswith("root:")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_file_that_cannot_be_read_is_named():
    assert "'/etc/shadow' cannot be read: Permission denied (/etc/shadow)" in as_nobody("/etc/shadow")


def test_a_link_is_followed_and_every_folder_on_its_way_is_checked(file: Path, tmp_path: Path):
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    (shared / "step.toml").symlink_to(file)
    link = tmp_path / "home" / "link.toml"
    link.symlink_to(shared / "step.toml")

    text = read_text(link)
    shared.chmod(0o777)

    assert text == "[profiles]\n"
    assert refused(link).endswith(f"chmod go-w {shared}")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: path.mkdir(), "Is a directory"),
        (os.mkfifo, "is no file"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
    ],
)
def test_what_is_no_file_is_refused_at_once(file: Path, make, sentence: str):
    file.unlink()
    make(file)

    assert sentence in refused(file)


def test_text_of_another_encoding_is_told_with_its_line(file: Path):
    file.write_bytes("# ok\n# Gr\xfc\xdfe\n".encode("latin-1"))

    assert "line 2: this is not UTF-8" in refused(file)


def test_a_byte_order_mark_is_passed_over(file: Path):
    file.write_bytes(b"\xef\xbb\xbf[profiles]\n")

    assert read_text(file) == "[profiles]\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a = 1\nmemory = 32G\n", "line 2, column 12: this is not TOML: expected newline"),
        ('a = "x\n', "line 1, column 7: this is not TOML: illegal character"),
        ("[a]\n[a]\n", "line 2, column 3: this is not TOML: cannot declare ('a',) twice"),
        ("a = [1,\n", "at its end: this is not TOML: invalid value"),
        ("a = " + "[" * 100_000, "this is not TOML"),
    ],
)
def test_what_is_no_toml_is_told_with_line_and_column(text: str, sentence: str):
    with pytest.raises(ConfigFileError) as caught:
        parse(text, Path("/x/config.toml"))

    assert str(caught.value).startswith("'/x/config.toml', ")
    assert sentence.lower() in str(caught.value).lower()


def test_a_new_file_and_its_folder_are_for_their_user_alone(tmp_path: Path):
    path = tmp_path / "new" / "config.toml"
    before = os.umask(0)
    try:
        replace_text(path, "a = 1\n", None)
    finally:
        os.umask(before)

    assert path.read_text() == "a = 1\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_that_must_be_new_never_takes_the_place_of_another(file: Path):
    with pytest.raises(ConfigFileError, match="is there already; it was left as it is"):
        replace_text(file, "a = 1\n", None)

    assert file.read_text() == "[profiles]\n"
    assert list(file.parent.iterdir()) == [file]


def test_a_file_system_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "new" / "config.toml"

    replace_text(path, "a = 1\n", None)
    with pytest.raises(ConfigFileError, match="cannot be written"):
        replace_text(path, "b = 1\n", None)

    assert path.read_text() == "a = 1\n"
    assert list(path.parent.iterdir()) == [path]


def test_a_link_that_leads_nowhere_is_no_place_for_a_new_file(file: Path):
    file.unlink()
    file.symlink_to(file.parent / "elsewhere")

    with pytest.raises(ConfigFileError, match="is there already"):
        replace_text(file, "a = 1\n", None)


def test_a_file_that_is_replaced_becomes_private_and_keeps_its_links(file: Path, tmp_path: Path):
    file.chmod(0o644)
    link = tmp_path / "home" / "link.toml"
    link.symlink_to("config.toml")

    replace_text(link, "a = 1\n", "[profiles]\n")

    assert link.is_symlink()
    assert file.read_text() == "a = 1\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_another_program_wrote_meanwhile_is_not_lost(file: Path):
    with pytest.raises(ConfigFileError, match="was changed by another program; try again"):
        replace_text(file, "a = 1\n", "what it was before\n")

    assert file.read_text() == "[profiles]\n"
    assert list(file.parent.iterdir()) == [file]


def test_a_disk_that_is_full_leaves_the_old_file(file: Path, monkeypatch: pytest.MonkeyPatch):
    def full(_: int) -> None:
        raise OSError(28, "No space left on device", "a file")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(ConfigFileError, match="cannot be written: No space left on device"):
        replace_text(file, "a = 1\n", "[profiles]\n")

    assert file.read_text() == "[profiles]\n"
    assert list(file.parent.iterdir()) == [file]


def test_nothing_is_written_into_a_folder_that_others_can_write(file: Path):
    file.parent.chmod(0o777)

    with pytest.raises(ConfigFileError, match="can be written by others"):
        replace_text(file, "a = 1\n", "[profiles]\n")

    assert file.read_text() == "[profiles]\n"
