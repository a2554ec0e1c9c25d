"""A GPU that is not there: tensors that say `cuda:0`, compute on the CPU, and refuse what CUDA refuses.

`with pretended_gpu() as gpu:` makes PyTorch and ComfyUI believe in it, and `gpu` counts what a real one would feel:
launches, reads of a value by the CPU, copies from the CPU, bytes alive. `with_arithmetic=False` computes shapes only
(meta tensors), so that memory can be counted at the size of real models.
"""

from support.gpu.host import GIB as GIB
from support.gpu.host import pretended_gpu as pretended_gpu
from support.gpu.ledger import Event as Event
from support.gpu.ledger import Ledger as Ledger
from support.gpu.tensors import GPU as GPU
