"""Build the book into ``_site/``: with Quarto when it is installed, otherwise with Sphinx.

``python site/build.py``. The site is built beside the old one and takes its place only when it is
complete: a build that fails or is interrupted leaves the old site as it was.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import finish
import made
import mentions
import policy
import reference

SITE = Path(__file__).resolve().parent
ROOT = SITE.parent


def quarto_command(root: Path, out: Path) -> list[str]:
    """Return the command that renders the book in `root` into `out` with Quarto."""
    # Quarto wants its output folder inside the project, named relative to it.
    return ["quarto", "render", str(root), "--output-dir", os.path.relpath(out, root)]


def sphinx_command(root: Path, out: Path) -> list[str]:
    """Return the command that renders the book in `root` into `out` with Sphinx.

    Every warning is an error, reported after the whole book was read.
    """
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-q", "-E", "-W", "--keep-going"]
    folders = ["-d", str(out.with_name(out.name + ".doctrees")), "-c", str(root / "site")]
    return [*command, *folders, str(root), str(out)]


def engine_version(engine: str) -> str:
    """Return the engine's name and version as the last line of the build shows it."""
    if engine == "quarto":
        version = subprocess.check_output(["quarto", "--version"], text=True).strip()
        return f"Quarto {version}"
    import sphinx

    return f"Sphinx {sphinx.__version__}"


def build(root: Path, out: Path, engine: str) -> None:
    """Build the book in `root` into the empty folder `out`.

    Raises
    ------
    subprocess.CalledProcessError
        The engine failed, or warned; it has said why on stderr.
    """
    command = quarto_command(root, out) if engine == "quarto" else sphinx_command(root, out)
    # The scripts that Quarto starts need this Python and its packages.
    paths = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    env = {**os.environ, "PATH": os.pathsep.join(paths), "QUARTO_PYTHON": sys.executable}
    reference.write(root)
    made.write(root)
    subprocess.run(command, cwd=root, env=env, check=True)
    mentions.link(root, out)
    mentions.link_words(root, out)
    finish.finish(root, out)
    policy.finish(out)


def replace(new: Path, target: Path, trash: Path) -> None:
    """Rename folder `new` to `target`; an old `target` is first moved to `trash`."""
    had_old = target.exists()
    if had_old:
        target.rename(trash)
    try:
        new.rename(target)
    except BaseException:
        if had_old and not target.exists():
            trash.rename(target)
        raise


def main() -> int:
    """Build, put the new site in place of the old one, say how to read it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", choices=["quarto", "sphinx"], help="default: what is installed")
    parser.add_argument(
        "--without-solutions", action="store_true", help="leave the solutions out, for a class"
    )
    asked = parser.parse_args()
    engine = asked.engine or ("quarto" if shutil.which("quarto") else "sphinx")
    if asked.without_solutions:
        os.environ["QUARTO_PROFILE"] = "class"  # both engines ask for it
    target = ROOT / "_site"
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build", prefix="site-") as work:
        out = Path(work) / "site"
        try:
            build(ROOT, out, engine)
        except subprocess.CalledProcessError as error:
            print(
                f"The site was not built ({engine} stopped with code {error.returncode}; see the"
                f" messages above). {target} is as it was.",
                file=sys.stderr,
            )
            return 1
        replace(out, target, Path(work) / "old")
    print(f"Open {target / 'index.html'} in a browser, or run `make serve`.")
    print(f"built with {engine_version(engine)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
