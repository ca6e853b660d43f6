"""Where a dataset's files are: a local folder, or a Hub repository whose files are fetched when first needed."""

from collections.abc import Iterable
from pathlib import Path

from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from tqdm.contrib.concurrent import thread_map

from .errors import DatasetError

PROGRESS_BAR_FROM = 20  # files


class DatasetSource:
    """Files of a dataset by their relative path.

    `folder_or_id` is an existing local folder or a Hub dataset id ("organisation/name"). Of a Hub dataset only
    `meta/` is downloaded at once; other files on first use.
    """

    def __init__(self, folder_or_id: str | Path, revision: str | None = None):
        self.name = str(folder_or_id)
        self.revision = revision
        self.is_local = Path(folder_or_id).is_dir()
        if self.is_local:
            self.root = Path(folder_or_id)
            return
        try:
            meta = {"revision": revision, "allow_patterns": ["meta/*"]}
            self.root = Path(snapshot_download(self.name, repo_type="dataset", **meta))
        except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError) as error:
            raise DatasetError(f"neither a local folder nor a Hub dataset: {error}", self.name) from error
        if self.root.parent.name == "snapshots":  # later files come from the same commit
            self.revision = self.root.name

    def __str__(self) -> str:
        return self.name

    def fetch(self, files: Iterable[str]) -> None:
        """Downloads several files at once (nothing to do for a local folder)."""
        missing = [] if self.is_local else [file for file in dict.fromkeys(files) if not (self.root / file).exists()]
        if missing:
            quiet = len(missing) < PROGRESS_BAR_FROM
            thread_map(self._download, missing, max_workers=8, desc=f"downloading {self.name}", disable=quiet)

    def _download(self, file: str) -> None:
        try:
            hf_hub_download(self.name, file, repo_type="dataset", revision=self.revision)
        except LocalEntryNotFoundError as error:  # no connection, and not in the cache
            raise DatasetError(f"cannot be downloaded: {error}", self.name, file=file) from error
        except EntryNotFoundError:
            return  # `file` says so where it is asked for

    def file(self, relative: str, episode: int | None = None) -> Path:
        """The local path of a file of the dataset; DatasetError where it does not exist."""
        path = self.root / relative
        if not path.exists() and not self.is_local:
            self._download(relative)
        if not path.exists():
            raise DatasetError("missing file", self.name, episode, relative)
        return path
