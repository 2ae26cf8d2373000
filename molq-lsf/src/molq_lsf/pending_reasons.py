"""Ask bjobs why jobs wait, where its listing does not tell."""

from __future__ import annotations

import attrs

from molq.backend import Commands, SchedulerError
from molq_lsf.options import LSFSchedulerOptions
from molq_lsf.programs import chunks
from molq_lsf.queue_listing import QueueListing, parse_wide

_WAITING = frozenset({"PEND", "PSUSP"})


def with_reasons(listing: QueueListing, options: LSFSchedulerOptions, commands: Commands) -> QueueListing:
    """Return the listing with the reasons why its jobs wait; without them if they cannot be asked for.

    Below a table they stand with ``-p``. Whether that leaves out other jobs than those that wait is not on record, so
    nothing else is read from such a table.
    """
    unexplained = [
        job_id for job_id, rows in listing.rows.items() if any(row.state in _WAITING and not row.reason for row in rows)
    ]
    try:
        replies = [
            commands.run([options.bjobs_path, "-a", "-w", "-p", *part], timeout=options.command_timeout.seconds)
            for part in chunks(unexplained)
        ]
    except SchedulerError:
        return listing
    explained = [row for reply in replies for row in parse_wide(reply.stdout, has_tags=False) or ()]
    reasons = {(row.job_id, row.element, row.state): row.reason for row in explained}
    rows = {
        job_id: tuple(
            row._replace(reason=row.reason or reasons.get((job_id, row.element, row.state), "")) for row in rows
        )
        for job_id, rows in listing.rows.items()
    }
    return attrs.evolve(listing, rows=rows)
