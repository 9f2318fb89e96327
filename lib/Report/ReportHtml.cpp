// SPDX-License-Identifier: Apache-2.0
// The page: a table of contents is not needed, as all of it is short but the
// table of weights, which is the last.

#include "Html.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Sequence.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"
#include <cmath>

using namespace llvm;
using namespace itera;

/// No scripts, and nothing from elsewhere: the policy makes sure of that.
static constexpr StringLiteral kHead = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta name="color-scheme" content="light dark"/>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:"/>
<link rel="icon" href="data:,"/>
<style>
:root { --page: #fbfbfa; --card: #ffffff; --text: #1d1d1b; --soft: #63625d; --line: #e2e1dc;
  --before: #c9c7bf; --blue: #2a6fc9; --orange: #c2571a; --green: #2c7d55; --violet: #7a4fb5; }
@media (prefers-color-scheme: dark) {
  :root { --page: #161615; --card: #1f1f1d; --text: #ecebe6; --soft: #a5a39b; --line: #383733;
    --before: #56544e; --blue: #6aa5ee; --orange: #e88a4f; --green: #5fb98b; --violet: #ae8de0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 20px 16px 60px; max-width: 1040px; background: var(--page);
  color: var(--text); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.5em; line-height: 1.25; margin: 0.2em 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15em; margin: 2em 0 0.3em; }
p { margin: 0.4em 0; max-width: 75ch; }
p.soft, .soft, figcaption { color: var(--soft); }
code { font: 0.9em ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(160px, 1fr)); gap: 10px; margin: 16px 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 10px 12px; }
.tile b { display: block; font-size: 1.2em; font-weight: 600; line-height: 1.35; }
.tile span { color: var(--soft); font-size: 0.87em; }
.wide { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 8px; margin: 8px 0; }
table { border-collapse: collapse; width: 100%; font-size: 0.92em; }
th, td { text-align: left; padding: 5px 10px; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
tr:last-child td { border-bottom: 0; }
td { white-space: nowrap; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
td.name { white-space: normal; overflow-wrap: anywhere; min-width: 13em; }
figure { margin: 8px 0; }
figcaption { font-size: 0.9em; margin: 2px 2px 6px; }
svg { display: block; width: 100%; min-width: 560px; height: auto; }
svg text { fill: var(--soft); font-size: 12px; }
.grid { stroke: var(--line); }
polyline { stroke-width: 2; stroke-linejoin: round; }
.thin { stroke-width: 1; stroke-opacity: 0.45; }
.curve { stroke-width: 1.6; stroke-opacity: 0.85; }
.key { display: inline-block; width: 0.8em; height: 0.8em; border-radius: 2px; margin: 0 0.35em 0 0.4em; vertical-align: -0.05em; }
.label { white-space: nowrap; }
.ramp { display: inline-block; width: 5em; height: 0.6em; border-radius: 2px; margin: 0 0.4em; background: linear-gradient(90deg, #2a78d6, #e05a2b); }
rect.before { fill: var(--before); } .key.before { background: var(--before); }
circle.local, rect.s-i8 { fill: var(--blue); } .local { stroke: var(--blue); } .key.local, .key.s-i8 { background: var(--blue); }
circle.cumulative, rect.s-i4 { fill: var(--orange); } .cumulative { stroke: var(--orange); }
.key.cumulative, .key.s-i4 { background: var(--orange); }
rect.s-f16, rect.s-bf16 { fill: var(--green); } .key.s-f16, .key.s-bf16 { background: var(--green); }
rect.s-f32 { fill: var(--violet); } .key.s-f32 { background: var(--violet); }
circle.after { fill: var(--orange); } .after { stroke: var(--orange); } .key.after { background: var(--orange); }
circle.reference { fill: var(--soft); } .reference { stroke: var(--soft); } .key.reference { background: var(--soft); }
.stack { display: flex; height: 22px; margin: 4px 0 10px; border-radius: 4px; overflow: hidden; }
.stack i { display: block; min-width: 1px; }
.stack .s-i8 { background: var(--blue); } .stack .s-i4 { background: var(--orange); }
.stack .s-f16, .stack .s-bf16 { background: var(--green); } .stack .s-f32 { background: var(--violet); }
.stack .rest, .key.rest { background: var(--soft); } .stack .before { background: var(--before); }
</style>
)";

namespace {

class Page {
public:
  explicit Page(const QuantizationReport &report)
      : report(report), drift(measureDrift(report)) {}
  std::string write();

private:
  void head();
  void tiles();
  void tile(StringRef value, StringRef what);
  void sizes();
  void stack(bool isAfter, int64_t most);
  void linears();
  void outputs();
  void states();
  void speed();
  void weights(StringRef title, ArrayRef<size_t> places);
  void figure(StringRef caption, StringRef plot);
  void row(ArrayRef<std::string> cells, ArrayRef<bool> isNumber,
           StringRef cell = "td");

  const QuantizationReport &report;
  DriftReport drift;
  std::string result;
  raw_string_ostream out{result};
};

} // namespace

static std::string key(StringRef kind, StringRef name) {
  return (" <span class=\"label\"><span class=\"key " + kind + "\"></span>" +
          name + "</span>")
      .str();
}

static std::string sizeText(double bytes) {
  for (auto [unit, name] : {std::pair(1e9, " GB"), {1e6, " MB"}, {1e3, " kB"}})
    if (bytes >= unit)
      return formatNumber(bytes / unit, 3) + name;
  return formatNumber(bytes, 3) + " B";
}

/// A late error over an early one.
static std::string formatTimes(double ratio) {
  return std::isnan(ratio) ? formatNumber(ratio)
                           : formatNumber(ratio, 3) + "\xC3\x97";
}

void Page::row(ArrayRef<std::string> cells, ArrayRef<bool> isNumber,
               StringRef cell) {
  out << "<tr>";
  for (auto [i, text] : enumerate(cells)) {
    StringRef kind = isNumber[i] ? " class=\"n\""
                     : i == 0 && cell == "td" ? " class=\"name\""
                                              : "";
    out << "<" << cell << kind << ">" << text << "</" << cell << ">";
  }
  out << "</tr>\n";
}

void Page::figure(StringRef caption, StringRef plot) {
  out << "<figure><figcaption>" << caption << "</figcaption><div class=\"wide\">"
      << plot << "</div></figure>\n";
}

void Page::tile(StringRef value, StringRef what) {
  out << "<div class=\"tile\"><b>" << value << "</b><span>" << what
      << "</span></div>\n";
}

void Page::head() {
  out << kHead << "<title>" << escape(report.model)
      << ": quantisation</title></head><body>\n"
      << "<h1>" << escape(report.model) << ": what quantisation does</h1>\n"
      << "<p class=\"soft\">" << escape(report.file) << ", hash <code>"
      << escape(StringRef(report.sourceHash).take_front(16)) << "</code>, for "
      << escape(report.triple) << " (" << escape(report.cpu) << "), "
      << escape(report.compiler) << "</p>\n<p class=\"soft\"><code>"
      << escape(report.commandLine) << "</code></p>\n<p>";
  if (report.data == "random")
    out << "<b>Measured with random inputs</b>, which say little about real "
           "ones: give data by <code>--report-data</code>.";
  else
    out << "Measured with the " << escape(report.data) << " <code>"
        << escape(report.dataFile) << "</code>";
  out << (report.data == "random" ? " " : ": ") << formatCount(report.frames)
      << (report.streams ? " frames" : " runs of whole inputs")
      << ", and of these " << formatCount(report.layerFrames)
      << " for single layers.</p>\n";
  for (const std::string &note : report.notes)
    out << "<p class=\"soft\">Note: " << escape(note) << ".</p>\n";
}

void Page::tiles() {
  out << "<div class=\"tiles\">\n";
  double before = report.imageBefore, after = report.imageAfter;
  tile(sizeText(before) + " \xE2\x86\x92 " + sizeText(after),
       "weights, " + formatNumber(before / after, 3) + " times smaller");
  if (report.language) {
    const LanguageReport &language = *report.language;
    if (!std::isnan(language.nllBefore))
      tile(formatNumber(std::exp(language.nllBefore)) + " \xE2\x86\x92 " +
               formatNumber(std::exp(language.nllAfter)),
           "perplexity per token");
    tile(formatNumber(language.kl, 3), "KL divergence per token, nats");
    tile(formatNumber(100 * language.sameTop, 3) + " %",
         "same likeliest token");
  } else if (!report.outputs.empty()) {
    tile(formatRatio(report.outputs[0].ratio),
         "signal to noise of " + escape(report.outputs[0].name));
  }
  if (!std::isnan(drift.getKlRatio()))
    tile(formatTimes(drift.getKlRatio()),
         "KL divergence, last tenth of the text to the first");
  if (drift.worstState)
    tile(formatTimes(drift.stateRatios[*drift.worstState]),
         "state error, last quarter to the second, at worst");
  for (const SpeedReport &entry : report.speed)
    tile(formatNumber(entry.before, 3) + " \xE2\x86\x92 " +
             formatNumber(entry.after, 3) + " \xC2\xB5s",
         entry.what + (entry.frames ? ", per frame" : ""));
  std::vector<size_t> worst = findWorst(report, 1);
  if (!worst.empty())
    tile(formatRatio(report.weights[worst[0]].localRatio),
         "worst linear by itself");
  out << "</div>\n";
}

void Page::stack(bool isAfter, int64_t most) {
  out << "<div class=\"stack\">";
  for (const StorageReport &sum : sumByStorage(report)) {
    int64_t bytes = isAfter ? sum.bytesAfter : sum.bytesBefore;
    if (bytes <= 0)
      continue;
    std::string kind = sum.storage == "rest" ? "rest"
                       : isAfter             ? "s-" + sum.storage
                                             : "before";
    out << "<i class=\"" << kind << "\" style=\"width:"
        << formatv("{0:F2}", 100.0 * bytes / most) << "%\"></i>";
  }
  out << "</div>\n";
}

void Page::sizes() {
  out << "<h2>Bytes</h2>\n";
  int64_t most = std::max<uint64_t>({report.imageBefore, report.imageAfter, 1});
  out << "<p>Before</p>";
  stack(false, most);
  out << "<p>After:";
  for (const StorageReport &sum : sumByStorage(report))
    out << key(sum.storage == "rest" ? "rest" : "s-" + sum.storage,
               sum.storage);
  out << "</p>";
  stack(true, most);
  out << "<div class=\"wide\"><table>\n";
  bool numbers[] = {false, true, true, true, true};
  row({"Storage", "Weights", "Before", "After", "Part"}, numbers, "th");
  for (const StorageReport &sum : sumByStorage(report))
    row({sum.storage == "rest"
             ? "rest: recurrences, convolutions, norms, padding"
             : sum.storage,
         sum.storage == "rest" ? "" : formatCount(sum.weights),
         formatCount(sum.bytesBefore), formatCount(sum.bytesAfter),
         formatNumber(100.0 * sum.bytesAfter /
                          std::max<uint64_t>(report.imageAfter, 1),
                      3) +
             " %"},
        numbers);
  row({"All weights", formatCount(report.weights.size()),
       formatCount(report.imageBefore), formatCount(report.imageAfter),
       "100 %"},
      numbers);
  row({"File", "", formatCount(report.fileBefore),
       formatCount(report.fileAfter), ""},
      numbers);
  out << "</table></div>\n";
  std::string caption = "Bytes of each weight:" + key("before", "before");
  for (const StorageReport &sum : sumByStorage(report))
    if (sum.storage != "rest")
      caption += key("s-" + sum.storage, "after, " + sum.storage);
  if (!report.weights.empty())
    figure(caption, plotBytes(report));
}

void Page::linears() {
  if (report.weights.empty())
    return;
  out << "<h2>Error of each layer</h2>\n<p class=\"soft\">Signal to noise "
         "(SQNR) of what the linears of a weight give, in dB: 20 dB is an error of 10 "
         "%, 40 dB of 1 %. <b>Local</b>: for the inputs of the model before, "
         "so that only this weight and the rounding of its input count. "
         "<b>Cumulative</b>: in the whole model after, with the errors of all "
         "layers before it.</p>\n";
  figure(key("local", "local") + key("cumulative", "cumulative"),
         plotRatios(report));
  weights("Worst ten", findWorst(report));
}

void Page::weights(StringRef title, ArrayRef<size_t> places) {
  out << "<h2>" << title << "</h2>\n<div class=\"wide\"><table>\n";
  bool numbers[] = {false, true, false, true,  false, true,
                    true,  true, true,  true};
  row({"Weight", "No.", "Class", "Shape", "Storage", "Before", "After",
       "Weight", "Local", "Cumulative"},
      numbers, "th");
  for (size_t place : places) {
    const WeightReport &weight = report.weights[place];
    std::string storage = weight.storage;
    if (weight.group)
      storage += " by " + std::to_string(weight.group);
    if (!weight.input.empty())
      storage += ", x i8 per " + weight.input;
    row({"<code>" + escape(weight.name) + "</code>", formatCount(place + 1),
         escape(weight.kind),
         std::to_string(weight.n) + "\xC3\x97" + std::to_string(weight.k),
         escape(storage), formatCount(weight.bytesBefore),
         formatCount(weight.bytesAfter), formatRatio(weight.weightRatio),
         formatRatio(weight.localRatio), formatRatio(weight.cumulativeRatio)},
        numbers);
  }
  out << "</table></div>\n";
}

void Page::outputs() {
  out << "<h2>Outputs</h2>\n<div class=\"wide\"><table>\n";
  bool numbers[] = {false, true, true, true};
  row({"Output", "Largest difference", "Cosine", "Signal to noise"}, numbers,
      "th");
  for (const OutputReport &output : report.outputs)
    row({"<code>" + escape(output.name) + "</code>",
         formatNumber(output.maxAbs), formatNumber(output.cosine, 6),
         formatRatio(output.ratio)},
        numbers);
  out << "</table></div>\n";
  if (!report.language) {
    if (!report.languageProblem.empty())
      out << "<p class=\"soft\">Not read as logits: "
          << escape(report.languageProblem) << ".</p>\n";
    return;
  }
  const LanguageReport &language = *report.language;
  out << "<p>As logits, " << formatCount(language.scored) << " of "
      << formatCount(language.tokens) << " tokens scored in "
      << formatCount(language.windows)
      << (language.windows == 1 ? " window: " : " windows: ")
      << "KL divergence of the model after from that before "
      << formatNumber(language.kl) << " nats per token, the same likeliest "
      << "token for " << formatNumber(100 * language.sameTop) << " %, cosine "
      << formatNumber(language.cosine, 6) << ", largest difference "
      << formatNumber(language.maxAbs) << ".";
  if (!std::isnan(language.nllBefore))
    out << " Loss " << formatNumber(language.nllBefore, 5) << " before and "
        << formatNumber(language.nllAfter, 5) << " after.";
  out << "</p>\n";
  if (language.partsBefore.size() > 1)
    figure("Loss in nats per token along the text:" +
               key("reference", "before") + key("after", "after"),
           plotLoss(language));
  if (language.partsKl.size() < 2)
    return;
  std::string caption = "KL divergence in nats per token along the text";
  if (language.hasWindows)
    caption += ", which begins anew at each window";
  else if (!std::isnan(drift.klFirst))
    caption += ": " + formatNumber(drift.klFirst) + " in the first tenth, " +
               formatNumber(drift.klLast) + " in the last (" +
               formatTimes(drift.getKlRatio()) + ")";
  figure(caption, plotDivergence(language));
}

void Page::states() {
  out << "<h2>States along time</h2>\n";
  const StatesReport &states = report.states;
  if (!states.problem.empty() || states.frames.empty()) {
    out << "<p class=\"soft\">"
        << escape(states.problem.empty() ? "No frame was fed"
                                         : StringRef(states.problem))
        << ".</p>\n";
    return;
  }
  figure("How far each carried state is from the state of the model before, "
         "relative to that:<span class=\"ramp\"></span>first to last in the "
         "model. <b>Drift</b> below is the mean error in the last quarter of the "
         "points over that in the second: 1 if errors do not grow",
         plotStates(states));
  out << "<div class=\"wide\"><table>\n";
  bool numbers[] = {false, true, true, true, true};
  row({"State", "At first", "Largest", "At the end", "Drift"}, numbers, "th");
  for (auto [state, ratio] : zip_equal(states.states, drift.stateRatios)) {
    double largest = 0;
    for (double error : state.errors)
      largest = error <= largest ? largest : error;
    auto percent = [](double error) {
      return std::isnan(error) ? formatNumber(error)
                               : formatNumber(100 * error, 3) + " %";
    };
    row({"<code>" + escape(state.name) + "</code>",
         percent(state.errors.front()), percent(largest),
         percent(state.errors.back()), formatTimes(ratio)},
        numbers);
  }
  out << "</table></div>\n";
}

void Page::speed() {
  out << "<h2>Speed</h2>\n";
  if (!report.speedProblem.empty()) {
    out << "<p class=\"soft\">" << escape(report.speedProblem) << ".</p>\n";
    return;
  }
  out << "<p class=\"soft\">Medians in one run, both by turns, one thread, on "
         "this machine: "
      << escape(report.host) << ".</p>\n<div class=\"wide\"><table>\n";
  bool numbers[] = {false, true, true, true, true};
  row({"Call", "Frames", "Before, \xC2\xB5s", "After, \xC2\xB5s", "Faster"},
      numbers, "th");
  for (const SpeedReport &entry : report.speed)
    row({escape(entry.what) + (entry.frames ? ", per frame" : ""),
         entry.frames ? formatCount(entry.frames) : "",
         formatNumber(entry.before), formatNumber(entry.after),
         formatNumber(entry.before / entry.after, 3) + "\xC3\x97"},
        numbers);
  out << "</table></div>\n";
}

std::string Page::write() {
  head();
  tiles();
  sizes();
  linears();
  outputs();
  states();
  speed();
  if (!report.weights.empty())
    weights("All weights", to_vector(seq<size_t>(0, report.weights.size())));
  out << "</body></html>\n";
  return result;
}

std::string itera::formatHtml(const QuantizationReport &report) {
  return Page(report).write();
}
