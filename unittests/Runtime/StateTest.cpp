// SPDX-License-Identifier: Apache-2.0
//
// What persists between two calls: it can be read, written, saved, restored,
// copied and forgotten, and a stream never notices.

#include "StreamModel.h"
#include <cmath>
#include <limits>
#include <thread>

using namespace itera;

static const char *const models[] = {"stream", "stream-auto", "lookahead"};

TEST(State, IsDescribed) {
  StreamModel model("stream");
  const itera_model_api *api = model.api;
  ASSERT_EQ(api->state_count(), 3u);
  const itera_tensor_info *sum = api->state_info(1);
  EXPECT_STREQ(sum->name, "sum");
  EXPECT_STREQ(sum->node, "CumSum_1");
  EXPECT_EQ(sum->role, uint32_t(ITERA_ROLE_STATE));
  EXPECT_EQ(sum->bytes, 24u);
  EXPECT_EQ(api->state_info(3), nullptr);
  EXPECT_EQ(api->rollback, nullptr);
  EXPECT_EQ(api->rollback_window, nullptr);
  // Both state blocks of 3 * 64 bytes, constants of 36, x of 4 frames in
  // staging as y is, and zeros for one initial state of 24, each at a multiple
  // of 64 but the last.
  EXPECT_EQ(api->scratch_bytes(), 64u + 2 * 192 + 128 + 128 + 24);
}

TEST(State, SaveAndLoadAnywhere) {
  for (const char *name : models) {
    SCOPED_TRACE(name);
    StreamModel model(name);
    std::vector<Frames> inputs = makeInputs(model.api, 13);
    std::vector<Frames> expected = expectOutputs(model.api, inputs);
    Stream stream(model.api, model.model), other(model.api, model.model);
    if (inputs.size() > 1)
      ASSERT_EQ(stream.begin(inputs), ITERA_OK);
    for (size_t t = 0; t <= 13; ++t) {
      // Another session, with a history of its own, goes on from here.
      Bytes blob = stream.save();
      ASSERT_EQ(other.load(blob), ITERA_OK) << other.error();
      EXPECT_EQ(other.save(), blob);
      EXPECT_EQ(model.api->position(other.session), t);
      other.outputs = stream.outputs;
      ASSERT_EQ(other.feed(inputs, t, 13 - t), ITERA_OK);
      ASSERT_EQ(other.finish(), ITERA_OK);
      EXPECT_EQ(other.outputs, expected) << t;
      // And so does a copy.
      itera_session *cloned;
      ASSERT_EQ(model.api->session_clone(stream.session, &cloned), ITERA_OK);
      Stream clone(model.api, cloned);
      clone.outputs = stream.outputs;
      ASSERT_EQ(clone.feed(inputs, t, 13 - t), ITERA_OK);
      ASSERT_EQ(clone.finish(), ITERA_OK);
      EXPECT_EQ(clone.outputs, expected) << t;
      EXPECT_EQ(stream.save(), blob);
      if (t < 13)
        ASSERT_EQ(stream.feed(inputs, t, 1), ITERA_OK);
    }
  }
}

TEST(State, ResetIsANewSession) {
  for (const char *name : models) {
    SCOPED_TRACE(name);
    StreamModel model(name);
    std::vector<Frames> inputs = makeInputs(model.api, 11);
    auto create = [&](Stream &stream) {
      if (inputs.size() > 1)
        ASSERT_EQ(stream.begin(inputs), ITERA_OK);
    };
    Stream fresh(model.api, model.model);
    create(fresh);
    Bytes expected = fresh.save();
    // After any number of frames; and after finish, or an error, or a load.
    for (size_t length = 0; length <= 11; ++length)
      for (int end = 0; end < 4; ++end) {
        Stream stream(model.api, model.model);
        create(stream);
        ASSERT_EQ(stream.feed(inputs, 0, length), ITERA_OK);
        if (end == 1)
          ASSERT_EQ(stream.finish(), ITERA_OK);
        if (end == 2)
          ASSERT_EQ(model.api->prefill(stream.session, 1, nullptr, nullptr, 0,
                                       nullptr, nullptr, 0, nullptr),
                    ITERA_ERROR_INVALID_ARGUMENT);
        if (end == 3)
          ASSERT_EQ(stream.load(stream.save()), ITERA_OK);
        ASSERT_EQ(model.api->state_reset(stream.session), ITERA_OK);
        EXPECT_EQ(stream.save(), expected);
        stream.clearOutputs();
        ASSERT_EQ(stream.feed(inputs, 0, 11), ITERA_OK);
        ASSERT_EQ(stream.finish(), ITERA_OK);
        EXPECT_EQ(stream.outputs, expectOutputs(model.api, inputs));
      }
  }
}

