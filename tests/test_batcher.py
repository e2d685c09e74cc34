"""Texts of several requests in one prediction."""

import asyncio
import threading

import pytest

from serving.batcher import Batcher, BusyError


class Model:
    """Answers with the length of a text, and remembers its batches; it waits for `go`."""

    def __init__(self):
        self.batches, self.go = [], threading.Event()
        self.go.set()

    def __call__(self, texts):
        self.go.wait(10)
        self.batches.append(list(texts))
        if "fault" in texts:
            raise ValueError("fault")
        return [len(text) for text in texts]


async def waiting(batcher, model, *requests):
    """Send a first request, and the others while its batch is computed."""
    model.go.clear()
    first = asyncio.create_task(batcher(["first"]))
    await asyncio.sleep(0)
    others = [asyncio.create_task(batcher(list(texts))) for texts in requests]
    for _ in range(3):
        await asyncio.sleep(0)
    model.go.set()
    return await asyncio.gather(first, *others, return_exceptions=True)


def test_texts_that_wait_are_one_batch_and_each_request_gets_its_own_answers():
    model = Model()
    found = asyncio.run(waiting(Batcher(model, 10, 10), model, ["a", "bb"], ["ccc"]))
    assert found == [[5], [1, 2], [3]]
    assert model.batches == [["first"], ["a", "bb", "ccc"]]


def test_a_batch_has_a_size_and_a_request_is_not_split():
    model = Model()
    found = asyncio.run(waiting(Batcher(model, 3, 10), model, ["a", "b"], ["c", "d"], ["e"]))
    assert found == [[5], [1, 1], [1, 1], [1]]
    assert model.batches == [["first"], ["a", "b"], ["c", "d", "e"]]


def test_too_many_texts_are_refused_and_the_others_are_answered():
    model = Model()
    found = asyncio.run(waiting(Batcher(model, 10, 2), model, ["a", "b"], ["c"]))
    assert found[:2] == [[5], [1, 1]]
    assert isinstance(found[2], BusyError)


def test_an_error_reaches_the_requests_of_its_batch_only():
    model = Model()

    async def ask():
        batcher = Batcher(model, 10, 10)
        found = await waiting(batcher, model, ["fault"], ["a"])
        return [*found, await batcher(["bb"])]

    first, *errors, last = asyncio.run(ask())
    assert (first, last) == ([5], [2])
    assert [str(error) for error in errors] == ["fault", "fault"]


def test_a_client_that_leaves_does_not_stop_the_others():
    model = Model()

    async def ask():
        batcher = Batcher(model, 10, 10)
        model.go.clear()
        leaving = asyncio.create_task(batcher(["first"]))
        await asyncio.sleep(0)
        staying = asyncio.create_task(batcher(["a"]))
        await asyncio.sleep(0)
        leaving.cancel()
        model.go.set()
        return await staying

    assert asyncio.run(ask()) == [1]


@pytest.mark.parametrize("texts", [1, 50])
def test_requests_one_after_another_are_answered(texts):
    model = Model()

    async def ask():
        batcher = Batcher(model, 10, 100)
        return [await batcher(["x" * count]) for count in range(texts)]

    assert asyncio.run(ask()) == [[count] for count in range(texts)]
