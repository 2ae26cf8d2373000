"""Answer as bsub of OpenLava 2.2 does, and as IBM documents bsub of Spectrum LSF 10.1."""

from __future__ import annotations

import os
import re
import signal
import sys
import time

from molq.testing.fake_programs import Record
from molq_lsf.testing.cluster_file import DEFAULT_QUEUE, HOST, LARGEST_ARRAY, SLOTS, expand, happen
from molq_lsf.testing.dependency_conditions import HELD, NEW, ConditionError, check, judge_all

USAGE = """\
Usage: bsub [-h] [-V] [-x] [-H] [-r] [-N] [-B] [-I | -K | -Ip | -Is]
\t\t[-L login_shell] [-c cpu_limit[/host_spec]] [-F file_limit]
\t\t[-W run_limit[/host_spec]] [-k chkpnt_dir [chkpnt_period] [method=chkpnt_dir]]
\t\t[-P project_name] 
\t\t[-q queue_name ...]  [-R res_req]
\t\t[-m "host_name[+[pref_level]] | host_group[+[pref_level]]...]"
\t\t[-n min_processors[,max_processors]] [-J job_name]
\t\t[-b begin_time] [-t term_time] [-u mail_user]
\t\t[-i in_file | -is in_file] [-o out_file] [-e err_file]
\t\t[-M mem_limit]  [-D data_limit]  [-S stack_limit]
\t\t[[-f "lfile op [rfile]"] ...] [-w depend_cond]
\t\t[-E "pre_exec_command [argument ...]"] [-Zs]
\t\t[-sp job_priority]
\t\t[command [argument ...]]
\t\t[-a additional_esub_information]
"""  # noqa: W291 - so it was recorded
_FLAGS = ("H", "x", "r", "N", "B", "h", "V", "K", "I", "Ip", "Is", "Zs")
_WITH_VALUE = (*"EawfkRmJLuioenqbtcWFDSCMGPX", "is", "sp")
_SPECTRUM_ONLY = ("Jd", "app", "cwd", "env", "eo", "gpu", "oo", "U")
_PENDING_RESOURCES = frozenset(
    {"mem", "swp", "tmp", "ut", "pg", "io", "ls", "it", "r1m", "r15m", "r15s", "ngpus_excl_p"}
)
_LONGEST_NAME = 511
_LONGEST_LINE = 5118


class RefusalError(Exception):
    """A submission that is refused; the message is LSF's, without the end that says so."""


class UsageError(Exception):
    """A call that bsub does not understand; the message is its own."""


def bsub(argv: list[str], cluster: Record) -> int:
    """Submit a job to the fake cluster; print its id."""
    options: Record = {}
    try:
        command = parse(argv, options, cluster["dialect"])
        if "h" in options:
            sys.stderr.write(USAGE)
            return 255
        script = None
        if not command:
            script = sys.stdin.buffer.read().decode(errors="surrogateescape")
            embedded: Record = {}
            words = embedded_words(script)
            parse(words, embedded, cluster["dialect"])
            options = {**embedded, **options}
            command = _command_of(script)
        _check(command, options, cluster)
    except UsageError as error:
        sys.stderr.write(f"bsub: {error}\n{USAGE}")
        return 255
    except (RefusalError, ConditionError) as error:
        sys.stderr.write(f"{error}. Job not submitted.\n")
        return 255
    return _answer(_accept(options, command, script, cluster), options, cluster)


def parse(words: list[str], options: Record, dialect: str) -> str:
    """Read options up to the first other word, as LSF's own parser does; return the rest as a command.

    OpenLava takes the rest of a word that begins with an option for its value.
    """
    names = {*_WITH_VALUE, *(_SPECTRUM_ONLY if dialect == "spectrum" else ())}
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)[1:]
        if word in _FLAGS:
            options[word] = True
            continue
        name = (
            word if word in names else next((n for n in sorted(names, key=len, reverse=True) if word.startswith(n)), "")
        )
        if not name:
            raise UsageError(f"illegal option -- {word}")
        value = word[len(name) :]
        if not value:
            if not rest:
                raise UsageError(f"option requires an argument -- {name}")
            value = rest.pop(0)
        options[name] = value
    return " ".join(_requoted(word) for word in rest) if len(rest) > 1 else "".join(rest)


