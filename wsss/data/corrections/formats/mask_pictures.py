"""Masks as pictures: a folder of indexed PNGs, VOC's layout, and CVAT's "Segmentation mask" with its label map.

The classes are identified by the colours of a label map, else by the values of a class list, else by their values on
disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wsss.data.class_list import read_class_list
from wsss.data.classes import require_known
from wsss.data.corrections import correction_folder
from wsss.data.corrections.drawing_rules import AnnotatedImage, Size, class_value, size_mismatch
from wsss.data.sample_ids import without_suffix
from wsss.errors import InvalidInput, listing
from wsss.io.files import stage_files
from wsss.io.files.visible import visible_below
from wsss.io.rasters.label_masks import BACKGROUND, IGNORE, SMOOTHED, read_mask, voc_palette
from wsss.io.rasters.mask_files import LOSSY_SUFFIXES, MASK_SUFFIXES
from wsss.io.rasters.pixel_values.opened_pixels import has_alpha
from wsss.io.rasters.rgb_images import image_errors, open_image, read_image
from wsss.io.text.text_files import read_lines

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsss.data.classes import Classes

LABELMAP = "labelmap.txt"
CLASS_LIST = "classes.txt"
CLASS_MASKS = "SegmentationClass"
FOLDERS = (CLASS_MASKS, "masks")
"""Names of mask folders whose parent folder may define their classes."""

WRITTEN = (stage_files.RECORD, correction_folder.RECORD)
"""Records beside masks whose values are those of the classes on disk."""

Colours = Mapping[int, tuple[str, str]]
"""Colour ``0xRRGGBB`` → class name, and its line in the label map."""


def mask_paths(folder: Path) -> list[Path]:
    """Return the pictures below a folder that may be masks, sorted; JPEGs are reported when they are read.

    A JPEG beside a lossless picture of the same name is the photograph, and left out.
    """
    suffixes = (*MASK_SUFFIXES, *LOSSY_SUFFIXES)
    paths = [path for path in visible_below(folder, "*") if path.suffix.lower() in suffixes and path.is_file()]
    masks = {path.with_suffix("") for path in paths if path.suffix.lower() in MASK_SUFFIXES}
    return [path for path in paths if path.suffix.lower() in MASK_SUFFIXES or path.with_suffix("") not in masks]


def read(folder: Path, classes: Classes) -> Iterator[AnnotatedImage]:
    """Yield the masks in a folder of pictures; their values are those of the classes on disk.

    Args:
        folder: the folder of the masks, or one with ``masks/`` or ``SegmentationClass/``; with ``labelmap.txt``, the
            colours of the masks are those of the label map, and with ``classes.txt`` their values those of this list.

    Raises:
        InvalidInput: there is no mask, or the label map or class list is invalid.
    """
    inside = next((folder / name for name in FOLDERS if (folder / name).is_dir()), folder)
    paths = mask_paths(inside)
    if not paths:
        raise InvalidInput("no masks in this folder", subject=folder, allowed="PNG files named after their images")
    source, written = _class_folder(folder), _are_written(folder)
    decode, values = _decoder(source, classes)
    assumed = not (written or _defines_classes(source))
    for path in paths:
        name = path.relative_to(inside).as_posix()
        id = without_suffix(name) if written else None  # other masks may also be named after the files of the images
        yield AnnotatedImage(name, str(path), id=id, mask=partial(decode, path), values=values, as_written=assumed)


def _class_folder(folder: Path) -> Path:
    """Return the folder that defines the classes of the masks in a folder: itself, or its parent.

    If a user passes the folder ``SegmentationClass`` or ``masks`` of an export, the label map is in its parent. Without
    it, the masks would be read with the values of other classes.
    """
    named = _with_name(folder)
    return named.parent if named.name in FOLDERS and not _defines_classes(folder) else folder


def _with_name(folder: Path) -> Path:
    """Return a path with the name of a folder and its parent, which ``.`` and ``..`` do not contain."""
    return folder if folder.name not in ("", "..") else folder.resolve()


def _defines_classes(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (LABELMAP, CLASS_LIST))


def _are_written(folder: Path) -> bool:
    """Return whether the masks in a folder were written by a stage or an import, which name them by ids."""
    return any((above / name).is_file() for above in (folder, _with_name(folder).parent) for name in WRITTEN)


def _decoder(folder: Path, classes: Classes) -> tuple[Callable[[Path, Size], NDArray[np.uint8]], Mapping[str, int]]:
    """Return the function that reads a mask of a size, and class name → mask value; empty if colours identify them."""
    by_colour, by_list = folder / LABELMAP, folder / CLASS_LIST
    if by_colour.is_file():  # a tool may number its palette differently, so only colours identify the classes
        return partial(_from_colours, read_labelmap(by_colour), classes), {}
    if by_list.is_file():
        listed = read_class_list(by_list)
        names = {number: name for name, number in listed.items()}
        known = {name: number for name, number in listed.items() if name in classes.foreground}
        return partial(_from_list, {0: BACKGROUND, **names}, classes), known
    own = zip(classes.foreground, (values[0] for values in classes.values[1:]), strict=True)
    return partial(_from_values, classes), dict(own)


def read_labelmap(path: Path) -> Colours:
    """Return the classes of the lines ``name:red,green,blue::`` of a label map.

    Raises:
        InvalidInput: a line has another form, or two classes have the same colour.
    """
    colours: dict[int, tuple[str, str]] = {}
    for line in read_lines(path):
        if line.text.startswith("#"):
            continue
        name, _, rest = line.text.partition(":")
        try:
            red, green, blue = (int(value) for value in rest.partition(":")[0].split(","))
        except ValueError as error:
            raise InvalidInput(subject=line, found=line.text, allowed="name:red,green,blue::") from error
        code = red << 16 | green << 8 | blue
        if colours.setdefault(code, (name, str(line)))[0] != name:
            raise InvalidInput(f"{colours[code][0]!r} and {name!r} have the same colour", subject=line)
    return colours


def _from_values(classes: Classes, path: Path, size: Size) -> NDArray[np.uint8]:
    known = {IGNORE, *classes.other, *chain.from_iterable(classes.values)}
    return classes.encode(_values(path, size, known), where=str(path))


def _from_list(names: Mapping[int, str], classes: Classes, path: Path, size: Size) -> NDArray[np.uint8]:
    mask = _values(path, size, {*names, IGNORE})
    valid = np.zeros(256, bool)
    valid[[*names, IGNORE]] = True
    require_known(mask, valid, where=str(path), ignore=True)
    table = np.full(256, IGNORE, np.uint8)
    for value in np.unique(mask[mask != IGNORE]).tolist():
        table[value] = class_value(names[value], classes, f"{path}: value {value}")
    return table[mask]


def _values(path: Path, size: Size, known: Set[int]) -> NDArray[np.uint8]:
    mask = read_mask(path)
    if mask.shape != size:
        raise size_mismatch(str(path), found=(mask.shape[0], mask.shape[1]), size=size)
    _refuse_sorted_palette(path, mask, known)
    return mask


def _refuse_sorted_palette(path: Path, mask: NDArray[np.uint8], known: Set[int]) -> None:
    """Reject a mask with VOC's colours in another order: some programs sort the palette when they save.

    Args:
        known: values that masks of these classes may contain; other colours of VOC are there by chance.

    Raises:
        InvalidInput: all colours of the mask are those of known values in VOC's palette, but not at their index.
    """
    numbers = _voc_numbers()
    with open_image(path, decode=False) as image, image_errors(path):
        if image.mode != "P" or image.format == "GIF":  # values of a GIF are read from its colours
            return
        stored = b"" if image.palette is None else bytes(image.palette.palette)
        if image.format == "PNG" and stored and bytes(chain.from_iterable(numbers)).startswith(stored):
            return  # VOC's own palette, the usual one; any other is only known after decoding
        palette = np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    colours = {value: tuple(palette[value].tolist()) for value in np.unique(mask).tolist() if value < len(palette)}
    moved = {value: numbers.get(colour) for value, colour in colours.items() if colour != (value, value, value)}
    if all(value == number for value, number in moved.items()) or not known >= {*moved.values()}:
        return
    value, number = next((value, number) for value, number in moved.items() if value != number)
    raise InvalidInput(
        f"value {value} has the colour of value {number} in VOC's palette",
        subject=path,
        hint=f"Some programs sort the palette when saving: save the mask as RGB. If the value {value} is right, "
        f"define the colours of the classes in {LABELMAP} beside the masks.",
    )


@cache
def _voc_numbers() -> dict[tuple[int, ...], int]:
    """Return colour → index in VOC's palette, in order."""
    return {tuple(colour): number for number, colour in enumerate(voc_palette().tolist())}


