"""Read the options and directives of qsub, and say what OpenPBS 23.06.06 says of wrong ones."""

from __future__ import annotations

import re
from typing import Any

from molq.testing.fake_programs import Record

USAGE = """\
usage: qsub [-a date_time] [-A account_string] [-c interval]
\t[-C directive_prefix] [-e path] [-f ] [-h ] [-I [-X]] [-j oe|eo] [-J X-Y[:Z]]
\t[-k keep] [-l resource_list] [-m mail_options] [-M user_list]
\t[-N jobname] [-o path] [-p priority] [-P project] [-q queue] [-r y|n]
\t[-R o|e|oe] [-S path] [-u user_list] [-W otherattributes=value...]
\t[-v variable_list] [-V ] [-z] [script | -- command [arg1 ...]]
       qsub --version"""

Options = dict[str, Any]

_WITH_VALUE = "aAcCejJklmMNopPqrRStuvW"
_FLAGS = "fhVznIX"
_LONGEST_NAME, _LONGEST_ARRAY = 230, 10_000
_NAME = re.compile(r"[A-Za-z0-9_.+-]+")
_ARRAY = re.compile(r"(\d+)-(\d+)(?::(\d+))?(?:%(\d+))?")
_WALLTIME = re.compile(r"\d+|(?:\d+:)?\d+:\d+")
_MEMORY = re.compile(r"\d+(?:[bwkmgtp]|[kmgtp][bw])?", re.IGNORECASE)
_DEPENDENCY = re.compile(r"(after|afterok|afternotok|afterany)((?::\d+(?:\[\])?(?:\.[A-Za-z0-9._-]+)?)+)")
_ATTRIBUTES = frozenset({"depend", "block", "umask", "group_list", "stagein", "stageout", "sandbox", "run_count", "x"})


class Refusal(Exception):  # noqa: N818 - an answer
    """What qsub says, and its exit code."""

    def __init__(self, words: str, code: int) -> None:
        super().__init__(words)
        self.words, self.code = words, code


def illegal(letter: str) -> Refusal:
    """Return the refusal of an option's value."""
    return Refusal(f"qsub: illegal -{letter} value\n{USAGE}", 2)


def parse(words: list[str], options: Options, *, is_directive: bool = False) -> list[str]:
    """Add options to those that are there, which win; return the operands."""
    rest, operands = list(words), []
    given: Options = {}
    while rest:
        word = rest.pop(0)
        if word == "--" or not word.startswith("-") or word == "-":
            operands = [word, *rest]
            break
        letter, value = word[1], word[2:]
        if letter in _WITH_VALUE:
            if not value and not rest:
                raise Refusal(f"qsub: option requires an argument -- '{letter}'\n{USAGE}", 2)
            value = value or rest.pop(0)
        elif letter not in _FLAGS:
            raise Refusal(f"qsub: invalid option -- '{letter}'\n{USAGE}", 2)
        if letter in "lW":
            given.setdefault(letter, []).append(value)
        else:
            given[letter] = value
    if is_directive and operands:
        raise Refusal(f"qsub: directive error: {' '.join(words)} ", 1)
    for letter, value in given.items():
        if letter in "lW":
            options[letter] = [*options.get(letter, []), *value]
        else:
            options.setdefault(letter, value)
    return operands


def check(cluster: Record, options: Options) -> None:
    """Refuse what the client or the server refuses.

    Raises:
        Refusal: with its words.
    """
    _check_name(options)
    _check_words(options)
    _check_array(cluster, options)
    attributes = attributes_of(options)
    if "depend" in attributes and parse_dependencies(attributes["depend"]) is None:
        raise illegal("W")
    if unknown := attributes.keys() - _ATTRIBUTES:
        raise Refusal("qsub: Error (15002) submitting job" if unknown else "", 154)
    resources_of(cluster, options)
    queue = str(options.get("q", cluster["queues"][0])).partition("@")[0]
    if queue not in cluster["queues"]:
        raise Refusal("qsub: Unknown queue", 170)
    if queue in cluster["disabled_queues"]:
        raise Refusal("qsub: Queue is not enabled", 173)
    if options.get("u") == "root":
        raise Refusal("qsub: Bad UID for job execution", 175)
    if cluster["most_jobs"] is not None:
        waiting = sum(job["state"] != "F" for job in cluster["jobs"])
        if waiting >= cluster["most_jobs"]:
            raise Refusal("qsub: would exceed complex's per-user limit", 38)


