"""Content hashes and dataset fingerprints."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from wsss.data import manifest
from wsss.data.dataset import Dataset
from wsss.data.manifest import ContentHashes
from wsss.errors import InvalidInput

Open = Callable[..., Dataset]


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start each test with an empty cache, and cache files immediately."""
    monkeypatch.setattr(manifest, "_in_process", {})
    monkeypatch.setattr(manifest, "SETTLED_NS", -1)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of all hashed files, in order."""
    names: list[str] = []

    def counted(path: Path) -> str:
        names.append(path.name)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr(manifest, "sha256_file", counted)
    return names


def new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_in_process", {})


def test_hashes_are_cached_until_a_file_changes(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, cache = tmp_path / "a", tmp_path / "work" / "hashes.json"
    file.write_bytes(b"one")
    expected = hashlib.sha256(b"one").hexdigest()
    hashes = ContentHashes(cache)
    assert hashes.of(file) == expected and hashes.of(file) == expected and reads == ["a"]
    hashes.save()
    new_process(monkeypatch)
    assert ContentHashes(cache).of(file) == expected and reads == ["a"]

    times = file.stat()
    file.write_bytes(b"two")  # same size and modification time, but another change time
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert ContentHashes(cache).of(file) == hashlib.sha256(b"two").hexdigest() and reads == ["a", "a"]

    new = tmp_path / "b"
    new.write_bytes(b"six")
    os.utime(new, ns=(times.st_atime_ns, times.st_mtime_ns))
    new.replace(file)  # another inode
    assert ContentHashes(cache).of(file) == hashlib.sha256(b"six").hexdigest()


def test_recently_changed_files_are_not_cached(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "SETTLED_NS", 10**12)
    (tmp_path / "a").write_bytes(b"one")
    hashes = ContentHashes(tmp_path / "cache.json")
    hashes.of(tmp_path / "a")
    hashes.of(tmp_path / "a")
    hashes.save()
    assert reads == ["a", "a"] and not (tmp_path / "cache.json").exists()


def test_no_cache_file(tmp_path: Path, reads: list[str]) -> None:
    (tmp_path / "a").write_bytes(b"one")
    hashes = ContentHashes(None)
    hashes.of(tmp_path / "a")
    hashes.save()
    ContentHashes(None).of(tmp_path / "a")
    assert reads == ["a"] and [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize(
    "broken", ["", "{", "[]", '{"version": 2, "files": {}}', '{"version": 1, "files": {"a": [1]}}']
)
def test_broken_caches_are_rebuilt(tmp_path: Path, broken: str) -> None:
    cache = tmp_path / "cache.json"
    cache.write_text(broken)
    (tmp_path / "a").write_bytes(b"abc")
    hashes = ContentHashes(cache)
    assert hashes.of(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
    hashes.save()
    assert json.loads(cache.read_text())["version"] == 1


def test_concurrent_caches_are_merged(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    first, second = ContentHashes(tmp_path / "cache.json"), ContentHashes(tmp_path / "cache.json")
    first.of(tmp_path / "a")
    second.of(tmp_path / "b")
    first.save()
    second.save()
    assert len(json.loads((tmp_path / "cache.json").read_text())["files"]) == 2


def test_several_files(tmp_path: Path) -> None:
    paths = [tmp_path / f"f{number}" for number in range(50)]
    for path in paths:
        path.write_text(path.name)
    assert ContentHashes(None).of_many(paths) == [hashlib.sha256(path.name.encode()).hexdigest() for path in paths]
    for unreadable in (tmp_path / "absent", tmp_path):
        with pytest.raises(InvalidInput) as error:
            ContentHashes(None).of_many([*paths, unreadable])
        assert error.value.subject == str(unreadable)


def test_fingerprints_change_with_their_content_only(voc: Path, open_at: Open) -> None:
    def prints() -> dict[tuple[str, str], str]:
        dataset = open_at(voc)
        return {(split, kind): dataset.fingerprint(split, kind) for split in ("train", "val") for kind in kinds}

    def changed(before: dict[tuple[str, str], str]) -> set[tuple[str, str]]:
        after = prints()
        return {key for key in before if before[key] != after[key]}

    kinds = ("images", "labels", "masks")
    start = prints()
    assert len(set(start.values())) == 6
    assert changed(start) == set()
    image = voc / "JPEGImages" / "a.png"
    image.write_bytes(image.read_bytes() + b"\0")
    assert changed(start) == {("train", "images")}
    (voc / "SegmentationClass" / "d.png").unlink()
    assert changed(start) == {("train", "images"), ("val", "masks")}
    start = prints()
    (voc / "image_labels.csv").write_text("image_id,labels\nd,cat\nc,car\nb,person dog\na,cat cat\n")
    assert changed(start) == set()  # the same labels, written in another way
    (voc / "image_labels.csv").write_text("image_id,labels\na,dog\nb,dog person\nc,car\nd,cat\n")
    assert changed(start) == {("train", "labels")}


def test_a_fingerprint_covers_the_meaning_of_mask_values(voc: Path, open_at: Open) -> None:
    one = open_at(voc, classes={"pet": [8]})
    for other in ({"classes": {"pet": [8, 12]}}, {"classes": {"pet": [8]}, "other": "ignore"}):
        assert open_at(voc, **other).fingerprint("train", "masks") != one.fingerprint("train", "masks")
    moved = replace(one, root=voc.parent, name="elsewhere")
    assert moved.fingerprint("train", "masks") == one.fingerprint("train", "masks")


def test_times_in_the_future_do_not_disable_the_cache(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cameras with a wrong clock, and archives from another time zone."""
    monkeypatch.setattr(manifest, "SETTLED_NS", 50_000_000)
    file, cache = tmp_path / "a", tmp_path / "cache.json"
    file.write_bytes(b"one")
    ahead = time.time_ns() + 3600 * 10**9
    os.utime(file, ns=(ahead, ahead))
    time.sleep(0.2)  # its change time is settled
    hashes = ContentHashes(cache)
    hashes.of(file)
    hashes.save()
    new_process(monkeypatch)
    ContentHashes(cache).of(file)
    assert reads == ["a"]


def test_files_that_changed_are_hashed_in_parallel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a copy to another disk, all names are known, but no content."""
    files = [tmp_path / name for name in "abc"]
    for file in files:
        file.write_bytes(b"old")
    hashes = ContentHashes(None)
    hashes.of_many(files)
    for file in files[1:]:
        file.write_bytes(file.name.encode())
    threads: dict[str, str] = {}

    def counted(path: Path) -> str:
        threads[path.name] = threading.current_thread().name
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr(manifest, "sha256_file", counted)
    assert hashes.of_many(files) == [hashlib.sha256(content).hexdigest() for content in (b"old", b"b", b"c")]
    assert threads.keys() == {"b", "c"} and threading.main_thread().name not in threads.values()


def test_cache_of_a_large_dataset_is_read(tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of a million files is larger than any record of a run."""
    monkeypatch.setattr("wsss.io.files.json_files.MAX_BYTES", 10)
    file, cache = tmp_path / "a", tmp_path / "cache.json"
    file.write_bytes(b"one")
    hashes = ContentHashes(cache)
    hashes.of(file)
    hashes.save()
    assert cache.read_text().count("\n") == 0
    new_process(monkeypatch)
    monkeypatch.setattr(manifest, "_contents", {})
    ContentHashes(cache).of(file)
    assert reads == ["a"]
