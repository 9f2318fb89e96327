#!/usr/bin/env bash
# Compiles the example model for this host, runs it, and compares the result
# with what ONNX Runtime computed. Usage: scripts/demo.sh BUILD
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${1:-build}/bin
model=examples/wikitext_mamba/prefill64
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

echo "model     $model.onnx, $(stat -c %s $model.onnx) bytes: a trained Mamba, 4 layers, 64 bytes of text"
start=$(date +%s%N)
"$bin/itera-compile" $model.onnx -o "$out/model.so"
echo "compiled  in $((($(date +%s%N) - start) / 1000000)) ms to a shared object of $(stat -c %s "$out/model.so") bytes"
echo "needs     $(readelf -d "$out/model.so" | grep -c NEEDED || true) libraries"
"$bin/itera-run" "$out/model.so" --input $model.npz --compare $model.npz --atol=1e-4 |
  sed 's/^max_abs_diff \(.*\) \(.*\)$/result    \1 differs from the reference by at most \2/'
"$bin/itera-run" "$out/model.so" --input $model.npz --bench --repeat=200 |
  sed 's/^/speed     /'
