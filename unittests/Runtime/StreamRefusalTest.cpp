// SPDX-License-Identifier: Apache-2.0
//
// Every wrong call of a stream is refused with a code and a text. It changes
// neither the stream nor an output.

#include "StreamModel.h"
#include <functional>

using namespace itera;

namespace {

/// The arguments of prefill on the model stream, for three frames.
struct FeedCall {
  alignas(8) float x[18] = {}, y[18];
  const void *inputs[3] = {x, nullptr, nullptr};
  size_t inputBytes[3] = {72, 0, 0};
  void *outputs[2] = {y, nullptr};
  size_t outputBytes[2] = {72, 0};
  uint32_t inputCount = 3, outputCount = 2;
  uint64_t frames = 3, outputFrames[2] = {99, 99};
  uint64_t *outputFramesPointer = outputFrames;

  FeedCall() { std::fill(y, y + 18, -1.0f); }
  itera_status run(const itera_model_api *api, itera_session *session) {
    return api->prefill(session, frames, inputs, inputBytes, inputCount,
                        outputs, outputBytes, outputCount, outputFramesPointer);
  }
  bool isUntouched() const {
    for (float value : y)
      if (value != -1)
        return false;
    return outputFrames[0] == 99 && outputFrames[1] == 99;
  }
};

struct StreamRefusal : testing::Test {
  StreamModel model{"stream"};
  const itera_model_api *api = model.api;
  std::vector<Frames> inputs = makeInputs(api, 20);
  Stream stream{api, model.model};

  void SetUp() override {
    ASSERT_EQ(stream.begin(inputs), ITERA_OK);
    ASSERT_EQ(stream.feed(inputs, 0, 2), ITERA_OK);
  }

  /// Runs a call that `damage` has made wrong.
  void expectRefused(const char *text, std::function<void(FeedCall &)> damage,
                     itera_status expected = ITERA_ERROR_INVALID_ARGUMENT) {
    Bytes before = stream.save();
    FeedCall call;
    damage(call);
    EXPECT_EQ(call.run(api, stream.session), expected);
    EXPECT_EQ(stream.error(), text);
    EXPECT_TRUE(call.isUntouched());
    EXPECT_EQ(stream.save(), before);
    EXPECT_EQ(api->position(stream.session), 2u);
  }
  /// The stream goes on as if nothing had happened.
  void TearDown() override {
    ASSERT_EQ(stream.feed(inputs, 2, 18), ITERA_OK);
    EXPECT_EQ(stream.error(), "");
    ASSERT_EQ(stream.finish(), ITERA_OK);
    EXPECT_EQ(stream.outputs, expectStream(api, inputs));
  }
};

} // namespace

TEST_F(StreamRefusal, Counts) {
  expectRefused("inputs: expected 3, but got 2",
                [](FeedCall &call) { call.inputCount = 2; });
  expectRefused("outputs: expected 2, but got 4294967295",
                [](FeedCall &call) { call.outputCount = UINT32_MAX; });
}

TEST_F(StreamRefusal, Lengths) {
  for (size_t bytes : {size_t(0), size_t(71), size_t(96), SIZE_MAX})
    expectRefused(("input 'x': expected 72 bytes for 3 frames, but got " +
                   std::to_string(bytes))
                      .c_str(),
                  [=](FeedCall &call) { call.inputBytes[0] = bytes; });
  for (size_t bytes : {size_t(0), size_t(71)})
    expectRefused(("output 'y': expected at least 72 bytes for 3 frames, but "
                   "got " +
                   std::to_string(bytes))
                      .c_str(),
                  [=](FeedCall &call) { call.outputBytes[0] = bytes; });
  expectRefused("input 'x': expected 24 bytes for 1 frame, but got 72",
                [](FeedCall &call) { call.frames = 1; });
}

TEST_F(StreamRefusal, MoreFramesThanMemory) {
  expectRefused("input 'x': expected 18446744073709551615 bytes for "
                "3074457345618258602 frames, but got 72",
                [](FeedCall &call) { call.frames = UINT64_MAX / 6; });
  expectRefused("input 'x': the buffer passes the end of memory",
                [](FeedCall &call) {
                  call.frames = UINT64_MAX / 6;
                  call.inputBytes[0] = SIZE_MAX;
                });
}

