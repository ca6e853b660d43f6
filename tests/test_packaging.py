"""The source distribution and the wheel that is made from it hold every file of the package, and each module imports."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "src" / "robovlms"
NEEDS_EXTRA = {"robovlms.simulators.simpler.scene": "mani_skill"}
WALK = """
import importlib, pkgutil, robovlms
for module in pkgutil.walk_packages(robovlms.__path__, "robovlms."):
    try:
        importlib.import_module(module.name)
    except ImportError as error:
        print(module.name, error.name)
"""


def package_files() -> set[str]:
    """Every file in git below src/robovlms, through its links to the top-level folders."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    files = {REPOSITORY / name for name in listed if (REPOSITORY / name).is_file()}
    roots = {PACKAGE: "robovlms"}
    roots |= {link.resolve(): f"robovlms/{link.name}" for link in PACKAGE.iterdir() if link.is_symlink()}
    return {
        f"{name}/{file.relative_to(root)}" for root, name in roots.items() for file in files if root in file.parents
    }


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_wheel_and_source_distribution_are_whole(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path]
    source = tmp_path / "source"
    make_source = "import setuptools.build_meta as backend, sys; print(backend.build_sdist(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", make_source, source], cwd=REPOSITORY, check=True)
    subprocess.run([*build, next(source.glob("*.tar.gz"))], check=True)
    installed = tmp_path / "installed"
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        assert {name for name in wheel.namelist() if ".dist-info/" not in name} == package_files()
        wheel.extractall(installed)

    environment = os.environ | {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    walk = subprocess.run(
        [sys.executable, "-c", WALK], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    failed = dict(line.split() for line in walk.stdout.splitlines())
    assert failed.items() <= NEEDS_EXTRA.items()
