"""Codes: arrays of few, evenly spaced values in a quarter of their memory, and not a bit lost."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kerasx.data import codes
from kerasx.data.codes import Codes, as_codes, forget_ready, make_ready
from kerasx.startup import start_tensorflow

start_tensorflow()

import tensorflow as tf  # noqa: E402

from kerasx.data.chunks import batch_of  # noqa: E402

Array = npt.NDArray[Any]
BYTES = np.arange(256, dtype=np.uint8)
DTYPES = ("float16", "float32", "float64")


@pytest.fixture(scope="module", autouse=True)
def small_arrays_count() -> Iterator[None]:
    """For all examples of a test, which a fixture of each test would not be for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codes, "WORTHWHILE", 0)
        yield


def bits(array: Array) -> Array:
    return array.view(f"u{array.dtype.itemsize}")


def is_exact(found: Codes, array: Array) -> bool:
    """By the table, and by the factor where there is one."""
    numbers, values = found.codes, found.values
    assert (numbers.dtype, numbers.shape) == (np.uint8, array.shape)
    assert (values.dtype, values.shape) == (array.dtype, (256,))
    if found.scale is not None:
        product = (numbers.astype("float64") * found.scale).astype(array.dtype)
        assert np.array_equal(bits(product), bits(array))
    return np.array_equal(bits(values[numbers]), bits(array))


def is_never_wrong(array: Array) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # which is another matter
        found = as_codes(array)
    return found is None or is_exact(found, array)


@pytest.mark.parametrize(
    "scaled",
    [
        pytest.param(lambda image: image.astype("float32") / 255, id="0 to 1"),
        pytest.param(lambda image: (image / 255.0).astype("float32"), id="0 to 1, by way of float64"),
        pytest.param(lambda image: image.astype("float32") * np.float32(1 / 255), id="multiplied"),
        pytest.param(lambda image: image.astype("float32") / 127.5 - 1, id="-1 to 1"),
        pytest.param(lambda image: (image / 255.0 - 0.1307) / 0.3081, id="standardized, float64"),
        pytest.param(
            lambda image: ((image.astype("float32") / 255 - 0.1307) / 0.3081).astype("float32"),
            id="standardized",
        ),
        pytest.param(lambda image: image.astype("float64"), id="as they are"),
        pytest.param(lambda image: image.astype("float16"), id="float16"),
    ],
)
def test_scaled_images_are_coded_to_the_bit(scaled: Any) -> None:
    """What data sets are handed over as; all 256 levels occur."""
    image = np.random.RandomState(0).permutation(np.tile(BYTES, 12)).reshape(4, 8, 8, 12)
    array = scaled(image)
    found = as_codes(array)
    assert found is not None
    assert is_exact(found, array)


@given(
    st.sampled_from(DTYPES),
    st.integers(1, 256),
    st.floats(-100, 100),
    st.floats(2**-10, 2**4),
    st.integers(0, 2**32 - 1),
)
@example("float32", 256, 0.0, 1 / 255, 0)
@example("float32", 2, -1.0, 2.0, 0)
def test_even_levels_are_coded_to_the_bit_or_not_at_all(
    dtype: str, levels: int, lowest: float, distance: float, seed: int
) -> None:
    """The levels need not all occur, nor be even after they were rounded to the dtype."""
    array = (lowest + distance * np.random.RandomState(seed).randint(levels, size=(50, 7))).astype(dtype)
    assert is_never_wrong(array)


@given(st.integers(2, 256), st.integers(-1000, 1000), st.sampled_from([0.25, 1.0, 2.0, 7.0]))
def test_levels_that_floats_hold_exactly_are_always_coded(levels: int, lowest: int, distance: float) -> None:
    array = (lowest + distance * np.arange(levels)).astype("float32").reshape(-1, 1)
    found = as_codes(array)
    assert found is not None
    assert is_exact(found, array)


