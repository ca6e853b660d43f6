"""Git LFS pointers: what a clone without `git lfs` leaves in place of large files."""

from pathlib import Path

BEGINNING = b"version https://git-lfs.github.com/spec/"
LARGEST = 1024  # bytes; a pointer has about 130


def lfs_problem(path: Path, size: int | None = None) -> str | None:
    """Return what is wrong with a file that is only a pointer; None for others. `size` saves asking for it again."""
    if (path.stat().st_size if size is None else size) > LARGEST:
        return None
    with path.open("rb") as file:
        if file.read(len(BEGINNING)) != BEGINNING:
            return None
    return "is a Git LFS pointer, not the file itself: run `git lfs pull` in the dataset, or download it from the Hub"
