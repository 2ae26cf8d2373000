"""Ask qstat about jobs, and tell those that it does not know from those about which it did not answer."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import attrs

from molq.backend import CommandReply, Commands, command_failed
from molq_pbs.job_records import JobRecord, parse_records
from molq_pbs.options import PBSSchedulerOptions
from molq_pbs.programs import ask, chunks, names_same_job
from molq_pbs.qstat_forms import QstatForm

# Source: recorded from OpenPBS 23.06.06; Torque says "Unknown Job Id Error".
_UNKNOWN = re.compile(r"^qstat: Unknown Job Id(?: Error)? (\S+)\s*$", re.MULTILINE)
_EXIT_CODES_OF_ANSWERS = frozenset({0, 35, 153})
"""All is well; a job is over, of which it may only be asked otherwise; a job is not known."""


@attrs.frozen(kw_only=True)
class Listing:
    """What qstat said of the jobs that were asked for.

    Attributes:
        records: the record of each job that it showed, by the id by which it was asked for.
        elements: the records of elements, by the id of their array, as that was asked for.
        unknown: the jobs of which it said that it does not know them.
        unanswered: the jobs about which it said nothing that can be understood.
        has_history: whether the server keeps jobs that are over.
    """

    records: Mapping[str, JobRecord]
    elements: Mapping[str, tuple[JobRecord, ...]]
    unknown: frozenset[str]
    unanswered: frozenset[str]
    has_history: bool = True


@attrs.define
class _Answers:
    """What several calls have said so far."""

    records: dict[str, JobRecord] = attrs.field(factory=dict)
    elements: dict[str, list[JobRecord]] = attrs.field(factory=dict)
    unknown: set[str] = attrs.field(factory=set)
    garbled: set[str] = attrs.field(factory=set)
    failed: tuple[Sequence[str], CommandReply] | None = None


def ask_queue(
    job_ids: Collection[str], options: PBSSchedulerOptions, commands: Commands, *, with_elements: bool = False
) -> Listing:
    """Return what qstat knows of jobs.

    All are asked for by one request. It passes over jobs that it does not know without a word, and over all of them if
    the last one is odd; so the few that are missing are then asked for one by one, by one more call.

    Raises:
        SchedulerError: it could not be asked, or gave no answer that is one.
    """
    if not job_ids:
        return Listing(records={}, elements={}, unknown=frozenset(), unanswered=frozenset())
    answers = _Answers()
    form = QstatForm.usual(options, with_elements=with_elements)
    form = _ask(job_ids, form, commands, answers, at_once=len(job_ids) > 1)
    missing = [job_id for job_id in job_ids if not _is_settled(job_id, answers)]
    if missing and form.can_group and len(job_ids) > 1:
        form = _ask(missing, form, commands, answers, at_once=False)
        missing = [job_id for job_id in missing if not _is_settled(job_id, answers)]
    if answers.failed is not None and not answers.records and missing:
        raise command_failed(*answers.failed)
    return Listing(
        records=answers.records,
        elements={array_id: tuple(found) for array_id, found in answers.elements.items()},
        unknown=frozenset(answers.unknown - answers.records.keys()),
        unanswered=frozenset(missing),
        has_history=form.has_history,
    )


def _ask(
    job_ids: Collection[str], form: QstatForm, commands: Commands, answers: _Answers, *, at_once: bool
) -> QstatForm:
    """Ask, again in another form if the site needs one; return the form that it took."""
    for part in chunks(job_ids):
        other: QstatForm | None = form
        while other is not None:
            form = other
            argv = form.argv(part, at_once=at_once)
            reply = ask(argv, form.options, commands, 1 if at_once and form.can_group else len(part))
            other = form.better_for(reply)
        _take(argv, reply, part, answers)
    return form


def _take(argv: Sequence[str], reply: CommandReply, job_ids: Sequence[str], answers: _Answers) -> None:
    unknown = _UNKNOWN.findall(reply.stderr)
    is_answer = reply.exit_code in _EXIT_CODES_OF_ANSWERS
    if not is_answer:
        answers.failed = (argv, reply)
    listing = parse_records(reply.stdout) if is_answer or "Job Id:" in reply.stdout else parse_records("")
    wanted = _Wanted(job_ids)
    for job_id, record in listing.records.items():
        if asked := wanted.find(job_id):
            answers.records[asked] = record
        elif asked := wanted.find_array_of(job_id):
            answers.elements.setdefault(asked, []).append(record)
    answers.garbled.update(asked for job_id in listing.garbled if (asked := wanted.find(job_id)))
    if is_answer:
        answers.unknown.update(asked for job_id in unknown if (asked := wanted.find(job_id)))


def _is_settled(job_id: str, answers: _Answers) -> bool:
    return job_id in answers.records or (job_id in answers.unknown and job_id not in answers.garbled)


class _Wanted:
    """Finds the id by which a job was asked for: qstat writes the server's name behind an id that lacks it."""

    def __init__(self, job_ids: Sequence[str]) -> None:
        self._exact = frozenset(job_ids)
        self._by_number: dict[str, list[str]] = {}
        for job_id in job_ids:
            self._by_number.setdefault(job_id.partition(".")[0], []).append(job_id)

    def find(self, shown: str) -> str | None:
        """Return the id by which the job was asked for; None if it was not, or if that is not clear."""
        if shown in self._exact:
            return shown
        asked = self._by_number.get(shown.partition(".")[0], [])
        fitting = [job_id for job_id in asked if names_same_job(job_id, shown)]
        return fitting[0] if len(fitting) == 1 else None

    def find_array_of(self, shown: str) -> str | None:
        """Return the id by which the array was asked for of which this is an element."""
        return self.find(re.sub(r"\[\d+\]", "[]", shown, count=1)) if "[" in shown else None
