// SPDX-License-Identifier: Apache-2.0
//
// Frames that are taken back: the stream goes on as if they had never been.

#include "StreamModel.h"

using namespace itera;

namespace {

/// The model of test/Runtime/Inputs/rollback.c and streams of it.
struct Rollback : testing::Test {
  static constexpr size_t length = 14;
  StreamModel model{"rollback"};
  const itera_model_api *api = model.api;
  std::vector<Frames> inputs = makeInputs(api, length);
  std::vector<Frames> others = makeInputs(api, length, 77);

  std::vector<Frames> expectFrom(size_t start) {
    int C = 2, T = int(length);
    std::vector<Frames> outputs{Frames::make(*api->output_info(0)),
                                Frames::make(*api->output_info(1))};
    outputs[0].bytes.resize(length * C * 4);
    outputs[0].frames = length;
    outputs[1].bytes.resize(C * 4);
    outputs[1].frames = 1;
    for (int c = 0; c < C; ++c) {
      float sum = 0;
      for (int t = 0; t < T; ++t) {
        sum = sum / 2 + at(inputs[0], t * C + c);
        at(outputs[0], t * C + c) =
            sum + (t ? at(inputs[0], (t - 1) * C + c) : 0);
      }
      at(outputs[1], c) = sum;
    }
    outputs[0] = outputs[0].slice(start, length - start);
    return outputs;
  }

  /// The rest of the stream, from `start`, in calls of `count` frames.
  void expectRest(Stream &stream, size_t start, size_t count) {
    stream.clearOutputs();
    for (size_t t = start; t < length; t += count)
      ASSERT_EQ(stream.feed(inputs, t, std::min(count, length - t)), ITERA_OK);
    ASSERT_EQ(stream.finish(), ITERA_OK);
    EXPECT_EQ(stream.outputs, expectFrom(start)) << start;
  }

  void refuse(Stream &stream, uint64_t frames, uint64_t most) {
    Bytes before = stream.save();
    EXPECT_EQ(api->rollback(stream.session, frames),
              ITERA_ERROR_INVALID_ARGUMENT);
    EXPECT_EQ(stream.error(), "expected at most " + std::to_string(most) +
                                  " frames to take back, but got " +
                                  std::to_string(frames));
    EXPECT_EQ(stream.save(), before);
  }
};

} // namespace

TEST_F(Rollback, EveryWhereByEveryNumber) {
  EXPECT_EQ(api->rollback_window(), 3u);
  for (size_t count : {1, 2, 4, 6})
    for (size_t t = 0; t <= length; ++t) {
      uint64_t most = std::min<size_t>(t, 3);
      for (uint64_t n = 0; n <= most; ++n) {
        Stream stream(api, model.model);
        for (size_t k = 0; k < t; k += count)
          ASSERT_EQ(stream.feed(inputs, k, std::min(count, t - k)), ITERA_OK);
        refuse(stream, most + 1, most);
        refuse(stream, UINT64_MAX, most);
        ASSERT_EQ(api->rollback(stream.session, n), ITERA_OK);
        EXPECT_EQ(api->position(stream.session), t - n);
        refuse(stream, most - n + 1, most - n);
        expectRest(stream, t - n, count);
      }
    }
}

TEST_F(Rollback, WhatWasTakenBackLeavesNoTrace) {
  Stream stream(api, model.model), clean(api, model.model);
  for (size_t t = 0; t + 3 < length; ++t) {
    for (size_t n = 1; n <= 3; ++n) {
      ASSERT_EQ(stream.feed(others, t, n), ITERA_OK);
      ASSERT_EQ(api->rollback(stream.session, n), ITERA_OK);
    }
    ASSERT_EQ(stream.feed(inputs, t, 1), ITERA_OK);
    ASSERT_EQ(clean.feed(inputs, t, 1), ITERA_OK);
    Stream copy(api, model.model);
    ASSERT_EQ(copy.load(stream.save()), ITERA_OK);
    expectRest(copy, t + 1, 4);
  }
  // As soon as all that can be taken back is new, the bytes are the same.
  ASSERT_EQ(stream.feed(inputs, length - 3, 3), ITERA_OK);
  ASSERT_EQ(clean.feed(inputs, length - 3, 3), ITERA_OK);
  EXPECT_EQ(stream.save(), clean.save());
}

TEST_F(Rollback, GoesOnInBlobsAndClones) {
  Stream stream(api, model.model);
  ASSERT_EQ(stream.feed(inputs, 0, 7), ITERA_OK);
  ASSERT_EQ(api->rollback(stream.session, 1), ITERA_OK);
  Stream loaded(api, model.model);
  ASSERT_EQ(loaded.load(stream.save()), ITERA_OK);
  itera_session *cloned;
  ASSERT_EQ(api->session_clone(stream.session, &cloned), ITERA_OK);
  Stream clone(api, cloned);
  for (Stream *other : {&loaded, &clone, &stream}) {
    refuse(*other, 3, 2);
    ASSERT_EQ(api->rollback(other->session, 2), ITERA_OK);
    EXPECT_EQ(api->position(other->session), 4u);
    refuse(*other, 1, 0);
    expectRest(*other, 4, 3);
  }
}

TEST_F(Rollback, EndsWhereAStreamBeginsOrEnds) {
  Stream stream(api, model.model);
  ASSERT_EQ(stream.feed(inputs, 0, 5), ITERA_OK);
  ASSERT_EQ(stream.finish(), ITERA_OK);
  EXPECT_EQ(api->rollback(stream.session, 1), ITERA_ERROR_OUT_OF_ORDER);
  EXPECT_EQ(stream.error(), "the stream is finished: call begin, state_reset or "
                            "state_load first");
  ASSERT_EQ(api->state_reset(stream.session), ITERA_OK);
  refuse(stream, 1, 0);
  EXPECT_EQ(api->rollback(nullptr, 1), ITERA_ERROR_INVALID_ARGUMENT);
}

TEST_F(Rollback, AWrittenStateIsNotTakenBack) {
  Stream stream(api, model.model);
  ASSERT_EQ(stream.feed(inputs, 0, 6), ITERA_OK);
  float sum[2] = {3, 5}, base[2];
  ASSERT_EQ(api->state_write(stream.session, 1, sum, 8), ITERA_OK);
  ASSERT_EQ(api->state_read(stream.session, 2, base, 8), ITERA_OK);
  EXPECT_EQ(base[0], 3);
  EXPECT_EQ(base[1], 5);
  refuse(stream, 1, 0);
  Stream same(api, model.model);
  ASSERT_EQ(same.load(stream.save()), ITERA_OK);
  ASSERT_EQ(stream.feed(inputs, 6, 2), ITERA_OK);
  ASSERT_EQ(api->rollback(stream.session, 2), ITERA_OK);
  for (Stream *one : {&stream, &same}) {
    one->clearOutputs();
    ASSERT_EQ(one->feed(inputs, 6, 5), ITERA_OK);
  }
  EXPECT_EQ(stream.outputs, same.outputs);
}
