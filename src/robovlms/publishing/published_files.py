"""Which files of a checkpoint's folder are published: those that a reader needs, and no others."""

from fnmatch import fnmatch
from pathlib import Path

PUBLISHED = (
    "*.safetensors",
    "*.json",
    "*.py",
    "*.jinja",
    "*.txt",
    "*.model",
    "README.md",
    "LICENSE*",
    "evaluations/*.json",
    "pictures/*.png",
    "pictures/*.gif",
    "pictures/*.jpg",
    "pictures/*.mp4",
    "videos/*.mp4",
    ".eval_results/*.yaml",
)
INDEX = "model.safetensors.index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib")
OF_THE_TRAINER = ("training_args.bin", "optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state*.pth")


def published_files(folder: Path) -> list[Path]:
    """Return the files that `robovlms push` uploads."""
    obsolete = {folder / INDEX} if (folder / "model.safetensors").exists() else set()  # of shards that are gone
    return sorted(
        file
        for file in folder.rglob("*")
        if file.is_file()
        and file not in obsolete
        and any(
            fnmatch(file.relative_to(folder).as_posix(), pattern) and pattern.count("/") == count_folders(file, folder)
            for pattern in PUBLISHED
        )
    )


def count_folders(file: Path, folder: Path) -> int:
    """Return how many folders below `folder` a file lies."""
    return len(file.relative_to(folder).parts) - 1


def find_pickled_weights(folder: Path) -> list[str]:
    """Files whose loading could run code; the Trainer's own, which are never published, are not counted."""
    return sorted(
        file.name
        for file in folder.iterdir()
        if file.suffix in PICKLES and not any(fnmatch(file.name, pattern) for pattern in OF_THE_TRAINER)
    )
