# SPDX-License-Identifier: Apache-2.0
#
# Computes, clips and sums gradients of single records with Opacus, in one thread on the CPU, and prints a line of JSON: versions, and
# for each model seconds a record, of processor time and by the clock, with the batch size that is fastest. Usage: opacus.py records.csv [model]

import json
import sys
import time
import warnings

warnings.filterwarnings("ignore")

import numpy
import torch
import opacus
from torch import nn
from opacus.optimizers import DPOptimizer

torch.set_num_threads(1)

MODELS = {
    "softmax": lambda: nn.Linear(784, 10),
    "mlp": lambda: nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)),
    "cnn": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)),
        nn.Conv2d(1, 16, 8, 2, padding=3), nn.Tanh(), nn.MaxPool2d(2, 1),
        nn.Conv2d(16, 32, 4, 2), nn.Tanh(), nn.MaxPool2d(2, 1),
        nn.Flatten(), nn.Linear(512, 32), nn.Tanh(), nn.Linear(32, 10)),
}


def seconds(make, x, y, size):
    """Processor time and time of one record, gradients clipped and summed, without noise or steps."""
    model = opacus.GradSampleModule(make())
    optimizer = DPOptimizer(torch.optim.SGD(model.parameters(), lr=0.1), noise_multiplier=0, max_grad_norm=1.0, expected_batch_size=size)
    loss = nn.CrossEntropyLoss(reduction="mean")

    def batch(i):
        optimizer.zero_grad()
        loss(model(x[i:i + size]), y[i:i + size]).backward()
        optimizer.clip_and_accumulate()

    batch(0)
    count = len(x) // size * size
    began, clock = time.process_time(), time.monotonic()
    for i in range(0, count, size):
        batch(i)
    return (time.process_time() - began) / count, (time.monotonic() - clock) / count


def main():
    table = numpy.loadtxt(sys.argv[1], delimiter=",", dtype=numpy.float32)
    x, y = torch.from_numpy(table[:, 1:] / 255), torch.from_numpy(table[:, 0].astype(numpy.int64))
    out = {"versions": "Opacus %s, PyTorch %s" % (opacus.__version__, torch.__version__)}
    for name in sys.argv[2:]:
        out[name] = min(seconds(MODELS[name], x, y, size) for size in (64, 256, 1024) if size <= len(x))
    print(json.dumps(out))


main()
