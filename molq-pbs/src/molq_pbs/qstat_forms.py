"""Call qstat in the form that a site's takes: with or without history, groups, and values on one line."""

from __future__ import annotations

import re
from collections.abc import Sequence

import attrs

from molq.backend import CommandReply
from molq_pbs.options import PBSSchedulerOptions

_NO_HISTORY = "PBS is not configured to maintain job history"
_NO_OPTION = re.compile(r"^qstat: (?:invalid option|illegal option|option w can be used only)|^usage:", re.MULTILINE)
_XML = re.compile(r"\s*<(?:\?xml|Data)\b")


@attrs.frozen(kw_only=True)
class QstatForm:
    """How qstat is to be called.

    Attributes:
        options: the user's options.
        with_elements: whether the elements of arrays are wanted.
        has_history: whether it may be asked for jobs that are over (``-x``).
        can_group: whether it takes many jobs as one question (``-E``).
        is_wide: whether it shows each value on one line (``-w``); line breaks in values are then none, so that no value
            can look like another attribute.
        is_torque: whether it is Torque's.
    """

    options: PBSSchedulerOptions
    with_elements: bool
    has_history: bool
    can_group: bool
    is_wide: bool
    is_torque: bool

    @classmethod
    def usual(cls, options: PBSSchedulerOptions, *, with_elements: bool) -> QstatForm:
        """Return the form that most sites take."""
        is_openpbs = not options.is_torque
        return cls(
            options=options,
            with_elements=with_elements,
            has_history=is_openpbs,
            can_group=is_openpbs,
            is_wide=is_openpbs,
            is_torque=options.is_torque,
        )

    def argv(self, job_ids: Sequence[str], *, at_once: bool) -> list[str]:
        """Return the call that asks about jobs, as one question if ``at_once``."""
        flags = {
            "-x": self.has_history,
            "-f": True,
            "-w": self.is_wide,
            "-1": self.is_torque,  # what -w is to the other
            "-t": self.with_elements,
            "-E": at_once and self.can_group,
        }
        return [self.options.qstat_path, *(flag for flag, is_set in flags.items() if is_set), *job_ids]

    def better_for(self, reply: CommandReply) -> QstatForm | None:
        """Return the form to try next if the site did not take this one; None if it did, or if there is none left."""
        if self.has_history and _NO_HISTORY in reply.stderr and "Job Id:" not in reply.stdout:
            return attrs.evolve(self, has_history=False)
        is_refused = _XML.match(reply.stdout) or (reply.exit_code != 0 and _NO_OPTION.search(reply.stderr))
        if not is_refused:
            return None
        # The older releases of PBS Professional know neither -E nor a -w beside -f.
        if self.can_group:
            return attrs.evolve(self, can_group=False)
        if self.is_wide:
            return attrs.evolve(self, is_wide=False)
        if self.options.dialect == "auto" and not self.is_torque:
            return attrs.evolve(self, has_history=False, is_torque=True)
        return None