def _from_colours(colours: Colours, classes: Classes, path: Path, size: Size) -> NDArray[np.uint8]:
    _refuse_transparent(path)
    pixels = read_image(path).astype(np.uint32)
    if pixels.shape[:2] != size:
        raise size_mismatch(str(path), found=(pixels.shape[0], pixels.shape[1]), size=size)
    codes = pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]
    found, positions = np.unique(codes, return_inverse=True)
    unknown = [f"({code >> 16}, {code >> 8 & 255}, {code & 255})" for code in found.tolist() if code not in colours]
    if unknown:
        raise InvalidInput(
            f"colours missing from {LABELMAP}: {listing(unknown)}",
            subject=path,
            hint=f"{SMOOTHED}Use the colours of {LABELMAP}." if len(unknown) > 8 else None,
        )
    values = [class_value(*_named(colours, code, classes)) for code in found.tolist()]
    mask: NDArray[np.uint8] = np.asarray(values, np.uint8)[positions.reshape(size)]
    return mask


def _refuse_transparent(path: Path) -> None:
    """Reject transparent pixels, which are composited on white and would get the class of that colour, if there is one.

    Raises:
        InvalidInput: a pixel is transparent.
    """
    with open_image(path) as image, image_errors(path):
        if has_alpha(image) and image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
            raise InvalidInput(
                "the mask has transparent pixels",
                subject=path,
                hint=f"Save it without transparency, in the colours of {LABELMAP}.",
            )


def _named(colours: Colours, code: int, classes: Classes) -> tuple[str, Classes, str]:
    name, where = colours[code]
    return name, classes, where
