"""Texts of several requests in one prediction: under load a batch is as large as what waits."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class BusyError(Exception):
    """More texts wait than may wait."""


class Batcher(Generic[T]):
    """Answers texts one batch at a time, in a thread of its own.

    While a batch is computed, the texts of further requests wait; all of them, up to `most`, are
    the next batch. So a single request does not wait, and many wait for one prediction only.

    Args:
        answer: from texts to one answer for each; called in one thread.
        most: the texts of a batch. The texts of one request stay together.
        waiting: the texts that may wait.
    """

    def __init__(self, answer: Callable[[Sequence[str]], list[T]], most: int, waiting: int) -> None:
        self._answer, self._most, self._waiting = answer, most, waiting
        self._thread = ThreadPoolExecutor(1)
        self._queue: deque[tuple[list[str], asyncio.Future[list[T]]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, texts: list[str]) -> list[T]:
        """The answers.

        Raises:
            BusyError: too many texts wait already.
        """
        if sum(len(waiting) for waiting, _ in self._queue) + len(texts) > self._waiting:
            raise BusyError
        answers: asyncio.Future[list[T]] = asyncio.get_running_loop().create_future()
        self._queue.append((texts, answers))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await answers

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue:
            batch = [self._queue.popleft()]
            size = len(batch[0][0])
            while self._queue and size + len(self._queue[0][0]) <= self._most:
                batch.append(self._queue.popleft())
                size += len(batch[-1][0])
            every = [text for texts, _ in batch for text in texts]
            try:
                found = iter(await loop.run_in_executor(self._thread, self._answer, every))
            except Exception as error:  # each request that waits is told
                for _, answers in batch:
                    if not answers.done():
                        answers.set_exception(error)
                continue
            for texts, answers in batch:
                mine = [next(found) for _ in texts]
                if not answers.done():  # its client may have left
                    answers.set_result(mine)
