# SPDX-License-Identifier: Apache-2.0
"""Runs a command and fails unless it exits with the given code."""

import subprocess
import sys

code = subprocess.run(sys.argv[2:]).returncode
if code != int(sys.argv[1]):
    sys.exit(f"expected exit code {sys.argv[1]}, but got {code}")