def embedded_words(script: str) -> list[str]:
    """Return the words in all lines that begin with ``#BSUB``, wherever they stand; quotes know no escapes."""
    found: list[str] = []
    for line in (piece for whole in script.split("\n") for piece in _pieces(whole)):
        match = re.match(r"\s*#\s*BSUB\s*(-.*)", line)
        if match is None:
            continue
        quotes = [mark for mark in match[1] if mark in "\"'"]
        mark = quotes[0] if quotes else '"'
        for word in re.findall(rf"{mark}([^{mark}]*){mark}\S*|(\S+)", match[1]):
            if word[1].startswith(mark):
                break  # the quotes are not closed
            if (word[0] or word[1]).startswith("#"):
                break
            found.append(" ".join(word[0].split()) if word[0] else word[1])
    return found


def _pieces(line: str) -> list[str]:
    """Return the parts in which a long line is read; each is taken for a line."""
    return [line[start : start + _LONGEST_LINE] for start in range(0, len(line), _LONGEST_LINE)]


def _command_of(script: str) -> str:
    lines = script.strip("\n").split("\n")
    has_command = any(line.strip() and not line.lstrip().startswith("#") for line in lines)
    return ";".join(lines) if has_command else ""


def _requoted(word: str) -> str:
    if " " not in word:
        return word
    return f'"{word}"' if '"' not in word and "$" not in word else f"'{word}'"


def _check(command: str, options: Record, cluster: Record) -> None:
    """Refuse what LSF refuses, in its words and order."""
    if not command:
        raise RefusalError("No command is specified")
    _check_numbers(options)
    if "J" in options:
        _check_name(options["J"])
    if "R" in options and not _is_requirement(options["R"]):
        raise RefusalError("Bad resource requirement syntax")
    name = options.get("q", DEFAULT_QUEUE)
    queue = cluster["queues"].get(name)
    if queue is None:
        raise RefusalError(f"{name}: No such queue")
    if not queue["is_open"]:
        raise RefusalError(f"{name}: User cannot use the queue")
    if "m" in options and options["m"] != HOST:
        raise RefusalError(f"{options['m']}: Bad host name, host group name or cluster name")
    if "x" in options and not queue["is_exclusive"]:
        raise RefusalError(f"{name}: Queue does not accept EXCLUSIVE jobs")
    if "U" in options:
        raise RefusalError("The specified reservation does not exist")
    if int(options.get("n", "1").partition(",")[0]) > SLOTS:
        raise RefusalError("Too many processors requested")
    if "W" in options and queue["run_limit"] is not None and minutes(options["W"]) > queue["run_limit"]:
        raise RefusalError("RUNLIMIT: Cannot exceed queue's hard limit(s)")
    if options.get("w"):
        check(cluster, options["w"])


def _check_numbers(options: Record) -> None:
    processors = options.get("n", "1").partition(",")[0]
    if not processors.isdigit():
        raise RefusalError("Bad argument for option -n")
    if int(processors) < 1:
        raise RefusalError("The number of processors must be a positive integer")
    for name, words in (("W", "RUNLIMIT"), ("c", "CPULIMIT")):
        if name in options and not re.fullmatch(r"\d+(?::\d+)?(?:/\S+)?", options[name]):
            raise RefusalError(f"{options[name]}: Bad {words} specification")
    if "M" in options and not options["M"].isdigit():
        raise RefusalError(f"{options['M']}: MEMLIMT value should be a positive integer")
    if "b" in options and not re.fullmatch(r"(?:[01]?\d|2[0-3]):[0-5]\d", options["b"]):
        raise RefusalError(f"{options['b']}: Bad time specification")


def _check_name(name: str) -> None:
    if len(name) > _LONGEST_NAME:
        raise RefusalError("Bad job name")
    if "[" not in name:
        return
    match = re.fullmatch(r"[^\[]*\[((?:\d+(?:-\d+(?::\d+)?)?,?)+)\](?:%\d+)?", name)
    if match is None:
        raise RefusalError("Bad job name")
    bounds = [tuple(map(int, part.partition(":")[0].split("-"))) for part in match[1].split(",")]
    if any(pair[0] < 1 or pair[-1] < pair[0] for pair in bounds):
        raise RefusalError("Bad job name")
    if max(pair[-1] for pair in bounds) > LARGEST_ARRAY:
        raise RefusalError("Job array index too large")


