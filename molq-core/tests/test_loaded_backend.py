"""The typed face of a backend: every answer is checked, and the right one is blamed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import attrs
import pluggy
import pytest

from molq import hookspecs
from molq.backend import (
    BackendDescription,
    CancelReceipt,
    CommandReply,
    CompiledDependencies,
    FoundJob,
    JobReport,
    JobResources,
    JobScheduling,
    JobState,
    PollAnswer,
    SchedulerError,
    SchedulerOptions,
    SubmitReceipt,
    SubmitRejected,
    SubmitRequest,
    SubmittedJob,
    SubmitUnconfirmed,
    UpstreamJob,
    hookimpl,
)
from molq.errors import BackendError
from molq.loaded_backend import Backend

OPTIONS = SchedulerOptions()
BLAMED = r"the backend of scheduler 'acme' \(acme-molq 1\.2\) is faulty: "
EXTENSION = "the extension 'audit' (audit-molq 3.4)"


COMMANDS = SimpleNamespace(environment={})
DESCRIPTION = BackendDescription(label="Acme", options_class=SchedulerOptions, job_id_variable="ACME_ID")


def a_backend(extension=None, **hooks):
    """Return a backend with some hooks; a hook is a function, or the answer that it gives."""
    plugins = pluggy.PluginManager("molq")
    plugins.add_hookspecs(hookspecs)
    hooks = {"molq_describe_backend": DESCRIPTION} | hooks
    plugins.register(
        SimpleNamespace(**{name: hookimpl(as_function(hook)) for name, hook in hooks.items()}), "acme-molq 1.2"
    )
    if extension is not None:
        plugins.register(extension, EXTENSION)
    return Backend("acme", "acme-molq 1.2", plugins, {EXTENSION: "audit-molq 3.4"} if extension else None)


def as_function(hook):
    return hook if callable(hook) else lambda: hook


def a_job(number="7"):
    return SubmittedJob(job_id=f"job-{number}", scheduler_job_id=number, job_dir=Path("/d"), submitted_at=1.0)


def a_report(number="7", **facts):
    return JobReport(**({"scheduler_job_id": number, "native_state": "R", "state": JobState.RUNNING} | facts))


def a_request():
    return SubmitRequest(
        job_id="job-7",
        job_name="x",
        job_dir=Path("/d"),
        body="exec true\n",
        cwd=Path("/"),
        stdout_path=Path("/o"),
        stderr_path=Path("/e"),
        resources=JobResources(),
        scheduling=JobScheduling(),
        dependency=None,
        options=OPTIONS,
    )


def raising(error):
    def hook():
        raise error

    return hook


def poll(backend, *numbers):
    return backend.poll_jobs(tuple(a_job(number) for number in numbers or ("7",)), OPTIONS, COMMANDS)


def test_a_right_answer_is_handed_on():
    answer = PollAnswer(reports=(a_report(),), unanswered=frozenset({"8"}))

    assert poll(a_backend(molq_poll_jobs=answer), "7", "8") is answer


def test_a_hook_may_take_fewer_arguments():
    def molq_poll_jobs(jobs):
        return PollAnswer(reports=tuple(a_report(job.scheduler_job_id) for job in jobs))

    assert len(poll(a_backend(molq_poll_jobs=molq_poll_jobs), "1", "2").reports) == 2


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (None, "molq_poll_jobs returned None instead of a PollAnswer"),
        ([], "molq_poll_jobs returned a list instead of a PollAnswer"),
        (PollAnswer(reports=None), "whose fields are no tuple"),
        (PollAnswer(reports=[a_report()]), "whose fields are no tuple"),
        (PollAnswer(reports=(), unanswered="7"), "whose fields are no tuple"),
        (PollAnswer(reports=("R",)), "fields are of wrong types"),
        (PollAnswer(reports=(a_report(state="running"),)), "fields are of wrong types"),
        (PollAnswer(reports=(a_report(native_state=None),)), "fields are of wrong types"),
        (PollAnswer(reports=(a_report(exit_code="0"),)), "fields are of wrong types"),
        (PollAnswer(reports=(a_report(exit_code=10**30),)), "fields are of wrong types"),
        (PollAnswer(reports=(a_report(started_at="now"),)), "fields are of wrong types"),
        (PollAnswer(reports=(a_report(restarts=None),)), "fields are of wrong types"),
        (PollAnswer(reports=(a_report(7),)), "fields are of wrong types"),
        (PollAnswer(reports=(a_report("8"),)), r"not asked for: \['8'\]"),
        (PollAnswer(reports=(a_report(), a_report())), "reported a job twice"),
    ],
)
def test_a_wrong_answer_to_a_poll_is_the_backends_fault(answer, sentence):
    with pytest.raises(BackendError, match=BLAMED + ".*" + sentence + ".*please report this to its authors") as caught:
        poll(a_backend(molq_poll_jobs=answer))

    assert (caught.value.scheduler, caught.value.distribution) == ("acme", "acme-molq 1.2")


def test_an_error_that_the_contract_does_not_know_is_the_backends_fault():
    with pytest.raises(BackendError, match=BLAMED + "molq_poll_jobs raised KeyError: 'x'") as caught:
        poll(a_backend(molq_poll_jobs=raising(KeyError("x"))))

    assert isinstance(caught.value.__cause__, KeyError)


def test_an_error_of_the_contract_is_handed_on():
    with pytest.raises(SchedulerError, match=r"^unable to contact$"):
        poll(a_backend(molq_poll_jobs=raising(SchedulerError("unable to contact"))))


def test_an_interruption_is_handed_on():
    with pytest.raises(KeyboardInterrupt):
        poll(a_backend(molq_poll_jobs=raising(KeyboardInterrupt())))


@pytest.mark.parametrize("hook", [None, raising(ValueError("no number")), lambda: "7"], ids=["None", "raise", "text"])
def test_a_submission_that_ends_in_a_fault_is_unconfirmed(hook):
    backend = a_backend(molq_submit_job=hook if hook is not None else lambda: None)

    with pytest.raises(SubmitUnconfirmed, match=BLAMED):
        backend.submit_job(Path("/d/job.sh"), a_request(), COMMANDS)


def test_a_refusal_is_handed_on():
    with pytest.raises(SubmitRejected, match="invalid partition"):
        a_backend(molq_submit_job=raising(SubmitRejected("invalid partition"))).submit_job(
            Path("/d/job.sh"), a_request(), COMMANDS
        )


@pytest.mark.parametrize("number", ["", "  ", None, 7])
def test_a_receipt_without_an_id_is_the_backends_fault(number):
    backend = a_backend(molq_read_submit_reply=lambda: SubmitReceipt(scheduler_job_id=number))

    with pytest.raises(BackendError, match=BLAMED):
        backend.read_submit_reply(CommandReply(exit_code=0, stdout="", stderr=""))


def test_a_script_without_the_body_is_the_backends_fault():
    with pytest.raises(BackendError, match=BLAMED + r".*without the request's body"):
        a_backend(molq_render_script="#!/bin/sh\n").render_script(a_request())


@pytest.mark.parametrize(
    "receipts",
    [
        (),
        (CancelReceipt(scheduler_job_id="8", accepted=True),),
        (CancelReceipt(scheduler_job_id="7", accepted=True), CancelReceipt(scheduler_job_id="7", accepted=False)),
        [CancelReceipt(scheduler_job_id="7", accepted=True)],
        ("7",),
    ],
)
def test_a_cancel_has_one_receipt_for_each_job(receipts):
    with pytest.raises(BackendError, match=BLAMED + "molq_cancel_jobs"):
        a_backend(molq_cancel_jobs=receipts).cancel_jobs((a_job(),), OPTIONS, COMMANDS)


@pytest.mark.parametrize(
    ("expression", "edges"),
    [
        ("", ("afterok:7",)),
        (None, ("afterok:7",)),
        ("afterok:7", ()),
        ("afterok:7", ("",)),
        ("afterok:7", ["afterok:7"]),
    ],
)
def test_dependencies_that_would_not_be_kept_are_the_backends_fault(expression, edges):
    backend = a_backend(molq_compile_dependencies=CompiledDependencies(expression=expression, edges=edges))

    with pytest.raises(BackendError, match=BLAMED + "molq_compile_dependencies"):
        backend.compile_dependencies((UpstreamJob(scheduler_job_id="7", condition="after_success"),))


def test_a_tag_that_was_not_asked_for_is_the_backends_fault():
    backend = a_backend(molq_find_jobs=(FoundJob(tag="other", scheduler_job_id="8"),))

    with pytest.raises(BackendError, match=BLAMED + r".*tags that were not asked for: \['other'\]"):
        backend.find_jobs(("job-7",), 0.0, OPTIONS, COMMANDS)


def test_an_optional_hook_that_is_left_out_is_not_implemented():
    backend = a_backend(molq_find_jobs=())

    assert backend.implements("molq_find_jobs")
    assert not backend.implements("molq_compile_dependencies")


def test_a_description_that_is_none_is_the_backends_fault():
    with pytest.raises(BackendError, match=BLAMED + "molq_describe_backend returned None"):
        a_backend(molq_describe_backend=lambda: None)


def test_a_description_of_fields_that_do_not_exist_is_the_backends_fault():
    def molq_describe_backend():
        return attrs.evolve(DESCRIPTION, unsupported={"colour"})

    with pytest.raises(BackendError, match=BLAMED + r".*unsupported names colour"):
        a_backend(molq_describe_backend=molq_describe_backend)


def test_options_without_a_default_are_the_backends_fault():
    @attrs.frozen(kw_only=True)
    class AcmeOptions(SchedulerOptions):
        account: str

    with pytest.raises(BackendError, match=BLAMED + "AcmeOptions.account has no default"):
        a_backend(molq_describe_backend=attrs.evolve(DESCRIPTION, options_class=AcmeOptions))


def test_an_extension_that_wraps_a_hook_does_not_implement_it():
    class Audit:
        @hookimpl(wrapper=True)
        def molq_find_jobs(self):
            return (yield)

    assert not a_backend(Audit()).implements("molq_find_jobs")


def test_an_extension_that_raises_is_blamed_by_its_own_name():
    class Audit:
        @hookimpl(wrapper=True)
        def molq_poll_jobs(self):
            yield
            raise RuntimeError("no audit log")

    with pytest.raises(BackendError) as caught:
        poll(a_backend(Audit(), molq_poll_jobs=PollAnswer(reports=())))

    assert str(caught.value).startswith(f"{EXTENSION} is faulty: molq_poll_jobs raised RuntimeError: no audit log")
    assert caught.value.distribution == "audit-molq 3.4"


def test_an_extension_around_a_backend_that_raises_is_not_blamed():
    class Audit:
        @hookimpl(wrapper=True)
        def molq_poll_jobs(self):
            return (yield)

    with pytest.raises(BackendError, match=BLAMED + "molq_poll_jobs raised KeyError"):
        poll(a_backend(Audit(), molq_poll_jobs=raising(KeyError("x"))))


def test_an_extension_that_forgets_the_answer_is_named_too():
    class Audit:
        @hookimpl(wrapper=True)
        def molq_poll_jobs(self):
            yield

    with pytest.raises(BackendError) as caught:
        poll(a_backend(Audit(), molq_poll_jobs=PollAnswer(reports=())))

    assert f"returned None instead of a PollAnswer (or that is what {EXTENSION} made of it)" in str(caught.value)
