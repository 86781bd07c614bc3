"""Chunks: what one compiled call goes through is what an epoch's batches are, one after another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from kerasx.data import chunks as module  # noqa: E402
from kerasx.data import codes  # noqa: E402
from kerasx.data.arrays import Arrays  # noqa: E402
from kerasx.data.batches import Batches, training_batches, validation_batches  # noqa: E402
from kerasx.data.chunks import Chunk, Chunks, batch_of  # noqa: E402
from kerasx.data.streams import Stream, as_stream  # noqa: E402

STRATEGIES = ("custom-step", "gradient-tape")
SEED = 5
GENERATOR = np.random.default_rng(2)
X = GENERATOR.normal(size=(60, 3)).astype("float32")
Y = GENERATOR.integers(0, 3, size=60)
ROWS, SIZE, PER_CALL = st.integers(1, 60), st.integers(1, 20), st.integers(1, 9)
Epoch = list[list[bytes]]


def bits_of(leaf: Any) -> bytes:
    array = np.asarray(leaf)
    return f"{array.dtype} {array.shape} ".encode() + array.tobytes()


def plain(batches: Batches, epoch: int) -> Epoch:
    """The batches one by one, as every loop gets them that does without chunks."""
    return [[bits_of(leaf) for leaf in tf.nest.flatten(batch)] for batch in batches.epoch(epoch)]


def taken_apart(chunk: Chunk) -> Epoch:
    # Images are float32 here; what is no code has a dtype of its own.
    specs = tuple(
        tf.TensorSpec([None], tf.float32 if len(part) > 1 else part[0].dtype) for part in chunk.table
    )
    return [
        [bits_of(leaf) for leaf in batch_of(chunk.table, chunk.numbers, number, specs)]
        for number in range(chunk.steps)
    ]


def capacity_of(chunk: Chunk) -> int:
    (capacity,) = {int(numbers.shape[0]) for numbers in chunk.numbers}
    return capacity


def rows_of(chunk: Chunk) -> tuple[int, ...]:
    """Of a batch: how many each of its tensors has."""
    sizes = tuple(int(numbers.shape[1]) for numbers in chunk.numbers)
    return sizes if len(sizes) > 1 else sizes * len(chunk.table)


def reassembled(made: list[Chunk]) -> Epoch:
    return [batch for chunk in made for batch in taken_apart(chunk)]


def check(made: list[Chunk], per_call: int) -> None:
    """One after another, none over the end of a call, and full batches in one shape that is compiled once."""
    assert [chunk.first for chunk in made] == [
        sum(each.steps for each in made[:number]) for number in range(len(made))
    ]
    for chunk in made:
        assert 1 <= chunk.steps <= capacity_of(chunk)
        assert chunk.first // per_call == (chunk.first + chunk.steps - 1) // per_call
    assert len({capacity_of(chunk) for chunk in made if rows_of(chunk) == rows_of(made[0])}) == 1


def stream(value: Any) -> Stream:
    found = as_stream(value, "The data")
    assert found is not None
    return found


def of_arrays(*, rows: int, size: int, limit: int | None = None) -> Batches:
    data = Arrays({"a": X[:rows], "b": (X[:rows, :1] * 2,)}, [Y[:rows]], np.arange(rows, dtype="float32"))
    batches = training_batches(data, size, SEED)
    return batches if limit is None else batches.limited(limit)


def rows_dataset(rows: int, size: int, **options: Any) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((X[:rows], Y[:rows])).batch(size, **options)


class Sequence(keras.utils.PyDataset):
    def __init__(self, rows: int, size: int, workers: int = 1) -> None:
        super().__init__(workers=workers)
        self.rows, self.size = rows, size

    def __len__(self) -> int:
        return -(-self.rows // self.size)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        part = slice(index * self.size, min((index + 1) * self.size, self.rows))
        return X[part], Y[part]


def of_lengths(*lengths: int) -> tf.data.Dataset:
    """A pipeline whose batches have so many rows, and which does not tell how many there are."""

    def batches() -> Iterator[tuple[Any, Any]]:
        start = 0
        for length in lengths:
            yield X[start : start + length], Y[start : start + length]
            start = start + length

    specs = (tf.TensorSpec([None, 3], tf.float32), tf.TensorSpec([None], tf.int64))
    return tf.data.Dataset.from_generator(batches, output_signature=specs)


def of_graphs(*counts: tuple[int, int]) -> tf.data.Dataset:
    """Batches of so many nodes, so many edges, and a label for each node."""

    def batches() -> Iterator[tuple[Any, Any]]:
        for number, (nodes, edges) in enumerate(counts):
            yield (X[:nodes] + number, X[:edges, :1] - number), Y[:nodes]

    node, edge = tf.TensorSpec([None, 3], tf.float32), tf.TensorSpec([None, 1], tf.float32)
    specs = ((node, edge), tf.TensorSpec([None], tf.int64))
    return tf.data.Dataset.from_generator(batches, output_signature=specs)


# --- the batches of an epoch -------------------------------------------------------------------------


@settings(max_examples=8)
@given(ROWS, SIZE, PER_CALL, st.none() | st.integers(1, 8))
@example(1, 1, 1, None)
@example(3, 20, 4, None)  # fewer rows than a batch
@example(60, 4, 100, None)  # one call
@example(41, 8, 5, None)  # the short last batch begins a call
def test_arrays_in_memory_have_the_batches_of_the_epoch(
    rows: int, size: int, per_call: int, limit: int | None
) -> None:
    batches = of_arrays(rows=rows, size=size, limit=limit)
    chunks = Chunks(batches, per_call)
    for epoch in (0, 1, 0):
        made = list(chunks.epoch(epoch))
        check(made, per_call)
        assert reassembled(made) == plain(batches, epoch)
        assert sum(chunk.steps for chunk in made) == batches.steps


@settings(max_examples=8)
@given(ROWS, SIZE, PER_CALL, st.integers(1, 4000), st.none() | st.integers(1, 8))
@example(60, 4, 100, 10**9, None)
@example(3, 20, 4, 1, None)
def test_larger_arrays_are_streamed_to_the_same_batches(
    rows: int, size: int, per_call: int, buffer: int, limit: int | None
) -> None:
    """A third of the buffer is what a chunk may have, but for two batches, which it has at the least."""
    batches = of_arrays(rows=rows, size=size, limit=limit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "RESIDENT_SHARE", 0)
        patch.setattr(module, "BUFFER", buffer)
        chunks = Chunks(batches, per_call)
        for epoch in (0, 1):
            made = list(chunks.epoch(epoch))
            check(made, per_call)
            assert reassembled(made) == plain(batches, epoch)
            for chunk in made:
                assert capacity_of(chunk) == 2 or bytes_of(chunk) <= buffer / 3


def bytes_of(chunk: Chunk) -> int:
    return sum(tensor.numpy().nbytes for part in chunk.table for tensor in part)


@settings(max_examples=8)
@given(ROWS, SIZE, PER_CALL, st.integers(1, 4000), st.booleans())
@example(60, 4, 100, 10**9, False)
@example(41, 8, 5, 10**9, False)
def test_a_pipeline_has_the_batches_that_it_hands_out(
    rows: int, size: int, per_call: int, buffer: int, drops: bool
) -> None:
    drops = drops and rows >= size
    batches = training_batches(stream(rows_dataset(rows, size, drop_remainder=drops)), 99, SEED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BUFFER", buffer)
        made = list(Chunks(batches, per_call).epoch(0))
    check(made, per_call)
    assert reassembled(made) == plain(batches, 0)


@pytest.mark.parametrize("size", [8, 32])
def test_a_pipeline_is_held_a_buffer_at_a_time(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it tells how many rows a batch has; batches of 32 rows are too large for two in a third."""
    batches = training_batches(stream(rows_dataset(60, size, drop_remainder=True).repeat(3)), 99, SEED)
    monkeypatch.setattr(module, "BUFFER", 3 * 20 * 5 * 8)
    for chunk in Chunks(batches, 100).epoch(0):
        assert capacity_of(chunk) == 2 or bytes_of(chunk) <= module.BUFFER / 3


