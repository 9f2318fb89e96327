// SPDX-License-Identifier: Apache-2.0
//
// Streams against naive loops: however the frames are cut into calls, the same
// numbers come out, and the same counts.

#include "StreamModel.h"

using namespace itera;

static const char *const models[] = {"stream", "stream-auto", "lookahead"};

static void beginIfNeeded(Stream &stream, const std::vector<Frames> &inputs) {
  if (stream.api->input_count() > 1)
    ASSERT_EQ(stream.begin(inputs), ITERA_OK) << stream.error();
}

/// Runs one stream whose calls end at the positions that `cuts` has as bits.
static void expectSplit(StreamModel &model, const std::vector<Frames> &inputs,
                        uint32_t cuts) {
  Stream stream(model.api, model.model);
  beginIfNeeded(stream, inputs);
  size_t length = inputs[0].frames;
  for (size_t start = 0, end = 1; end <= length; ++end) {
    if (end < length && !(cuts >> (end - 1) & 1))
      continue;
    ASSERT_EQ(stream.feed(inputs, start, end - start), ITERA_OK)
        << stream.error();
    start = end;
    ASSERT_EQ(model.api->position(stream.session), end);
  }
  ASSERT_EQ(stream.finish(), ITERA_OK) << stream.error();
  ASSERT_EQ(stream.outputs, expectOutputs(model.api, inputs))
      << "length " << length << ", cuts " << cuts;
}

TEST(Stream, EverySplitOfShortStreams) {
  for (const char *name : models) {
    SCOPED_TRACE(name);
    StreamModel model(name);
    for (size_t length = 0; length <= 9; ++length) {
      std::vector<Frames> inputs = makeInputs(model.api, length);
      for (uint32_t cuts = 0; cuts < (length ? 1u << (length - 1) : 1); ++cuts)
        expectSplit(model, inputs, cuts);
      if (HasFatalFailure())
        return;
    }
  }
}

TEST(Stream, LongerStreams) {
  for (const char *name : models) {
    SCOPED_TRACE(name);
    StreamModel model(name);
    for (size_t length : {13, 31, 32, 33, 100})
      for (size_t call : {1, 2, 3, 4, 5, 7, 8, 9, 16, 31, 100}) {
        std::vector<Frames> inputs = makeInputs(model.api, length, call);
        Stream stream(model.api, model.model);
        beginIfNeeded(stream, inputs);
        for (size_t start = 0; start < length; start += call)
          ASSERT_EQ(stream.feed(inputs, start, std::min(call, length - start)),
                    ITERA_OK);
        ASSERT_EQ(stream.feed(inputs, 0, 0), ITERA_OK); // no frames, no change
        ASSERT_EQ(stream.finish(), ITERA_OK);
        ASSERT_EQ(stream.outputs, expectOutputs(model.api, inputs))
            << length << ' ' << call;
      }
  }
}

TEST(Stream, StepIsPrefillOfOne) {
  for (const char *name : models) {
    SCOPED_TRACE(name);
    StreamModel model(name);
    std::vector<Frames> inputs = makeInputs(model.api, 20);
    Stream stream(model.api, model.model);
    beginIfNeeded(stream, inputs);
    for (size_t t = 0; t < 20; ++t)
      ASSERT_EQ(stream.feed(inputs, t, 1, /*step=*/true), ITERA_OK);
    ASSERT_EQ(stream.finish(), ITERA_OK);
    ASSERT_EQ(stream.outputs, expectOutputs(model.api, inputs));
  }
}

TEST(Stream, PeekIsFinishOfAClone) {
  for (const char *name : models) {
    SCOPED_TRACE(name);
    StreamModel model(name);
    std::vector<Frames> inputs = makeInputs(model.api, 12);
    Stream stream(model.api, model.model);
    beginIfNeeded(stream, inputs);
    for (size_t t = 0; t <= 12; ++t) {
      Bytes before = stream.save();
      itera_session *cloned;
      ASSERT_EQ(model.api->session_clone(stream.session, &cloned), ITERA_OK);
      Stream clone(model.api, cloned);
      EXPECT_EQ(clone.save(), before);
      ASSERT_EQ(clone.finish(), ITERA_OK);
      std::vector<Frames> kept = stream.outputs;
      stream.clearOutputs();
      ASSERT_EQ(stream.peek(), ITERA_OK);
      EXPECT_EQ(stream.outputs, clone.outputs);
      stream.outputs = kept;
      EXPECT_EQ(stream.save(), before);
      if (t < 12)
        ASSERT_EQ(stream.feed(inputs, t, 1), ITERA_OK);
    }
    ASSERT_EQ(stream.finish(), ITERA_OK);
    EXPECT_EQ(stream.outputs, expectOutputs(model.api, inputs));
  }
}

