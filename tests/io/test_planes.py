"""What a file is taken for: mask, probabilities, or plain values."""

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
    plane = read_plane(png(tmp_path / "b.png", np.array([[0, 51, 255]], np.uint8)))
    assert plane.kind == "probabilities" and plane.values.dtype == np.float32
    assert plane.values.tolist() == [[0, pytest.approx(0.2), 1]]
    plane = read_plane(png(tmp_path / "c.png", np.array([[0, 13107, 65535]], np.uint16)))
    assert plane.kind == "probabilities" and plane.values.tolist() == [[0, pytest.approx(0.2), 1]]
    plane = read_plane(png(tmp_path / "d.png", np.array([[True, False]])))
    assert plane.kind == "mask" and plane.values.tolist() == [[True, False]]


def test_palette_masks_ignore_255_unless_it_is_all_there_is(tmp_path):
    write_mask(tmp_path / "voc.png", np.array([[0, 8, 255, 15]], np.uint8))
    assert read_plane(tmp_path / "voc.png").values.tolist() == [[False, True, False, True]]
    assert read_plane(tmp_path / "voc.png", value=15).values.tolist() == [[False, False, False, True]]
    write_mask(tmp_path / "binary.png", np.array([[0, 255]], np.uint8))
    assert read_plane(tmp_path / "binary.png").values.tolist() == [[False, True]]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32, np.uint8])
def test_arrays_are_taken_as_they_are(tmp_path, dtype):
    array = np.array([[0, 2], [1, 3]], dtype)
    np.save(tmp_path / "a.npy", array)
    plane = read_plane(tmp_path / "a.npy")
    assert plane.kind == "array" and plane.values.dtype == dtype and np.array_equal(plane.values, array)


def test_arrays_of_bool_are_masks_and_of_integers_may_have_classes(tmp_path):
    np.save(tmp_path / "b.npy", np.array([[True, False]]))
    assert read_plane(tmp_path / "b.npy").kind == "mask"
    np.save(tmp_path / "c.npy", np.array([[3, 4]]))
    assert read_plane(tmp_path / "c.npy", value=4).values.tolist() == [[False, True]]


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"no\.npy: no such file"):
        read_plane(tmp_path / "no.npy")
    (tmp_path / "text.npy").write_text("hello")
    with pytest.raises(InvalidInput, match="not a NumPy array"):
        read_plane(tmp_path / "text.npy")
    np.save(tmp_path / "objects.npy", np.array([[{}]], dtype=object))
    with pytest.raises(InvalidInput, match="not a NumPy array"):
        read_plane(tmp_path / "objects.npy")
    np.save(tmp_path / "deep.npy", np.zeros((2, 3, 4)))
    with pytest.raises(InvalidInput, match=r"got float64 of shape \(2, 3, 4\)"):
        read_plane(tmp_path / "deep.npy")
    np.save(tmp_path / "complex.npy", np.zeros((2, 3), complex))
    with pytest.raises(InvalidInput, match="got complex128"):
        read_plane(tmp_path / "complex.npy")
    np.save(tmp_path / "floats.npy", np.zeros((2, 3)))
    with pytest.raises(InvalidInput, match="a class is a value of a mask"):
        read_plane(tmp_path / "floats.npy", value=1)
    with pytest.raises(InvalidInput, match=r"'RGB'.*\nSave it as a grey"):
        read_plane(png(tmp_path / "rgb.png", np.zeros((2, 2, 3), np.uint8)))
