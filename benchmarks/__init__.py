"""Control beside control: what a ControlNet costs in ComfyUI's own nodes, in other packs, in diffusers and here.

`python benchmarks/run.py --help` tells how to run it. It needs torch and a ComfyUI tree.
"""