TEST_F(StreamRefusal, MoreFramesThanAStreamHas) {
  for (uint64_t frames : {UINT64_MAX, UINT64_MAX - 2, uint64_t(INT64_MAX)}) {
    expectRefused(("expected at most 9223372036854775806 frames in a stream, "
                   "but got " +
                   std::to_string(frames) + " after the first 2")
                      .c_str(),
                  [=](FeedCall &call) { call.frames = frames; },
                  ITERA_ERROR_END_OF_POSITIONS);
  }
}

TEST_F(StreamRefusal, NullPointers) {
  expectRefused("input 'x': the pointer is null",
                [](FeedCall &call) { call.inputs[0] = nullptr; });
  expectRefused("output 'y': the pointer is null",
                [](FeedCall &call) { call.outputs[0] = nullptr; });
  expectRefused("output_frames: the pointer is null",
                [](FeedCall &call) { call.outputFramesPointer = nullptr; });
}

TEST_F(StreamRefusal, Alignment) {
  expectRefused("input 'x': the pointer is not aligned to the element size",
                [](FeedCall &call) {
                  call.inputs[0] = reinterpret_cast<char *>(call.x) + 1;
                });
  expectRefused("output 'y': the pointer is not aligned to the element size",
                [](FeedCall &call) {
                  call.outputs[0] = reinterpret_cast<char *>(call.y) + 2;
                });
  expectRefused("output_frames: the pointer is not aligned",
                [](FeedCall &call) {
                  call.outputFramesPointer = reinterpret_cast<uint64_t *>(
                      reinterpret_cast<char *>(call.outputFrames) + 4);
                });
}

TEST_F(StreamRefusal, Overlap) {
  expectRefused("output 'y': the buffer overlaps an input's",
                [](FeedCall &call) { call.outputs[0] = &call.x[17]; });
}

TEST_F(StreamRefusal, UnusedEntriesAreIgnored) {
  FeedCall call;
  call.inputs[1] = call.inputs[2] = reinterpret_cast<void *>(1);
  call.inputBytes[2] = SIZE_MAX;
  call.outputs[1] = call.y;
  call.outputBytes[1] = 5;
  call.frames = 0;
  call.inputBytes[0] = 0;
  EXPECT_EQ(call.run(api, stream.session), ITERA_OK) << stream.error();
  EXPECT_EQ(call.outputFrames[0], 0u);
  EXPECT_EQ(call.y[0], -1);
}

