"""Read mutated weight files and report, as a line of JSON, what became of them. Run by `test_format_fuzz.py`.

The files are whole ControlNets, small ones, whose weights are a hole of zeros in the file: quick to write, and as large
in memory as the file if they are read.
"""

import io
import json
import pickle
import random
import resource
import struct
import sys
import time
import warnings
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

torch.set_num_threads(1)

from zeroconv.controlnet.formats import load_tensors
from zeroconv.controlnet.formats.inspect import inspect_file
from zeroconv.controlnet.networks.layers import torch_attention

from support.formats import KINDS

BASES = ("ldm sdxl small", "diffusers sdxl mid", "t2i-adapter grey", "t2i-adapter light", "control-lora sd15")
NUMBERS = (0, 1, -1, 2, 7, 2**31, 2**40, 2**62, 2**63, -(2**63), 1.5, "4", None, [], {}, True)
SAFETENSORS_DTYPES = ("F64", "F16", "BF16", "I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "X9", "", 3)


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, evidence):
        self.evidence = str(evidence)

    def __reduce__(self):
        return open, (self.evidence, "w")


def header_of(shapes):
    """A safetensors header for float16 tensors, one after the other."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for key, shape in shapes.items():
        size = 2 * torch.Size(shape).numel()
        header[key] = {"dtype": "F16", "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    return header, offset


def write_safetensors(path, header, data_bytes, cut=0):
    text = json.dumps(header).encode() if not isinstance(header, bytes) else header
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(max(0, 8 + len(text) + data_bytes - cut))


def mutate_header(rng, header):
    """One to three changes of a header's meaning."""
    header = json.loads(json.dumps(header))
    for _ in range(rng.randint(1, 3)):
        keys = [key for key in header if key != "__metadata__"]
        if not keys:
            break
        key = rng.choice(keys)
        rng.choice(HEADER_CHANGES)(rng, header, key)
    return header


def _set_shape(rng, header, key):
    shape = list(_entry(header, key).get("shape") or [1])
    if rng.random() < 0.5 and shape:
        shape[rng.randrange(len(shape))] = rng.choice(NUMBERS)
    else:
        shape = rng.choice([[], [0], [2**62, 0], shape[::-1], [*shape, 1], [1, *shape], None, "x"])
    _entry(header, key)["shape"] = shape


def _set_offsets(rng, header, key):
    start, end = (_entry(header, key).get("data_offsets") or [0, 2])[:2]
    changes = [[end, start], [start, rng.choice(NUMBERS)], [rng.choice(NUMBERS), end], [start], None, [start + 2, end]]
    _entry(header, key)["data_offsets"] = rng.choice(changes)


def _set_dtype(rng, header, key):
    _entry(header, key)["dtype"] = rng.choice(SAFETENSORS_DTYPES)


def _rename(rng, header, key):
    names = (key + "x", key.replace("weight", "bias"), key.replace("0", "99999999", 1), "../" + key, "", "difference")
    marks = ("task_embedding", "lora_controlnet", "body.0.in_conv.weight", f"lllite_unet_{key}", f"adapter.{key}")
    header[rng.choice([*names, *marks])] = header.pop(key)


def _drop(rng, header, key):
    del header[key]


def _empty(rng, header, key):
    """A tensor without numbers: its other sides may be as large as it likes."""
    header[key] = {"dtype": "F16", "shape": [rng.choice((2**31, 2**62, 320)), 0], "data_offsets": [0, 0]}


def _add(rng, header, key):
    more = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
    module = key.rpartition(".")[0]
    names = (f"{module}.scale_weight", f"{module}.comfy_quant", "scaled_fp8", "logvar", f"{module}.up", "zero_convs.x")
    header[rng.choice(names)] = more


def _junk(rng, header, key):
    header[key] = rng.choice([None, 5, [], "text", {}, {"dtype": "F16"}])


def _metadata(rng, header, key):
    header["__metadata__"] = rng.choice([{"a": "b"}, {"a": 3}, [], "x", {"x.global_average_pooling": "maybe"}, None])


HEADER_CHANGES = (_set_shape, _set_offsets, _set_dtype, _rename, _drop, _empty, _add, _junk, _metadata)


def _entry(header, key):
    if not isinstance(header.get(key), dict):
        header[key] = {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]}
    return header[key]


