"""Write the text of a file of profiles to begin with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import tomlkit

from molq.discovery import installed_backends, load_backend
from molq.errors import BackendError
from molq.plain_values import field_kinds, inner_kind, to_plain
from molq.quantities import Duration, Memory
from molq.toml_keys import quoted

_HEAD = """\
# The profiles of molq: the settings of a cluster, under a name. Use one with
#   molq submit --profile NAME -- COMMAND      or in Python: Submitor.from_profile("NAME")
# See all that holds for one with: molq profile show NAME
# A line that begins with "# " and a key is an example: take the "# " away.
"""

# The fields that most clusters need; a scheduler that cannot express one has no line for it.
_EXAMPLES: dict[str, dict[str, object]] = {
    "resources": {"cpu_count": 4, "memory": "8G", "gpu_count": 1, "time_limit": "4h"},
    "scheduling": {"queue": "debug", "account": "my-project", "priority": "100"},
    "execution": {"env.OMP_NUM_THREADS": "4"},
}
_AMOUNTS: dict[object, object] = {int: 4, Memory: "8G", Duration: "10m"}
_POLICIES: dict[str, dict[str, object]] = {
    "retry": {"max_attempts": 3, "retry_on_states": ["failed", "timed_out"], "backoff.initial_seconds": 60},
    "retention": {"keep_job_dirs_for_days": 30},
}


def starting_text() -> str:
    """Return the text: a profile for each installed scheduler that works, with examples to take out of comments."""
    schedulers = dict.fromkeys(backend.scheduler for backend in installed_backends())
    return "\n".join([_HEAD, *(section for scheduler in schedulers for section in _sections(scheduler))])


def _sections(scheduler: str) -> Iterator[str]:
    try:
        description = load_backend(scheduler).description
    except BackendError as error:
        yield f"# {' '.join(str(error).split())}\n"
        return
    name = quoted(scheduler)
    more = [_example("cluster_name", scheduler), _example("jobs_dir", "~/jobs")]
    yield _section(f"[profiles.{name}]", [f"scheduler = {_text(scheduler)}", *more])
    tables = {f"defaults.{part}": fields for part, fields in _EXAMPLES.items()}
    for table, fields in (tables | {"scheduler_options": _options(description.options_class)} | _POLICIES).items():
        is_request = table.startswith("defaults.")
        dropped = description.unsupported if is_request else ()
        lines = [_example(*item) for item in fields.items() if item[0].partition(".")[0] not in dropped]
        if lines:
            # The header is no comment: a key that is taken out of its comment would else be in another table.
            yield _section(f"[profiles.{name}.{table}]", lines)


def _section(header: str, lines: Sequence[str]) -> str:
    return "\n".join([header, *lines, ""])


def _options(kind: type) -> dict[str, object]:
    """Return a backend's options with their defaults, or an example where there is none; without other texts."""
    kinds = field_kinds(kind)
    values = {name: to_plain(getattr(kind(), name)) for name in kinds}
    values |= {name: _AMOUNTS.get(inner_kind(kinds[name])) for name, value in values.items() if value is None}
    return {name: value for name, value in values.items() if value is not None}


def _example(key: str, value: object) -> str:
    return f"# {key} = {_text(value)}"


def _text(value: object) -> str:
    return tomlkit.item(value).as_string()
