"""``cls_labels.npy``, and pickles that contain more than arrays."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelfiles import noted, read

from wsss.data.class_list import VOC_CLASSES
from wsss.data.importers.formats.unpickling import unpickle
from wsss.errors import InvalidInput

ALLOWED = "a dict of strings, numbers and arrays of numbers"
DAMAGED = {"extension registry"}


def saved(path: Path, value: Any, protocol: int = 4) -> Path:
    """Write an npy file as `numpy.save` does, with a pickle of a given protocol."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        array = np.empty((), object)
        array[()] = value
        pickle.dump(array, file, protocol=protocol)
    return path


def unpickled(content: bytes) -> Any:
    return unpickle(io.BytesIO(content), "x.npy")


class Call:
    """Pickled as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def test_a_dict_saved_by_numpy(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors = {f"2007_{number:06d}": rng.integers(0, 2, 20).astype(np.float32) for number in range(30)}
    np.save(tmp_path / "cls_labels.npy", vectors)
    labels = read(tmp_path / "cls_labels.npy")
    assert {entry.image: entry.labels for entry in labels.entries} == {
        name: tuple(VOC_CLASSES[i] for i in np.flatnonzero(vector)) for name, vector in vectors.items()
    }
    assert labels.classes == VOC_CLASSES


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", ["?", "u1", "i8", "<f4", ">f8", ">i2", "f2"])
def test_every_protocol_and_type_of_number(tmp_path: Path, protocol: int, kind: str) -> None:
    vectors = {"a": np.array([0, 1, 1]).astype(kind), "b": np.array([[1, 0, 0]], order="F").astype(kind)}
    (tmp_path / "names.txt").write_text("u\nv\nw\n")
    labels = read(saved(tmp_path / "x.npy", vectors, protocol), classes=tmp_path / "names.txt")
    assert [entry.labels for entry in labels.entries] == [("v", "w"), ("u",)]


@pytest.mark.parametrize("kind", ["?", "i1", "u4", "i8", "f2", ">f4", "f8"])
def test_arrays_are_unchanged(kind: str) -> None:
    array = (np.random.default_rng(1).normal(size=(3, 4)) * 50).astype(kind)
    for form in (array, np.asfortranarray(array), array[::2]):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            np.testing.assert_array_equal(unpickled(pickle.dumps({"a": form}, protocol))["a"], form)


def test_integer_keys(tmp_path: Path) -> None:
    labels = read(saved(tmp_path / "x.npy", {np.int64(2007000032): np.ones(20), 2011003276: np.zeros(20)}))
    assert [entry.image for entry in labels.entries] == ["2007_000032", "2011_003276"]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_string_keys_of_numpy(tmp_path: Path, protocol: int) -> None:
    """``numpy.loadtxt(dtype=str)``, with which such files are often made, returns them."""
    words = np.array(["2007_000032", "żółw №1", "𝔘"])
    for kind in ("<U", ">U"):
        vectors = {name: np.eye(20)[at] for at, name in enumerate(words.astype(kind))}
        labels = read(saved(tmp_path / "x.npy", vectors, protocol))
        assert [entry.image for entry in labels.entries] == ["2007_000032", "żółw №1", "𝔘"]
    content = pickle.dumps({np.str_("a"): np.str_("b" * 4096)}, protocol)
    assert unpickled(content) == {"a": "b" * 4096} and type(next(iter(unpickled(content)))) is str


@pytest.mark.parametrize(
    "value",
    [np.str_("b" * 4097), np.array(["a"]), np.array("a"), np.bytes_(b"a"), np.datetime64("2020-01-01"), np.void(b"a")],
)
def test_other_types_of_numpy_are_refused(value: Any) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(InvalidInput) as error:
            unpickled(pickle.dumps({"a": value}, protocol))
        assert error.value.allowed == ALLOWED


def test_strings_of_invalid_bytes() -> None:
    whole = pickle.dumps({np.str_("abcd"): 1}, 4)
    text = "abcd".encode("utf-32-le")
    assert text in whole
    for wrong in (b"\xff" * 16, b"\x00\xd8\x00\x00" * 4):
        with pytest.raises(InvalidInput):
            unpickled(whole.replace(text, wrong))
    for name in (b"U3", b"U5", b"Ux", b"U0"):
        with pytest.raises(InvalidInput):
            unpickled(whole.replace(b"\x8c\x02U4", b"\x8c\x02" + name))


class Trap:
    """Pickled as an instance with a state."""

    def __setstate__(self, state: Any) -> None:
        raise AssertionError("the file's code was run")


def harmful(witness: Path) -> dict[str, bytes]:
    """Pickles that would write a file, or worse, if read by `pickle.load`."""
    touch = f"open({str(witness)!r}, 'w')"
    array = pickle.dumps({"a": np.zeros(3, np.float32)}, 2)
    calls = {
        "os.system": Call(os.system, f"touch '{witness}'"),
        "eval": Call(eval, touch),
        "exec": Call(exec, touch),
        "open": Call(open, str(witness), "w"),
        "getattr": Call(getattr, Call(__import__, "os"), "system"),
        "numpy.load": Call(np.load, str(witness)),
        "numpy.fromfile": Call(np.fromfile, str(witness)),
        "numpy.ndarray by a call": Call(np.ndarray, (1 << 40,)),
        "bytearray": Call(bytearray, 1 << 40),
        "OrderedDict": OrderedDict(a=1),
        "complex": 1j,
        "an instance": Trap(),
        "a class": Trap,
        "object arrays inside": np.array([{"a": 1}], object),
        "structures": np.zeros(2, [("a", "i4")]),
        "texts": np.array(["a"]),
        "dates": np.array(["2020-01-01"], "datetime64[D]"),
        "memory maps": Call(np.memmap, str(witness)),
    }
    return {
        **{name: pickle.dumps({"a": value}, 4) for name, value in calls.items()},
        "key": pickle.dumps({Call(os.system, "true"): 1}, 4),
        "at the top": pickle.dumps(Call(os.system, f"touch '{witness}'"), 0),
        "persistent id": b"\x80\x04Panything\n.",
        "extension registry": b"\x80\x02\x82\x01.",
        "instance (protocol 0)": b"(S'touch x'\nios\nsystem\n.",
        "dotted name": b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",
        "another ndarray": array.replace(b"cnumpy\nndarray", b"cnumpy\nmatrix"),
        "an unknown byte order": array.replace(b"X\x01\x00\x00\x00<", b"X\x01\x00\x00\x00!"),
        "a structured type": array.replace(b"NNNJ", b"NNK\x01J"),
        "a shape that is too large": pickle.dumps({"a": np.zeros(3, np.uint8)}, 4).replace(
            b"K\x03\x85", b"J\xff\xff\xff\x7f\x85"
        ),
        "a change to a function": b"\x80\x02cnumpy\ndtype\n}X\x01\x00\x00\x00aK\x01sb.",
        "new attributes of a function": b"\x80\x02c_codecs\nencode\nN}X\x0c\x00\x00\x00__defaults__)s\x86b.",
    }


@pytest.mark.parametrize("name", harmful(Path("x")))
def test_anything_else_is_refused_and_not_run(name: str, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    content = harmful(witness)[name]
    pickletools.dis(content, out=io.StringIO())  # a complete pickle, refused for its content
    with pytest.raises(InvalidInput) as error:
        unpickled(content)
    assert error.value.allowed == ALLOWED or name in DAMAGED
    assert not witness.exists()


def test_the_same_pickle_is_harmful_elsewhere(tmp_path: Path) -> None:
    """The test above can fail."""
    pickle.loads(harmful(tmp_path / "witness")["os.system"])
    assert (tmp_path / "witness").exists()


def test_a_harmful_npy_file_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "cls_labels.npy", {"a": Call(os.system, f"touch '{tmp_path / 'witness'}'")})
    with pytest.raises(InvalidInput) as error:
        read(path)
    assert (error.value.subject, error.value.found) == (str(path), [f"{os.name}.system"])
    assert "CSV" in (error.value.hint or "") and not (tmp_path / "witness").exists()


def test_a_refused_file_does_not_change_the_stand_ins() -> None:
    for content in harmful(Path("nowhere")).values():
        with pytest.raises(InvalidInput):
            unpickled(content)
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(unpickled(pickle.dumps({"a": array}, 2))["a"], array)


def test_truncated_and_random_bytes() -> None:
    whole = pickle.dumps({"a": np.ones(5, np.float32), "b": np.zeros(5, np.int64)}, 4)
    for length in range(len(whole) - 1):
        with pytest.raises(InvalidInput):
            unpickled(whole[:length])
    rng = np.random.default_rng(0)
    for _ in range(300):
        content = bytearray(whole)
        for at in rng.integers(0, len(whole), 3):
            content[at] = rng.integers(0, 256)
        try:
            unpickled(bytes(content))
        except InvalidInput:
            continue


@pytest.mark.parametrize(
    ("value", "where", "wrong"),
    [
        ({}, "", None),
        ([1, 2], "", None),
        ({"a": np.eye(20)[0] * 2}, ": 'a': element 0", 2),
        ({"a": np.eye(20)[0] / 2}, ": 'a': element 0", 0.5),
        ({"a": np.zeros(2), "b": np.zeros(3)}, ": 'b'", 3),
        ({"a": [0, 1]}, ": 'a'", ["list"]),
        ({1.5: np.zeros(2)}, ": 1.5", ["float"]),
        ({True: np.zeros(2)}, ": True", ["bool"]),
        ({10**5000: np.zeros(2)}, ": key 0", ["int"]),
        ({"a": np.zeros(7)}, "", None),
    ],
)
def test_the_content_of_the_dict_is_checked(tmp_path: Path, value: Any, where: str, wrong: Any) -> None:
    path = saved(tmp_path / "x.npy", value)
    with pytest.raises(InvalidInput) as error:
        read(path)
    assert (error.value.subject, error.value.found) == (f"{path}{where}", wrong)


@pytest.mark.parametrize("name", ["plain", "text", "absent", "head"])
def test_invalid_files(name: str, tmp_path: Path) -> None:
    np.save(tmp_path / "plain.npy", np.zeros((2, 3)))
    (tmp_path / "text.npy").write_text("no npy")
    (tmp_path / "head.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", 20) + b"{'descr': __import__")
    with pytest.raises(InvalidInput) as error:
        read(tmp_path / f"{name}.npy")
    assert str(error.value.subject).endswith(str(tmp_path / f"{name}.npy"))


def test_the_number_of_class_names_is_checked(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("u\nv\n")
    with pytest.raises(InvalidInput) as error:
        read(saved(tmp_path / "x.npy", {"a": np.zeros(3)}), classes=tmp_path / "names.txt")
    assert error.value.found == 2


def test_the_id_of_a_class_is_the_number_of_its_element(tmp_path: Path) -> None:
    path = saved(tmp_path / "l.npy", {"a": np.array([1, 0, 0]), "b": np.array([0, 0, 1])})
    (tmp_path / "c.txt").write_text("3 bird\n0 background\n1 cat\n2 dog\n")
    labels = read(path, classes=tmp_path / "c.txt")
    assert [entry.labels for entry in labels.entries] == [("cat",), ("bird",)]
    assert labels.classes == ("cat", "dog", "bird")
    assert noted(labels, "ordered by id") and noted(labels, "background in the class list")
    (tmp_path / "c.txt").write_text("3 bird\n1 cat\n5 dog\n")
    with pytest.raises(InvalidInput) as error:
        read(path, classes=tmp_path / "c.txt")
    assert error.value.found == [1, 3, 5]
