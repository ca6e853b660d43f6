"""`vla.push_to_hub` and `processor.push_to_hub` leave a card that tells what is in the repository by then."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import HfApi

from robovlms.hub_cards.model_card import is_generated, render_model_card

# What a card is made of, beside pictures.
SOURCES = ("config.json", "processor_config.json", "evaluation.json", "trainer_state.json", "checkpoint_record.json")


def write_card(folder: Path, repo_id: str, token: str | None) -> None:
    """Render the card from the files about to be uploaded and those that are in the repository."""
    card = folder / "README.md"
    if card.exists() and not is_generated(card):
        return
    with TemporaryDirectory() as directory:
        merged, api = Path(directory), HfApi(token=token)
        there = api.list_repo_files(repo_id)
        for name in (*SOURCES, "README.md"):
            if (folder / name).exists():
                shutil.copy(folder / name, merged / name)
            elif name in there:
                shutil.copy(api.hf_hub_download(repo_id, name), merged / name)
        if (merged / "config.json").exists():  # else a processor came first, the model is still to come
            render_model_card(merged, repo_id=repo_id).save(card)
