"""Write a file of the `controlnet` folder in another form, beside it."""

from pathlib import Path
from typing import Any

import folder_paths

from ...controlnet.formats import load_ldm_state_dict
from ...controlnet.formats.convert import Conversion, convert
from ...controlnet.formats.files import read_header
from ...storage.names import check_new_name, name_of, printable
from ...storage.writing import write_safetensors
from ..preprocessing.run import HostProgress
from .load import FOLDER, controlnet_file, unet_weights


def convert_control(name: str, new_name: str, conversion: Conversion, model: Any = None, target: Any = None) -> str:
    """Returns what was written.

    name: a file of the `controlnet` folder. new_name: of the new one, without ending. model, target: MODELs that the
    ControlNet was trained on, and that the new one is for, or None. Raises ValueError or OSError for what cannot be
    done, and the host's interrupt; nothing is written then.
    """
    path = Path(folder_paths.get_folder_paths(FOLDER)[0]) / f"{check_new_name(new_name)}.safetensors"
    if path.exists():
        raise ValueError(f"{name_of(path)} exists already in models/controlnet. Choose another name.")
    source = controlnet_file(name)
    base, other = (None if given is None else unet_weights(given) for given in (model, target))
    made = convert(
        load_ldm_state_dict(source, None if base is None else lambda: base), conversion, base, other, HostProgress()
    )
    metadata = {
        "format": "pt",
        **read_header(source).metadata,
        "zeroconv.converted_from": printable(Path(name.replace("\\", "/")).name),
    }
    write_safetensors(path, made.weights, metadata)
    return f"Wrote {path.name}: {made.report}"
