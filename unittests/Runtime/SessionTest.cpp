// SPDX-License-Identifier: Apache-2.0
//
// Models and sessions in use: several at once, and with a host's hooks.

#include "TestModel.h"
#include <cfenv>
#include <map>
#include <thread>
#include <vector>

using namespace itera;

TEST(Session, RunsOnSeveralThreadsAtOnce) {
  TestModel model("affine");
  const itera_model_api *api = model.getApi();
  itera_model *shared;
  ASSERT_EQ(api->model_create(nullptr, &shared), ITERA_OK);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, -1);
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      itera_session *session;
      if (api->session_create(shared, &session) != ITERA_OK)
        return;
      wrong[t] = 0;
      for (int i = 0; i < 500; ++i) {
        AffineCall call;
        call.n = t * 1000 + i;
        wrong[t] += call.run(api, session) != ITERA_OK || !call.isRight();
      }
      api->session_destroy(session);
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
  api->model_destroy(shared);
}

TEST(Session, TwoModelsLiveInOneProcess) {
  TestModel affine("affine"), square("square");
  const itera_model_api *first = affine.getApi(), *second = square.getApi();
  EXPECT_NE(first, second);
  EXPECT_STREQ(first->name(), "affine");
  EXPECT_STREQ(second->name(), "square");
  itera_model *models[2];
  itera_session *sessions[2];
  ASSERT_EQ(first->model_create(nullptr, &models[0]), ITERA_OK);
  ASSERT_EQ(second->model_create(nullptr, &models[1]), ITERA_OK);
  ASSERT_EQ(first->session_create(models[0], &sessions[0]), ITERA_OK);
  ASSERT_EQ(second->session_create(models[1], &sessions[1]), ITERA_OK);
  AffineCall call;
  EXPECT_EQ(call.run(first, sessions[0]), ITERA_OK);
  EXPECT_TRUE(call.isRight());
  float in[5] = {1, 2, 3, 4, 5}, out[5] = {};
  const void *inputs[] = {in};
  void *outputs[] = {out};
  size_t bytes[] = {20};
  EXPECT_EQ(second->forward(sessions[1], inputs, bytes, 1, outputs, bytes, 1),
            ITERA_OK);
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(out[i], in[i] * in[i]);
  first->session_destroy(sessions[0]);
  second->session_destroy(sessions[1]);
  first->model_destroy(models[0]);
  second->model_destroy(models[1]);
}

namespace {

/// A host that counts, checks what is given back, and can run out of memory.
struct CheckingHost {
  std::map<void *, std::pair<size_t, size_t>> blocks;
  std::vector<std::string> events;
  int allowed = 1000; // allocations until there is no more memory
  bool misalign = false;
  itera_host host = {};

  CheckingHost() {
    host.struct_size = sizeof(host);
    host.ctx = this;
    host.alloc = [](void *ctx, size_t size, size_t align) -> void * {
      auto *self = static_cast<CheckingHost *>(ctx);
      if (self->allowed-- <= 0)
        return nullptr;
      // At an odd multiple of the alignment, so that more would be luck.
      char *block = static_cast<char *>(
          std::aligned_alloc(2 * align, (size + 3 * align) & ~(2 * align - 1)));
      void *pointer = block + align + (self->misalign ? 1 : 0);
      self->blocks[pointer] = {size, align};
      return pointer;
    };
    host.free = [](void *ctx, void *pointer, size_t size, size_t align) {
      auto *self = static_cast<CheckingHost *>(ctx);
      EXPECT_EQ(self->blocks.count(pointer), 1u);
      EXPECT_EQ(self->blocks[pointer], std::pair(size, align));
      self->blocks.erase(pointer);
      std::free(static_cast<char *>(pointer) - align -
                (self->misalign ? 1 : 0));
    };
    host.log = [](void *ctx, int32_t, const char *message) {
      static_cast<CheckingHost *>(ctx)->events.push_back(message);
    };
    host.trace = [](void *ctx, const char *event, int32_t phase) {
      static_cast<CheckingHost *>(ctx)->events.push_back(
          event + std::string(phase == ITERA_TRACE_BEGIN ? " begin" : " end"));
    };
  }
};

} // namespace

