"""Checks that the numbers of two reports, of --bits=4 and --bits=8, agree with the
artefacts, with itera-run and with each other, and that the page is self-contained.

Usage: check_report.py FOUR.json EIGHT.json FOUR.html FOUR.so EVAL.json PLAN_WEIGHT_BYTES.txt
       check_report.py one ONE.json WEIGHT
       check_report.py frames REPORT.json FRAMES PARTS
EVAL.json is of itera-run FOUR.so --eval TEXT --eval-against F32.so --json.
"""

import json
import math
import os
import sys
import xml.etree.ElementTree as ElementTree

BITS = {"f32": 32, "f16": 16, "bf16": 16, "i8": 8, "i4": 4}


def near(a, b, relative=1e-4):
    return math.isclose(a, b, rel_tol=relative)


def check_bytes(report):
    for weight in report["weights"]:
        n, k = weight["shape"]
        groups = -(-k // (weight["group"] or k))
        scales = 2 * n * groups if weight["storage"] in ("i4", "i8") else 0
        assert weight["bytes_before"] == 4 * n * k, weight
        assert weight["bytes_after"] == -(-n * k * BITS[weight["storage"]] // 8) + scales, weight
    sizes = report["sizes"]
    for when in ("before", "after"):
        parts = [entry[f"bytes_{when}"] for entry in sizes["by_storage"]]
        assert sum(parts) == sizes[f"weight_bytes_{when}"] < sizes[f"file_bytes_{when}"], sizes
    assert all(part["bytes_after"] >= 0 for part in sizes["by_storage"]), sizes


def check_linears(four, eight):
    pairs = list(zip(four["weights"], eight["weights"], strict=True))
    assert len({four["name"] for four, _ in pairs}) == len(pairs) > 10
    smaller = 0
    for a, b in pairs:
        assert a["name"] == b["name"] and a["class"] == b["class"] != ""
        for weight in (a, b):
            # Each bit is worth 6 dB.
            low, high = (15, 32) if weight["storage"] == "i4" else (30, 60)
            assert low < weight["sqnr_weight_db"] < high, weight
            assert weight["sqnr_local_db"] > 15, weight
        if a["storage"] == "i4":
            smaller += 1
            assert a["sqnr_weight_db"] + 12 < b["sqnr_weight_db"], (a, b)
            assert a["sqnr_local_db"] + 6 < b["sqnr_local_db"], (a, b)
        assert a["sqnr_cumulative_db"] < b["sqnr_cumulative_db"], (a, b)
    assert smaller >= 8
    local = {weight["name"]: weight["sqnr_local_db"] for weight in four["weights"]}
    worst = [local[name] for name in four["worst"]]
    assert worst == sorted(local.values())[:10], worst


def check_language(four, eight, evaluation, tokens):
    language = four["language"]
    assert language["tokens"] == tokens and language["scored_tokens"] == tokens - 1
    assert 0 < eight["language"]["kl_per_token"] < language["kl_per_token"] < 0.2, language
    assert near(language["nll_after"], evaluation["nll_per_token"])
    assert near(language["nll_before"], evaluation["against"]["nll_per_token"])
    assert near(language["kl_per_token"], evaluation["against"]["kl_per_token"], 1e-3)
    assert near(language["top1_agreement"], evaluation["against"]["top1_agreement"])
    assert near(language["max_logit_difference"], four["outputs"][0]["max_abs_diff"], 1e-3)
    assert near(language["perplexity_after"], math.exp(language["nll_after"]))
    check_parts(four, 10)


def check_parts(report, count):
    """The curves along the text are of equal parts, the whole of it, and the drift is of the curve."""
    language = report["language"]
    ends = language["ends_of_parts"]
    assert len(ends) == count and ends[-1] == language["tokens"], ends
    tokens = [end - begin for begin, end in zip([1] + ends, ends)]
    assert max(tokens) - min(tokens) <= 1, tokens
    for curve, whole in [("kl_of_parts", "kl_per_token"), ("nll_of_parts_before", "nll_before"),
                         ("nll_of_parts_after", "nll_after")]:
        parts = language[curve]
        assert len(parts) == count, parts
        mean = sum(part * n for part, n in zip(parts, tokens)) / sum(tokens)
        assert near(mean, language[whole], 1e-9), (curve, mean, language[whole])
    drift, parts, tenth = report["drift"], language["kl_of_parts"], count // 10
    if tenth:
        assert near(drift["kl_first_tenth"], sum(parts[:tenth]) / tenth)
        assert near(drift["kl_last_tenth"], sum(parts[-tenth:]) / tenth)
        assert near(drift["kl_last_over_first"], drift["kl_last_tenth"] / drift["kl_first_tenth"])
    else:
        assert drift["kl_last_over_first"] is None


def check_frames(report, frames, parts):
    """No more frames than were asked for, and all of them, in everything that is measured."""
    assert report["data"]["frames"] == frames
    assert report["data"]["layer_frames"] == min(frames, 512)
    assert report["language"]["tokens"] == frames and report["language"]["scored_tokens"] == frames - 1
    assert report["states"]["frames"] == [frames * (i + 1) // min(frames, 64) for i in range(min(frames, 64))]
    # Outputs are those of all frames, and scored ones of all but the last.
    assert report["outputs"][0]["max_abs_diff"] >= report["language"]["max_logit_difference"] * (1 - 1e-6)
    check_parts(report, parts)
    print("the frames agree")


def check_states(four, eight, tokens):
    curves = four["states"]["curves"], eight["states"]["curves"]
    assert four["states"]["frames"][-1] == tokens and len(four["states"]["frames"]) == 64
    assert len(curves[0]) == 8
    for a, b in zip(*curves, strict=True):
        a, b = a["relative_errors"], b["relative_errors"]
        assert len(a) == 64 and all(0 < error < 1 for error in a), a
        assert sum(b) < sum(a)


def check_one(report, name):
    names = [weight["name"] for weight in report["weights"]]
    ratios = [(weight["sqnr_local_db"], weight["sqnr_cumulative_db"]) for weight in report["weights"]]
    place = names.index(name)
    # The table of ids is also the last linear.
    assert all(ratio == ("exact", "exact") for ratio in ratios[1:place]), ratios
    local, cumulative = ratios[place]
    assert 15 < local < 35 and abs(local - cumulative) < 1e-3, ratios[place]
    assert all(local == "exact" and cumulative < 80 for local, cumulative in ratios[place + 1:]), ratios
    assert report["worst"] == [name]
    print("one weight agrees")


def main():
    if sys.argv[1] == "one":
        return check_one(json.load(open(sys.argv[2])), sys.argv[3])
    if sys.argv[1] == "frames":
        return check_frames(json.load(open(sys.argv[2])), int(sys.argv[3]), int(sys.argv[4]))
    four, eight = (json.load(open(path)) for path in sys.argv[1:3])
    page, artefact, evaluation, weight_bytes = sys.argv[3:]
    evaluation = json.load(open(evaluation))
    check_bytes(four)
    check_bytes(eight)
    assert four["sizes"]["weight_bytes_after"] == int(open(weight_bytes).read())
    assert four["sizes"]["file_bytes_after"] == os.path.getsize(artefact)
    check_linears(four, eight)
    # The table of ids is also the last linear.
    assert near(four["weights"][0]["sqnr_cumulative_db"], four["outputs"][0]["sqnr_db"])
    check_language(four, eight, evaluation, evaluation["tokens"])
    check_states(four, eight, evaluation["tokens"])
    for run in four["speed"]["runs"]:
        assert run["microseconds_before"] > 0 and run["microseconds_after"] > 0
    assert [run["what"] for run in four["speed"]["runs"]] == ["step", "prefill"]

    text = open(page, encoding="utf-8").read()
    assert "http:" not in text and "https:" not in text and "<script" not in text
    root = ElementTree.fromstring(text)
    assert len(list(root.iter("svg"))) == 5
    shown = {"".join(cell.itertext()) for cell in root.iter("td")}
    assert {weight["name"] for weight in four["weights"]} <= shown
    print("the reports agree")


if __name__ == "__main__":
    main()
