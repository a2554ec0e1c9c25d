"""Remarks on the numbers, by workload; where a rival is not behind, why."""

EXPLANATIONS: dict[str, str] = {
    "W1": """\
What is done once here (the hint, the prompt's keys and values, all that cond and uncond share) weighs more the larger
the picture is; of a small one reading the weights, the same on every side, takes most of the time. The lines of
diffusers are also of its own base model, not of the control alone. Our peak is higher by the kept keys and values, and
because the ControlNet runs when the base model first takes a residual, while that one's own skips are alive.""",
    "W2": """\
As W1, three times: every side evaluates the networks one after the other, and where reading their weights takes most of
the time, as at 128 px, a few percent either way are the machine's. Here the chain shares the step's one read of a
value, and each network adds to the sum of those before in the pass that scales its residuals. Evaluating networks of
equal shape together gains nothing on a CPU (`benchmarks/grouped.py`: grouped convolutions take 0.96 to 1.58 of the
time of single ones, batched products 0.94 to 1.00); several hints of one network do share a run: 0.70 of the time of
two runs at 128 px, 0.86 at 256 px, 1.00 at 512 px.""",
    "W3": """\
The distance to core is core's: in bf16 it rounds the timestep to 8 bits (997 becomes 996), which this pack does not. At
that timestep its residuals are 9.5 % off those of float32, ours 1.4 %.""",
    "W4": """\
diffusers evaluates the ControlNet at every step and multiplies by zero outside of the range; all others leave it
out, and differ by what the first step does once.""",
    "W5": """\
The others run the base model once for each prompt, since only one of them has a control; here both prompts stay one
batch, and the rows without control get none.""",
    "W6": """\
The hints differ, so that the ControlNet sees each picture twice, for cond and uncond; the hints are embedded once.""",
    "W7": """\
No side loads anything again for the second sampler. What is kept for one sampling is let go at its end, hence two hints
here, too.""",
    "W8": """\
ComfyUI multiplies the low-rank matrices at every step, and builds the network when a sampling begins; here they are
added to the base model's weights once, when the file is loaded.""",
    "W9": """\
Needs a GPU: the memory of a CPU cannot be limited so that ComfyUI notices.""",
    "W10": """\
At the steps that EasyCache leaves out the base model, ComfyUI has evaluated its ControlNet already; ours waits until
the base model takes a residual, and is left out with it.""",
    "W10L": """\
LazyCache leaves out a whole step, on every side the ControlNet with it.""",
}