@given(st.sampled_from(DTYPES), st.data())
def test_whatever_the_values_no_bit_is_wrong(dtype: str, data: st.DataObject) -> None:
    """-0.0, numbers that are none or infinite, the smallest and the largest there are."""
    width: Any = {"float16": 16, "float32": 32, "float64": 64}[dtype]
    values = data.draw(st.lists(st.floats(width=width), min_size=1, max_size=6))
    chosen = data.draw(st.lists(st.sampled_from(values), min_size=1, max_size=30))
    assert is_never_wrong(np.array(chosen, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "values",
    [
        (0.0, -0.0, 1.0),
        (-0.0, 0.5, 1.0),
        (0.0, 1.0, np.nan),
        (0.0, 1.0, np.inf),
        (-np.inf, 0.0, 1.0),
        (np.nan, np.nan, np.nan),
    ],
    ids=str,
)
def test_special_numbers_are_kept_or_left_alone(dtype: str, values: tuple[float, ...]) -> None:
    assert is_never_wrong(np.array(values * 5, dtype))


def test_minus_zero_is_another_number_than_zero() -> None:
    """Both have one code, which would make one of the other; alone, either is a level like any."""
    assert as_codes(np.array([0.0, -0.0, 1.0], "float32")) is None
    alone = np.array([-0.0, 0.5, 1.0], "float32")
    found = as_codes(alone)
    assert found is not None
    assert is_exact(found, alone)


EXTREMES = {
    "the largest float16": np.array([-60000, 0, 60000], "float16"),
    "the largest float32": np.array([-3e38, 0, 3e38], "float32"),
    "the largest float64": np.array([-1.7e308, 0, 1.7e308]),
    **{
        f"the smallest {dtype}": np.arange(3).astype(dtype) * np.finfo(dtype).smallest_subnormal
        for dtype in DTYPES
    },
}


@pytest.mark.parametrize("name", EXTREMES)
def test_distances_that_no_float_holds_lose_no_bits(name: str) -> None:
    """The difference of the largest numbers overflows, and so does the inverse of the smallest."""
    assert is_never_wrong(EXTREMES[name])


@pytest.mark.parametrize("name", EXTREMES)
def test_who_hands_over_data_is_warned_of_nothing(name: str) -> None:
    """Data is only looked at, whose numbers may be what they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        as_codes(EXTREMES[name])


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(np.random.RandomState(0).randn(100, 9).astype("float32"), id="normal"),
        pytest.param(np.linspace(0, 1, 257, dtype="float32"), id="257 levels"),
        pytest.param(np.append(np.arange(255.0), 0.5), id="a level in between"),
        pytest.param(np.array([0.0, 1.0, 1000.0]), id="far apart"),
        pytest.param(BYTES, id="bytes"),
        pytest.param(np.arange(256), id="whole numbers"),
        pytest.param(np.array(["a", "b"]), id="text"),
        pytest.param(np.array([True, False]), id="truth"),
        pytest.param(np.arange(8, dtype="complex64"), id="complex"),
        pytest.param(np.tile(np.arange(8.0), (8, 1)).T, id="of another layout"),
    ],
)
def test_what_has_no_even_levels_is_left_alone(array: Array) -> None:
    assert as_codes(array) is None


@pytest.mark.parametrize("value", [0.0, -0.0, 1.5, np.nan])
def test_a_constant_is_left_alone_or_exact(value: float) -> None:
    """It has no distance of levels."""
    assert is_never_wrong(np.full((5, 4), value, "float32"))


def test_a_later_value_that_is_none_of_the_levels_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The levels are told from the first part of large arrays, and all parts are checked."""
    monkeypatch.setattr(codes, "_SAMPLE", 16)
    monkeypatch.setattr(codes, "_AT_ONCE", 16)
    even = np.tile(np.arange(8, dtype="float32"), 8)
    found = as_codes(even)
    assert found is not None
    assert is_exact(found, even)
    for place in (16, 40, 63):
        other = even.copy()
        other[place] = 2.25
        assert as_codes(other) is None, place
    # A level that the first part lacks is one all the same.
    other = np.where(np.arange(64) < 16, even % 3, even)
    found = as_codes(other)
    assert found is not None
    assert is_exact(found, other)


def test_small_arrays_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.arange(256, dtype="float32")
    monkeypatch.setattr(codes, "WORTHWHILE", array.nbytes + 1)
    assert as_codes(array) is None
    monkeypatch.setattr(codes, "WORTHWHILE", array.nbytes)
    assert as_codes(array) is not None


def test_codes_of_an_array_that_was_changed_are_those_of_its_new_values() -> None:
    """Also where it is read-only whenever they are asked for."""
    array = np.tile(np.arange(8, dtype="float32"), (3, 1)).copy()
    view = array[:]
    for change in (0, 1, 2):
        view[change] = view[change, ::-1]
        array.flags.writeable = False
        found = as_codes(array)
        assert found is not None
        assert is_exact(found, array), change
        array.flags.writeable = True


def test_codes_that_were_made_beforehand_are_used_once() -> None:
    array = np.tile(np.arange(8, dtype="float32"), (3, 1)).copy()
    array.flags.writeable = False
    make_ready(array)
    ready, again = as_codes(array), as_codes(array)
    assert ready is not None
    assert again is not None
    assert ready is not again
    assert is_exact(ready, array)
    assert is_exact(again, array)
    array.flags.writeable = True
    array *= 2
    changed = as_codes(array)
    assert changed is not None
    assert is_exact(changed, array)


def test_codes_that_were_made_beforehand_can_be_forgotten() -> None:
    array = np.tile(np.arange(8, dtype="float32"), (3, 1)).copy()
    array.flags.writeable = False
    make_ready(array)
    forget_ready()
    array.flags.writeable = True
    array[0] = 7
    found = as_codes(array)
    assert found is not None
    assert is_exact(found, array)


def test_codes_of_an_array_that_is_gone_are_not_those_of_one_in_its_place() -> None:
    """At whose address another array may be made."""
    for number in range(50):
        made = np.full((3, 8), number, "float32") + np.arange(8, dtype="float32")
        assert is_never_wrong(made), number
        make_ready(made)
        del made


@pytest.mark.parametrize("jit", [False, True], ids=["graph", "jit"])
def test_tensorflow_divides_bytes_to_other_bits_than_numpy(jit: bool) -> None:
    """Why codes come with values and perhaps a factor: plain arithmetic would not give the bits back."""

    def scaled(numbers: tf.Tensor) -> tf.Tensor:
        return tf.cast(numbers, tf.float32) / 255.0

    def taken(table: Any, rows: tf.Tensor) -> tf.Tensor:
        return batch_of(table, (rows[tf.newaxis],), 0, tf.TensorSpec([None], tf.float32))

    expected = BYTES.astype("float32") / np.float32(255)
    divided = tf.function(scaled, jit_compile=jit)(tf.constant(BYTES)).numpy()
    assert np.count_nonzero(bits(divided) != bits(expected)) == 126

    for array, has_factor in ((expected, True), (expected * 2 - np.float32(1), False)):
        found = as_codes(array)
        assert found is not None
        assert (found.scale is not None) == has_factor
        # Out of their order, as rows are.
        order = np.random.RandomState(0).permutation(256)
        meaning = found.values if found.scale is None else np.float64(found.scale)
        table = ((tf.constant(found.codes), tf.constant(meaning)),)
        batch = tf.function(taken, jit_compile=jit)(table, tf.constant(order))
        assert np.array_equal(bits(batch.numpy()), bits(array[order]))
