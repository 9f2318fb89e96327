// SPDX-License-Identifier: Apache-2.0

#include "itera/Report/Report.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/JSON.h"
#include "gtest/gtest.h"
#include <cmath>

using namespace itera;
using namespace llvm;

namespace {

constexpr StringLiteral kHostile = "</script><b onload='x'>&\"\x01\xff\n";

QuantizationReport makeReport() {
  QuantizationReport report;
  report.model = report.file = report.commandLine = kHostile.str();
  report.fileBefore = 2000;
  report.fileAfter = 700;
  report.imageBefore = 1000;
  report.imageAfter = 320;
  report.data = "text";
  report.dataFile = kHostile.str();
  for (int i = 0; i < 12; ++i) {
    WeightReport weight;
    weight.name = i == 3 ? kHostile.str() : "w" + std::to_string(i);
    weight.kind = "projection";
    weight.storage = i % 3 ? "i4" : "i8";
    weight.n = weight.k = 4;
    weight.bytesBefore = 64;
    weight.bytesAfter = 10 + i;
    weight.localRatio = i == 5 ? INFINITY : i == 6 ? kNotMeasured : 50 - i;
    weight.cumulativeRatio = 30;
    report.weights.push_back(weight);
  }
  report.outputs.push_back({kHostile.str(), 0.5, 0.99, 20});
  LanguageReport language;
  language.tokens = 11;
  language.scored = 10;
  language.nllBefore = 1;
  language.nllAfter = INFINITY;
  language.partEnds = {4, 7, 11};
  language.partsKl = {0.1, INFINITY, 0.3};
  language.partsBefore = {1, 2, 1};
  language.partsAfter = {1.1, INFINITY, 1.2};
  report.language = language;
  report.states.frames = {4, 8};
  report.states.states = {{kHostile.str(), "", {0.0, 0.1}},
                          {"other", "", {kNotMeasured, INFINITY}}};
  report.speed.push_back({"step", 32, 2.0, 1.0});
  report.notes.push_back(kHostile.str());
  return report;
}

/// Checks that every tag is closed in order and that quotes are; returns the
/// first place that is not so.
std::string findFault(StringRef page) {
  std::vector<std::string> open;
  while (true) {
    auto [text, rest] = page.split('<');
    if (text.contains('>'))
      return ("'>' in text: " + text).str();
    for (char c : text)
      if (static_cast<unsigned char>(c) < 0x20 && c != '\n')
        return "a control character";
    if (rest.empty())
      return open.empty() ? "" : "open: " + open.back();
    auto [tag, after] = rest.split('>');
    page = after;
    if (tag.starts_with("!DOCTYPE"))
      continue;
    if (tag.count('"') % 2)
      return ("quotes: " + tag).str();
    if (tag.consume_front("/")) {
      if (open.empty() || open.back() != tag)
        return ("closed: " + tag).str();
      open.pop_back();
    } else if (!tag.ends_with("/")) {
      open.push_back(tag.take_until(isSpace).str());
    }
  }
}

TEST(Html, IsWellFormed) {
  EXPECT_EQ(findFault(formatHtml(makeReport())), "");
  EXPECT_EQ(findFault(formatHtml({})), "");
  EXPECT_NE(findFault("<p><b></p></b>"), "");
}

TEST(Html, NeedsNothingElse) {
  std::string page = formatHtml(makeReport());
  for (StringRef word : {"http:", "https:", "<script", "src=", "url(", "@import"})
    EXPECT_EQ(page.find(word), std::string::npos) << word.str();
}

TEST(Html, HostileNamesAreText) {
  std::string page = formatHtml(makeReport());
  EXPECT_EQ(page.find("<b onload"), std::string::npos);
  EXPECT_EQ(page.find("</script"), std::string::npos);
  EXPECT_NE(page.find("&lt;/script&gt;&lt;b onload=&#39;x&#39;&gt;&amp;&quot;"),
            std::string::npos);
}

TEST(Html, SaysWhatWasNotMeasured) {
  QuantizationReport report = makeReport();
  report.language.reset();
  report.languageProblem = "no ids";
  report.states = {"the model does not stream", {}, {}};
  report.speed.clear();
  report.speedProblem = "not measured";
  report.data = "random";
  std::string page = formatHtml(report);
  EXPECT_EQ(findFault(page), "");
  for (StringRef text : {"Not read as logits: no ids.", "does not stream.",
                         "not measured.", "Measured with random inputs"})
    EXPECT_NE(page.find(text), std::string::npos) << text.str();
}

TEST(Json, SumsAndWorst) {
  QuantizationReport report = makeReport();
  Expected<json::Value> value = json::parse(formatJson(report));
  ASSERT_TRUE(bool(value)) << toString(value.takeError());
  const json::Object &object = *value->getAsObject();
  int64_t before = 0, after = 0, weights = 0;
  for (const json::Value &sum :
       *object.getObject("sizes")->getArray("by_storage")) {
    before += *sum.getAsObject()->getInteger("bytes_before");
    after += *sum.getAsObject()->getInteger("bytes_after");
    weights += *sum.getAsObject()->getInteger("weights");
  }
  EXPECT_EQ(before, 1000);
  EXPECT_EQ(after, 320);
  EXPECT_EQ(weights, 12);
  // Ten of twelve: one is exact and one was not measured.
  const json::Array &worst = *object.getArray("worst");
  ASSERT_EQ(worst.size(), 10u);
  EXPECT_EQ(*worst[0].getAsString(), "w11");
  EXPECT_EQ(*worst[9].getAsString(), "w0");
}

TEST(Json, NumbersThatAreNone) {
  Expected<json::Value> value = json::parse(formatJson(makeReport()));
  ASSERT_TRUE(bool(value)) << toString(value.takeError());
  const json::Object &object = *value->getAsObject();
  const json::Array &weights = *object.getArray("weights");
  EXPECT_EQ(weights[5].getAsObject()->getString("sqnr_local_db"), "exact");
  EXPECT_TRUE(weights[6].getAsObject()->getNull("sqnr_local_db"));
  const json::Object &language = *object.getObject("language");
  EXPECT_TRUE(language.getNull("perplexity_after"));
  EXPECT_NEAR(*language.getNumber("perplexity_before"), std::exp(1.0), 1e-12);
  const json::Array &curves = *object.getObject("states")->getArray("curves");
  EXPECT_TRUE(
      (*curves[1].getAsObject()->getArray("relative_errors"))[1].getAsNull());
  // The same bytes each time.
  EXPECT_EQ(formatJson(makeReport()), formatJson(makeReport()));
}

} // namespace