def mutate_bytes(rng, data):
    """A few bytes changed, cut off, doubled or put in."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        place = rng.randrange(max(1, len(data)))
        kind = rng.randrange(4)
        if kind == 0 and data:
            data[place] = rng.randrange(256)
        elif kind == 1:
            del data[place : place + rng.randint(1, 64)]
        elif kind == 2:
            data[place:place] = data[place : place + rng.randint(1, 64)]
        else:
            data[place:place] = rng.randbytes(rng.randint(1, 16))
    return bytes(data[: rng.randrange(len(data) + 1)] if rng.random() < 0.2 else data)


def pickled(shapes, modern):
    buffer = io.BytesIO()
    torch.save(
        {key: torch.zeros(shape) for key, shape in shapes.items()}, buffer, _use_new_zipfile_serialization=modern
    )
    return buffer.getvalue()


def mutate_zip(rng, data):
    """The program of a modern pickle changed, in a zip archive that is whole."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w") as target:
        for item in source.infolist():
            content = source.read(item)
            target.writestr(item.filename, mutate_bytes(rng, content) if item.filename.endswith(".pkl") else content)
    return out.getvalue()


def make_cases(rng, folder, count):
    """Yield (path, whether it holds a trap), one file at a time; files are written over."""
    made = {name: header_of(KINDS[name].shapes()) for name in BASES}
    small = {"zero_convs.0.0.weight": (32, 32, 1, 1), "input_blocks.0.0.weight": (32, 4, 3, 3), "betas": (9,)}
    pickles = {modern: pickled(small, modern) for modern in (True, False)}
    for number in range(count):
        kind = number % 20
        if kind < 14:
            header, data_bytes = made[rng.choice(BASES)]
            path = folder / f"case{number}.safetensors"
            changed = header if kind == 13 and rng.random() < 0.5 else mutate_header(rng, header)
            if kind in (10, 11):
                changed = mutate_bytes(rng, json.dumps(header).encode())
            cut = rng.randrange(data_bytes) if kind == 12 else 0
            write_safetensors(path, changed, data_bytes, cut)
            yield path, False
            continue
        path = folder / f"case{number}.pth"
        if kind == 19:
            trap = {"zero_convs.0.0.weight": torch.zeros(1), "x": Trap(folder / "sprung")}
            path.write_bytes(mutate_tail(rng, pickle.dumps(trap, protocol=rng.choice((2, 3, 4)))))
        elif kind == 18:
            buffer = io.BytesIO()
            torch.save({"x": Trap(folder / "sprung")}, buffer, _use_new_zipfile_serialization=rng.random() < 0.5)
            path.write_bytes(buffer.getvalue())
        elif kind == 17:
            path.write_bytes(mutate_zip(rng, pickles[True]))
        else:
            path.write_bytes(mutate_bytes(rng, pickles[kind == 16]))
        yield path, kind >= 18


def mutate_tail(rng, data):
    return data if rng.random() < 0.5 else data + rng.randbytes(5)


def read(path):
    """Inspect and load, as the nodes do. Raises what they raise."""
    inspect_file(path)
    form, tensors = load_tensors(path)
    if form.build is not None:
        form.build(tensors, torch.nn, torch_attention)


def main(folder, count):
    warnings.simplefilter("ignore")
    rng = random.Random(20)
    report = {"cases": 0, "refused": 0, "loaded": 0, "strange": [], "slowest": 0.0, "traps": 0}
    baseline, largest = None, 0
    for path, trap in make_cases(rng, folder, count):
        largest = max(largest, path.stat().st_size)
        start = time.process_time()
        try:
            read(path)
            report["loaded"] += 1
        except ValueError as error:
            report["refused"] += 1
            if f"'{path.name}'" not in str(error) and not str(error).startswith("This"):
                report["strange"].append(f"{path.name}: {error}"[:300])
        except Exception as error:
            report["strange"].append(f"{path.name}: {type(error).__name__}: {error}"[:300])
        report["slowest"] = max(report["slowest"], time.process_time() - start) if baseline else 0.0
        report["cases"] += 1
        report["traps"] += trap
        path.unlink()
        if report["cases"] == 40:  # by then every kind was seen and every module imported
            baseline = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report |= {"peak_growth": 1024 * (peak - (baseline or peak)), "file_bytes": largest}
    report["sprung"] = int((folder / "sprung").exists())
    print(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
