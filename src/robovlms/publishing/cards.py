"""Everything in a checkpoint's folder that is written from its files."""

from pathlib import Path
from typing import Any

from robovlms.evaluation.pictures import plot_losses, read_losses
from robovlms.hub_cards.evaluation_results import write_eval_results
from robovlms.hub_cards.model_card import write_model_card


def write_cards(folder: Path, **metadata: Any) -> list[Path]:
    """Draw the loss curves if there are any and they are not drawn, write `.eval_results/*.yaml` and the card; `metadata`
    are options of `render_model_card`."""
    if not (folder / "config.json").exists():
        raise FileNotFoundError(f"{folder} holds no config.json: it is no checkpoint of robovlms.")
    state, curves = folder / "trainer_state.json", folder / "pictures" / "losses.png"
    if state.exists() and not curves.exists() and read_losses(state):
        curves.parent.mkdir(exist_ok=True)
        plot_losses(state, curves)
    return [*write_eval_results(folder), write_model_card(folder, **metadata)]
