"""The package, the environments that run it, and the files around them agree with each other."""

from __future__ import annotations

import ast
import hashlib
import importlib
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import tssbook

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "lib" / "tssbook"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
# What conda-forge calls by another name.
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
# What only the conda environment names: tools that are no dependency of anything here.
CONDA_ONLY = {"python", "pip", "quarto"}


def declared() -> dict[str, Requirement]:
    """Every requirement of the project, its extras and its groups, by canonical name."""
    groups = [*PYPROJECT["dependency-groups"].values(), *EXTRAS.values()]
    lines = [line for group in groups for line in group if isinstance(line, str)]
    requirements: dict[str, Requirement] = {}
    for line in [*PYPROJECT["project"]["dependencies"], *lines]:
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        same = requirements.setdefault(name, requirement)
        assert same.specifier == requirement.specifier, f"{name} is declared with two ranges"
    return requirements


def lock_entries() -> dict[str, list[str]]:
    """The checksums of each entry of the lock, by ``name==version``."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", "")
    entries = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return {pin: checksums for pin, *checksums in entries}


def locked() -> dict[str, Requirement]:
    requirements = map(Requirement, lock_entries())
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def conda() -> dict[str, Requirement]:
    """Entries of environment.yml, pip's part included."""
    entries = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    lines = [line for line in entries if isinstance(line, str)]
    lines += [line for part in entries if isinstance(part, dict) for line in part["pip"]]
    assert lines.pop() == "-e .", "the last entry installs the library itself"
    requirements = [Requirement(line) for line in lines]
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


# --- environments -------------------------------------------------------------------------------


def test_the_lock_pins_every_declared_dependency() -> None:
    lock = locked()
    for name, requirement in declared().items():
        assert name in lock, f"{name} is not in requirements.lock: run make lock"
        version = str(lock[name].specifier).removeprefix("==")
        assert requirement.specifier.contains(version), f"{lock[name]} is outside {requirement}"


def test_the_lock_holds_exact_versions_only() -> None:
    for requirement in locked().values():
        assert re.fullmatch(r"==[\w.]+", str(requirement.specifier)), requirement


def test_the_lock_has_checksums_of_all_but_pytorch() -> None:
    """PyTorch's CPU builds are other files than those of the index that the checksums are from."""
    for pin, checksums in lock_entries().items():
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", text) for text in checksums), pin
        assert bool(checksums) != pin.startswith("torch=="), pin


def test_checksums_are_of_the_files_of_one_version() -> None:
    from tools.lock import checksums

    names = ["a-1.0.tar.gz", "a-1.0-py3-none-any.whl", "a-1.0.1.tar.gz", "a-1.0.exe", "a-1.zip"]
    files = [{"filename": name, "hashes": {"sha256": name[2:]}} for name in names]
    assert checksums("a==1.0", files) == ["1.0-py3-none-any.whl", "1.0.tar.gz", "1.zip"]
    with pytest.raises(ValueError, match="no file of a==2"):
        checksums("a==2", files)


