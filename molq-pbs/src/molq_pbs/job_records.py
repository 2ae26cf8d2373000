"""Read what ``qstat -f`` prints of jobs: one attribute a line, under a line with the job's id."""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from molq.backend import SchedulerError
from molq_pbs.programs import TAG_VARIABLE

# What molq makes use of, in small letters: Torque writes exit_status where OpenPBS writes Exit_status.
_WANTED = frozenset(
    {
        *("job_state", "substate", "exit_status", "comment", "hold_types", "depend", "run_count", "start_count"),
        *("stime", "start_time", "obittime", "comp_time", "exec_host", "variable_list", "submit_arguments"),
        *("submit_args", "queue", "array_id"),
    }
)
_HEAD = re.compile(r"Job Id: ([1-9]\d{0,17}(?:\[\d{0,9}\])?(?:\.[A-Za-z0-9][A-Za-z0-9._-]*)?)", re.ASCII)
_ATTRIBUTE = re.compile(r"    ([^\s=]+) = ?(.*)", re.ASCII | re.DOTALL)
_ANY_HEAD = re.compile(r"Job Id: *(\S*)")
_NUMBER = re.compile(r"-?\d{1,9}", re.ASCII)
_TAG = re.compile(rf"(?:^|[,\s]){TAG_VARIABLE}=([0-9A-Za-z-]{{1,64}})(?=$|[,\s])", re.ASCII)


@attrs.frozen
class JobRecord:
    """One job, array or element of an array, as ``qstat -f`` shows it.

    Attributes:
        job_id: the id in the first line.
        attributes: what molq makes use of, by names in small letters.
    """

    job_id: str
    attributes: Mapping[str, str]

    def text(self, name: str) -> str:
        """Return an attribute, or ``""``."""
        return self.attributes.get(name, "")

    def number(self, name: str) -> int | None:
        """Return an attribute that is a whole number; None if it is missing or something else."""
        text = self.text(name)
        return int(text) if _NUMBER.fullmatch(text) else None

    def tag_for(self, job_id: str) -> str | None:
        """Return whose job this is: ``job_id`` if that is planted in it, another's tag, or ``""`` for a stranger's.

        The path of the script among the arguments of qsub is a second witness, since a site may change the variables.
        None if this answer shows neither.
        """
        texts = [self.attributes.get(name) for name in ("variable_list", "submit_arguments", "submit_args")]
        shown = [text for text in texts if text is not None]
        if any(job_id in text for text in shown):
            return job_id
        return (self.tag or "") if shown else None

    @property
    def tag(self) -> str | None:
        """The tag that is planted in the job, if there is one."""
        for name in ("variable_list", "submit_arguments", "submit_args"):
            match = _TAG.search(self.text(name))
            if match:
                return match[1]
        return None


@attrs.frozen
class JobListing:
    """What one call of qstat printed.

    Attributes:
        records: what can be read, by id.
        garbled: ids of which something is there that cannot be read.
    """

    records: Mapping[str, JobRecord]
    garbled: frozenset[str]


def parse_records(text: str) -> JobListing:
    """Return the jobs in the output of ``qstat -f``.

    A record counts only if it is whole: an empty line ends it, each line in it is an attribute or goes on with one, and
    no attribute that molq makes use of stands there twice. Lines end with a line feed and nothing else: values may
    hold every other kind of line break.

    Raises:
        SchedulerError: the text is no list of jobs.
    """
    records: dict[str, JobRecord] = {}
    garbled: set[str] = set()
    # What follows the last empty line is cut off.
    blocks = text.split("\n\n")
    for number, block in enumerate(blocks):
        lines = block.strip("\n").split("\n")
        if number == 0:
            lines = _without_greeting(lines)
        if lines == [""]:
            continue
        record = _record(lines) if number < len(blocks) - 1 else None
        if record is not None and record.job_id not in records:
            records[record.job_id] = record
            continue
        heads = [match[1] for line in lines if (match := _ANY_HEAD.match(line))]
        if not heads and not records:
            raise SchedulerError(f"qstat's answer is no list of jobs: {' '.join(text.split())[:200]!r}")
        garbled.update(heads)
    return JobListing(
        records={job_id: record for job_id, record in records.items() if job_id not in garbled},
        garbled=frozenset(garbled),
    )


def _without_greeting(lines: list[str]) -> list[str]:
    """Drop what a site's wrapper says before the first job."""
    first = next((number for number, line in enumerate(lines) if _HEAD.fullmatch(line)), 0)
    return lines[first:]


def _record(lines: list[str]) -> JobRecord | None:
    head = _HEAD.fullmatch(lines[0])
    if head is None:
        return None
    found: dict[str, str] = {}
    last = ""
    for line in lines[1:]:
        if line.startswith("\t") and last:
            # Long values are folded by programs that take no -w.
            if last in found:
                found[last] += line[1:]
            continue
        match = _ATTRIBUTE.fullmatch(line)
        if match is None:
            return None
        last = match[1].lower()
        if last in found:
            return None
        if last in _WANTED:
            found[last] = match[2]
    return JobRecord(head[1], found)