TEST(Session, UsesTheHostsHooks) {
  TestModel library("affine");
  const itera_model_api *api = library.getApi();
  CheckingHost checking;
  itera_host host = checking.host;
  itera_model *model;
  ASSERT_EQ(api->model_create(&host, &model), ITERA_OK);
  host = {}; // it was copied
  itera_session *session;
  ASSERT_EQ(api->session_create(model, &session), ITERA_OK);
  EXPECT_EQ(checking.blocks.size(), 2u);
  // The model asks for 4096 bytes of scratch at a multiple of 256.
  EXPECT_EQ(checking.blocks[session].second, 256u);
  EXPECT_GE(checking.blocks[session].first, 4096u + 256u);
  AffineCall call;
  EXPECT_EQ(call.run(api, session), ITERA_OK);
  EXPECT_TRUE(call.isRight());
  EXPECT_EQ(checking.events,
            (std::vector<std::string>{"forward begin", "forward end"}));
  EXPECT_EQ(checking.allowed, 998); // running allocates nothing
  api->session_destroy(session);
  api->model_destroy(model);
  EXPECT_TRUE(checking.blocks.empty());
}

TEST(Session, SurvivesWithoutMemory) {
  TestModel library("affine");
  const itera_model_api *api = library.getApi();
  CheckingHost checking;
  checking.allowed = 0;
  itera_model *model = reinterpret_cast<itera_model *>(8);
  EXPECT_EQ(api->model_create(&checking.host, &model),
            ITERA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(model, nullptr);
  checking.allowed = 1;
  ASSERT_EQ(api->model_create(&checking.host, &model), ITERA_OK);
  itera_session *session = reinterpret_cast<itera_session *>(8);
  EXPECT_EQ(api->session_create(model, &session), ITERA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(session, nullptr);
  EXPECT_EQ(checking.events,
            (std::vector<std::string>{
                "no memory for the model",
                "no memory for a session with 4096 bytes of scratch"}));
  api->model_destroy(model);
  EXPECT_TRUE(checking.blocks.empty());
}

TEST(Session, RefusesMisalignedMemoryOfTheHost) {
  TestModel library("affine");
  const itera_model_api *api = library.getApi();
  CheckingHost checking;
  checking.misalign = true;
  itera_model *model;
  EXPECT_EQ(api->model_create(&checking.host, &model),
            ITERA_ERROR_OUT_OF_MEMORY);
  EXPECT_TRUE(checking.blocks.empty()); // given back
}

TEST(Session, SubnormalsAreZeroAndTheHostKeepsItsMode) {
  TestModel library("square");
  const itera_model_api *api = library.getApi();
  itera_model *model;
  itera_session *session;
  ASSERT_EQ(api->model_create(nullptr, &model), ITERA_OK);
  ASSERT_EQ(api->session_create(model, &session), ITERA_OK);
  // 1e-20 squared, and a subnormal times itself.
  float in[5] = {1e-20f, 1e-40f, 3, 1.0f / 3, -1e-20f}, out[5];
  const void *inputs[] = {in};
  void *outputs[] = {out};
  size_t bytes[] = {20};
  for (int mode : {FE_TONEAREST, FE_UPWARD, FE_TOWARDZERO}) {
    std::feclearexcept(FE_ALL_EXCEPT);
    std::fesetround(mode);
    EXPECT_EQ(api->forward(session, inputs, bytes, 1, outputs, bytes, 1),
              ITERA_OK);
    EXPECT_EQ(std::fegetround(), mode);
    EXPECT_EQ(std::fetestexcept(FE_ALL_EXCEPT), 0);
    // The host still has subnormal numbers.
    volatile float tiny = 1e-20f;
    volatile float product = tiny * tiny;
    EXPECT_NE(product, 0.0f);
    std::fesetround(FE_TONEAREST);
    EXPECT_EQ(out[0], 0.0f);
    EXPECT_EQ(out[1], 0.0f);
    EXPECT_EQ(out[2], 9.0f);
    EXPECT_EQ(out[3], (1.0f / 3) * (1.0f / 3)); // rounded to nearest always
    EXPECT_EQ(out[4], 0.0f);
  }
  api->session_destroy(session);
  api->model_destroy(model);
}