def test_pip_installs_no_file_whose_checksum_is_not_that_of_the_lock(tmp_path: Path) -> None:
    """As tools/venv.sh asks it; a package of which the lock has none is installed all the same."""
    wheel = tmp_path / "thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("thing-1.0.dist-info/METADATA", "Name: thing\nVersion: 1.0\n")
        archive.writestr("thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("thing-1.0.dist-info/RECORD", "")
    right = hashlib.sha256(wheel.read_bytes()).hexdigest()
    command = re.search(r"install (--no-require-hashes -c )", (ROOT / "tools/venv.sh").read_text())
    lock = tmp_path / "a.lock"
    pip = [sys.executable, "-m", "pip", "install", "--no-index", "--find-links", tmp_path]
    pip += ["--target", tmp_path / "out", *command[1].split(), lock, "thing"]
    for checksum, fails in (("", False), (right, False), ("0" * 64, True)):
        lock.write_text("thing==1.0" + f" --hash=sha256:{checksum}" * bool(checksum))
        ran = subprocess.run(pip, capture_output=True, text=True, check=False)
        assert (ran.returncode != 0) is fails, ran.stderr
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in ran.stderr


def test_pinned_versions_run_on_the_oldest_python() -> None:
    """Seen on Debian 12, whose Python is 3.11.2: one package wanted a later 3.11."""
    seen = 0
    for name, requirement in locked().items():
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        if requirement.specifier.contains(found.version):
            seen += 1
            needs = SpecifierSet(found.metadata.get("Requires-Python") or "")
            assert needs.contains("3.11.0"), f"{requirement} needs Python {needs}"
    assert seen > 50


def test_stored_outputs_are_made_with_this_torch() -> None:
    lock = (ROOT / "tools" / "lock.py").read_text(encoding="utf-8")
    assert f'TORCH = "{locked()["torch"]}"' in lock


def test_extras_are_groups_and_installed_for_the_tests() -> None:
    groups = PYPROJECT["dependency-groups"]
    for name, requirements in EXTRAS.items():
        assert groups[name] == requirements
        assert name == "jupyter" or {"include-group": name} in groups["test"]


def test_conda_environment_agrees() -> None:
    ours = {canonicalize_name(CONDA_NAMES.get(name, name)): r for name, r in declared().items()}
    theirs = conda()
    assert set(theirs) - CONDA_ONLY == set(ours)
    assert {n: str(theirs[n].specifier) for n in ours} == {
        n: str(requirement.specifier) for n, requirement in ours.items()
    }
    assert str(theirs["python"].specifier) == PYPROJECT["project"]["requires-python"]


def test_what_the_library_imports_is_declared_and_what_is_declared_is_imported() -> None:
    renamed = {"sklearn": "scikit-learn", "vl_convert": "vl-convert-python", "yaml": "pyyaml"}
    imported = {name for path in PACKAGE.rglob("*.py") for name in _imports(path)}
    third_party = imported - sys.stdlib_module_names - {"tssbook"}
    needed = {canonicalize_name(renamed.get(name, name)) for name in third_party}
    project = {
        canonicalize_name(Requirement(line).name) for line in PYPROJECT["project"]["dependencies"]
    }
    optional = [line for name, group in EXTRAS.items() if name != "jupyter" for line in group]
    extras = {canonicalize_name(Requirement(line).name) for line in optional}
    assert extras <= needed <= project | extras
    used_by_chapters = {canonicalize_name(n) for n in ("vl-convert-python", *_chapter_imports())}
    assert project - needed <= used_by_chapters


def test_what_the_site_is_built_with_is_declared() -> None:
    conf = ast.parse((ROOT / "site" / "conf.py").read_text(encoding="utf-8"))
    (extensions,) = [
        ast.literal_eval(node.value)
        for node in ast.walk(conf)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "extensions"
    ]
    assert "myst_nb" in extensions
    group = {canonicalize_name(Requirement(r).name) for r in PYPROJECT["dependency-groups"]["site"]}
    third_party = {name for name in extensions if not name.startswith("sphinx.ext.")}
    assert {canonicalize_name(name) for name in third_party} <= group


def _imports(path: Path) -> set[str]:
    """Top-level names of the packages that a file imports anywhere."""
    return _imports_of(path.read_text(encoding="utf-8"))


def _imports_of(source: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


def _chapter_imports() -> set[str]:
    from tools.notebooks import notebook_paths, read

    cells = [cell for path in notebook_paths() for cell in read(path).cells]
    names = {n for c in cells if c.cell_type == "code" for n in _imports_of(c.source)}
    return {"scikit-learn" if name == "sklearn" else name for name in names}


# --- the library --------------------------------------------------------------------------------

# Which room may know which; a room may know itself, nobody knows pages and cli.
ROOMS: dict[str, set[str]] = {
    "sequence": set(),
    "metrics": {"sequence"},
    "files": set(),
    "motifs": {"sequence", "files"},
    "models": {"sequence", "files"},
    "data": {"sequence", "files"},
    "training": {"sequence", "files", "models", "data"},
    "interpret": {"sequence", "metrics", "motifs", "files", "models", "data", "training"},
    "simulator": {"sequence", "metrics", "motifs", "data"},
    "exercises": {"sequence", "metrics", "files", "models", "data", "training", "interpret"},
    "pages": {"sequence", "metrics", "models", "interpret"},
    "scale": {"sequence", "files", "models", "data", "training", "interpret"},
    "cli": {
        "sequence", "metrics", "motifs", "files", "models", "data", "training", "interpret",
        "simulator", "exercises", "scale",
    },
}  # fmt: skip


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def library_imports(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (module below tssbook, name) of what a file of the library imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "tssbook":
                    yield alias.name.removeprefix("tssbook").lstrip("."), ""
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are written in full"
            if node.module.split(".")[0] == "tssbook":
                below = node.module.removeprefix("tssbook").lstrip(".")
                for alias in node.names:
                    yield (below, alias.name) if below else (alias.name, "")


def test_rooms_know_those_of_the_table() -> None:
    found: dict[str, set[str]] = {name: set() for name in ROOMS}
    for path in PACKAGE.rglob("*.py"):
        if path.parent != PACKAGE or path.stem in ROOMS:
            found[room(path)] |= {module.split(".")[0] for module, _ in library_imports(path)}
    assert {name: known - {name, "__version__"} for name, known in found.items()} == ROOMS
    assert {room(p) for p in PACKAGE.rglob("*.py")} - {"__init__", "__main__"} == set(ROOMS)
    order: list[str] = []  # no circles: every room comes after those that it knows
    while len(order) < len(ROOMS):
        free = [r for r, known in ROOMS.items() if r not in order and known <= set(order)]
        assert free, f"{set(ROOMS) - set(order)} know each other"
        order += free


def test_private_names_stay_in_their_file() -> None:
    """Modules whose name is private are known in their room alone."""
    for path in PACKAGE.rglob("*.py"):
        for module, name in library_imports(path):
            assert not re.match(r"_[a-z]", name) or name.startswith("__"), f"{path}: {name}"
            inside = [part for part in module.split(".") if re.match(r"_[a-z]", part)]
            assert not inside or module.split(".")[0] == room(path), f"{path}: {module}"


def python(code: str) -> list[str]:
    """Run code in a new interpreter and return the words that it prints."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def test_imports_are_fast_and_load_nothing_heavy() -> None:
    code = (
        "import sys, time; start = time.process_time(); import tssbook;"
        "print(time.process_time() - start, *{name.split('.')[0] for name in sys.modules});"
        "import tssbook.models; print('|', *{name.split('.')[0] for name in sys.modules})"
    )
    words = python(code)
    bar = words.index("|")
    seconds, first, then = float(words[0]), set(words[1:bar]), set(words[bar + 1 :])
    assert seconds < 0.2
    heavy = {name.replace("-", "_") for name in declared()} | {"sklearn", "vl_convert", "scipy"}
    assert first & heavy == set()
    assert "torch" in then
    assert then & {"pandas", "matplotlib", "sklearn", "scipy", "numba", "IPython"} == set()


@pytest.mark.parametrize("name", ROOMS)
def test_public_names_exist_and_say_what_they_are(name: str) -> None:
    module = importlib.import_module(f"tssbook.{name}")
    assert getattr(tssbook, name) is module
    assert module.__doc__
    for public in getattr(module, "__all__", ()):
        value = getattr(module, public)
        if callable(value) or isinstance(value, ModuleType):
            assert value.__doc__, f"tssbook.{name}.{public} has no docstring"


def test_unknown_attribute_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_module"):
        _ = tssbook.no_such_module


def test_wheel_holds_the_whole_library(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        f"tssbook/{path.relative_to(PACKAGE).as_posix()}"
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted >= {"tssbook/shipped/files.toml", "tssbook/py.typed"}
    assert {name for name in inside if name.startswith("tssbook/")} == wanted
    assert wheel.name.split("-")[1] == tssbook.__version__


def test_wheel_says_what_it_is_and_where_it_is_made(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    about = archive.read(name).decode("utf-8")
    book = yaml.safe_load((ROOT / "_quarto.yml").read_text(encoding="utf-8"))["book"]
    assert f"Project-URL: Repository, {book['repo-url']}\n" in about
    assert about.endswith((ROOT / "README.md").read_text(encoding="utf-8"))


# --- the repository -----------------------------------------------------------------------------


def repository_files() -> list[Path]:
    """Files that git knows or would add; without git, all but those that are made here."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0:
        paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        made = {".venv", "_site", "build", "__pycache__", ".pytest_cache", ".ruff_cache"}
        paths = [p for p in ROOT.rglob("*") if not made.intersection(p.relative_to(ROOT).parts)]
    return [path for path in paths if path.is_file()]


# Written in pieces, so that this file does not find itself.
FORBIDDEN = {
    "a path of one machine": re.compile(rb"/(?:home|Users|root)/\w|/" + rb"work/\w"),
    "a package registry's host": re.compile(
        rb"\bpypi\." + rb"org|files\.python" + rb"hosted|download\.py" + rb"torch|registry\.npm"
        rb"js|conda\.ana" + rb"conda"
    ),
}


def test_no_file_names_a_machine_or_a_registry() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {what}: {match[0]!r}"
        for path in repository_files()
        for what, pattern in FORBIDDEN.items()
        if (match := pattern.search(path.read_bytes()))
    ]
    assert found == []


def test_forbidden_patterns_find_what_they_should() -> None:
    samples = [b"open('/ho" + b"me/me/x')", b"https://py" + b"pi.org/simple"]
    found = [[what for what, p in FORBIDDEN.items() if p.search(text)] for text in samples]
    assert found == [["a path of one machine"], ["a package registry's host"]]


def test_the_readme_and_make_know_the_same_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in ("book", "test", "quick"):
        assert f"make {command}" in readme
        assert re.search(rf"^{command}:", makefile, re.MULTILINE)
    named = set(re.findall(r"^\s*`?make ([a-z]+)", readme, re.MULTILINE))
    assert named <= set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))


