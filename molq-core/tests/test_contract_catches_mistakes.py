"""Every mistake that a backend is known to make is caught by a rule of the contract, by name."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import attrs
import pytest

from molq.backend import (
    CancelReceipt,
    CompiledDependencies,
    JobReport,
    JobState,
    PollAnswer,
    SchedulerError,
    SubmitReceipt,
    SubmitRejected,
    SubmitUnconfirmed,
    hookimpl,
)
from molq.testing import memory_backend
from molq.testing.contract import BackendContract
from molq.testing.memory_backend import Listing, MemoryBackend

pytest_plugins = ["pytester"]

MISTAKES: dict[str, tuple[type[MemoryBackend], str]] = {}
"""The mistake -> a backend that makes it, and the rule that must fail."""

ON_MEMORY = Path(__file__).with_name("test_contract_on_memory.py").read_text()
MISTAKEN = """

class TestWithAMistake(TestOnMemory):
    @pytest.fixture
    def backend(self, cluster, mistaken):
        return mistaken(cluster).load()
"""


def caught_by(rule):
    """Enter a backend with a mistake into the table."""

    def enter(backend):
        MISTAKES[backend.__name__] = (backend, rule)
        return backend

    return enter


def reported(job_id, state, **facts):
    return JobReport(scheduler_job_id=job_id, native_state="?", state=state, **facts)


def ids_of(jobs):
    return [job.scheduler_job_id for job in jobs]


# What is not known, taken for known.


@caught_by("test_an_outage_is_an_error_and_over_when_it_is_over")
class AnOutageIsReportedAsLost(MemoryBackend):
    @hookimpl
    def molq_poll_jobs(self, jobs):
        try:
            return super().molq_poll_jobs(jobs)
        except SchedulerError:
            return PollAnswer(reports=tuple(reported(job_id, JobState.LOST) for job_id in ids_of(jobs)))


@caught_by("test_an_outage_is_an_error_and_over_when_it_is_over")
class AnOutageIsAnsweredWithNothing(MemoryBackend):
    @hookimpl
    def molq_poll_jobs(self, jobs):
        try:
            return super().molq_poll_jobs(jobs)
        except SchedulerError:
            return PollAnswer(reports=())


@caught_by("test_no_job_ends_by_garbage")
class TheExitCodeOfTheListingIsIgnored(MemoryBackend):
    def told(self, program, words):
        return self.cluster.call([program], stdin="\n".join(words)).stdout


@caught_by("test_no_job_ends_by_garbage")
class AStateIsReadFromAnyLineThatHasTheId(MemoryBackend):
    def ask(self, program, ids):
        ended = [i for i in ids for line in self.told(program, ids).splitlines() if i in line and "COMPLETED" in line]
        line = memory_backend.Line(indices=(), tag="", word="DONE", code=0, signal=0, restarts=0, reason="")
        return Listing(lines={job_id: [line] for job_id in ended}, has_odd_lines=False)


class _AbsentIs(MemoryBackend):
    state: JobState

    @hookimpl
    def molq_poll_jobs(self, jobs):
        answer = super().molq_poll_jobs(jobs)
        said = {report.scheduler_job_id for report in answer.reports} | answer.unanswered
        absent = tuple(reported(job_id, self.state) for job_id in ids_of(jobs) if job_id not in said)
        return attrs.evolve(answer, reports=answer.reports + absent)


@caught_by("test_unknown_jobs_are_absent_and_known_ones_are_not_hurt_by_them")
class AnAbsentJobIsCalledSucceeded(_AbsentIs):
    state = JobState.SUCCEEDED


@caught_by("test_accounting_that_lags_does_not_tell_wrongly")
class AJobIsLostWhileTheAccountsLag(_AbsentIs):
    state = JobState.LOST


@caught_by("test_an_empty_answer_ends_no_job")
class AnEmptyAnswerEndsAllJobs(_AbsentIs):
    state = JobState.FAILED


@caught_by("test_a_forgotten_job_is_open_while_accounting_is_down")
class AccountsThatAreDownKnowNoJob(MemoryBackend):
    @hookimpl
    def molq_poll_jobs(self, jobs):
        return attrs.evolve(super().molq_poll_jobs(jobs), unanswered=frozenset())


@caught_by("test_accounting_that_lags_does_not_tell_wrongly")
class AccountsWithoutAnExitCodeAreBelieved(MemoryBackend):
    def ask(self, program, ids):
        listing = super().ask(program, ids)
        lines = {i: [attrs.evolve(line, code=line.code or 0) for line in listing.lines[i]] for i in listing.lines}
        return attrs.evolve(listing, lines=lines)


@caught_by("test_unknown_jobs_are_absent_and_known_ones_are_not_hurt_by_them")
class AnUnknownIdSpoilsTheBatch(MemoryBackend):
    def ask(self, program, ids):
        listing = super().ask(program, ids)
        if program == "macct" and not listing.lines:
            raise SchedulerError(f"no such jobs: {ids}")
        return listing


# Words, misread.


class _UnknownWordIs(MemoryBackend):
    state: JobState

    def outcome(self, line):
        state, *rest = super().outcome(line)
        return (state or self.state, *rest)


@caught_by("test_a_word_that_nobody_knows_is_passed_on_without_a_state")
class AnUnknownWordIsCalledLost(_UnknownWordIs):
    state = JobState.LOST


@caught_by("test_a_word_that_nobody_knows_is_passed_on_without_a_state")
class AnUnknownWordIsCalledFailed(_UnknownWordIs):
    state = JobState.FAILED


@caught_by("test_a_word_that_nobody_knows_is_passed_on_without_a_state")
class AnUnknownWordIsCalledRunning(_UnknownWordIs):
    state = JobState.RUNNING


@caught_by("test_each_word_of_the_scheduler_means_what_it_should")
class AStoppedJobIsLost(MemoryBackend):
    words = MappingProxyType({word: MemoryBackend.words[word] for word in ("QUEUED", "RUNNING", "DONE")})

    def outcome(self, line):
        state, *rest = super().outcome(line)
        return (state or JobState.LOST, *rest)


@caught_by("test_a_job_in_a_state_that_nobody_knows_does_not_hurt_the_others")
class OneOddLineSpoilsTheBatch(MemoryBackend):
    def outcome(self, line):
        if line.word not in self.words:
            raise SchedulerError(f"unexpected line: {line}")
        return super().outcome(line)


@caught_by("test_a_job_in_a_state_that_nobody_knows_does_not_hurt_the_others")
class AnOddLineEndsTheReading(MemoryBackend):
    @hookimpl
    def molq_poll_jobs(self, jobs):
        answer = super().molq_poll_jobs(jobs)
        states = [report.state for report in answer.reports]
        return attrs.evolve(answer, reports=answer.reports[: states.index(None) if None in states else None])


# Arrays.


@caught_by("test_an_array_is_one_job_with_elements")
class APendingArrayIsCalledLost(_AbsentIs):
    state = JobState.LOST

    def ask(self, program, ids):
        listing = super().ask(program, ids)
        lines = {i: [line for line in listing.lines[i] if len(line.indices) < 2] for i in listing.lines}
        return attrs.evolve(listing, lines={job_id: kept for job_id, kept in lines.items() if kept})


@caught_by("test_an_array_is_one_job_with_elements")
class AnArrayIsWhatItsFirstElementIs(MemoryBackend):
    def array_report(self, job_id, lines):
        report = super().array_report(job_id, lines)
        return attrs.evolve(report, state=report.elements[0].state)


@caught_by("test_an_array_is_one_job_with_elements")
class AnArrayWithAFailedElementSucceeds(MemoryBackend):
    def state_of_array(self, states):
        return JobState.SUCCEEDED if JobState.SUCCEEDED in states else super().state_of_array(states)


@caught_by("test_an_array_is_one_job_with_elements")
class AnArrayFailsWhileElementsWait(MemoryBackend):
    def state_of_array(self, states):
        return JobState.FAILED if JobState.FAILED in states else super().state_of_array(states)


@caught_by("test_an_array_is_one_job_with_elements")
class TheElementsOfAnArrayAreKeptBack(MemoryBackend):
    def array_report(self, job_id, lines):
        return attrs.evolve(super().array_report(job_id, lines), elements=())


# Ends.


class _Misreads(MemoryBackend):
    word: str
    meaning: tuple

    def outcome(self, line):
        return self.meaning if line.word == self.word else super().outcome(line)


@caught_by("test_what_ended_a_job_is_named")
class PreemptedIsCalledCancelled(_Misreads):
    word, meaning = "PREEMPTED", (JobState.CANCELLED, "cancelled", None, None)


@caught_by("test_what_ended_a_job_is_named")
class OutOfMemoryIsAFailureWithExitCodeZero(_Misreads):
    word, meaning = "MEMORY", (JobState.FAILED, "exit", 0, None)


@caught_by("test_what_ended_a_job_is_named")
class OutOfMemoryIsRightButForExitCodeZero(_Misreads):
    word, meaning = "MEMORY", (JobState.FAILED, "out_of_memory", 0, None)


@caught_by("test_what_ended_a_job_is_named")
class ATimeLimitIsAFailure(_Misreads):
    word, meaning = "TIMEOUT", (JobState.FAILED, "timeout", None, None)


@caught_by("test_what_ended_a_job_is_named")
class AFailedNodeIsTheJobsOwnFailure(_Misreads):
    word, meaning = "NODE", (JobState.FAILED, "exit", 1, None)


@caught_by("test_what_ended_a_job_is_named")
class ACancelledJobHasFailed(_Misreads):
    word, meaning = "KILLED", (JobState.FAILED, "exit", 1, None)


@caught_by("test_what_ended_a_job_is_named")
class DeathByASignalIsExitCodeZero(MemoryBackend):
    def outcome(self, line):
        return super().outcome(attrs.evolve(line, signal=0))


@caught_by("test_what_ended_a_job_is_named")
class DeathByASignalIsSuccess(MemoryBackend):
    def outcome(self, line):
        return (JobState.SUCCEEDED, None, 0, None) if line.signal else super().outcome(line)


@caught_by("test_an_exit_code_is_reported")
class TheEndIsSuccessWhateverTheExitCode(_Misreads):
    word, meaning = "ERROR", (JobState.SUCCEEDED, None, 0, None)


@caught_by("test_a_requeued_job_waits_again_and_is_counted")
class RestartsAreNotCounted(MemoryBackend):
    def report(self, job_id, lines):
        return attrs.evolve(super().report(job_id, lines), restarts=0)


# Tags.


@caught_by("test_a_stranger_with_a_reused_id_is_not_taken_for_the_job")
class TheTagIsNotReadButAssumed(MemoryBackend):
    @hookimpl
    def molq_poll_jobs(self, jobs):
        tags = {job.scheduler_job_id: job.job_id for job in jobs}
        answer = super().molq_poll_jobs(jobs)
        return attrs.evolve(
            answer, reports=tuple(attrs.evolve(r, tag=tags[r.scheduler_job_id]) for r in answer.reports)
        )


@caught_by("test_a_stranger_with_a_reused_id_is_not_taken_for_the_job")
class TheTagIsHidden(MemoryBackend):
    @hookimpl
    def molq_poll_jobs(self, jobs):
        answer = super().molq_poll_jobs(jobs)
        return attrs.evolve(answer, reports=tuple(attrs.evolve(r, tag=None) for r in answer.reports))


@caught_by("test_a_job_is_reported_in_each_stage_of_its_life")
class TheTagIsNotPlanted(MemoryBackend):
    @hookimpl
    def molq_submit_job(self, script, commands):
        return self.molq_read_submit_reply(self.cluster.call(["msub", str(script)], environment=commands.environment))


@caught_by("test_a_stranger_with_a_reused_id_is_never_cancelled")
class AStrangerIsCancelled(MemoryBackend):
    def is_ours(self, job, lines):
        return super().is_ours(attrs.evolve(job, job_id=lines[0].tag) if lines else job, lines)


# Commands.


@caught_by("test_ten_thousand_jobs_are_asked_for_by_a_few_commands")
class EachJobIsPolledByItself(MemoryBackend):
    @hookimpl
    def molq_poll_jobs(self, jobs):
        answers = [super(EachJobIsPolledByItself, self).molq_poll_jobs((job,)) for job in jobs]
        return PollAnswer(reports=tuple(report for answer in answers for report in answer.reports))


@caught_by("test_many_jobs_are_cancelled_by_a_few_commands")
class EachJobIsCancelledByItself(MemoryBackend):
    def end(self, ids):
        return [super(EachJobIsCancelledByItself, self).end([job_id]) for job_id in ids][-1]


@caught_by("test_what_is_no_id_is_never_given_to_a_program")
class AnythingIsGivenToTheProgramThatCancels(MemoryBackend):
    @hookimpl
    def molq_cancel_jobs(self, jobs):
        refusal = self.end(ids_of(jobs))
        return tuple(CancelReceipt(scheduler_job_id=i, accepted=refusal is None, reason=refusal) for i in ids_of(jobs))


@caught_by("test_an_id_that_is_none_never_reaches_a_program")
class IdsTravelUncheckedOnTheCommandLine(MemoryBackend):
    @hookimpl
    def molq_poll_jobs(self, jobs):
        self.cluster.call(["mstat", *ids_of(jobs)])
        return super().molq_poll_jobs(jobs)


# Cancelling.


@caught_by("test_a_refused_cancel_is_not_accepted")
class ARefusedCancelIsTakenForAccepted(MemoryBackend):
    def end(self, ids):
        super().end(ids)


class _TrustsTheExitCode(MemoryBackend):
    def is_ours(self, job, lines):
        return True


@caught_by("test_a_job_that_is_over_is_not_cancelled_and_stays_what_it_was")
class TheCancelOfAFinishedJobIsAccepted(_TrustsTheExitCode):
    pass


@caught_by("test_a_job_that_nobody_knows_is_not_cancelled")
class TheCancelOfAnUnknownJobIsAccepted(_TrustsTheExitCode):
    pass


@caught_by("test_a_cancel_during_an_outage_is_an_error")
class ACancelDuringAnOutageIsANo(MemoryBackend):
    @hookimpl
    def molq_cancel_jobs(self, jobs):
        try:
            return super().molq_cancel_jobs(jobs)
        except SchedulerError as error:
            return tuple(CancelReceipt(scheduler_job_id=i, accepted=False, reason=str(error)) for i in ids_of(jobs))


@caught_by("test_an_active_job_is_cancelled")
class ACancelIsAcceptedAndForgotten(MemoryBackend):
    def end(self, ids):
        return None


# Submitting.


@caught_by("test_a_lost_reply_is_unconfirmed_and_the_job_is_found_by_its_tag")
class ALostReplyIsTakenForARefusal(MemoryBackend):
    @hookimpl
    def molq_read_submit_reply(self, reply):
        if reply.exit_code != 0:
            raise SubmitRejected(reply.stderr or "failed")
        return super().molq_read_submit_reply(reply)


@caught_by("test_a_lost_reply_is_unconfirmed_and_the_job_is_found_by_its_tag")
class ALostReplyIsAnsweredByAnotherSubmission(MemoryBackend):
    @hookimpl
    def molq_submit_job(self, script, request, commands):
        try:
            return super().molq_submit_job(script, request, commands)
        except SubmitUnconfirmed:
            return super().molq_submit_job(script, request, commands)


@caught_by("test_a_lost_reply_is_unconfirmed_and_the_job_is_found_by_its_tag")
class ALostReplyIsUnconfirmedOnlyAfterAnotherSubmission(MemoryBackend):
    @hookimpl
    def molq_submit_job(self, script, request, commands):
        try:
            return super().molq_submit_job(script, request, commands)
        except SubmitUnconfirmed:
            super().molq_submit_job(script, request, commands)
            raise


@caught_by("test_a_reply_that_is_neither_yes_nor_no_is_unconfirmed")
class TheLastWordOfAReplyIsTheId(MemoryBackend):
    @hookimpl
    def molq_read_submit_reply(self, reply):
        if reply.exit_code == 0 and reply.stdout.split():
            return SubmitReceipt(scheduler_job_id=reply.stdout.split()[-1])
        return super().molq_read_submit_reply(reply)


@caught_by("test_a_reply_that_is_neither_yes_nor_no_is_unconfirmed")
class AReplyWithoutAnIdIsARefusal(MemoryBackend):
    @hookimpl
    def molq_read_submit_reply(self, reply):
        try:
            return super().molq_read_submit_reply(reply)
        except SubmitUnconfirmed as error:
            raise SubmitRejected(str(error)) from error


@caught_by("test_a_refusal_is_told_in_the_schedulers_words")
class ARefusalIsUnconfirmed(MemoryBackend):
    @hookimpl
    def molq_read_submit_reply(self, reply):
        try:
            return super().molq_read_submit_reply(reply)
        except SubmitRejected as error:
            raise SubmitUnconfirmed(str(error)) from error


# The script.


@caught_by("test_each_field_reaches_the_script_or_is_declared_unsupported_or_refused")
class AFieldIsDropped(MemoryBackend):
    options = MappingProxyType({name: option for name, option in MemoryBackend.options.items() if name != "qos"})


@caught_by("test_each_field_counts_beside_all_others")
class CpusAreDroppedWhereThereAreNodes(MemoryBackend):
    @hookimpl
    def molq_render_script(self, request):
        if request.scheduling.node_count:
            request = attrs.evolve(request, resources=attrs.evolve(request.resources, cpu_count=None))
        return super().molq_render_script(request)


@caught_by("test_a_dependency_reaches_the_script")
class TheDependencyIsDropped(MemoryBackend):
    @hookimpl
    def molq_render_script(self, request):
        return super().molq_render_script(attrs.evolve(request, dependency=None))


@caught_by("test_output_goes_where_it_was_asked_to_whatever_the_folder_is_called")
class TheOutputIsDropped(MemoryBackend):
    def directive(self, name, value):
        return "#" if name in ("output", "error") else super().directive(name, value)


@caught_by("test_rendering_is_pure")
class RenderingMakesTheFolder(MemoryBackend):
    @hookimpl
    def molq_render_script(self, request):
        request.job_dir.mkdir(exist_ok=True)
        return super().molq_render_script(request)


@caught_by("test_rendering_is_pure")
class TheBodyIsMissing(MemoryBackend):
    @hookimpl
    def molq_render_script(self, request):
        return super().molq_render_script(attrs.evolve(request, body=""))


@caught_by("test_an_exit_code_is_reported")
class TheBodyIsNeverReached(MemoryBackend):
    @hookimpl
    def molq_render_script(self, request):
        return super().molq_render_script(attrs.evolve(request, body=f"exit 0\n{request.body}"))


@caught_by("test_no_name_adds_a_line_that_a_scheduler_may_read")
class ANameBecomesADirective(MemoryBackend):
    def safe_name(self, name):
        return name


@caught_by("test_a_hostile_name_is_nothing_but_a_name")
class ANameBecomesShellCode(MemoryBackend):
    @hookimpl
    def molq_render_script(self, request):
        return super().molq_render_script(attrs.evolve(request, body=f'job_name="{request.job_name}"\n{request.body}'))


@caught_by("test_a_hostile_name_is_nothing_but_a_name")
class ANameBecomesAnOption(MemoryBackend):
    def directive(self, name, value):
        return f"#MEM --name= {value}" if name == "name" else super().directive(name, value)


# The environment.


class _Inherits(MemoryBackend):
    dropped: tuple[str, ...]

    @hookimpl
    def molq_describe_backend(self):
        return attrs.evolve(super().molq_describe_backend(), dropped_variables=self.dropped)


@caught_by("test_a_job_submitted_within_a_job_is_neither_an_element_nor_a_restart_of_it")
class WhatAnOuterJobSeesOfItselfIsInherited(_Inherits):
    dropped = ("MSUB_*",)


@caught_by("test_the_users_own_variables_change_nothing")
class TheUsersVariablesChangeTheSubmission(_Inherits):
    dropped = ("MEMORY_*",)


@caught_by("test_a_jobs_secrets_reach_it_and_no_command_line")
class SecretsTravelOnTheCommandLine(MemoryBackend):
    @hookimpl
    def molq_submit_job(self, script, request, commands):
        environment = script.with_name("environment")
        exports = environment.read_text() if environment.exists() else ""
        argv = ["msub", f"--tag={request.job_id}", f"--export={exports}", str(script)]
        return self.molq_read_submit_reply(self.cluster.call(argv, environment=commands.environment))


@caught_by("test_a_jobs_secrets_reach_it_and_no_command_line")
class SecretsStandInTheScript(MemoryBackend):
    @hookimpl
    def molq_render_script(self, request):
        environment = request.job_dir / "environment"
        exports = environment.read_text() if environment.exists() else ""
        return super().molq_render_script(attrs.evolve(request, body=f"{exports}{request.body}"))


# Dependencies, and finding jobs again.


@caught_by("test_each_condition_is_said_differently")
class AllConditionsAreTheSame(MemoryBackend):
    @hookimpl
    def molq_compile_dependencies(self, upstreams):
        return super().molq_compile_dependencies(tuple(attrs.evolve(one, condition="after") for one in upstreams))


@caught_by("test_what_happens_to_the_upstream_releases_those_that_wait_for_it_and_no_others")
class SuccessAndFailureAreSwapped(MemoryBackend):
    @hookimpl
    def molq_compile_dependencies(self, upstreams):
        swapped = {"after_success": "after_failure", "after_failure": "after_success"}
        return super().molq_compile_dependencies(
            tuple(attrs.evolve(one, condition=swapped.get(one.condition, one.condition)) for one in upstreams)
        )


@caught_by("test_every_upstream_has_an_edge_within_the_expression")
class OnlyTheLastUpstreamIsWaitedFor(MemoryBackend):
    @hookimpl
    def molq_compile_dependencies(self, upstreams):
        edges = super().molq_compile_dependencies(upstreams).edges
        return CompiledDependencies(expression=edges[-1], edges=edges)


@caught_by("test_what_is_no_id_becomes_no_dependency")
class AnythingBecomesADependency(MemoryBackend):
    @hookimpl
    def molq_compile_dependencies(self, upstreams):
        edges = tuple(f"{upstream.condition}:{upstream.scheduler_job_id}" for upstream in upstreams)
        return CompiledDependencies(expression=",".join(edges), edges=edges)


@caught_by("test_a_job_that_was_pointed_elsewhere_waits_for_that")
class AWaitingJobIsOnlySaidToBePointedElsewhere(MemoryBackend):
    @hookimpl
    def molq_update_dependencies(self):
        return True


@caught_by("test_a_search_that_could_not_ask_is_an_error")
class ASearchThatCouldNotAskFindsNothing(MemoryBackend):
    @hookimpl
    def molq_find_jobs(self, tags):
        try:
            return super().molq_find_jobs(tags)
        except SchedulerError:
            return ()


@caught_by("test_a_forgotten_job_is_still_found")
class OnlyTheQueueIsSearched(MemoryBackend):
    @hookimpl
    def molq_find_jobs(self, tags):
        found = super().molq_find_jobs(tags)
        queued = self.ask("mstat", [job.scheduler_job_id for job in found]).lines
        return tuple(job for job in found if job.scheduler_job_id in queued)


@caught_by("test_jobs_are_found_by_their_tags_and_no_others")
class EveryJobIsFoundForTheFirstTag(MemoryBackend):
    @hookimpl
    def molq_find_jobs(self, tags):
        return tuple(attrs.evolve(job, tag=tags[0]) for job in super().molq_find_jobs(tags))


class _OneRule:
    """Has the run within collect one rule, and gives it the mistaken backend."""

    def __init__(self, backend, rule):
        self._backend = backend
        self._rule = rule

    def pytest_pycollect_makeitem(self, name):
        return [] if name.startswith("test_") and name != self._rule else None

    @pytest.fixture
    def mistaken(self):
        return self._backend


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_caught_by_name_and_a_sound_backend_is_not_blamed(pytester, monkeypatch, mistake):
    # Plugins of other packages would be imported anew by every run.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    module = pytester.makepyfile(test_contract=ON_MEMORY + MISTAKEN)

    result = pytester.inline_run(
        "-q", "--tb=no", "-p", "no:cacheprovider", module, plugins=[_OneRule(*MISTAKES[mistake])]
    )

    passed, skipped, failed = result.listoutcomes()
    assert {_kind(report) for report in passed} >= {"TestOnMemory"}
    assert {(_kind(report), report.when) for report in failed} == {("TestWithAMistake", "call")}
    assert not skipped


def test_every_rule_that_is_named_is_one_of_the_contract():
    assert {rule for _, rule in MISTAKES.values()} <= set(dir(BackendContract))


def _kind(report):
    return report.nodeid.split("::")[1]