def test_a_pipeline_of_large_batches_is_held_a_buffer_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that tells nothing of its batches' rows: what it hands out counts, not `batch_size`."""
    batches = training_batches(stream(rows_dataset(60, 10).repeat(5)), 1, SEED)
    # Rows of 20 bytes: three batches in a third.
    monkeypatch.setattr(module, "BUFFER", 3 * 3 * 10 * 20)
    for chunk in Chunks(batches, 100).epoch(0):
        assert bytes_of(chunk) <= module.BUFFER / 3


@settings(max_examples=8)
@given(ROWS, SIZE, PER_CALL, st.integers(1, 3))
def test_a_sequence_comes_in_the_order_of_the_seed(rows: int, size: int, per_call: int, workers: int) -> None:
    """So that its short batch may come first, or in the middle."""
    batches = training_batches(stream(Sequence(rows, size, workers)), 99, SEED)
    chunks = Chunks(batches, per_call)
    for epoch in (0, 1):
        made = list(chunks.epoch(epoch))
        check(made, per_call)
        expected = plain(batches, epoch)
        assert reassembled(made) == expected
        numbers = kerasx.batch_order(SEED, epoch, len(Sequence(rows, size)))
        assert expected == [
            [bits_of(part) for part in Sequence(rows, size)[int(number)]] for number in numbers
        ]


