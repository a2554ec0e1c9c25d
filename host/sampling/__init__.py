"""One step of a sampling, in order. Each line names the file that holds it.

Around the step, once for all prompts (`step_wrapper.py`):
1. Whose prompt is whose, and which part of the picture each is for, is written down   prompts.py, regions.py
2. Where other nodes resize the UNet inside, the sizes of its skips are noted as it runs skip_sizes.py
3. Prompts with different controls get one control, so that they share one pass        joint_control.py

For each pass, `Control.get_control` (`../controls/control.py`) is asked for residuals:
4. What is equal for a whole chain is read from the device, once                       step.py, noise_level.py
5. The controls before it in the chain are asked in the same way                       ../controls/control.py
6. Which rows it acts on, how strongly, and how much of the network that needs         ../controls/control_step.py
7. Its hint, as the network takes it, for each item of the batch                       ../controls/control_hint.py
8. It promises lists of residuals, or adds its patches to the step                     lazy_residuals.py, patches.py

When the base model takes the first residual, and not before (`ControlStep.run`):
9. The network runs, together with others that share it, or its last result serves again hint_batching.py
10. Residuals are scaled by all factors and added to those of the chain before         chain_sum.py
11. At the end of the sampling, also of a cancelled one, everything is let go          step_wrapper.py

What every step needs on the device again is kept there (`device_copies.py`, `controlnet/constants.py`).
Beside it stand two files for the base model: parts of the UNet (`unet_parts.py`) and the step cache (`step_cache.py`).
"""
