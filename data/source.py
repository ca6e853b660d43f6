"""Where a dataset's files are: a local folder, or a Hub repository whose files are fetched when first needed."""

import os
from collections.abc import Iterable
from pathlib import Path

from huggingface_hub import constants, hf_hub_download, snapshot_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from tqdm.contrib.concurrent import thread_map

from ..configuration.hub_access import require_reachable
from .errors import DatasetError
from .lfs_pointer import lfs_problem


def lerobot_home() -> Path:
    """Return where LeRobot keeps recordings by their id."""
    return Path(os.environ.get("HF_LEROBOT_HOME") or Path(constants.HF_HOME) / "lerobot").expanduser()


class DatasetSource:
    """Files of a dataset by their relative path.

    `name_or_path` is an existing local folder or a Hub dataset id ("organisation/name"). Only `meta/` of a
    Hub dataset is downloaded at once; other files on first use. An id that the Hub does not have (or that cannot be asked
    for) is looked for in LeRobot's own folder, HF_LEROBOT_HOME, where its recordings lie.
    """

    def __init__(self, name_or_path: str | Path, revision: str | None = None):
        self.name = str(name_or_path)
        self.revision = revision
        self.is_local = Path(name_or_path).is_dir()
        if self.is_local:
            self.root = Path(name_or_path)
            return
        try:
            require_reachable(self.name, "dataset", "meta/info.json")
            meta = {"revision": revision, "allow_patterns": ["meta/*"]}
            self.root = Path(snapshot_download(self.name, repo_type="dataset", **meta))
        except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, ConnectionError) as error:
            recorded = lerobot_home() / self.name
            if revision is None and (recorded / "meta" / "info.json").is_file():
                self.root, self.is_local = recorded, True
                return
            problem = "neither a local folder nor a Hub dataset (and not in HF_LEROBOT_HOME)"
            raise DatasetError(f"{problem}: {error}", self.name) from error
        if self.root.parent.name == "snapshots":  # later files come from the same commit
            self.revision = self.root.name

    def __str__(self) -> str:
        return self.name

    def fetch(self, files: Iterable[str]) -> None:
        """Downloads several files at once (nothing to do for a local folder)."""
        missing = [] if self.is_local else [file for file in dict.fromkeys(files) if not (self.root / file).exists()]
        if missing:
            thread_map(self._download, missing, max_workers=8, desc=f"downloading {self.name}", delay=2)

    def _download(self, file: str) -> None:
        try:
            hf_hub_download(self.name, file, repo_type="dataset", revision=self.revision)
        except LocalEntryNotFoundError as error:  # no connection, and not in the cache
            raise DatasetError(f"cannot be downloaded: {error}", self.name, file=file) from error
        except EntryNotFoundError:
            return  # `file` says so where it is asked for

    def file(self, relative: str, episode: int | None = None) -> Path:
        """Return the local path of a file of the dataset; DatasetError where it does not exist."""
        path = self.root / relative
        if not self.is_local and not path.exists():
            self._download(relative)
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            raise DatasetError("missing file", self.name, episode, relative) from None
        if problem := lfs_problem(path, size):
            raise DatasetError(f"the file {problem}", self.name, episode, relative)
        return path

    def text(self, relative: str) -> str:
        """Return the text of a file, UTF-8 whatever the locale."""
        try:
            return self.file(relative).read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise DatasetError(f"not UTF-8 text: {error}", self.name, file=relative) from error
