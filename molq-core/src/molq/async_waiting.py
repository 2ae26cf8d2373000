"""Wait for jobs within asyncio: one task and one thread for all of a Submitor's jobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import cast

from molq.waiting import Waiter, pause


class AsyncWaiter:
    """Waits for jobs for the tasks of one event loop.

    However many tasks wait, one of its own looks after all their jobs; each look is taken in a worker thread, since it
    may ask the scheduler.

    Args:
        waiter: takes the looks.
    """

    def __init__(self, waiter: Waiter) -> None:
        self._waiter = waiter
        self._awaited: dict[str, list[asyncio.Future[None]]] = {}
        self._task: asyncio.Task[None] | None = None
        self._began = 0.0

    async def as_they_end(self, job_ids: Sequence[str], timeout: float | None) -> AsyncIterator[str]:
        """Yield each job's id when it is over.

        Raises:
            MolqTimeoutError: after ``timeout`` seconds some are still active.
        """
        loop = asyncio.get_running_loop()
        pending = {self._await(job_id, loop): job_id for job_id in dict.fromkeys(job_ids)}
        until = None if timeout is None else loop.time() + timeout
        try:
            while pending:
                left = None if until is None else max(0.0, until - loop.time())
                ended, _ = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                if not ended:
                    raise self._waiter.too_late(list(pending.values()), cast("float", timeout))
                for future in ended:
                    job_id = pending.pop(future)
                    future.result()
                    yield job_id
        finally:
            for future in pending:
                future.cancel()  # nobody waits for it any more

    def _await(self, job_id: str, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        future: asyncio.Future[None] = loop.create_future()
        self._awaited.setdefault(job_id, []).append(future)
        self._began = self._waiter.monotonic()
        if self._task is None:
            self._task = loop.create_task(self._look_after_all())
        return future

    async def _look_after_all(self) -> None:
        try:
            await self._look_until_all_are_over()
        finally:
            # They hold the loop, which is to be forgotten when it is closed.
            self._task = None
            self._awaited.clear()

    async def _look_until_all_are_over(self) -> None:
        while pending := self._still_awaited():
            try:
                ended, look_took = await asyncio.to_thread(self._waiter.step, pending)
            except Exception as error:  # noqa: BLE001 - who waits is told, and so is who has come meanwhile
                for job_id in list(self._awaited):
                    self._settle(job_id, error)
                return
            for job_id in ended:
                self._settle(job_id, None)
            if not ended:
                await asyncio.sleep(pause(self._waiter.monotonic() - self._began, look_took))

    def _still_awaited(self) -> list[str]:
        """Forget what nobody waits for any more, and return the jobs that are left."""
        left = {job_id: [f for f in futures if not f.done()] for job_id, futures in self._awaited.items()}
        self._awaited = {job_id: futures for job_id, futures in left.items() if futures}
        return list(self._awaited)

    def _settle(self, job_id: str, error: Exception | None) -> None:
        for future in self._awaited.pop(job_id, ()):
            if future.done():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