def test_versions_and_licences_agree() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == tssbook.__version__
    assert PYPROJECT["project"]["license"] in citation["license"]
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")


def test_workflows_run_commands_and_tests_that_exist() -> None:
    folder = ROOT / ".github" / "workflows"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert {path.name for path in folder.iterdir()} >= {"ci.yml", "publish.yml"}
    for path in folder.iterdir():
        jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()
        text = "\n".join(str(step) for job in jobs for step in job["steps"])
        for goal in re.findall(r"\bmake ([a-z]+)", text):
            assert re.search(rf"^{goal}:", makefile, re.MULTILINE), f"{path.name}: make {goal}"
        for file, test in re.findall(r"(tests/[\w/]+\.py)::(\w+)", text):
            assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8")
        for script in re.findall(r"\bbash (\S+?)['\"]", text):
            assert (ROOT / script).is_file()


def workflows() -> dict[str, str]:
    """The text of every workflow, by the file's name."""
    folder = ROOT / ".github" / "workflows"
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())}


def test_workflows_run_actions_at_exact_commits() -> None:
    """A tag can be moved to other code, a commit cannot; the comment says which version it is."""
    pinned = r"uses: [\w-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+"
    for name, text in workflows().items():
        lines = [line for line in text.splitlines() if re.search(r"\buses\b", line)]
        assert lines, name
        for line in lines:
            assert re.fullmatch(pinned, line.strip().removeprefix("- ")), f"{name}: {line}"


def test_workflows_may_no_more_than_they_need() -> None:
    """Code that is checked out finds no credentials, and only the job that deploys may write."""
    for name, text in workflows().items():
        workflow = yaml.safe_load(text)
        assert workflow["permissions"] in ({}, {"contents": "read"}), name
        for job in workflow["jobs"].values():
            for step in job["steps"]:
                if step.get("uses", "").startswith("actions/checkout@"):
                    assert step["with"]["persist-credentials"] is False, name
            if "permissions" in job:
                assert job["permissions"] == {"pages": "write", "id-token": "write"}, name
                (step,) = job["steps"]
                assert step["uses"].startswith("actions/deploy-pages@"), name
                assert not {"run", "with", "env"} & set(step), name
