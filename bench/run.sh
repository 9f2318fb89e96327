#!/usr/bin/env bash
# Measures compiled models beside ONNX Runtime and the machine's own limit, in
# one run, on one thread. Prints JSON lines. Usage: bench/run.sh BUILD
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}
.venv/bin/python -c 'import onnxruntime' 2>/dev/null ||
  .venv/bin/pip install --quiet --disable-pip-version-check -r bench/requirements.txt
.venv/bin/cmake --build "$build" --target machine-limits stream-bench >&2
.venv/bin/python bench/forward.py "$build"
.venv/bin/python bench/stream.py "$build"
.venv/bin/python bench/quantize.py "$build"
