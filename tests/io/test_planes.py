"""Interpretation of files as masks, probabilities or plain arrays."""

import numpy as np
import pytest
from PIL import Image

from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.planes import read_plane


def png(path, values, mode=None):
    Image.fromarray(np.asarray(values), mode).save(path)
    return path


def test_grey_masks_and_probabilities(tmp_path):
    plane = read_plane(png(tmp_path / "a.png", np.array([[0, 1]], np.uint8)))
    assert plane.kind == "mask" and plane.values.tolist() == [[False, True]]
    plane = read_plane(png(tmp_path / "b.png", np.array([[0, 51, 255]], np.uint8)), threshold=0.5)
    assert plane.kind == "probabilities" and plane.values.dtype == np.float32
    assert plane.values.tolist() == [[0, pytest.approx(0.2), 1]]
    plane = read_plane(png(tmp_path / "c.png", np.array([[0, 13107, 65535]], np.uint16)), threshold="none")
    assert plane.kind == "probabilities" and plane.values.tolist() == [[0, pytest.approx(0.2), 1]]
    plane = read_plane(png(tmp_path / "d.png", np.array([[True, False]])))
    assert plane.kind == "mask" and plane.values.tolist() == [[True, False]]


LEVELS = np.linspace(0, 255, 40).round().astype(np.uint8)[None]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (np.array([[0, 1, 2]], np.uint8), "0, 1, 2"),
        (np.array([[0, 1, 255]], np.uint8), "0, 1, 255"),  # 255: ignore
        (np.array([[0, 128, 255]], np.uint8), "0, 128, 255"),  # classes as shades
        (np.array([[0, 1, 2, 300]], np.uint16), "0, 1, 2, 300"),
        (np.arange(100, dtype=np.uint8)[None], "0, 1, 2, 3, 4 and 95 more"),
        (np.append(np.arange(34), 255).astype(np.uint8)[None], "0, 1, 2, 3, 4 and 30 more"),
        (np.arange(2000, dtype=np.uint16)[None], "0, 1, 2, 3, 4 and 1995 more"),
    ],
)
def test_grey_values_that_may_be_classes_are_refused(tmp_path, values, found):
    path = png(tmp_path / "a.png", values)
    with pytest.raises(InvalidInput) as error:
        read_plane(path)
    assert error.value.subject == str(path) and error.value.found == found
    assert "--class" in error.value.hint and "--threshold" in error.value.hint
    white = 255 if values.dtype == np.uint8 else 65535
    np.testing.assert_array_equal(read_plane(path, threshold=0.5).values, values / np.float32(white))
    np.testing.assert_array_equal(read_plane(path, value=1).values, values == 1)


def test_many_grey_values_are_probabilities(tmp_path):
    for name, values in (("a.png", LEVELS), ("b.png", LEVELS.astype(np.uint16) * 257)):
        plane = read_plane(png(tmp_path / name, values))
        assert plane.kind == "probabilities"
        np.testing.assert_allclose(plane.values, LEVELS / 255, rtol=1e-6)


def test_grey_masks_of_two_values(tmp_path):
    for name, values in (("a.png", np.array([[0, 255]], np.uint8)), ("b.png", np.array([[0, 65535]], np.uint16))):
        assert (read_plane(png(tmp_path / name, values)).values > 0.5).tolist() == [[False, True]]
    assert not read_plane(png(tmp_path / "c.png", np.zeros((2, 2), np.uint8)), threshold=0.5).values.any()


def test_a_threshold_of_values_0_and_1_is_refused(tmp_path):
    """They are the classes of a mask, or probabilities below 0.004."""
    path = png(tmp_path / "a.png", np.array([[0, 1]], np.uint8))
    with pytest.raises(InvalidInput) as error:
        read_plane(path, threshold=0.5)
    assert error.value.subject == str(path)
    assert read_plane(path, threshold="none").values.tolist() == [[False, True]]


def test_palette_masks_ignore_255_unless_it_is_the_only_value(tmp_path):
    write_mask(tmp_path / "voc.png", np.array([[0, 8, 255, 15]], np.uint8))
    assert read_plane(tmp_path / "voc.png").values.tolist() == [[False, True, False, True]]
    assert read_plane(tmp_path / "voc.png", value=15).values.tolist() == [[False, False, False, True]]
    write_mask(tmp_path / "binary.png", np.array([[0, 255]], np.uint8))
    assert read_plane(tmp_path / "binary.png").values.tolist() == [[False, True]]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32, np.uint8])
def test_arrays_are_unchanged(tmp_path, dtype):
    array = np.array([[0, 2], [1, 3]], dtype)
    np.save(tmp_path / "a.npy", array)
    plane = read_plane(tmp_path / "a.npy")
    assert plane.kind == "array" and plane.values.dtype == dtype and np.array_equal(plane.values, array)


def test_bool_arrays_are_masks_and_integer_arrays_may_have_classes(tmp_path):
    np.save(tmp_path / "b.npy", np.array([[True, False]]))
    assert read_plane(tmp_path / "b.npy").kind == "mask"
    np.save(tmp_path / "c.npy", np.array([[3, 4]]))
    assert read_plane(tmp_path / "c.npy", value=4).values.tolist() == [[False, True]]


@pytest.mark.parametrize(
    ("name", "array", "value", "found"),
    [
        ("missing.npy", None, None, None),
        ("objects.npy", np.array([[{}]], dtype=object), None, None),
        ("deep.npy", np.zeros((2, 3, 4)), None, "float64 of shape (2, 3, 4)"),
        ("complex.npy", np.zeros((2, 3), complex), None, "complex128 of shape (2, 3)"),
        ("floats.npy", np.zeros((2, 3)), 1, "float64"),
        ("nan.npy", np.array([[np.inf]]), None, np.inf),
        ("rgb.png", np.zeros((2, 2, 3), np.uint8), None, "RGB"),
    ],
)
def test_other_files_are_refused(tmp_path, name, array, value, found):
    path = tmp_path / name
    if array is not None:
        png(path, array) if name.endswith("png") else np.save(path, array)
    with pytest.raises(InvalidInput) as error:
        read_plane(path, value=value)
    assert str(error.value.subject).startswith(str(path)) and error.value.found == found


def test_text_is_refused(tmp_path):
    (tmp_path / "text.npy").write_text("hello")
    with pytest.raises(InvalidInput):
        read_plane(tmp_path / "text.npy")
