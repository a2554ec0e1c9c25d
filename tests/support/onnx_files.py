"""ONNX files of networks, as torch's own exporter writes them; the package `onnx`, which it asks for, is not needed."""

import importlib
import io
import sys
import warnings
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor, nn


def export_onnx(network: nn.Module, example: Tensor, path: Path, opset: int = 17) -> Path:
    """Write the network for inputs of the example's shape."""
    importlib.import_module("torch.onnx.utils")
    (module,) = (module for name, module in sys.modules.items() if name.endswith(".onnx_proto_utils"))
    buffer = io.BytesIO()
    # Looks for functions of onnxscript in the file, which these networks have not.
    with warnings.catch_warnings(), patch.object(module, "_add_onnxscript_fn", lambda content, *_: content):
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (example,), buffer, opset_version=opset, dynamo=False)
    path.write_bytes(buffer.getvalue())
    return path
