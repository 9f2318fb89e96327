"""Streams a text of bytes through a language model in one session and checks
its perplexity per byte, and the loss of each byte against a reference.

Usage: check_text.py ITERA_RUN MODEL.so TEXT REFERENCE.npz BYTES PERPLEXITY

The reference's `stream_nll` are the losses of the first bytes, made by the
framework that the model came from. Single losses may differ by 1e-3, the
perplexity by 0.02 %: float32 rounding of logits of up to 20 is 1.3e-5.
"""

import os
import subprocess
import sys
import tempfile

import numpy as np

runner, model, text, reference, count, expected = sys.argv[1:]
with open(text, "rb") as file:
    data = np.frombuffer(file.read(int(count)), np.uint8).astype(np.int64)
with tempfile.TemporaryDirectory() as folder:
    given, result = os.path.join(folder, "in.npz"), os.path.join(folder, "out.npz")
    np.savez(given, input_ids=data[None])
    subprocess.run([runner, model, "--mode=stream", "--input", given, "--output", result], check=True)
    logits = np.load(result)["logits"][0].astype(np.float64)

logits -= logits.max(-1, keepdims=True)
logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
loss = -logits[np.arange(len(data) - 1), data[1:]]
perplexity = float(np.exp(loss.mean()))
known = np.load(reference)["stream_nll"][: len(loss)]
off = float(np.abs(known - loss[: len(known)]).max())
print(f"perplexity {perplexity:.4f}, expected {expected}; losses off by at most {off:.2g}")
sys.exit(abs(perplexity / float(expected) - 1) > 2e-4 or off > 1e-3)
