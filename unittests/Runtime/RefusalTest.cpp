// SPDX-License-Identifier: Apache-2.0
//
// Every wrong argument is refused with a code and a text, and nothing is
// written.

#include "TestModel.h"
#include <functional>

using namespace itera;

namespace {

struct Refusal : testing::Test {
  TestModel library{"affine"};
  const itera_model_api *api = library.getApi();
  itera_model *model = nullptr;
  itera_session *session = nullptr;

  void SetUp() override {
    ASSERT_EQ(api->model_create(nullptr, &model), ITERA_OK);
    ASSERT_EQ(api->session_create(model, &session), ITERA_OK);
  }
  void TearDown() override {
    api->session_destroy(session);
    api->model_destroy(model);
  }

  /// Runs a call that `damage` has made wrong, and then a right one.
  void expectRefused(const char *text,
                     std::function<void(AffineCall &)> damage) {
    AffineCall call;
    damage(call);
    EXPECT_EQ(call.run(api, session), ITERA_ERROR_INVALID_ARGUMENT);
    EXPECT_STREQ(api->last_error(session), text);
    EXPECT_TRUE(call.isUntouched());
    AffineCall good;
    EXPECT_EQ(good.run(api, session), ITERA_OK);
    EXPECT_STREQ(api->last_error(session), "");
    EXPECT_TRUE(good.isRight());
  }
};

} // namespace

TEST_F(Refusal, Counts) {
  expectRefused("inputs: expected 2, but got 1",
                [](AffineCall &call) { call.inputCount = 1; });
  expectRefused("inputs: expected 2, but got 4294967295",
                [](AffineCall &call) { call.inputCount = UINT32_MAX; });
  expectRefused("outputs: expected 3, but got 0",
                [](AffineCall &call) { call.outputCount = 0; });
  expectRefused("outputs: expected 3, but got 4",
                [](AffineCall &call) { call.outputCount = 4; });
}

TEST_F(Refusal, Lengths) {
  for (size_t bytes :
       {size_t(0), size_t(20), size_t(23), size_t(25), SIZE_MAX}) {
    std::string tail = " 24 bytes, but got " + std::to_string(bytes);
    expectRefused(("input 'x': expected" + tail).c_str(),
                  [=](AffineCall &call) { call.inputBytes[0] = bytes; });
    expectRefused(("output 'y': expected" + tail).c_str(),
                  [=](AffineCall &call) { call.outputBytes[0] = bytes; });
  }
  expectRefused("output 'none': expected 0 bytes, but got 1",
                [](AffineCall &call) { call.outputBytes[2] = 1; });
}

TEST_F(Refusal, NullPointers) {
  expectRefused("input 'n': the pointer is null",
                [](AffineCall &call) { call.inputs[1] = nullptr; });
  expectRefused("output 'total': the pointer is null",
                [](AffineCall &call) { call.outputs[1] = nullptr; });
}

TEST_F(Refusal, NullArrays) {
  AffineCall c;
  auto run = [&](const void *const *inputs, const size_t *inputBytes,
                 void *const *outputs, const size_t *outputBytes) {
    EXPECT_EQ(
        api->forward(session, inputs, inputBytes, 2, outputs, outputBytes, 3),
        ITERA_ERROR_INVALID_ARGUMENT);
    EXPECT_TRUE(c.isUntouched());
    return std::string(api->last_error(session));
  };
  EXPECT_EQ(run(nullptr, c.inputBytes, c.outputs, c.outputBytes),
            "inputs: the array of pointers is null");
  EXPECT_EQ(run(c.inputs, nullptr, c.outputs, c.outputBytes),
            "inputs: the array of lengths is null");
  EXPECT_EQ(run(c.inputs, c.inputBytes, nullptr, c.outputBytes),
            "outputs: the array of pointers is null");
  EXPECT_EQ(run(c.inputs, c.inputBytes, c.outputs, nullptr),
            "outputs: the array of lengths is null");
}

TEST_F(Refusal, Alignment) {
  expectRefused("input 'x': the pointer is not aligned to the element size",
                [](AffineCall &call) {
                  call.inputs[0] = reinterpret_cast<char *>(call.x) + 2;
                });
  expectRefused(
      "output 'total': the pointer is not aligned to the element size",
      [](AffineCall &call) {
        call.outputs[1] = reinterpret_cast<char *>(&call.total) + 4;
      });
}

TEST_F(Refusal, BuffersBeyondTheEndOfMemory) {
  expectRefused("input 'x': the buffer passes the end of memory",
                [](AffineCall &call) {
                  call.inputs[0] = reinterpret_cast<void *>(UINTPTR_MAX - 7);
                });
}

TEST_F(Refusal, Overlap) {
  expectRefused("output 'y': the buffer overlaps an input's",
                [](AffineCall &call) { call.outputs[0] = call.x; });
  expectRefused("output 'total': the buffer overlaps an input's",
                [](AffineCall &call) { call.outputs[1] = &call.x[4]; });
  expectRefused("output 'total': the buffer overlaps another output's",
                [](AffineCall &call) { call.outputs[1] = &call.y[2]; });
}

TEST_F(Refusal, SharedInputsAndEmptyBuffersAreFine) {
  // The scalar n is read out of x: 0.0f and 0.0f are the integer 0.
  AffineCall call;
  call.x[1] = 0;
  call.inputs[1] = call.x;
  call.outputs[2] = call.x; // has no bytes, so overlaps nothing
  EXPECT_EQ(call.run(api, session), ITERA_OK);
  call.n = 0;
  EXPECT_TRUE(call.isRight());
}

TEST_F(Refusal, NullHandles) {
  AffineCall call;
  EXPECT_EQ(call.run(api, nullptr), ITERA_ERROR_INVALID_ARGUMENT);
  EXPECT_TRUE(call.isUntouched());
  EXPECT_STREQ(api->last_error(nullptr), "the session is null");
  EXPECT_EQ(api->model_create(nullptr, nullptr), ITERA_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(api->session_create(model, nullptr), ITERA_ERROR_INVALID_ARGUMENT);
  itera_session *none = reinterpret_cast<itera_session *>(8);
  EXPECT_EQ(api->session_create(nullptr, &none), ITERA_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(none, nullptr);
  api->session_destroy(nullptr);
  api->model_destroy(nullptr);
}

TEST_F(Refusal, MalformedHost) {
  itera_host host = {};
  itera_model *none = reinterpret_cast<itera_model *>(8);
  EXPECT_EQ(api->model_create(&host, &none), ITERA_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(none, nullptr);
  host.struct_size = sizeof(host);
  host.free = [](void *, void *, size_t, size_t) {};
  EXPECT_EQ(api->model_create(&host, &none), ITERA_ERROR_INVALID_ARGUMENT);
}
