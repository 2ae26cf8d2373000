"""Say what is wrong with a request in the words of the command line: by its options, not by fields of classes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from molq.errors import CommandError

_OPTIONS = {
    "JobResources.cpu_count": "--cpus",
    "JobResources.memory": "--memory",
    "JobResources.gpu_count": "--gpus",
    "JobResources.gpu_type": "--gpu-type",
    "JobResources.time_limit": "--time",
    "JobScheduling.queue": "--queue",
    "JobScheduling.account": "--account",
    "JobScheduling.priority": "--priority",
    "JobScheduling.dependency": "--dependency",
    "JobScheduling.node_count": "--nodes",
    "JobScheduling.array_spec": "--array",
    "JobScheduling.email": "--email",
    "JobScheduling.qos": "--qos",
    "JobScheduling.reservation": "--reservation",
    "JobExecution.env": "--env",
    "JobExecution.cwd": "--cwd",
    "JobExecution.job_name": "--name",
    "JobExecution.output_file": "--output",
    "JobExecution.error_file": "--error",
    "Script.text": "the script on standard input",
    "Script.path": "--script",
    "RetryPolicy.max_attempts": "--retries",
    "RetryPolicy.retry_on_states": "--retry-on",
    "RetryPolicy.retry_on_exit_codes": "--retry-on-exit-code",
    "RetryBackoff.initial_seconds": "--retry-wait",
    "RetryEscalation.memory_factor": "the factor of --more-memory",
    "RetryEscalation.memory_cap": "the cap of --more-memory",
    "RetryEscalation.time_factor": "the factor of --more-time",
    "RetryEscalation.time_cap": "the cap of --more-time",
}
_SENTENCES = {
    "JobScheduling takes either dependency (in the scheduler's words) or dependencies (molq's ids), not both": (
        "--dependency goes together with none of --after-success, --after-failure, --after-started and --after"
    ),
}
_ARGUMENTS = {"argv": "the command", "command": "--shell"}

_FIELD = re.compile("|".join(map(re.escape, sorted(_OPTIONS, key=len, reverse=True))))
_ARGUMENT = re.compile(r"^(argv|command)(?= (must|names|has)\b)")


def as_typed(sentence: str) -> str:
    """Return a sentence about fields and arguments as one about the options that set them."""
    sentence = _SENTENCES.get(sentence, sentence)
    sentence = _ARGUMENT.sub(lambda match: _ARGUMENTS[match[1]], sentence)
    return _FIELD.sub(lambda match: _OPTIONS[match[0]], sentence)


@contextmanager
def in_words_of_options() -> Iterator[None]:
    """Raise what is wrong with a value as a sentence about its option.

    Raises:
        CommandError: a value cannot be used.
    """
    try:
        yield
    except ValueError as error:
        raise CommandError(as_typed(str(error))) from error
