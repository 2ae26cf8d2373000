"""The typed face of one loaded backend: its hooks called, its answers checked."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import attrs

from molq.backend import (
    AnyRequest,
    BackendDescription,
    CancelReceipt,
    CommandReply,
    Commands,
    CompiledDependencies,
    ElementReport,
    Finding,
    FoundJob,
    JobReport,
    JobState,
    PollAnswer,
    SchedulerError,
    SchedulerOptions,
    SubmitReceipt,
    SubmittedJob,
    SubmitUnconfirmed,
    UpstreamJob,
)
from molq.errors import BackendError, MolqError

if TYPE_CHECKING:
    import pluggy

_Answer = TypeVar("_Answer")

_MOST_SHOWN = 5
_LARGEST_NUMBER = 2**31

_NOTHING = type(None)
_REPORT_TYPES: dict[str, tuple[type, ...]] = {
    "scheduler_job_id": (str,),
    "tag": (str, _NOTHING),
    "native_state": (str,),
    "state": (JobState, _NOTHING),
    "exit_code": (int, _NOTHING),
    "signal": (int, _NOTHING),
    "cause": (str, _NOTHING),
    "restarts": (int,),
    "started_at": (int, float, _NOTHING),
    "finished_at": (int, float, _NOTHING),
    "reason": (str, _NOTHING),
    "elements": (tuple,),
}
_ELEMENT_TYPES: dict[str, tuple[type, ...]] = {
    "index": (int,),
    "native_state": (str,),
    "state": (JobState, _NOTHING),
    "exit_code": (int, _NOTHING),
    "signal": (int, _NOTHING),
    "cause": (str, _NOTHING),
}
_report_fields = operator.attrgetter(*_REPORT_TYPES)
_element_fields = operator.attrgetter(*_ELEMENT_TYPES)


class Backend:
    """One scheduler's backend. Faulty answers are ``BackendError``s that name the distribution to blame.

    Attributes:
        scheduler: the name that users type.
        distribution: the package and version that the backend came from.
        description: what the backend says of itself.

    Args:
        scheduler: the name that users type.
        distribution: the package and version that the backend came from.
        plugins: holds the backend's hooks, and extensions that wrap them.
        extensions: the package and version of each extension, by the name under which it is registered.
    """

    def __init__(
        self,
        scheduler: str,
        distribution: str,
        plugins: pluggy.PluginManager,
        extensions: Mapping[str, str] | None = None,
    ) -> None:
        self.scheduler = scheduler
        self.distribution = distribution
        self._plugins = plugins
        self._extensions = dict(extensions or {})
        self.description: BackendDescription = self._call("molq_describe_backend", BackendDescription)
        self._check_options_class()

    def implements(self, hook: str) -> bool:
        """Tell whether the backend implements an optional hook. An extension that only wraps it does not count."""
        return any(not implementation.wrapper for implementation in self._implementations(hook))

    def render_script(self, request: AnyRequest) -> str:
        """Return the script to submit; it must hold the request's body."""
        script = self._call("molq_render_script", str, request=request)
        if request.body not in script:
            raise self._fault("molq_render_script returned a script without the request's body")
        return script

    def submit_job(self, script: Path, request: AnyRequest, commands: Commands) -> SubmitReceipt:
        """Submit the job. What goes wrong in a way the backend did not foresee may have submitted it."""
        try:
            return self._call("molq_submit_job", SubmitReceipt, script=script, request=request, commands=commands)
        except SchedulerError:
            raise
        except MolqError as error:
            raise SubmitUnconfirmed(str(error)) from error

    def read_submit_reply(self, reply: CommandReply) -> SubmitReceipt:
        """Return the receipt in the reply of a submit command that an earlier process started."""
        return self._call("molq_read_submit_reply", SubmitReceipt, reply=reply)

    def poll_jobs(self, jobs: tuple[SubmittedJob, ...], options: SchedulerOptions, commands: Commands) -> PollAnswer:
        """Ask the scheduler about all ``jobs`` at once."""
        answer = self._call("molq_poll_jobs", PollAnswer, jobs=jobs, options=options, commands=commands)
        if not isinstance(answer.reports, tuple) or not isinstance(answer.unanswered, frozenset | set):
            raise self._fault("molq_poll_jobs returned a PollAnswer whose fields are no tuple and no frozenset")
        asked = {job.scheduler_job_id for job in jobs}
        said = set()
        for report in answer.reports:
            if not _is_sound(report):
                raise self._fault(f"molq_poll_jobs returned the report {report!r}, whose fields are of wrong types")
            said.add(report.scheduler_job_id)
        if strange := said - asked:
            raise self._fault(f"molq_poll_jobs reported jobs that were not asked for: {sorted(strange)[:_MOST_SHOWN]}")
        if len(said) != len(answer.reports):
            raise self._fault("molq_poll_jobs reported a job twice")
        return answer

    def cancel_jobs(
        self, jobs: tuple[SubmittedJob, ...], options: SchedulerOptions, commands: Commands
    ) -> tuple[CancelReceipt, ...]:
        """Ask the scheduler to end ``jobs``."""
        receipts = self._call_for_tuple(
            "molq_cancel_jobs", CancelReceipt, jobs=jobs, options=options, commands=commands
        )
        answered = {receipt.scheduler_job_id for receipt in receipts}
        if answered != {job.scheduler_job_id for job in jobs} or len(receipts) != len(answered):
            raise self._fault("molq_cancel_jobs did not return one receipt for each job")
        return receipts

    def cancel_elements(
        self, job: SubmittedJob, indices: tuple[int, ...], options: SchedulerOptions, commands: Commands
    ) -> tuple[CancelReceipt, ...]:
        """Ask the scheduler to end some elements of an array."""
        receipts = self._call_for_tuple(
            "molq_cancel_elements", CancelReceipt, job=job, indices=indices, options=options, commands=commands
        )
        answered = {receipt.index for receipt in receipts}
        if answered != set(indices) or len(receipts) != len(answered):
            raise self._fault("molq_cancel_elements did not return one receipt for each element")
        return receipts

    def compile_dependencies(self, upstreams: tuple[UpstreamJob, ...]) -> CompiledDependencies:
        """Return the scheduler's words for waiting on ``upstreams``."""
        compiled = self._call("molq_compile_dependencies", CompiledDependencies, upstreams=upstreams)
        # An empty expression would let the job run at once.
        texts = (compiled.expression, *compiled.edges) if isinstance(compiled.edges, tuple) else ()
        if not texts or not all(isinstance(text, str) and text for text in texts):
            raise self._fault("molq_compile_dependencies returned something that is no text, or an empty one")
        if len(compiled.edges) != len(upstreams):
            raise self._fault("molq_compile_dependencies did not return one edge for each upstream job")
        return compiled

    def find_jobs(
        self, tags: tuple[str, ...], since: float, options: SchedulerOptions, commands: Commands
    ) -> tuple[FoundJob, ...]:
        """Return the scheduler's jobs that carry one of ``tags``."""
        found = self._call_for_tuple(
            "molq_find_jobs", FoundJob, tags=tags, since=since, options=options, commands=commands
        )
        if strange := {job.tag for job in found} - set(tags):
            raise self._fault(f"molq_find_jobs found tags that were not asked for: {sorted(strange)[:_MOST_SHOWN]}")
        return found

    def update_dependencies(
        self, job: SubmittedJob, expression: str, options: SchedulerOptions, commands: Commands
    ) -> bool:
        """Make a waiting job wait for something else; tell whether it now does."""
        return self._call(
            "molq_update_dependencies", bool, job=job, expression=expression, options=options, commands=commands
        )

    def probe_site(self, options: SchedulerOptions, commands: Commands) -> tuple[Finding, ...]:
        """Return findings about the site."""
        return self._call_for_tuple("molq_probe_site", Finding, options=options, commands=commands)

    def _call(self, hook: str, kind: type[_Answer], **arguments: object) -> _Answer:
        answer = self._guarded(hook, lambda: getattr(self._plugins.hook, hook)(**arguments))
        if not isinstance(answer, kind):
            raise self._fault(f"{hook} returned {_shown(answer)} instead of a {kind.__name__}{self._wrappers_of(hook)}")
        return answer

    def _call_for_tuple(self, hook: str, kind: type[_Answer], **arguments: object) -> tuple[_Answer, ...]:
        answer = self._call(hook, tuple, **arguments)
        for item in answer:
            if not isinstance(item, kind):
                raise self._fault(f"{hook} returned a tuple with {_shown(item)} instead of {kind.__name__}s")
        return answer

    def _guarded(self, hook: str, call: Callable[[], object]) -> object:
        try:
            return call()
        except MolqError:
            raise
        except Exception as error:
            what = f"{hook} raised {type(error).__name__}: {error}"
            raise self._fault(what, self._raised_by(hook, error)) from error

    def _check_options_class(self) -> None:
        kind = self.description.options_class
        needed = [field.name for field in attrs.fields(kind) if field.init and field.default is attrs.NOTHING]
        if needed:
            raise self._fault(f"{kind.__name__}.{needed[0]} has no default")

    def _implementations(self, hook: str) -> list[pluggy.HookImpl]:
        caller: pluggy.HookCaller = getattr(self._plugins.hook, hook)
        return caller.get_hookimpls()

    def _raised_by(self, hook: str, error: Exception) -> str | None:
        """Return the extension in whose code an error arose, if it was in one."""
        owners = {
            getattr(implementation.function, "__code__", None): implementation.plugin_name
            for implementation in self._implementations(hook)
        }
        owner, step = None, error.__traceback__
        while step is not None:
            # The innermost has the last word: an error of the backend passes through the extensions around it.
            owner = owners.get(step.tb_frame.f_code, owner)
            step = step.tb_next
        return owner if owner in self._extensions else None

    def _wrappers_of(self, hook: str) -> str:
        names = [i.plugin_name for i in self._implementations(hook) if i.plugin_name in self._extensions]
        return f" (or that is what {' or '.join(names)} made of it)" if names else ""

    def _fault(self, what: str, extension: str | None = None) -> BackendError:
        subject = extension or f"the backend of scheduler {self.scheduler!r} ({self.distribution})"
        return BackendError(
            f"{subject} is faulty: {what}; please report this to its authors",
            scheduler=self.scheduler,
            distribution=self._extensions[extension] if extension else self.distribution,
        )


