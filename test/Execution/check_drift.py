"""Checks that the curves of a report along time are flat.

Usage: check_drift.py REPORT.json FRAMES

The mean KL divergence of the last half of the text may be 1.2 times that of the
first, and the mean error of a state in the last quarter of the points 1.2 times
that in the second, as a stream begins with equal states. So much may be due to the
text: over its first million bytes the KL of neighbouring 40,000 has a ratio of 1.00
with a standard deviation of 0.10, and a state's errors at single points one of 7 to
15 % of their mean, so that the ratio of two means of 16 has at most 0.05. An error
that grows with the square root of time has ratios of 1.83 and 1.53.
"""

import json
import sys


def mean(values):
    return sum(values) / len(values)


def main():
    report, frames = json.load(open(sys.argv[1])), int(sys.argv[2])
    faults = []

    def check(name, ratio):
        print(f"{name}: {ratio:.3f}, at most 1.2")
        if not ratio <= 1.2:
            faults.append(name)

    kl = report["language"]["kl_of_parts"]
    assert len(kl) == 50 and report["language"]["ends_of_parts"][-1] == frames, kl
    check("KL, last half to first", mean(kl[25:]) / mean(kl[:25]))
    assert len(report["states"]["frames"]) == 64 and report["states"]["frames"][-1] == frames
    curves = report["states"]["curves"]
    assert len(curves) == 8
    for curve in curves:
        errors = curve["relative_errors"]
        check(f"{curve['name']}, last quarter to second", mean(errors[48:]) / mean(errors[16:32]))
    sys.exit("drifts: " + "; ".join(faults) if faults else 0)


if __name__ == "__main__":
    main()
