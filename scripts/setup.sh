#!/usr/bin/env bash
# Installs what the build and the tests need on Debian 12: the system packages
# below, and a Python environment in .venv with the pinned packages of
# scripts/requirements.txt. Does nothing when everything is there.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
  clang-22 lld-22 liblld-22-dev llvm-22-dev llvm-22-tools libclang-rt-22-dev
  clang-format-22 libmlir-22-dev mlir-22-tools
  protobuf-compiler libprotobuf-dev libzip-dev zipcmp zipmerge ziptool zlib1g-dev libzstd-dev
  libxml2-dev libffi-dev libgtest-dev libbenchmark-dev
  ninja-build ccache git make python3 python3-venv
  qemu-user-static libc6-arm64-cross libc6-dev-arm64-cross
  linux-libc-dev-arm64-cross valgrind
)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null |
    grep -qx installed || missing+=("$package")
done
if ((${#missing[@]})); then
  echo "setup: installing ${missing[*]}"
  sudo=""
  [ "$(id -u)" = 0 ] || sudo="sudo"
  $sudo apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# The stamp is the requirements file itself: a changed pin reinstalls.
if ! cmp -s scripts/requirements.txt .venv/requirements.stamp; then
  echo "setup: making the Python environment .venv"
  [ -x .venv/bin/python ] || python3 -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check \
    -r scripts/requirements.txt
  cp scripts/requirements.txt .venv/requirements.stamp
fi