def _is_sound(report: object) -> bool:
    """Tell whether a report's fields are of the types that the store can keep."""
    if not isinstance(report, JobReport) or not _are_report_types(tuple(map(type, _report_fields(report)))):
        return False
    if not all(map(_is_sound_element, report.elements)):
        return False
    return max(abs(report.exit_code or 0), abs(report.signal or 0), abs(report.restarts)) < _LARGEST_NUMBER


def _is_sound_element(element: object) -> bool:
    if not isinstance(element, ElementReport) or not _are_element_types(tuple(map(type, _element_fields(element)))):
        return False
    return max(abs(element.exit_code or 0), abs(element.signal or 0), abs(element.index)) < _LARGEST_NUMBER


# Reports come in few combinations of types, so most are judged by one look-up.
@functools.lru_cache(maxsize=1024)
def _are_report_types(types: tuple[type, ...]) -> bool:
    return all(issubclass(found, allowed) for found, allowed in zip(types, _REPORT_TYPES.values(), strict=True))


@functools.lru_cache(maxsize=1024)
def _are_element_types(types: tuple[type, ...]) -> bool:
    return all(issubclass(found, allowed) for found, allowed in zip(types, _ELEMENT_TYPES.values(), strict=True))


def _shown(answer: object) -> str:
    return "None" if answer is None else f"a {type(answer).__name__}"