TEST(Stream, MissingInitialStatesAreZeros) {
  StreamModel model("stream");
  std::vector<Frames> inputs = makeInputs(model.api, 5);
  Stream stream(model.api, model.model);
  const void *pointers[] = {nullptr, nullptr, inputs[2].bytes.data()};
  for (size_t bytes : {size_t(0), inputs[1].bytes.size()}) {
    // After another begin, so that zeros are not just what was there.
    ASSERT_EQ(stream.begin(inputs), ITERA_OK);
    size_t sizes[] = {0, bytes, inputs[2].bytes.size()};
    ASSERT_EQ(model.api->begin(stream.session, pointers, sizes, 3), ITERA_OK)
        << stream.error();
    stream.clearOutputs();
    ASSERT_EQ(stream.feed(inputs, 0, 5), ITERA_OK);
    ASSERT_EQ(stream.finish(), ITERA_OK);
    std::vector<Frames> zeroed = inputs;
    std::fill(zeroed[1].bytes.begin(), zeroed[1].bytes.end(), 0);
    EXPECT_EQ(stream.outputs, expectStream(model.api, zeroed));
  }
}

TEST(Stream, BeginsByItselfWithZeros) {
  StreamModel model("stream-auto");
  std::vector<Frames> inputs = makeInputs(model.api, 7);
  Stream stream(model.api, model.model);
  ASSERT_EQ(stream.feed(inputs, 0, 7), ITERA_OK) << stream.error();
  ASSERT_EQ(stream.finish(), ITERA_OK);
  std::fill(inputs[1].bytes.begin(), inputs[1].bytes.end(), 0);
  EXPECT_EQ(stream.outputs, expectStream(model.api, inputs));
}

TEST(Stream, FramesToComeAreAFunctionOfThePosition) {
  StreamModel model("lookahead");
  std::vector<Frames> inputs = makeInputs(model.api, 9);
  Stream stream(model.api, model.model);
  const itera_model_api *api = model.api;
  for (size_t t = 0; t <= 9; ++t) {
    auto y = [](size_t n) { return n < 1 ? 0 : (n - 1) / 2; };
    auto z = [](size_t n) { return n < 2 ? 0 : n - 2; };
    for (size_t n : {0, 1, 2, 5, 1000}) {
      EXPECT_EQ(api->frames_after(stream.session, n, 0), y(t + n) - y(t));
      EXPECT_EQ(api->frames_after(stream.session, n, 1), z(t + n) - z(t));
      EXPECT_EQ(api->frames_after(stream.session, n, 2), 2 * n);
      EXPECT_EQ(api->frames_after(stream.session, n, 3), 0u);
      EXPECT_EQ(api->frames_after(stream.session, n, 5), 0u);
    }
    EXPECT_EQ(api->frames_total(t, 0), (t + 1) / 2);
    EXPECT_EQ(api->frames_total(t, 1), t);
    EXPECT_EQ(api->frames_total(t, 2), 2 * t);
    EXPECT_EQ(api->frames_total(t, 3), 0u);
    EXPECT_EQ(api->frames_total(t, 5), 0u);
    EXPECT_EQ(api->frames_left(stream.session, 0), (t + 1) / 2 - y(t));
    EXPECT_EQ(api->frames_left(stream.session, 1), t - z(t));
    EXPECT_EQ(api->frames_left(stream.session, 2), 0u);
    EXPECT_EQ(api->frames_left(stream.session, 3), 0u);
    EXPECT_EQ(api->frames_left(stream.session, UINT32_MAX), 0u);
    if (t < 9)
      ASSERT_EQ(stream.feed(inputs, t, 1), ITERA_OK);
  }
  // More than a stream may have.
  EXPECT_EQ(api->frames_after(stream.session, UINT64_MAX, 2), 0u);
  ASSERT_EQ(stream.finish(), ITERA_OK);
  EXPECT_EQ(api->frames_after(stream.session, 5, 2), 0u);
  EXPECT_EQ(api->frames_left(stream.session, 1), 0u);
  EXPECT_EQ(api->frames_after(nullptr, 5, 2), 0u);
  EXPECT_EQ(api->frames_left(nullptr, 1), 0u);
  EXPECT_EQ(api->position(nullptr), 0u);
}