def _is_requirement(text: str) -> bool:
    sections = re.findall(r"(select|rusage|span|order|same)\[([^\]]*)\]", text)
    if not sections or re.sub(r"(select|rusage|span|order|same)\[[^\]]*\]", "", text).strip():
        return False
    for section, body in sections:
        if section == "span" and not re.fullmatch(r"(?:hosts=1|ptile=\d+)", body):
            return False
        names = re.findall(r"[A-Za-z]\w*(?=\s*[=<>!])", body)
        if section in ("select", "rusage") and (not names or not set(names) <= _PENDING_RESOURCES):
            return False
    return True


def minutes(text: str) -> int:
    """Return the minutes in ``90`` or ``1:30``."""
    hours, _, rest = text.partition("/")[0].rpartition(":")
    return int(hours or 0) * 60 + int(rest)


def _accept(options: Record, command: str, script: str | None, cluster: Record) -> int:
    job_id: int = cluster["next_id"]
    cluster["next_id"] += 1
    name = options.get("J") or command
    listed = re.search(r"\[([^\]]*)\]", name) if options.get("J") else None
    indices = expand(listed[1]) if listed else [None]
    for index in indices:
        job = _record(options, name.replace("\n", ""), command, script, cluster)
        job.update(id=job_id, index=index, pid=10_000 + job_id)
        happen(job, _submitted(job, options))
        cluster["jobs"].append(job)
    judge_all(cluster)
    return job_id


def _record(options: Record, name: str, command: str, script: str | None, cluster: Record) -> Record:
    return {
        "name": name,
        "is_named": bool(options.get("J")),
        "description": options.get("Jd", ""),
        "user": cluster["user"],
        "project": options.get("P", "default"),
        "queue": options.get("q", DEFAULT_QUEUE),
        "command": command,
        "script": script if script is not None else f"{command}\n",
        "environment": dict(os.environ),
        "cwd": os.environ.get("MOLQ_FAKE_CWD", os.getcwd()),
        "home": f"/home/{cluster['user']}",
        "output": options.get("o"),
        "error": options.get("e"),
        "slots": int(options.get("n", "1").partition(",")[0]),
        "run_limit": minutes(options["W"]) if "W" in options else None,
        "memory_limit": int(options["M"]) if "M" in options else None,
        "dependency": options.get("w", ""),
        "met": [],
        "state": "PSUSP" if "H" in options else "PEND",
        "reason": HELD if "H" in options else NEW,
        "is_scripted": False,  # whether the test has said why it waits
        "code": None,
        "term": "",
        "submit": int(time.time()),
        "start": None,
        "end": None,
        "events": [],
        "in_queue": True,
        "in_history": True,
    }


def _submitted(job: Record, options: Record) -> str:
    """Return the first event of a job."""
    folder = job["cwd"]
    shown = f"$HOME{folder.removeprefix(job['home'])}" if folder.startswith(job["home"]) else folder
    held = " with hold" if "H" in options else ""
    text = f"Submitted from host <{HOST}>{held}, to Queue <{job['queue']}>, CWD <{shown}>"
    for name, words in (("o", "Output File"), ("e", "Error File")):
        if name in options:
            text += f", {words} <{options[name]}>"
    if job["slots"] > 1:
        text += f", {job['slots']} Processors Requested"
    if "R" in options:
        text += f", Requested Resources <{options['R']}>"
    if job["dependency"]:
        text += f", Dependency Condition <{job['dependency']}>"
    return f"{text};"


def _answer(job_id: int, options: Record, cluster: Record) -> int:
    if cluster["lose_reply"]:
        cluster["lose_reply"] = False
        cluster["kill_me"] = True
        return 0
    if "BSUB_QUIET" in os.environ:
        return 0
    default = "" if "q" in options else "default "
    sys.stdout.write(
        f"{cluster['banner']}Job <{job_id}> is submitted to {default}queue <{options.get('q', DEFAULT_QUEUE)}>.\n"
    )
    return 0


def die() -> None:
    """End as a bsub does that is killed after it has sent its request."""
    os.kill(os.getpid(), signal.SIGKILL)
