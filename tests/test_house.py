"""How the package is built: what may import what, and what a name means. CONTRIBUTING.md has the table of layers."""

from __future__ import annotations

import ast
import functools
import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "wsss").rglob("*.py"))
SAME_MEANING = {"config", "__init__", "__main__"}
"""Names that mean the same in every package: ``config`` is the pydantic models of its package, without torch."""


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in FILES}


def floors() -> dict[str, int]:
    """Read package → floor from the table."""
    table: dict[str, int] = {}
    for line in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines():
        row = re.match(r"\| (\d+) \| ([^|]+)\|", line)
        if row:
            table |= dict.fromkeys(re.findall(r"`(wsss[\w/.]*)`", row[2]), int(row[1]))
    return {
        place.removesuffix(".py").replace("/", ".").removesuffix(".__init__"): floor for place, floor in table.items()
    }


FLOORS = floors()


def floor_of(module: str) -> int:
    """Return the floor of the closest package that the table names."""
    parts = module.split(".")
    return next(FLOORS[place] for n in range(len(parts), 1, -1) if (place := ".".join(parts[:n])) in FLOORS)


def imports(path: Path) -> Iterator[str]:
    """Yield the modules of the package that a file imports, at its top or in a function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from dict.fromkeys(name if name in MODULES else str(node.module) for name in names)


@functools.cache
def graph() -> dict[str, list[str]]:
    """Return module → imported modules; not at import time, which every test process would wait for."""
    return {module: sorted(set(imports(path)) - {module}) for module, path in MODULES.items()}


def test_every_module_has_a_floor() -> None:
    assert {floor_of(module) for module in MODULES if module != "wsss"} <= set(range(9))


def test_imports_point_downwards() -> None:
    upwards = [
        f"{module} -> {imported}"
        for module, value in graph().items()
        for imported in value
        if module != "wsss" and imported != "wsss" and floor_of(imported) > floor_of(module)
    ]
    assert upwards == []


def test_rooms_of_the_engine_import_downwards_only() -> None:
    """`wsss.pipeline` lists its rooms from the bottom up."""
    order = re.search(r"^\w+(?: < \w+)+$", MODULES["wsss.pipeline"].read_text(encoding="utf-8"), re.M)
    assert order is not None
    rooms = [f"wsss.pipeline.{room}" for room in order[0].split(" < ")]

    def level(module: str) -> int:
        return next((number for number, room in enumerate(rooms) if f"{module}.".startswith(f"{room}.")), -1)

    packages = {".".join(m.split(".")[:3]) for m in MODULES if m.startswith("wsss.pipeline.") and m.count(".") > 2}
    assert packages == set(rooms)
    upwards = [
        f"{module} -> {imported}"
        for module, names in graph().items()
        for imported in names
        if module.startswith("wsss.pipeline") and level(imported) > level(module)
    ]
    assert upwards == []


def test_the_engine_imports_nothing_about_images() -> None:
    foreign = ("data", "topology", "metrics", "models", "losses", "refine", "train", "viz", "export", "benchmark")
    result = [
        f"{module} -> {imported}"
        for module, names in graph().items()
        for imported in names
        if module.startswith("wsss.pipeline") and imported.startswith(tuple(f"wsss.{name}" for name in foreign))
    ]
    assert result == []


def test_topology_works_without_torch() -> None:
    files = [path for module, path in MODULES.items() if module.startswith("wsss.topology")]
    assert [
        path for path in files if re.search(r"^\s*(import|from) torch", path.read_text(encoding="utf-8"), re.M)
    ] == []


def circles(edges: Mapping[str, Collection[str]]) -> list[list[str]]:
    """Return a path for every edge that closes a circle."""
    state: dict[str, int] = {}
    closed: list[list[str]] = []

    def visit(node: str, path: tuple[str, ...]) -> None:
        if state.get(node) == 1:
            closed.append([*path[path.index(node) :], node])
        if node in state:
            return
        state[node] = 1
        for target in edges[node]:
            visit(target, (*path, node))
        state[node] = 2

    for node in edges:
        visit(node, ())
    return closed


def room_of(module: str, package: str) -> str:
    """Return the subpackage or module of a package that a module is in; modules of the ground floor count as one."""
    room = ".".join(module.split(".")[: package.count(".") + 2])
    return "ground floor" if FLOORS.get(room) == 0 else room


def rooms(package: str) -> dict[str, set[str]]:
    """Return part of a package → the other parts of the package that its modules import."""
    edges: dict[str, set[str]] = defaultdict(set)
    for module, names in graph().items():
        if module.startswith(f"{package}."):
            room = room_of(module, package)
            inside = {room_of(name, package) for name in names if name.startswith(f"{package}.")}
            edges[room] |= inside - {room}
    return edges


def test_no_circles() -> None:
    assert circles(graph()) == []


def test_no_circles_of_rooms() -> None:
    packages = [module for module, path in MODULES.items() if path.name == "__init__.py"]
    assert {package: found for package in packages if (found := circles(rooms(package)))} == {}


def test_rooms_are_small() -> None:
    """Subpackages hold about a dozen files; `wsss.stages` holds one per stage."""
    sizes = Counter(path.parent.relative_to(ROOT).as_posix() for path in FILES)
    assert {room: files for room, files in sizes.items() if files > 16 and room != "wsss/stages"} == {}


def test_a_module_name_means_one_thing() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for path in FILES:
        if path.stem not in SAME_MEANING and "commands" not in path.parts:  # a command is called as what it runs
            homes[path.stem].append(path.relative_to(ROOT).as_posix())
    assert {name: places for name, places in homes.items() if len(places) > 1} == {}


def hops(text: str) -> list[tuple[str, str]]:
    """Return the functions and classes that a text names as `file.py:name`, below `wsss/`."""
    return re.findall(r"`([\w/]+\.py):(\w+)`", text)


def test_one_image_through_the_code() -> None:
    """What the section of CONTRIBUTING.md names exists, and the file to the left of each arrow uses what follows it."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    trees = {file: ast.parse((ROOT / "wsss" / file).read_text(encoding="utf-8")) for file, _ in hops(page)}
    missing = [
        (file, name) for file, name in hops(page) if name not in {getattr(n, "name", "") for n in trees[file].body}
    ]
    assert missing == []
    items = re.findall(r"^\d+\. .*(?:\n +.*)*", page, re.M)
    arrows = [pair for item in items for pair in itertools.pairwise(item.split("→"))]
    assert len(arrows) >= 15
    for left, right in arrows:
        (file, _), (_, used) = hops(left)[-1], hops(right)[0]
        names = {getattr(node, "id", getattr(node, "attr", None)) for node in ast.walk(trees[file])}
        assert used in names, f"{file} does not use {used}"


def test_files_are_small() -> None:
    long = {path.name: lines for path in FILES if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 300}
    assert long == {}