@settings(max_examples=8)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=12), PER_CALL)
@example([4, 4, 1, 1, 4, 2, 4, 4], 3)
@example([1, 4, 4, 4, 4, 1], 4)
def test_batches_of_changing_sizes_and_an_unknown_number(lengths: list[int], per_call: int) -> None:
    batches = training_batches(stream(of_lengths(*lengths)), 4, SEED)
    assert batches.steps is None
    made = list(Chunks(batches, per_call).epoch(0))
    check(made, per_call)
    assert reassembled(made) == plain(batches, 0)
    assert [rows_of(chunk) for chunk in made for _ in range(chunk.steps)] == [(n, n) for n in lengths]


@settings(max_examples=8)
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 5)), min_size=1, max_size=12), PER_CALL)
@example([(4, 2)] * 5, 3)
@example([(2, 4), (2, 4), (2, 3), (2, 4), (1, 4), (1, 4)], 4)  # either changes while the other does not
@example([(3, 0), (3, 0), (3, 2)], 4)  # a graph without edges
def test_tensors_of_a_batch_may_differ_in_their_first_axis(
    counts: list[tuple[int, int]], per_call: int
) -> None:
    batches = training_batches(stream(of_graphs(*counts)), 4, SEED)
    made = list(Chunks(batches, per_call).epoch(0))
    check(made, per_call)
    assert reassembled(made) == plain(batches, 0)
    assert [rows_of(chunk) for chunk in made for _ in range(chunk.steps)] == [(n, e, n) for n, e in counts]


def test_batches_whose_other_axes_change() -> None:
    """Token numbers `[batch, time]` of another time in every batch."""

    class Texts(keras.utils.PyDataset):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> tuple[Any, Any]:
            return np.arange(6 * (index % 3 + 2)).reshape(6, -1), Y[:6]

    batches = validation_batches(stream(Texts()), 4)
    made = list(Chunks(batches, 3).epoch(0))
    assert reassembled(made) == plain(batches, 0)
    assert [chunk.first for chunk in made] == [0, 1, 2, 3]


def test_validation_keeps_the_order_of_the_rows() -> None:
    made = list(Chunks(validation_batches(Arrays(X, Y), 7), 3).epoch(4))
    firsts = [bits_of(X[start : start + 7]) for start in range(0, 60, 7)]
    assert [batch[0] for batch in reassembled(made)] == firsts


def test_text_is_in_chunks_too() -> None:
    words = np.array([f"word {number % 7}" for number in range(23)])
    batches = training_batches(Arrays(words, Y[:23]), 5, SEED)
    made = list(Chunks(batches, 2).epoch(0))
    seen = [text for chunk in made for n in range(chunk.steps) for text in _words(chunk, n)]
    assert seen == [words[row] for row in kerasx.batch_order(SEED, 0, 23)]


def _words(chunk: Chunk, number: int) -> list[str]:
    return [text.decode() for text in tf.gather(chunk.table[0][0], chunk.numbers[0][number]).numpy()]


def test_images_are_kept_as_codes_and_come_out_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "WORTHWHILE", 0)
    images = np.random.RandomState(0).randint(256, size=(50, 28)).astype("float32") / 255
    batches = training_batches(Arrays(images, Y[:50]), 8, SEED)
    made = list(Chunks(batches, 4).epoch(0))
    assert made[0].table[0][0].dtype == tf.uint8
    assert reassembled(made) == plain(batches, 0)
    monkeypatch.setattr(module, "RESIDENT_SHARE", 0)
    assert reassembled(list(Chunks(batches, 4).epoch(0))) == plain(batches, 0)