/// Runs forward on whole inputs of any length.
static itera_status forward(Stream &stream, std::vector<Frames> &inputs,
                            std::vector<Frames> expected) {
  std::vector<const void *> pointers;
  std::vector<size_t> bytes;
  for (Frames &input : inputs) {
    pointers.push_back(input.bytes.data());
    bytes.push_back(input.bytes.size());
  }
  OutputBuffers buffers;
  for (Frames &output : expected)
    buffers.add(output.bytes.size());
  itera_status status = stream.api->forward(
      stream.session, pointers.data(), bytes.data(), bytes.size(),
      buffers.pointers.data(), buffers.bytes.data(), expected.size());
  if (status == ITERA_OK) {
    EXPECT_TRUE(buffers.isIntact());
    for (size_t i = 0; i < expected.size(); ++i) {
      buffers.buffers[i].resize(buffers.bytes[i]);
      EXPECT_EQ(buffers.buffers[i], expected[i].bytes) << i;
    }
  } else {
    EXPECT_TRUE(buffers.isUntouched());
  }
  return status;
}

TEST(Stream, ForwardTakesAnyLength) {
  for (const char *name : models) {
    SCOPED_TRACE(name);
    StreamModel model(name);
    Stream stream(model.api, model.model);
    size_t own = model.api->input_info(0)->dims[1];
    for (size_t length = 0; length <= 21; ++length) {
      std::vector<Frames> inputs = makeInputs(model.api, length, length);
      EXPECT_EQ(forward(stream, inputs, expectOutputs(model.api, inputs)),
                ITERA_OK)
          << stream.error();
      // The file's own length leaves the stream alone: finished, as it was.
      EXPECT_EQ(model.api->position(stream.session),
                length == own ? own - 1 : length);
      if (length)
        EXPECT_EQ(stream.feed(inputs, 0, 1), ITERA_ERROR_OUT_OF_ORDER);
    }
  }
}

TEST(Stream, ForwardOfAnotherLengthIsChecked) {
  StreamModel model("stream");
  Stream stream(model.api, model.model);
  std::vector<Frames> inputs = makeInputs(model.api, 4);
  ASSERT_EQ(stream.begin(inputs), ITERA_OK);
  Bytes before = stream.save();
  std::vector<Frames> expected = expectStream(model.api, inputs);
  auto expectRefused = [&](const char *text, std::vector<Frames> in,
                           std::vector<Frames> out) {
    EXPECT_EQ(forward(stream, in, out), ITERA_ERROR_INVALID_ARGUMENT);
    EXPECT_EQ(stream.error(), text);
    EXPECT_EQ(stream.save(), before);
  };
  std::vector<Frames> bad = inputs;
  bad[0].bytes.resize(4 * 24 + 8);
  expectRefused("input 'x': expected a multiple of 24 bytes, one frame, but "
                "got 104",
                bad, expected);
  bad = expected;
  bad[0].bytes.resize(5 * 24);
  expectRefused("output 'y': expected 96 bytes for 4 frames, but got 120",
                inputs, bad);
  bad = inputs;
  bad[2].bytes.clear();
  expectRefused("input 'gain': expected 12 bytes, but got 0", bad, expected);
  // Still the same stream.
  ASSERT_EQ(stream.feed(inputs, 0, 4), ITERA_OK);
  ASSERT_EQ(stream.finish(), ITERA_OK);
  EXPECT_EQ(stream.outputs, expected);
}

TEST(Stream, AMillionSteps) {
  StreamModel model("stream-auto");
  const itera_model_api *api = model.api;
  Stream stream(api, model.model);
  float x[6] = {}, y[6];
  const void *inputs[] = {x, nullptr};
  void *outputs[] = {y, nullptr};
  size_t bytes[] = {24, 0};
  uint64_t frames[2];
  double sum = 0;
  for (int t = 0; t < 1000000; ++t) {
    x[5] = float(t % 3 - 1);
    sum += x[5];
    ASSERT_EQ(
        api->step(stream.session, inputs, bytes, 2, outputs, bytes, 2, frames),
        ITERA_OK);
    ASSERT_EQ(frames[0], 1u);
    ASSERT_EQ(frames[1], 0u);
    // x[t] + 2 x[t-1] + 3 x[t-2] + sum, in the last channel.
    float before = t > 0 ? float((t + 2) % 3 - 1) : 0;
    float first = t > 1 ? float((t + 1) % 3 - 1) : 0;
    ASSERT_EQ(y[5], x[5] + 2 * before + 3 * first + float(sum)) << t;
    ASSERT_EQ(y[0], 0);
  }
  EXPECT_EQ(api->position(stream.session), 1000000u);
}
