"""Who may import whom, and what `import gradlab` costs: NumPy, and nothing else until it is used."""

import ast
import importlib
import re
import subprocess
import sys
import types
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import gradlab

ROOT = Path(__file__).parents[1]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
FLOOR = re.compile(r"^ *(\d+) {2}((?: ?[a-z_]+)+)", re.MULTILINE)  # "12  diagnosis training   ..." of the picture
FACES = {"__init__", "__main__"}  # they hand on what is inside and stand above all
LEVEL = {name: int(number) for number, names in FLOOR.findall(CONTRIBUTING) for name in names.split()}
HEAVY = (
    "xarray",
    "pydantic",
    "plotly",
    "dash",
    "zarr",
    "cupy",
    "scipy",
    "pandas",
    "safetensors",
    "h5netcdf",
    "click",
    "rich",
)
SOURCES = sorted((ROOT / "gradlab").rglob("*.py"))


def unit(path):
    """The module of the layers to which a file belongs: a package counts as one."""
    return path.relative_to(ROOT / "gradlab").parts[0].removesuffix(".py")


def is_type_checking(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imports(path, package="gradlab"):
    """(dotted name of the imported module, whether at module level) of every import that runs."""
    tree = ast.parse(path.read_text("utf-8"))
    skipped = {id(inner) for node in ast.walk(tree) if is_type_checking(node) for inner in ast.walk(node)}
    top = {id(node) for node in tree.body}
    parts = [package, *path.relative_to(ROOT / package).parts[:-1]]
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = parts[: len(parts) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "gradlab" else [module]
            yield from ((name, id(node) in top) for name in names)


def test_the_picture_shows_every_room():
    assert {unit(path) for path in SOURCES} == {*LEVEL, *FACES}
    assert max(LEVEL.values()) <= 15
    assert len(list((ROOT / "gradlab").glob("*.py"))) <= 8


@pytest.mark.parametrize("path", [p for p in SOURCES if unit(p) not in FACES], ids=lambda p: str(p.relative_to(ROOT)))
def test_rooms_import_from_lower_floors_only(path):
    own = unit(path)
    for name, _ in imports(path):
        package, _, target = name.partition(".")
        target = target.partition(".")[0]
        if package == "gradlab" and target != own:
            assert LEVEL[target] < LEVEL[own], f"{own} imports {target}"


def dotted(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("package", ["gradlab", "dashboard"])
def test_no_file_imports_itself_by_a_detour(package):
    """Imports within functions count too."""
    files = {dotted(path): path for path in sorted((ROOT / package).rglob("*.py"))}
    graph = {}
    for name, path in files.items():
        if path.name == "__init__.py" or name.startswith(f"{package}.__main__"):
            continue
        found = [f"{module}.{leaf}" for module, leaf in imported_names(path, package)]
        graph[name] = {n for n in (*found, *(full.rpartition(".")[0] for full in found)) if n in files} - {name}
    order = TopologicalSorter({n: {m for m in seen if m in graph} for n, seen in graph.items()})
    order.prepare()  # raises CycleError


def imported_names(path, package):
    """(module, name) of every `from module import name`."""
    parts = [package, *path.relative_to(ROOT / package).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = parts[: len(parts) - node.level + 1] if node.level else []
            yield from ((".".join([*base, *filter(None, [node.module])]), alias.name) for alias in node.names)


@pytest.mark.parametrize("path", sorted((ROOT / "dashboard" / "pages").rglob("*.py")), ids=lambda p: p.stem)
def test_pages_do_not_import_each_other(path):
    parts = path.relative_to(ROOT / "dashboard" / "pages").parts
    for name, _ in imports(path, "dashboard"):
        page = name.removeprefix("dashboard.pages.").partition(".")[0]
        assert not name.startswith("dashboard.pages.") or page == parts[0], f"{path} imports {name}"


@pytest.mark.parametrize("package", sorted({p.parent for p in SOURCES if unit(p) != "torch"}), ids=lambda p: p.name)
def test_no_name_of_a_room_hides_one_of_its_files(package):
    require_names_apart(package)


def require_names_apart(package):
    module = importlib.import_module(dotted(package / "__init__.py"))
    for file in package.glob("[a-z]*.py"):
        value = getattr(module, file.stem, None)
        assert value is None or isinstance(value, types.ModuleType), f"{module.__name__}.{file.stem} is {value!r}"


@pytest.mark.parametrize(
    "path",
    [p for p in SOURCES if LEVEL.get(unit(p), 99) <= LEVEL["learning"] and unit(p) != "data"],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_the_engine_needs_numpy_and_scipy_only(path):
    foreign = {name.partition(".")[0] for name, _ in imports(path)} - set(sys.stdlib_module_names)
    optional = {"arrays": {"cupy", "cupyx"}, "threads": {"threadpoolctl"}}.get(path.stem, set())
    assert foreign <= {"gradlab", "numpy", "scipy"} | optional


def test_only_arrays_imports_cupy():
    users = {unit(p) for p in SOURCES for name, _ in imports(p) if name.partition(".")[0] in ("cupy", "cupyx")}
    assert users <= {"arrays"}


def test_only_the_room_for_it_imports_pytorch():
    """The comparison of a GPU takes its times too, where it is there."""
    users = {unit(p) for p in SOURCES for name, _ in imports(p) if name.partition(".")[0] == "torch"}
    assert users == {"torch", "gpu_check"}


def test_without_pytorch_its_room_says_what_to_install():
    loaded_after(
        """
import sys
sys.modules["torch"] = None
try:
    import gradlab.torch
except ModuleNotFoundError as error:
    assert str(error) == "gradlab.torch needs PyTorch: pip install 'gradlab[torch]'", error
else:
    raise SystemExit(1)
"""
    )


def test_packages_know_nothing_of_what_stands_above_them():
    for path in SOURCES:
        roots = {name.partition(".")[0] for name, _ in imports(path)}
        assert not roots & {"dashboard", "studies", "tests"}, path
        if unit(path) != "cli":
            assert not roots & {"dash", "dash_mantine_components", "flask", "click", "rich"}, path


@pytest.mark.parametrize("package", ["dashboard", "studies"])
def test_dashboard_and_studies_use_public_names_and_not_each_other(package):
    for path in sorted((ROOT / package).rglob("*.py")):
        other = {"dashboard": "studies", "studies": "dashboard"}[package]
        for name, _ in imports(path, package):
            assert name.partition(".")[0] not in (other, "tests"), path
            private = [part for part in name.split(".") if part.startswith("_") and part != "__version__"]
            assert not (name.startswith("gradlab") and private), f"{path} imports {name}"


# what importing costs


def loaded_after(code):
    """Top-level modules that a fresh interpreter has loaded after `code`."""
    show = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\n{show}"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


ENGINE_RUN = """
import numpy as np, gradlab
for name in gradlab.cells.CELLS:
    cell = gradlab.make_cell(name, input_size=2, hidden_size=3)
    traj = gradlab.unroll(cell, cell.init(0), np.ones((20, 2, 2)))
    grads = gradlab.bptt(traj, np.ones((20, 2, 3)))
    grads.params, grads.log_update_norm, gradlab.jacobian(traj).spectral(), gradlab.jacobian(traj).frobenius()
    net = gradlab.layers.Sequential(gradlab.layers.Recurrent(cell), gradlab.layers.Dense(3, 1))
    y, tape = net.forward(params := net.init(0), np.ones((20, 2, 2)))
    net.backward(params, tape, gradlab.learning.losses.LOSSES["mse"](y, 0 * y)[1])
"""


def test_importing_loads_numpy_alone():
    loaded = loaded_after("import gradlab")
    assert "numpy" in loaded
    assert not loaded & set(HEAVY)


def test_the_engine_runs_on_a_bare_machine():
    """With everything but NumPy and SciPy made impossible to import."""
    block = f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {set(HEAVY) - {"scipy"}!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Block())
{ENGINE_RUN}
for activation in ("erf", "gelu"):
    cell = gradlab.make_cell("elman", input_size=2, hidden_size=3, activation=activation)
    gradlab.unroll(cell, cell.init(0), np.ones((20, 2, 2)))
"""
    assert not loaded_after(block) & (set(HEAVY) - {"scipy"})


def test_scipy_comes_with_the_activation_that_needs_it():
    assert "scipy" not in loaded_after(ENGINE_RUN)


def test_analyzing_loads_neither_figures_nor_the_app():
    loaded = loaded_after("import gradlab; gradlab.analyze(steps=12, batch_size=2, hidden_size=3)")
    assert {"xarray", "pydantic"} <= loaded
    assert not loaded & {"plotly", "dash", "cupy"}


def test_every_public_name_is_there():
    assert sorted(gradlab.__all__) == gradlab.__all__
    for name in gradlab.__all__:
        assert getattr(gradlab, name) is not None
        assert name in dir(gradlab)
    with pytest.raises(AttributeError, match="module 'gradlab' has no attribute 'analyse'"):
        gradlab.analyse  # noqa: B018