TEST(State, WhatMemoryHeldBeforeIsForgotten) {
  static int filling;
  itera_host host = {};
  host.struct_size = sizeof(host);
  host.alloc = [](void *, size_t size, size_t align) {
    return memset(std::aligned_alloc(align, (size + align - 1) / align * align),
                  filling, size);
  };
  host.free = [](void *, void *pointer, size_t, size_t) { std::free(pointer); };
  for (const char *name : models) {
    SCOPED_TRACE(name);
    std::vector<Bytes> blobs[2];
    for (filling = 0; filling < 2; ++filling) {
      StreamModel model(name, &host);
      std::vector<Frames> inputs = makeInputs(model.api, 5);
      Stream stream(model.api, model.model);
      blobs[filling].push_back(stream.save());
      if (inputs.size() > 1)
        ASSERT_EQ(stream.begin(inputs), ITERA_OK);
      blobs[filling].push_back(stream.save());
      ASSERT_EQ(stream.feed(inputs, 0, 5), ITERA_OK);
      blobs[filling].push_back(stream.save());
    }
    EXPECT_EQ(blobs[0], blobs[1]);
  }
}

TEST(State, NoMemoryForAClone) {
  static int allowed;
  allowed = 2; // a model and a session
  itera_host host = {};
  host.struct_size = sizeof(host);
  host.alloc = [](void *, size_t size, size_t align) -> void * {
    return allowed-- > 0
               ? std::aligned_alloc(align, (size + align - 1) / align * align)
               : nullptr;
  };
  host.free = [](void *, void *pointer, size_t, size_t) { std::free(pointer); };
  StreamModel model("stream", &host);
  Stream stream(model.api, model.model);
  itera_session *clone = reinterpret_cast<itera_session *>(8);
  EXPECT_EQ(model.api->session_clone(stream.session, &clone),
            ITERA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(clone, nullptr);
  EXPECT_EQ(stream.error(), "no memory for another session");
  EXPECT_EQ(model.api->session_clone(stream.session, nullptr),
            ITERA_ERROR_INVALID_ARGUMENT);
}

TEST(State, BlobsOfOthersAndDamagedOnesAreRefused) {
  StreamModel model("stream"), other("stream-auto"), third("lookahead");
  std::vector<Frames> inputs = makeInputs(model.api, 7);
  Stream stream(model.api, model.model);
  ASSERT_EQ(stream.begin(inputs), ITERA_OK);
  ASSERT_EQ(stream.feed(inputs, 0, 3), ITERA_OK);
  Bytes good = stream.save();
  ASSERT_EQ(stream.feed(inputs, 3, 4), ITERA_OK);
  Bytes before = stream.save();
  auto refused = [&](const Bytes &blob) {
    EXPECT_EQ(stream.load(blob), ITERA_ERROR_BAD_STATE);
    EXPECT_EQ(stream.save(), before);
    EXPECT_EQ(model.api->position(stream.session), 7u);
  };
  for (size_t i = 0; i < good.size(); ++i)
    for (char flip : {1, 0x80, 0xff}) {
      Bytes blob = good;
      blob[i] ^= flip;
      refused(blob);
    }
  for (size_t size : {size_t(0), size_t(1), size_t(63), size_t(64),
                      good.size() - 1, good.size() + 1}) {
    Bytes blob = good;
    blob.resize(size);
    blob.reserve(1); // never a null pointer
    refused(blob);
  }
  Bytes blob(good.size(), 0);
  refused(blob);
  EXPECT_EQ(stream.load(blob), ITERA_ERROR_BAD_STATE);
  EXPECT_EQ(stream.error(), "the blob is not a saved stream");
  // A blob of another model, cut to the same length.
  Stream foreign(third.api, third.model);
  blob = foreign.save();
  blob.resize(good.size());
  refused(blob);
  EXPECT_EQ(stream.load(blob), ITERA_ERROR_BAD_STATE);
  EXPECT_EQ(stream.error(),
            "the blob belongs to another model or another precision");
  blob = good;
  blob.back() ^= 1;
  EXPECT_EQ(stream.load(blob), ITERA_ERROR_BAD_STATE);
  EXPECT_EQ(stream.error(), "the blob is damaged");
  EXPECT_EQ(model.api->state_load(stream.session, nullptr, good.size()),
            ITERA_ERROR_INVALID_ARGUMENT);
  for (size_t size : {size_t(0), good.size() - 1, good.size() + 1}) {
    EXPECT_EQ(model.api->state_save(stream.session, blob.data(), size),
              ITERA_ERROR_INVALID_ARGUMENT);
  }
  EXPECT_EQ(model.api->state_save(stream.session, nullptr, good.size()),
            ITERA_ERROR_INVALID_ARGUMENT);
  ASSERT_EQ(stream.load(good), ITERA_OK);
  // The programs of both models carry one hash, as of one source file.
  Stream sister(other.api, other.model);
  ASSERT_EQ(sister.load(good), ITERA_OK);
}

static uint32_t crc32(const Bytes &blob) {
  uint32_t sum = UINT32_MAX;
  for (size_t i = 0; i < blob.size(); ++i) {
    if (i >= 44 && i < 48)
      continue; // the sum itself
    sum ^= uint8_t(blob[i]);
    for (int bit = 0; bit < 8; ++bit)
      sum = sum >> 1 ^ (sum & 1 ? 0xedb88320u : 0);
  }
  return ~sum;
}

/// A blob with another number at `offset`, and with the right sum.
template <typename T> static Bytes forge(Bytes blob, size_t offset, T value) {
  memcpy(&blob[offset], &value, sizeof value);
  uint32_t sum = crc32(blob);
  memcpy(&blob[44], &sum, 4);
  return blob;
}

TEST(State, ForgedBlobsAreRefused) {
  StreamModel model("stream-short");
  Stream stream(model.api, model.model);
  Bytes good = stream.save();
  EXPECT_EQ(forge(good, 44, crc32(good)), good);
  auto refused = [&](const Bytes &blob, const char *text) {
    EXPECT_EQ(stream.load(blob), ITERA_ERROR_BAD_STATE);
    EXPECT_EQ(stream.error(), text);
    EXPECT_EQ(stream.save(), good);
  };
  const char *malformed = "the blob is malformed";
  refused(forge(good, 8, uint32_t(2)), "the blob was saved by another version");
  refused(forge(good, 12, uint32_t(9)),
          "the blob was saved by another version");
  refused(forge(good, 48, uint64_t(0)), "the blob is damaged");
  refused(forge(good, 56, uint64_t(1)), malformed);
  refused(forge(good, 32, uint64_t(13)), malformed); // of at most 12 frames
  refused(forge(good, 32, UINT64_MAX), malformed);
  refused(forge(good, 40, uint32_t(4)), malformed);
  refused(forge(good, 40, uint32_t(2)), malformed); // finished, never begun
  refused(forge(good, 40, uint32_t(0)), malformed); // this model always begins
  EXPECT_EQ(stream.load(forge(good, 32, uint64_t(12))), ITERA_OK);
  EXPECT_EQ(stream.load(good), ITERA_OK);
}

TEST(State, PositionsPassFourThousandMillion) {
  StreamModel model("lookahead");
  std::vector<Frames> inputs = makeInputs(model.api, 40);
  for (uint64_t far : {UINT64_C(1) << 24, UINT64_C(1) << 31, UINT64_C(1) << 32,
                       UINT64_C(1) << 40, UINT64_C(1) << 53}) {
    Stream near(model.api, model.model), moved(model.api, model.model);
    ASSERT_EQ(near.feed(inputs, 0, 6), ITERA_OK);
    ASSERT_EQ(moved.load(forge(near.save(), 32, far - 8)), ITERA_OK)
        << moved.error();
    near.clearOutputs();
    EXPECT_EQ(model.api->position(moved.session), far - 8);
    for (size_t start = 6, count = 1; start < 40; start += count++) {
      count = std::min(count, 40 - start);
      ASSERT_EQ(near.feed(inputs, start, count), ITERA_OK);
      ASSERT_EQ(moved.feed(inputs, start, count), ITERA_OK);
      ASSERT_EQ(moved.outputs, near.outputs) << start;
    }
    ASSERT_EQ(near.finish(), ITERA_OK);
    ASSERT_EQ(moved.finish(), ITERA_OK);
    for (int i = 0; i < 4; ++i)
      EXPECT_EQ(moved.outputs[i], near.outputs[i]) << i;
    int64_t length;
    memcpy(&length, moved.outputs[4].bytes.data(), 8);
    EXPECT_EQ(uint64_t(length), far - 8 + 34);
  }
}

TEST(State, ReadAndWrite) {
  StreamModel model("stream");
  const itera_model_api *api = model.api;
  std::vector<Frames> inputs = makeInputs(api, 8);
  Stream stream(api, model.model), copy(api, model.model);
  ASSERT_EQ(stream.begin(inputs), ITERA_OK);
  ASSERT_EQ(copy.begin(inputs), ITERA_OK);
  ASSERT_EQ(stream.feed(inputs, 0, 5), ITERA_OK);
  float sum[6];
  ASSERT_EQ(api->state_read(stream.session, 1, sum, 24), ITERA_OK);
  for (int i = 0; i < 6; ++i) {
    float expected = at(inputs[1], i);
    for (int t = 0; t < 5; ++t)
      expected += at(inputs[0], (i / 3 * 8 + t) * 3 + i % 3);
    EXPECT_EQ(sum[i], expected);
  }
  // All states carried over by hand: only the position differs.
  for (uint32_t i = 0; i < api->state_count(); ++i) {
    Bytes data(api->state_info(i)->bytes);
    ASSERT_EQ(api->state_read(stream.session, i, data.data(), data.size()),
              ITERA_OK);
    ASSERT_EQ(api->state_write(copy.session, i, data.data(), data.size()),
              ITERA_OK);
  }
  Bytes blob = copy.save();
  EXPECT_EQ(forge(blob, 32, uint64_t(5)), stream.save());

  EXPECT_EQ(api->state_read(copy.session, 3, sum, 24),
            ITERA_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(copy.error(), "states: expected a number below 3, but got 3");
  EXPECT_EQ(api->state_write(copy.session, 1, sum, 23),
            ITERA_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(copy.error(), "state 'sum': expected 24 bytes, but got 23");
  EXPECT_EQ(api->state_write(copy.session, 1, nullptr, 24),
            ITERA_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(copy.error(), "the pointer is null");
  EXPECT_EQ(copy.save(), blob);
}

TEST(State, ChecksForNaN) {
  StreamModel model("stream-auto");
  const itera_model_api *api = model.api;
  Stream stream(api, model.model);
  EXPECT_EQ(api->state_check(stream.session), ITERA_OK);
  for (float bad : {std::nanf(""), -std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    float sum[6] = {1, 2, 3, std::numeric_limits<float>::max(), bad, bad};
    ASSERT_EQ(api->state_write(stream.session, 1, sum, 24), ITERA_OK);
    EXPECT_EQ(api->state_check(stream.session), ITERA_ERROR_NOT_FINITE);
    EXPECT_EQ(stream.error(),
              "state 'sum' of node 'CumSum_1': element 4 is not finite");
  }
  // The frames go on; what begin knows is not infected.
  std::vector<Frames> inputs = makeInputs(api, 3);
  ASSERT_EQ(stream.feed(inputs, 0, 3), ITERA_OK);
  EXPECT_EQ(api->state_check(stream.session), ITERA_ERROR_NOT_FINITE);
  ASSERT_EQ(api->state_reset(stream.session), ITERA_OK);
  EXPECT_EQ(api->state_check(stream.session), ITERA_OK);
}

TEST(State, InfinitiesMayBeTheModelsOwn) {
  StreamModel model("stream-auto");
  const itera_model_api *api = model.api;
  Stream stream(api, model.model);
  std::vector<float> past(12, -HUGE_VALF);
  past[3] = HUGE_VALF;
  ASSERT_EQ(api->state_write(stream.session, 0, past.data(), 48), ITERA_OK);
  EXPECT_EQ(api->state_check(stream.session), ITERA_OK);
  past[5] = std::nanf("");
  ASSERT_EQ(api->state_write(stream.session, 0, past.data(), 48), ITERA_OK);
  EXPECT_EQ(api->state_check(stream.session), ITERA_ERROR_NOT_FINITE);
  EXPECT_EQ(stream.error(),
            "state 'past' of node 'Conv_0': element 5 is not finite");
}

TEST(State, RowsAreReordered) {
  StreamModel model("stream");
  const itera_model_api *api = model.api;
  std::vector<Frames> inputs = makeInputs(api, 9);
  for (auto [first, second] :
       {std::pair(0u, 1u), {1u, 0u}, {0u, 0u}, {1u, 1u}}) {
    Stream stream(api, model.model);
    ASSERT_EQ(stream.begin(inputs), ITERA_OK);
    ASSERT_EQ(stream.feed(inputs, 0, 5), ITERA_OK);
    uint32_t rows[] = {first, second};
    ASSERT_EQ(api->reorder_rows(stream.session, rows, 2), ITERA_OK);
    stream.clearOutputs();
    ASSERT_EQ(stream.feed(inputs, 5, 4), ITERA_OK);
    // Row i as if it had been row rows[i] from the start.
    std::vector<Frames> mixed = inputs;
    for (int row = 0; row < 2; ++row) {
      memcpy(&mixed[0].bytes[row * 9 * 12],
             &inputs[0].bytes[rows[row] * 9 * 12], 5 * 12);
      memcpy(&mixed[1].bytes[row * 12], &inputs[1].bytes[rows[row] * 12], 12);
    }
    std::vector<Frames> expected = expectStream(api, mixed);
    EXPECT_EQ(stream.outputs[0], expected[0].slice(5, 4));
    ASSERT_EQ(stream.finish(), ITERA_OK);
    EXPECT_EQ(stream.outputs[1], expected[1]);
  }
}

TEST(State, SnapshotsOnTheWay) {
  StreamModel model("stream-auto");
  const itera_model_api *api = model.api;
  std::vector<Frames> inputs = makeInputs(api, 11);
  Stream stream(api, model.model), steps(api, model.model);
  ASSERT_EQ(stream.feed(inputs, 0, 2), ITERA_OK);
  std::vector<Bytes> expected;
  for (size_t t = 0; t < 11; ++t) {
    ASSERT_EQ(steps.feed(inputs, t, 1), ITERA_OK);
    if (t + 1 > 2 && (t + 1) % 3 == 0)
      expected.push_back(steps.save());
  }
  // From position 2 on: at 3, 6 and 9.
  Frames rest = inputs[0].slice(2, 9);
  const void *pointers[2] = {rest.bytes.data(), nullptr};
  size_t bytes[2] = {rest.bytes.size(), 0}, size = expected[0].size();
  uint64_t got[2];
  Bytes before = stream.save();
  auto feed = [&](uint64_t every, char *blobs, size_t blobBytes,
                  OutputBuffers &outputs) {
    return api->prefill_snapshots(stream.session, 9, pointers, bytes, 2,
                                  outputs.pointers.data(), outputs.bytes.data(),
                                  2, got, every, blobs, blobBytes);
  };
  auto refused = [&](uint64_t every, char *blobs, size_t blobBytes) {
    OutputBuffers outputs;
    outputs.add(rest.bytes.size());
    outputs.add(0);
    EXPECT_EQ(feed(every, blobs, blobBytes, outputs),
              ITERA_ERROR_INVALID_ARGUMENT);
    EXPECT_TRUE(outputs.isUntouched());
    std::string error = stream.error();
    EXPECT_EQ(stream.save(), before);
    return error;
  };
  Bytes blobs(3 * size + 8, char(0xa5));
  EXPECT_EQ(refused(0, blobs.data(), 3 * size),
            "snapshots: expected one every 1 or more frames, but got 0");
  EXPECT_EQ(refused(3, blobs.data(), 3 * size - 1),
            "snapshots: expected " + std::to_string(3 * size) +
                " bytes, but got " + std::to_string(3 * size - 1));
  EXPECT_EQ(refused(3, nullptr, 3 * size), "snapshots: the pointer is null");
  EXPECT_EQ(refused(3, reinterpret_cast<char *>(UINTPTR_MAX - 9), 3 * size),
            "snapshots: the buffer passes the end of memory");
  EXPECT_EQ(refused(3, rest.bytes.data() + 1, 3 * size),
            "snapshots: the buffer overlaps another");
  OutputBuffers outputs;
  outputs.add(rest.bytes.size());
  outputs.add(0);
  ASSERT_EQ(feed(3, blobs.data(), 3 * size, outputs), ITERA_OK)
      << stream.error();
  EXPECT_EQ(got[0], 9u);
  for (size_t i = 0; i < 3; ++i)
    EXPECT_EQ(Bytes(&blobs[i * size], &blobs[(i + 1) * size]), expected[i]);
  EXPECT_EQ(blobs[3 * size], char(0xa5));
  EXPECT_EQ(stream.save(), steps.save());
  OutputBuffers none;
  none.add(0);
  none.add(0);
  pointers[0] = nullptr;
  bytes[0] = 0;
  EXPECT_EQ(api->prefill_snapshots(stream.session, 0, pointers, bytes, 2,
                                   none.pointers.data(), none.bytes.data(), 2,
                                   got, 1, nullptr, 0),
            ITERA_OK);
}

TEST(State, WrongRowsAreRefused) {
  StreamModel model("stream-auto"), other("lookahead");
  const itera_model_api *api = model.api;
  Stream stream(api, model.model);
  ASSERT_EQ(stream.feed(makeInputs(api, 3), 0, 3), ITERA_OK);
  Bytes before = stream.save();
  alignas(4) uint32_t rows[3] = {1, 2, 0};
  auto refused = [&](const uint32_t *pointer, uint32_t count) {
    EXPECT_EQ(api->reorder_rows(stream.session, pointer, count),
              ITERA_ERROR_INVALID_ARGUMENT);
    std::string error = stream.error();
    EXPECT_EQ(stream.save(), before);
    return error;
  };
  EXPECT_EQ(refused(rows, 2), "rows: expected numbers below 2, but got 2");
  EXPECT_EQ(refused(rows, 3), "rows: expected 2, but got 3");
  EXPECT_EQ(refused(rows, 0), "rows: expected 2, but got 0");
  EXPECT_EQ(refused(nullptr, 2), "rows: the pointer is null");
  EXPECT_EQ(
      refused(reinterpret_cast<uint32_t *>(reinterpret_cast<char *>(rows) + 1),
              2),
      "rows: the pointer is not aligned");
  Stream rowless(other.api, other.model);
  EXPECT_EQ(other.api->reorder_rows(rowless.session, rows, 2),
            ITERA_ERROR_UNSUPPORTED);
  EXPECT_EQ(rowless.error(), "the rows of state 'past' are not independent");
}

TEST(State, SessionsShareNothing) {
  StreamModel model("stream");
  constexpr int threads = 4, sessions = 16;
  std::vector<int> wrong(threads, -1);
  std::vector<std::thread> running;
  for (int thread = 0; thread < threads; ++thread)
    running.emplace_back([&, thread] {
      std::vector<std::unique_ptr<Stream>> streams;
      std::vector<std::vector<Frames>> inputs;
      for (int i = 0; i < sessions; ++i) {
        inputs.push_back(makeInputs(model.api, 50, thread * 100 + i));
        streams.push_back(std::make_unique<Stream>(model.api, model.model));
      }
      wrong[thread] = 0;
      for (int i = 0; i < sessions; ++i)
        wrong[thread] += streams[i]->begin(inputs[i]) != ITERA_OK;
      for (int t = 0; t < 50; t += 5)
        for (int i = 0; i < sessions; ++i)
          wrong[thread] += streams[i]->feed(inputs[i], t, 5) != ITERA_OK;
      for (int i = 0; i < sessions; ++i)
        wrong[thread] +=
            streams[i]->finish() != ITERA_OK ||
            !(streams[i]->outputs == expectStream(model.api, inputs[i]));
    });
  for (std::thread &thread : running)
    thread.join();
  EXPECT_EQ(wrong, std::vector<int>(threads, 0));
}
