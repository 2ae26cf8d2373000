"""Judge what the fake cluster's jobs wait for, as OpenLava does."""

from __future__ import annotations

import operator
import re

from molq.testing.fake_programs import Record
from molq_lsf.testing.cluster_file import finished, is_named, matches

KINDS = ("done", "exit", "ended", "started", "post_done")
_TOKEN = re.compile(r'\s*(?:(&&|\|\||!|\(|\)|,)|"([^"]*)"|([^\s()&|!,"]+))')

NEW = "New job is waiting for scheduling"
DEPENDS = "Job dependency condition not satisfied"
NEVER = "Dependency condition invalid or never satisfied"
HELD = "The job was suspended by the user while pending"


class ConditionError(Exception):
    """A condition that LSF refuses; the message is LSF's."""


def tokens(text: str) -> list[tuple[str, bool]]:
    """Return the words and signs of a condition, and whether each is a word in quotes."""
    found, position = [], 0
    while position < len(text.rstrip()):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ConditionError(f"{text}: Dependency condition syntax error")
        found.append((match[1] or match[2] or match[3], match[2] is not None))
        position = match.end()
    return found


def upstreams(cluster: Record, word: str, *, is_quoted: bool) -> list[Record]:
    """Return the jobs that a word in a condition means: an id, or else a name."""
    known = [job for job in cluster["jobs"] if job["in_queue"]]
    if word[:1].isdigit() and not is_quoted:
        return [job for job in known if matches(job, word)]
    return [job for job in known if is_named(job, word)]


def check(cluster: Record, text: str) -> None:
    """Refuse a condition on a job that is not known, or of a wrong form."""
    parts = tokens(text)
    depth = 0
    for number, (word, is_quoted) in enumerate(parts):
        depth += {"(": 1, ")": -1}.get(word, 0)
        following = parts[number + 1][0] if number + 1 < len(parts) else ""
        if depth and number and parts[number - 1][0] == ",":
            continue  # an exit code
        if word == "," and not depth:
            raise ConditionError(f"{text}: Dependency condition syntax error")
        if word in ("&&", "||", "!", "(", ")", ",") or (word in KINDS and following == "("):
            continue
        if not upstreams(cluster, word, is_quoted=is_quoted):
            raise ConditionError(f"{word}: No matching job found")
    if depth:
        raise ConditionError(f"{text}: Dependency condition syntax error")


def judge_all(cluster: Record) -> None:
    """Give each waiting job the reason that it has by now. What was satisfied once stays so."""
    for job in cluster["jobs"]:
        if job["state"] == "PSUSP":
            job["reason"] = HELD
        elif job["state"] == "PEND" and not job["is_scripted"]:
            verdict = _judge(cluster, job) if job["dependency"] and cluster["schedules"] else True
            job["reason"] = {True: NEW, False: DEPENDS, None: NEVER}[verdict]


def _judge(cluster: Record, job: Record) -> bool | None:
    verdicts: list[bool | None] = []
    for part in re.split(r"&&", job["dependency"]):
        text = part.strip()
        if text in job["met"]:
            continue
        match = re.fullmatch(r"(\w+)\(\s*(?:\"([^\"]*)\"|([^)\"]*?))\s*\)", text)
        kind, word = (match[1], match[2] or match[3]) if match else ("done", text)
        word, _, code = word.partition(",")
        jobs = upstreams(cluster, word, is_quoted=bool(match and match[2]))
        verdict = finished(jobs, kind) if jobs and kind in KINDS else None
        if verdict and code and not all(_has_code(one["code"], code) for one in jobs):
            verdict = None
        if verdict:
            job["met"].append(text)
        verdicts.append(verdict)
    if None in verdicts:
        return None
    return False not in verdicts


def _has_code(found: int | None, wanted: str) -> bool:
    sign, number = re.fullmatch(r"\s*([<>=!]*)\s*(\d+)", wanted).groups()  # type: ignore[union-attr]  # LSF checked it
    compare = {">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le, "!=": operator.ne}
    return bool(compare.get(sign, operator.eq)(found or 0, int(number)))
