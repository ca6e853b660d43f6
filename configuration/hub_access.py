"""Whether the Hub answers, asked once and before anything else: its client retries every file for half a minute."""

import logging
from pathlib import Path

from huggingface_hub import constants, get_session, try_to_load_from_cache

logger = logging.getLogger(__name__)
SECONDS = 5


def require_reachable(name_or_path: str | Path, repo_type: str = "model", *files: str) -> None:
    """Fail within seconds where `name_or_path` is no folder and its repository can be neither asked for nor is cached.

    Args:
        name_or_path: folder or Hub id.
        repo_type: "model" or "dataset".
        files: of which a cached copy holds at least one; a model's or an adapter's config by default.

    Raises:
        ConnectionError: naming the id and the Hub's address.
    """
    if Path(name_or_path).is_dir() or constants.HF_HUB_OFFLINE:
        return
    try:
        get_session().head(constants.ENDPOINT, timeout=SECONDS)
    except Exception as error:  # of whichever HTTP library the client uses
        try:
            cached = any(
                isinstance(try_to_load_from_cache(str(name_or_path), file, repo_type=repo_type), str)
                for file in files or ("config.json", "adapter_config.json")
            )
        except ValueError:  # no valid id
            cached = False
        if not cached:
            raise ConnectionError(
                f"{name_or_path!r} is no folder here, and {constants.ENDPOINT} cannot be reached to look for a {repo_type} "
                f"of that id ({type(error).__name__}): check the name and the connection."
            ) from error
        logger.warning(
            "%s cannot be reached: the cached copy of %s is used. HF_HUB_OFFLINE=1 spares the waiting.",
            constants.ENDPOINT,
            name_or_path,
        )
