"""Contents of the images' folder: everything left out is noted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from labelfiles import by_kind
from PIL import Image

from wsss.data.importers.gather import gather
from wsss.data.importers.listing import (
    CARRIAGE_RETURN,
    HIDDEN,
    LISTED,
    LOOPS,
    NO_IMAGES,
    SYSTEM,
    UNREAD,
    WRITTEN,
    list_images,
)
from wsss.errors import InvalidInput
from wsss.io.rasters import image_kinds


def put(folder: Path, *files: str) -> None:
    for number, file in enumerate(files):
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in (".png", ".jpg"):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(path)
        else:
            path.write_bytes(b"x")


@pytest.mark.parametrize("name", ["@eaDir", "__MACOSX", "$RECYCLE.BIN", "lost+found", ".AppleDouble", "__pycache__"])
def test_system_folders_are_not_classes(name: str, tmp_path: Path) -> None:
    put(tmp_path, "cat/1.png", "dog/2.png", f"{name}/1.jpg/THUMB_M.jpg", f"{name}/2.png")
    result = list_images(tmp_path)
    assert result.images == ["cat/1.png", "dog/2.png"]
    assert by_kind(result.notes) == {SYSTEM: [f"{name} (2 images)"]}
    assert gather(tmp_path, None).classes == ("cat", "dog")


def test_system_folders_may_lie_anywhere_and_be_unreadable(tmp_path: Path) -> None:
    put(tmp_path, "cat/1.png", "cat/@eaDir/1.png", "lost+found/x.png")
    (tmp_path / "lost+found").chmod(0)
    try:
        assert set(by_kind(list_images(tmp_path).notes)[SYSTEM]) >= {"cat/@eaDir (1 image)"}
    finally:
        (tmp_path / "lost+found").chmod(0o755)


def test_other_files_are_counted_by_suffix(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "Thumbs.db", "notes.txt", "sub/more.TXT", "IMG_0001", ".DS_Store", "labels.csv", "clip.mov")
    result = list_images(tmp_path, known=[tmp_path / "labels.csv"])
    assert by_kind(result.notes)[NO_IMAGES] == [
        "1 without a suffix: IMG_0001",
        "1 .db: Thumbs.db",
        "1 .mov: clip.mov",
        "2 .txt: notes.txt, sub/more.TXT",
    ]


def test_unsupported_image_files_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_kinds, "HEIF_PACKAGES", ())
    put(tmp_path, "a.png", "b.HEIC", "sub/c.dng", ".hidden.png", "._a.png")
    result = list_images(tmp_path)
    assert result.images == ["a.png"] and list(result.unsupported) == ["b.HEIC", "sub/c.dng"]
    assert by_kind(result.notes)[UNREAD] == [f"{name}: {reason}" for name, reason in result.unsupported.items()]
    assert "wsss[heic]" in result.unsupported["b.HEIC"] and "raw camera image" in result.unsupported["sub/c.dng"]
    assert by_kind(result.notes)[HIDDEN] == ["._a.png", ".hidden.png"]
    (tmp_path / "a.png").unlink()
    with pytest.raises(InvalidInput) as error:
        list_images(tmp_path)
    assert f"b.HEIC: {result.unsupported['b.HEIC']}" in error.value.problem


def test_links_to_folders_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    put(tmp_path, "elsewhere/cats/1.png", "elsewhere/cats/kitten/2.png", "sorted/dog/3.png")
    folder = tmp_path / "sorted"
    (folder / "cat").symlink_to(tmp_path / "elsewhere" / "cats")
    (folder / "loop").symlink_to(folder)
    (folder / "up").symlink_to(tmp_path)
    (folder / "again").symlink_to(folder / "dog")
    (folder / "self").symlink_to("self")
    (tmp_path / "elsewhere" / "cats" / "back").symlink_to("..")
    (folder / "dog" / "one.png").symlink_to(tmp_path / "elsewhere" / "cats" / "1.png")
    result = list_images(folder)
    assert result.images == ["cat/1.png", "cat/kitten/2.png", "dog/3.png", "dog/one.png"]
    assert by_kind(result.notes)[LISTED] == ["again (the same as dog)"]
    loops = by_kind(result.notes)[LOOPS]
    assert [line.partition(" ")[0] for line in loops] == ["loop", "up", "cat/back"]
    assert gather(folder, None).classes == ("cat", "dog")


def test_two_links_to_one_folder(tmp_path: Path) -> None:
    put(tmp_path, "pets/1.png", "sorted/dog/3.png")
    for name in ("cat", "kitten"):
        (tmp_path / "sorted" / name).symlink_to(tmp_path / "pets")
    result = list_images(tmp_path / "sorted")
    assert result.images == ["cat/1.png", "dog/3.png"]
    assert by_kind(result.notes)[LISTED] == ["kitten (the same as cat)"]


@pytest.mark.parametrize("files", [("run.json",), ("stage.json",), ("pipeline.yaml", "image_labels.csv")])
def test_outputs_of_wsss_are_left_out(files: tuple[str, ...], tmp_path: Path) -> None:
    put(tmp_path, "cat/1.png", "dog/2.png", "runs/photos/masks/1.png", *(f"runs/photos/{file}" for file in files))
    result = list_images(tmp_path)
    assert result.images == ["cat/1.png", "dog/2.png"]
    assert by_kind(result.notes) == {WRITTEN: ["runs/photos"]}


def test_only_regular_files_are_listed(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    result = list_images(tmp_path)
    assert result.images == ["a.png", "gone.png"], "a broken link is reported when it is read"
    assert by_kind(result.notes) == {NO_IMAGES: ["1 .png: pipe.png"]}


def test_a_carriage_return_in_a_name(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b\r.png", "c\n.png")
    result = list_images(tmp_path)
    assert result.images == ["a.png", "c\n.png"]
    assert by_kind(result.notes) == {CARRIAGE_RETURN: [repr("b\r.png")]}