TEST_F(StreamRefusal, Begin) {
  FeedCall call;
  float gain[3] = {}, init[6] = {};
  Bytes before = stream.save();
  auto begin = [&](const void *initPointer, size_t initBytes,
                   const void *gainPointer, size_t gainBytes) {
    const void *pointers[] = {nullptr, initPointer, gainPointer};
    size_t bytes[] = {0, initBytes, gainBytes};
    EXPECT_EQ(api->begin(stream.session, pointers, bytes, 3),
              ITERA_ERROR_INVALID_ARGUMENT);
    std::string error = stream.error();
    EXPECT_EQ(stream.save(), before);
    return error;
  };
  EXPECT_EQ(begin(init, 24, nullptr, 12), "input 'gain': the pointer is null");
  EXPECT_EQ(begin(init, 24, gain, 8),
            "input 'gain': expected 12 bytes, but got 8");
  EXPECT_EQ(begin(init, 20, gain, 12),
            "input 'init': expected 24 bytes, but got 20");
  EXPECT_EQ(begin(init, 0, gain, 12),
            "input 'init': expected 24 bytes, but got 0");
  EXPECT_EQ(begin(nullptr, 7, gain, 12),
            "input 'init': expected 24 bytes, but got 7");
  EXPECT_EQ(api->begin(stream.session, nullptr, nullptr, 3),
            ITERA_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(stream.error(), "inputs: the array of pointers is null");
}

TEST_F(StreamRefusal, FinishAndPeek) {
  float y[6] = {}, mean[6] = {};
  uint64_t frames[2];
  Bytes before = stream.save();
  for (auto call : {api->finish, api->peek}) {
    auto run = [&](void *first, void *last, size_t bytes, uint64_t *counts) {
      void *outputs[] = {first, last};
      size_t sizes[] = {0, bytes};
      EXPECT_EQ(call(stream.session, outputs, sizes, 2, counts),
                ITERA_ERROR_INVALID_ARGUMENT);
      std::string error = stream.error();
      EXPECT_EQ(stream.save(), before);
      return error;
    };
    EXPECT_EQ(run(y, mean, 23, frames),
              "output 'mean': expected at least 24 bytes, but got 23");
    EXPECT_EQ(run(y, nullptr, 24, frames),
              "output 'mean': the pointer is null");
    EXPECT_EQ(run(nullptr, mean, 24, nullptr),
              "output_frames: the pointer is null");
    EXPECT_EQ(call(stream.session, nullptr, nullptr, 2, frames),
              ITERA_ERROR_INVALID_ARGUMENT);
    EXPECT_EQ(mean[0], 0);
  }
}

/// Calls everything that needs a stream that goes on.
static void expectOutOfOrder(Stream &stream, const char *text) {
  const itera_model_api *api = stream.api;
  std::vector<Frames> inputs = makeInputs(api, 2);
  EXPECT_EQ(stream.feed(inputs, 0, 2), ITERA_ERROR_OUT_OF_ORDER);
  EXPECT_EQ(stream.error(), text);
  EXPECT_EQ(stream.feed(inputs, 0, 1, true), ITERA_ERROR_OUT_OF_ORDER);
  EXPECT_EQ(stream.error(), text);
  EXPECT_EQ(stream.feed(inputs, 0, 0), ITERA_ERROR_OUT_OF_ORDER);
  EXPECT_EQ(stream.finish(), ITERA_ERROR_OUT_OF_ORDER);
  EXPECT_EQ(stream.error(), text);
  EXPECT_EQ(stream.peek(), ITERA_ERROR_OUT_OF_ORDER);
  EXPECT_EQ(stream.error(), text);
}

TEST(StreamOrder, BeginComesFirst) {
  StreamModel model("stream");
  const itera_model_api *api = model.api;
  Stream stream(api, model.model);
  const char *text = "the stream has not begun: call begin first";
  Bytes before = stream.save();
  expectOutOfOrder(stream, text);
  float data[12];
  uint32_t rows[] = {0, 1};
  itera_session *session = stream.session;
  EXPECT_EQ(api->state_reset(session), ITERA_ERROR_OUT_OF_ORDER);
  EXPECT_EQ(stream.error(), text);
  EXPECT_EQ(api->state_read(session, 0, data, 48), ITERA_ERROR_OUT_OF_ORDER);
  EXPECT_EQ(api->state_write(session, 0, data, 48), ITERA_ERROR_OUT_OF_ORDER);
  EXPECT_EQ(api->state_check(session), ITERA_ERROR_OUT_OF_ORDER);
  EXPECT_EQ(api->reorder_rows(session, rows, 2), ITERA_ERROR_OUT_OF_ORDER);
  EXPECT_EQ(stream.error(), text);
  EXPECT_EQ(stream.save(), before);
  EXPECT_EQ(api->position(session), 0u);
  itera_session *cloned;
  ASSERT_EQ(api->session_clone(session, &cloned), ITERA_OK);
  Stream clone(api, cloned);
  EXPECT_EQ(clone.save(), before);
  expectOutOfOrder(clone, text);

  // Such a blob is as good as any, and brings that state of things back.
  std::vector<Frames> inputs = makeInputs(api, 3);
  ASSERT_EQ(stream.begin(inputs), ITERA_OK);
  ASSERT_EQ(stream.feed(inputs, 0, 3), ITERA_OK);
  EXPECT_NE(stream.save(), before);
  ASSERT_EQ(stream.load(before), ITERA_OK) << stream.error();
  expectOutOfOrder(stream, text);
}

TEST(StreamOrder, NothingFollowsFinish) {
  const char *text = "the stream is finished: call begin, state_reset or "
                     "state_load first";
  StreamModel model("stream");
  std::vector<Frames> inputs = makeInputs(model.api, 6);
  Stream stream(model.api, model.model);
  ASSERT_EQ(stream.begin(inputs), ITERA_OK);
  Bytes fresh = stream.save();
  for (int way = 0; way < 3; ++way) {
    stream.clearOutputs();
    ASSERT_EQ(stream.feed(inputs, 0, 6), ITERA_OK);
    ASSERT_EQ(stream.finish(), ITERA_OK);
    EXPECT_EQ(stream.outputs, expectStream(model.api, inputs));
    expectOutOfOrder(stream, text);
    // A saved end is an end.
    Bytes ended = stream.save();
    ASSERT_EQ(stream.load(ended), ITERA_OK) << stream.error();
    expectOutOfOrder(stream, text);
    EXPECT_EQ(model.api->position(stream.session), 6u);
    if (way == 0)
      ASSERT_EQ(model.api->state_reset(stream.session), ITERA_OK);
    else if (way == 1)
      ASSERT_EQ(stream.load(fresh), ITERA_OK);
    else
      ASSERT_EQ(stream.begin(inputs), ITERA_OK);
    EXPECT_EQ(stream.save(), fresh);
  }
}

TEST(StreamOrder, PositionsEnd) {
  StreamModel model("stream-short"); // of 12 frames at most
  std::vector<Frames> inputs = makeInputs(model.api, 20);
  for (Frames &input : inputs)
    if (&input != &inputs[0])
      std::fill(input.bytes.begin(), input.bytes.end(), 0);
  Stream stream(model.api, model.model);
  for (int round = 0; round < 2; ++round) {
    stream.clearOutputs();
    ASSERT_EQ(stream.feed(inputs, 0, 9), ITERA_OK);
    Bytes before = stream.save();
    EXPECT_EQ(stream.feed(inputs, 9, 4), ITERA_ERROR_END_OF_POSITIONS);
    EXPECT_EQ(stream.error(), "expected at most 12 frames in a stream, but got "
                              "4 after the first 9");
    EXPECT_EQ(stream.save(), before);
    EXPECT_EQ(model.api->frames_after(stream.session, 4, 0), 0u);
    EXPECT_EQ(model.api->frames_after(stream.session, 3, 0), 3u);
    ASSERT_EQ(stream.feed(inputs, 9, 3), ITERA_OK);
    EXPECT_EQ(stream.feed(inputs, 12, 1, true), ITERA_ERROR_END_OF_POSITIONS);
    ASSERT_EQ(stream.feed(inputs, 12, 0), ITERA_OK);
    ASSERT_EQ(stream.finish(), ITERA_OK);
    std::vector<Frames> expected = inputs;
    expected[0] = inputs[0].slice(0, 12);
    EXPECT_EQ(stream.outputs, expectStream(model.api, expected));
    ASSERT_EQ(model.api->state_reset(stream.session), ITERA_OK);
  }
  const void *pointers[] = {inputs[0].bytes.data(), nullptr};
  size_t bytes[] = {13 * 24, 0};
  Bytes y(13 * 24), mean(24);
  void *outputs[] = {y.data(), mean.data()};
  size_t outputBytes[] = {13 * 24, 24};
  EXPECT_EQ(model.api->forward(stream.session, pointers, bytes, 2, outputs,
                               outputBytes, 2),
            ITERA_ERROR_END_OF_POSITIONS);
  EXPECT_EQ(stream.error(),
            "expected at most 12 frames in a stream, but got 13");
}

TEST(StreamOrder, NullSessions) {
  StreamModel model("stream");
  const itera_model_api *api = model.api;
  FeedCall call;
  EXPECT_EQ(call.run(api, nullptr), ITERA_ERROR_INVALID_ARGUMENT);
  EXPECT_TRUE(call.isUntouched());
  itera_status invalid = ITERA_ERROR_INVALID_ARGUMENT;
  EXPECT_EQ(api->begin(nullptr, call.inputs, call.inputBytes, 3), invalid);
  EXPECT_EQ(api->step(nullptr, call.inputs, call.inputBytes, 3, call.outputs,
                      call.outputBytes, 2, call.outputFrames),
            invalid);
  EXPECT_EQ(api->finish(nullptr, call.outputs, call.outputBytes, 2,
                        call.outputFrames),
            invalid);
  EXPECT_EQ(
      api->peek(nullptr, call.outputs, call.outputBytes, 2, call.outputFrames),
      invalid);
  char data[64];
  uint32_t rows[] = {0, 1};
  EXPECT_EQ(api->state_read(nullptr, 0, data, 48), invalid);
  EXPECT_EQ(api->state_write(nullptr, 0, data, 48), invalid);
  EXPECT_EQ(api->state_reset(nullptr), invalid);
  EXPECT_EQ(api->state_save(nullptr, data, 64), invalid);
  EXPECT_EQ(api->state_load(nullptr, data, 64), invalid);
  EXPECT_EQ(api->state_check(nullptr), invalid);
  EXPECT_EQ(api->reorder_rows(nullptr, rows, 2), invalid);
  itera_session *clone = reinterpret_cast<itera_session *>(8);
  EXPECT_EQ(api->session_clone(nullptr, &clone), invalid);
  EXPECT_EQ(clone, nullptr);
  EXPECT_TRUE(call.isUntouched());
}
