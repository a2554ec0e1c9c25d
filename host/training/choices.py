"""What the nodes for training offer, apart from the training itself: that is not imported before someone trains."""

from pathlib import Path

import folder_paths

FROM_DATASET = "of the dataset"
"""Choice of hints: those that the dataset holds."""
NEW = "none: a new one"
"""Choice of a ControlNet to continue: none."""


def list_folders() -> list[str]:
    """Subfolders of the host's input folder, by name."""
    root = Path(folder_paths.get_input_directory())
    return sorted(p.name for p in root.iterdir() if p.is_dir()) if root.is_dir() else []
