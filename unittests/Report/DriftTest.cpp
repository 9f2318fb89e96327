// SPDX-License-Identifier: Apache-2.0

#include "itera/Report/Report.h"
#include "llvm/Support/JSON.h"
#include "gtest/gtest.h"
#include <cmath>

using namespace itera;
using namespace llvm;

namespace {

/// A text of twenty parts and a stream of eight points.
QuantizationReport makeReport() {
  QuantizationReport report;
  LanguageReport language;
  for (int i = 0; i < 20; ++i) {
    language.partEnds.push_back(100 * (i + 1));
    language.partsKl.push_back(i + 1);
  }
  report.language = language;
  report.states.frames = {1, 2, 3, 4, 5, 6, 7, 8};
  report.states.states = {{"flat", "", {0, 9, 2, 2, 9, 9, 2, 2}},
                          {"grows", "", {0, 9, 1, 3, 9, 9, 2, 4}},
                          {"exact", "", {0, 0, 0, 0, 0, 0, 0, 0}}};
  return report;
}

TEST(Drift, LateErrorsOverEarlyOnes) {
  DriftReport drift = measureDrift(makeReport());
  EXPECT_EQ(drift.klFirst, 1.5); // parts 1 and 2
  EXPECT_EQ(drift.klLast, 19.5); // parts 19 and 20
  EXPECT_EQ(drift.getKlRatio(), 13);
  ASSERT_EQ(drift.stateRatios.size(), 3u);
  EXPECT_EQ(drift.stateRatios[0], 1);
  EXPECT_EQ(drift.stateRatios[1], 1.5);
  EXPECT_TRUE(std::isnan(drift.stateRatios[2]));
  EXPECT_EQ(drift.worstState, 1u);
}

TEST(Drift, TooFewPointsHaveNone) {
  QuantizationReport report = makeReport();
  report.language->partsKl.resize(9);
  for (StateReport &state : report.states.states)
    state.errors.resize(3);
  DriftReport drift = measureDrift(report);
  EXPECT_TRUE(std::isnan(drift.getKlRatio()));
  EXPECT_TRUE(std::isnan(drift.stateRatios[1]));
  EXPECT_FALSE(drift.worstState);
  drift = measureDrift({});
  EXPECT_TRUE(std::isnan(drift.getKlRatio()));
  EXPECT_FALSE(drift.worstState);
}

TEST(Drift, WindowsAreNoStream) {
  QuantizationReport report = makeReport();
  report.language->hasWindows = true;
  EXPECT_TRUE(std::isnan(measureDrift(report).getKlRatio()));
  EXPECT_NE(formatHtml(report).find("begins anew at each window"),
            std::string::npos);
}

TEST(Drift, BothFilesTellIt) {
  QuantizationReport report = makeReport();
  Expected<json::Value> value = json::parse(formatJson(report));
  ASSERT_TRUE(bool(value)) << toString(value.takeError());
  const json::Object &drift = *value->getAsObject()->getObject("drift");
  EXPECT_EQ(drift.getNumber("kl_first_tenth"), 1.5);
  EXPECT_EQ(drift.getNumber("kl_last_tenth"), 19.5);
  EXPECT_EQ(drift.getNumber("kl_last_over_first"), 13);
  EXPECT_EQ(drift.getNumber("state_last_over_second_quarter"), 1.5);
  EXPECT_EQ(drift.getString("worst_state"), "grows");
  std::string page = formatHtml(report);
  for (StringRef text :
       {"KL divergence, last tenth of the text to the first",
        "state error, last quarter to the second, at worst",
        "1.5 in the first tenth, 19.5 in the last (13\xC3\x97)",
        "up to token 2,000"})
    EXPECT_NE(page.find(text), std::string::npos) << text.str();
}

} // namespace