def parse_dependencies(expression: str) -> list[list[str]] | None:
    """Return types and ids, without their server; None if it is no expression."""
    edges = []
    for part in expression.split(","):
        match = _DEPENDENCY.fullmatch(part)
        if match is None:
            return None
        edges += [[match[1], upstream.partition(".")[0]] for upstream in match[2][1:].split(":")]
    return edges


def attributes_of(options: Options) -> dict[str, str]:
    """Return what ``-W`` sets."""
    found = {}
    for value in options.get("W", []):
        key, _, text = value.partition("=")
        found[key] = text
    return found


def array_of(cluster: Record, options: Options) -> list[int] | None:
    """Return the indices of an array; None for a job that is none."""
    if cluster["dialect"] == "torque":
        spec = options.get("t", "").partition("%")[0]
        bounds = [part.split("-") for part in spec.split(",") if part]
        return [i for bound in bounds for i in range(int(bound[0]), int(bound[-1]) + 1)] or None
    match = _ARRAY.fullmatch(options["J"]) if "J" in options else None
    return list(range(int(match[1]), int(match[2]) + 1, int(match[3] or 1))) if match else None


def resources_of(cluster: Record, options: Options) -> dict[str, str]:
    """Return the resources of a job.

    Raises:
        Refusal: a resource is not known, or its value is none.
    """
    given: dict[str, str] = {}
    for listed in options.get("l", []):
        for part in re.split(r",(?=[a-z_]+=)", listed):
            key, _, value = part.partition("=")
            given[key] = value
    if "select" in given or "place" in given:
        if "nodes" in given:
            raise Refusal("qsub: Cannot be used with select or place: nodes", 6)
        for key in given.keys() & {"ncpus", "mem", "mpiprocs"}:
            raise Refusal(f'qsub: "-lresource=" cannot be used with "select" or "place", resource is: {key}', 5)
    for key, value in given.items():
        _check_resource(cluster, key, value)
    if "select" not in given and "nodes" not in given:
        return {"ncpus": "1", "nodect": "1", "place": "pack", "select": "1:ncpus=1", **given}
    return {"nodect": given.get("select", given.get("nodes", "1")).partition(":")[0], **given}


def _check_resource(cluster: Record, key: str, value: str) -> None:
    bad = "qsub: Illegal attribute or resource value"
    if key == "select":
        for part in value.split(":")[1:]:
            name, _, amount = part.partition("=")
            if name not in cluster["resources"]:
                raise Refusal(f"qsub: Unknown resource: {name}", 187)
            is_size = name in ("mem", "vmem")
            if (is_size and not _MEMORY.fullmatch(amount)) or (name == "ncpus" and not amount.isdigit()):
                raise Refusal(f"{bad} select.{name}", 166)
    elif key == "place":
        if not set(value.split(":")) <= {"free", "pack", "scatter", "vscatter", "excl", "exclhost", "shared"}:
            raise Refusal(f"{bad} Resource_List.place", 166)
    elif key in ("walltime", "cput", "min_walltime", "max_walltime"):
        if not _WALLTIME.fullmatch(value):
            raise Refusal(f"{bad} Resource_List.{key}", 166)
    elif key != "nodes" and key not in cluster["resources"]:
        raise Refusal(f"qsub: Unknown resource Resource_List.{key}", 187)


def _check_name(options: Options) -> None:
    name = options.get("N")
    if name is not None and not _NAME.fullmatch(name):
        raise illegal("N")
    if name is not None and len(name) > _LONGEST_NAME:
        raise Refusal("qsub: Job name is too long ", 2)


def _check_words(options: Options) -> None:
    if "o" in options and not options["o"]:
        raise illegal("o")
    if "m" in options and not re.fullmatch(r"n|[abej]+", options["m"]):
        raise illegal("m")
    if "a" in options and not re.fullmatch(r"\d{8,12}(?:\.\d\d)?", options["a"]):
        raise illegal("a")
    if "p" in options and not (re.fullmatch(r"-?\d+", options["p"]) and -1024 <= int(options["p"]) <= 1023):
        raise illegal("p")


def _check_array(cluster: Record, options: Options) -> None:
    if cluster["dialect"] == "torque" or "J" not in options:
        return
    match = _ARRAY.fullmatch(options["J"])
    if match is None or int(match[1]) >= int(match[2]) or match[3] == "0":
        raise illegal("J")
    if options.get("r") == "n":
        raise Refusal(f"qsub:  cannot submit non-rerunable Array Job\n{USAGE}", 2)
    if len(array_of(cluster, options) or ()) > _LONGEST_ARRAY:
        raise Refusal("qsub: Array job exceeds server or queue size limit", 3)
