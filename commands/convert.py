"""`zeroconv convert FILE OUTPUT`: write a ControlNet in another layout, number format or form.

--layout diffusers          keys of diffusers' ControlNetModel; default: those of the original (ldm)
--dtype fp32|fp16|bf16|fp8  default: as the file has it; fp8 keeps biases, norms and small layers in bf16
--lora RANK --base CKPT     a Control-LoRA: the difference to the checkpoint that it was trained on
--base OLD --to-base NEW    the ControlNet for another checkpoint of the family
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LAYOUTS = ("ldm", "diffusers")
UNET = "model.diffusion_model."


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "convert",
        help="write a ControlNet in another layout, number format or form",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("output", type=Path, metavar="OUTPUT", help="a new .safetensors file")
    parser.add_argument("--layout", choices=LAYOUTS, default="ldm")
    parser.add_argument("--dtype", choices=("fp32", "fp16", "bf16", "fp8"))
    parser.add_argument("--lora", type=int, default=0, metavar="RANK")
    parser.add_argument("--base", type=Path, metavar="CHECKPOINT", help="that it was trained on")
    parser.add_argument("--to-base", type=Path, metavar="CHECKPOINT", help="that the new file is for")
    parser.add_argument("--overwrite", action="store_true", help="replace OUTPUT if it exists")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Return 0. Raises ValueError or OSError for what cannot be done, before OUTPUT is touched."""
    from ..controlnet.formats import load_ldm_state_dict
    from ..controlnet.formats.convert import Conversion, convert
    from ..controlnet.formats.files import read_header
    from ..storage.names import printable
    from ..storage.writing import write_safetensors

    if args.output.suffix != ".safetensors":
        raise ValueError(f"OUTPUT is a .safetensors file, not '{args.output.name}'.")
    if args.output.exists() and not args.overwrite:
        raise ValueError(f"'{args.output}' exists. Choose another name, or give --overwrite.")
    conversion = Conversion(args.layout, args.dtype, args.lora)
    conversion.check(args.base is not None, args.to_base is not None)
    base, target = (None if path is None else _unet(path) for path in (args.base, args.to_base))
    weights = load_ldm_state_dict(args.file, None if base is None else lambda: base)
    made = convert(weights, conversion, base, target, _report)
    metadata = {"format": "pt", **read_header(args.file).metadata, "zeroconv.converted_from": printable(args.file.name)}
    write_safetensors(args.output, made.weights, metadata)
    print(f"{args.output}: {made.report}")
    return 0


def _unet(checkpoint: Path) -> dict[str, Tensor]:
    """The UNet of a checkpoint in LDM keys, or a file that holds nothing else."""
    from ..controlnet.formats.files import read_state_dict

    tensors = read_state_dict(checkpoint)
    unet = {key.removeprefix(UNET): value for key, value in tensors.items() if key.startswith(UNET)}
    unet = unet or tensors
    if "input_blocks.0.0.weight" not in unet:
        raise ValueError(f"'{checkpoint.name}' holds no UNet in the layout of Stable Diffusion checkpoints.")
    return unet


def _report(done: int, total: int) -> None:
    if done % 50 == 0 or done == total:
        print(f"{done} of {total} tensors", flush=True)