@settings(max_examples=10)
@given(ROWS, SIZE, PER_CALL, st.booleans())
def test_every_shape_of_arrays_is_known_beforehand(
    rows: int, size: int, per_call: int, resident: bool
) -> None:
    """What is compiled before the first step need not be compiled again, nor anything else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "RESIDENT_SHARE", float(resident))
        chunks = Chunks(of_arrays(rows=rows, size=size), per_call)
        samples = list(chunks.samples())
        assert all(chunk.steps == 0 for chunk in samples)
        assert {shapes(chunk) for chunk in samples} == {shapes(chunk) for chunk in chunks.epoch(0)}


def shapes(chunk: Chunk) -> tuple[Any, ...]:
    table = [(str(each.dtype), tuple(each.shape)) for part in chunk.table for each in part]
    return (*(tuple(numbers.shape) for numbers in chunk.numbers), *table)


# --- what goes wrong ---------------------------------------------------------------------------------


def test_a_pipeline_that_turns_out_empty_is_refused() -> None:
    batches = training_batches(stream(rows_dataset(20, 4).filter(lambda x, y: False)), 4, SEED)
    with pytest.raises(kerasx.UsageError, match="no batch"):
        list(Chunks(batches, 3).epoch(0))


class Failing(Sequence):
    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if index == 5:
            raise ArithmeticError("on purpose")
        return super().__getitem__(index)


def test_what_a_pipeline_raises_is_raised_after_the_chunks_before_it() -> None:
    batches = validation_batches(stream(Failing(40, 4)), 4)
    made = Chunks(batches, 2).epoch(0)
    assert [next(made).first, next(made).first] == [0, 2]
    with pytest.raises(Exception, match="ArithmeticError: on purpose"):
        list(made)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_training_names_what_a_pipeline_raises(strategy: str, tmp_path: Path) -> None:
    with pytest.raises(kerasx.UsageError, match="ArithmeticError: on purpose"):
        train(tmp_path, lambda: Failing(40, 4), strategy=strategy)


def test_an_epoch_that_is_left_early_leaves_no_thread_behind() -> None:
    """As a callback that stops training does; the next epoch begins anew."""
    before = set(threading.enumerate())
    batches = training_batches(stream(rows_dataset(60, 4)), 4, SEED)
    chunks = Chunks(batches, 2)
    next(chunks.epoch(0))
    assert reassembled(list(chunks.epoch(1))) == plain(batches, 1)
    left = [each for each in threading.enumerate() if each not in before and "ThreadPool" in each.name]
    assert not left


def test_training_that_is_stopped_in_an_epoch_leaves_no_thread_behind(tmp_path: Path) -> None:
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = True

    before = set(threading.enumerate())
    for strategy in STRATEGIES:
        run = train(tmp_path, shuffling, strategy=strategy, steps_per_call=1, callbacks=[Stop()])
        assert run.steps == 1
        left = [each for each in threading.enumerate() if each not in before and "ThreadPool" in each.name]
        assert not left, strategy


# --- training ----------------------------------------------------------------------------------------


def classifier() -> keras.Model:
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])


def train(runs: Path, data: Callable[[], Any], **values: Any) -> kerasx.Run:
    fields = {
        "model": classifier,
        "dataset": data,
        "loss": {"name": "sparse_categorical_crossentropy", "from_logits": True},
        "metrics": [],
        "epochs": 3,
        "batch_size": 8,
        "seed": SEED,
        "strategy": "gradient-tape",
        "execution": "fused",
        "jit": False,
    }
    if values.get("execution", "fused") == "fused":
        fields["steps_per_call"] = 3
    return kerasx.Engine(runs=runs).train(**{**fields, **values})


def shuffling() -> tuple[Any, Any]:
    """Both the rows and the validation rows come in another order in each epoch."""
    return rows_dataset(45, 8).unbatch().shuffle(64).batch(8), rows_dataset(20, 8).shuffle(9)


def filtered() -> tuple[Any, Any]:
    shuffled = tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(64)
    return shuffled.filter(lambda x, y: x[0] > -0.5).batch(8), (X[:12], Y[:12])


def fixed() -> tuple[Any, Any]:
    """Each batch has the same number of rows, and says so."""
    return rows_dataset(60, 8, drop_remainder=True).shuffle(9), rows_dataset(20, 5, drop_remainder=True)


def sequences() -> tuple[Any, Any]:
    return Sequence(50, 8, workers=2), Sequence(20, 8)


def growing() -> tf.data.Dataset:
    """Of a length that differs from epoch to epoch."""
    lengths = iter([2, 4] * 9)

    def batches() -> Iterator[tuple[Any, Any]]:
        for number in range(next(lengths)):
            yield X[number * 8 : number * 8 + 8], Y[number * 8 : number * 8 + 8]

    specs = (tf.TensorSpec([None, 3], tf.float32), tf.TensorSpec([None], tf.int64))
    return tf.data.Dataset.from_generator(batches, output_signature=specs)


class Graphs(keras.Model):
    """Adds to each node the mean of all edges."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, inputs: Any) -> Any:
        nodes, edges = inputs
        return self.dense(nodes + keras.ops.mean(edges, axis=0, keepdims=True))


