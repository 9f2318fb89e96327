# SPDX-License-Identifier: Apache-2.0
"""Checks what `itera-run --eval` says of a text against the logits themselves,
in double precision.

stream ITERA_RUN MODEL.so TEXT
    a model of bytes: its logits are those that --mode=stream writes
table ITERA_RUN MODEL.so OTHER.so TOKENIZER TEXT WINDOW
    two models of four tokens and no memory, made by `table` below
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np


def log_softmax(logits):
    logits = logits.astype(np.float64)
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def table(which, place):
    """The logits of the models in evaluate.test."""
    rows = np.array([[0.5, 2, -1, 0], [1, 0, 0, 3], [-2, 0.25, 1, 1], [4, -4, 0, 0]])
    if which == 1:
        rows = rows + np.array([0.5, 0, -0.5, 0])
    return rows[place[0]] + [0, 0, 0.5 * place[1], 0]


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def near(name, got, expected, tolerance=2e-6):
    expected = np.asarray(expected, np.float64)
    off = np.abs(np.asarray(got, np.float64) - expected).max()
    if not off <= tolerance * max(1, np.abs(expected).max()):
        sys.exit(f"{name}: expected {expected}, but got {got}")


def check(runner, model, text, options, log_p, places, count, window, against=None):
    """`log_p` are the logarithms of all probabilities at the scored places."""
    with tempfile.TemporaryDirectory() as folder:
        trace = os.path.join(folder, "trace.npz")
        answer = json.loads(run(runner, model, "--json", f"--eval-trace={trace}", *options))
        arrays = dict(np.load(trace))
    targets = text[places]
    nll = -log_p[0][np.arange(len(targets)), targets]
    assert arrays["nll"].dtype == np.float32 and np.array_equal(arrays["place"], places), arrays
    near("nll", arrays["nll"], nll)
    expected = dict(tokens=count, scored_tokens=len(places), bytes=count, scored_bytes=len(places))
    for name, value in expected.items():
        assert answer[name] == value, (name, answer[name], value)
    bits = nll.mean() / np.log(2)
    near("nll_per_token", answer["nll_per_token"], nll.mean())
    near("bits_per_byte", answer["bits_per_byte"], bits)
    near("perplexity_per_token", answer["perplexity_per_token"], np.exp(nll.mean()))
    near("perplexity_per_byte", answer["perplexity_per_byte"], 2**bits)
    total = len(nll)
    parts = [nll[total * i // 10 : total * (i + 1) // 10].mean() / np.log(2) for i in range(10)]
    near("parts", answer["parts"], parts)
    windows = 1 if window is None else -(-count // window)
    assert (answer["windows"], answer["window"]) == (windows, window), answer
    near("speed", answer["tokens_per_s"] * answer["seconds"], count)
    if len(log_p) < 2:
        assert "against" not in answer
        return
    p, q = np.exp(log_p[1]), np.exp(log_p[0])
    a, b = against
    other = answer["against"]
    kl = (p * (log_p[1] - log_p[0])).sum(-1)
    near("kl", other["kl_per_token"], kl.mean())
    near("kl trace", arrays["kl"], kl)
    near("top1", other["top1_agreement"], (p.argmax(-1) == q.argmax(-1)).mean())
    near("max", other["max_logit_difference"], np.abs(a - b).max())
    cosine = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    near("cosine", other["cosine"], cosine.mean())
    nll = -log_p[1][np.arange(len(targets)), targets]
    near("other nll", other["nll_per_token"], nll.mean())
    near("other nll trace", arrays["nll_against"], nll)


def check_stream(runner, model, path):
    data = np.fromfile(path, np.uint8).astype(np.int64)

    def get_logits(ids):
        with tempfile.TemporaryDirectory() as folder:
            given, result = os.path.join(folder, "in.npz"), os.path.join(folder, "out.npz")
            np.savez(given, input_ids=ids[None])
            run(runner, model, "--mode=stream", "--input", given, "--output", result)
            return log_softmax(np.load(result)["logits"][0])

    logits = get_logits(data)
    for options, ahead in (([], 1), (["--mode=stream"], 1), (["--chunk=7"], 1), (["--mode=prefill", "--ahead=3"], 3)):
        check(runner, model, data, [f"--eval={path}", *options], [logits[:-ahead]], np.arange(ahead, len(data)), len(data), None)
    some = data[:100]
    check(runner, model, some, [f"--eval={path}", "--eval-bytes=100"], [logits[:99]], np.arange(1, 100), 100, None)
    # In windows of the file's 64 bytes nothing is known of the window before.
    windows = [get_logits(data[i : i + 64])[:-1] for i in range(0, len(data), 64)]
    places = np.array([i for i in range(len(data)) if i % 64])
    check(runner, model, data, [f"--eval={path}", "--mode=forward"], [np.concatenate(windows)], places, len(data), 64)


def check_table(runner, model, other, tokenizer, path, window, *options):
    window = int(window)
    with open(path, "rb") as file:
        text = np.array([byte - ord("0") for byte in file.read()])
    places = np.array([i for i in range(len(text)) if i % window])
    logits = [np.array([table(which, (text[i - 1], (i - 1) % window)) for i in places]) for which in range(2)]
    log_p = [log_softmax(row) for row in logits]
    options = [f"--eval={path}", f"--tokenizer={tokenizer}", *options]
    check(runner, model, text, options, log_p[:1], places, len(text), window)
    check(runner, model, text, [*options, f"--eval-against={other}"], log_p, places, len(text), window, logits)


{"stream": check_stream, "table": check_table}[sys.argv[1]](*sys.argv[2:])