NODES = GENERATOR.normal(size=(10, 32, 8)).astype("float32")
LABELS = (NODES[..., :1] > 0).astype("float32")


def four_edges() -> tf.data.Dataset:
    """As many nodes and as many edges in all batches, which says so."""
    return tf.data.Dataset.from_tensor_slices(((NODES, NODES[:, 8:12] * 2), LABELS))


class Edges(keras.utils.PyDataset):
    """Of each batch another number."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        edges = np.random.default_rng(index).normal(size=(20 + index % 3 * 10, 8)).astype("float32")
        return (NODES[index], edges), LABELS[index]


def outcome(run: kerasx.Run) -> tuple[Any, ...]:
    return run.weights_digest, run.history, run.evaluation, run.steps


@pytest.mark.parametrize(
    "data",
    [
        shuffling,
        filtered,
        growing,
        pytest.param(fixed, marks=pytest.mark.soak),
        pytest.param(sequences, marks=pytest.mark.soak),
    ],
)
def test_pipelines_train_to_the_bits_of_graph(data: Callable[[], Any], tmp_path: Path) -> None:
    """A pipeline that shuffles draws an order for each iterator: all executions have to make as many."""
    expected = outcome(train(tmp_path, data, execution="graph"))
    for strategy in STRATEGIES:
        assert outcome(train(tmp_path, data, strategy=strategy)) == expected, strategy


@pytest.mark.soak
def test_streamed_arrays_train_to_the_bits_of_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = outcome(train(tmp_path, lambda: ((X, Y), (X[:20], Y[:20])), execution="graph"))
    monkeypatch.setattr(module, "RESIDENT_SHARE", 0)
    monkeypatch.setattr(module, "BUFFER", 3 * 2 * 8 * 20)
    for strategy in STRATEGIES:
        run = train(tmp_path, lambda: ((X, Y), (X[:20], Y[:20])), strategy=strategy)
        assert outcome(run) == expected, strategy


def test_a_pipeline_trains_compiled_to_the_bits_of_graph(tmp_path: Path) -> None:
    """Of whose batches no shape is known beforehand, and the last is short."""

    def made() -> Any:
        return shuffling()[0]

    expected = outcome(train(tmp_path, made, execution="graph", jit=True))
    run = train(tmp_path, made, jit=True)
    assert (run.execution, run.jit, outcome(run)) == ("fused", True, expected)


@pytest.mark.soak
@pytest.mark.parametrize("jit", [False, True], ids=["no jit", "jit"])
@pytest.mark.parametrize("data", [four_edges, Edges])
def test_nodes_and_edges_train_to_the_bits_of_graph(
    data: Callable[[], Any], jit: bool, tmp_path: Path
) -> None:
    values: dict[str, Any] = {"model": Graphs, "loss": "mse", "epochs": 2, "jit": jit}
    expected = outcome(train(tmp_path, data, execution="graph", **values))
    for strategy in STRATEGIES:
        run = train(tmp_path, data, strategy=strategy, **values)
        assert (run.execution, run.jit, outcome(run)) == ("fused", jit, expected), strategy
