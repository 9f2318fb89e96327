// SPDX-License-Identifier: Apache-2.0
//
// Getting at a model: symbols, introspection, versions, loading and unloading.

#include "TestModel.h"
#include "itera/program.h"

using namespace itera;

static void keepLog(void *ctx, int32_t level, const char *message) {
  *static_cast<std::string *>(ctx) = std::to_string(level) + " " + message;
}

static itera_host makeLoggingHost(std::string &log) {
  itera_host host = {};
  host.struct_size = sizeof(host);
  host.ctx = &log;
  host.log = keepLog;
  return host;
}

TEST(Load, BothNamesAreTheSameFunction) {
  TestModel model("affine");
  ASSERT_NE(model.getQuery(), nullptr);
  EXPECT_EQ(model.getQuery(), model.getQuery("itera_model_query_affine"));
  EXPECT_EQ(model.getQuery("itera_runtime_query"), nullptr);
  EXPECT_EQ(model.getQuery("itera_program"), nullptr);
}

TEST(Load, TellsWhatTheModelIs) {
  TestModel model("affine");
  const itera_model_api *api = model.getApi();
  ASSERT_NE(api, nullptr);
  EXPECT_EQ(api->struct_size, sizeof(itera_model_api));
  EXPECT_EQ(api->abi_version, ITERA_ABI_VERSION);
  EXPECT_STREQ(api->name(), "affine");
  EXPECT_STREQ(api->compiler_version(), "test compiler");
  EXPECT_STREQ(api->compiler_flags(), "--test");
  EXPECT_STREQ(api->target(), "test target");
  EXPECT_STREQ(api->source_hash(), "0123456789abcdef");
  EXPECT_EQ(api->scratch_bytes(), 4096u);

  ASSERT_EQ(api->input_count(), 2u);
  const itera_tensor_info *x = api->input_info(0), *n = api->input_info(1);
  EXPECT_STREQ(x->name, "x");
  EXPECT_EQ(x->dtype, itera_dtype(ITERA_FLOAT32));
  ASSERT_EQ(x->rank, 2u);
  EXPECT_EQ(x->dims[0], 2);
  EXPECT_EQ(x->dims[1], 3);
  EXPECT_EQ(x->bytes, 24u);
  EXPECT_STREQ(n->name, "n");
  EXPECT_EQ(n->rank, 0u);
  EXPECT_EQ(n->bytes, 8u);
  EXPECT_EQ(api->input_info(2), nullptr);
  EXPECT_EQ(api->input_info(UINT32_MAX), nullptr);
  ASSERT_EQ(api->output_count(), 3u);
  EXPECT_EQ(api->output_info(2)->bytes, 0u);
  EXPECT_EQ(api->output_info(3), nullptr);
}

TEST(Load, StreamingIsAbsent) {
  TestModel model("affine");
  const itera_model_api *api = model.getApi();
  EXPECT_EQ(api->begin, nullptr);
  EXPECT_EQ(api->prefill, nullptr);
  EXPECT_EQ(api->step, nullptr);
  EXPECT_EQ(api->finish, nullptr);
  EXPECT_EQ(api->peek, nullptr);
  EXPECT_EQ(api->frames_after, nullptr);
  EXPECT_EQ(api->frames_left, nullptr);
  EXPECT_EQ(api->frames_total, nullptr);
  EXPECT_EQ(api->state_count, nullptr);
  EXPECT_EQ(api->state_info, nullptr);
  EXPECT_EQ(api->state_size, nullptr);
  EXPECT_EQ(api->state_save, nullptr);
  EXPECT_EQ(api->state_load, nullptr);
  EXPECT_EQ(api->state_reset, nullptr);
  EXPECT_EQ(api->state_read, nullptr);
  EXPECT_EQ(api->state_write, nullptr);
  EXPECT_EQ(api->state_check, nullptr);
  EXPECT_EQ(api->session_clone, nullptr);
  EXPECT_EQ(api->reorder_rows, nullptr);
  EXPECT_EQ(api->rollback, nullptr);
  EXPECT_EQ(api->position, nullptr);
}

TEST(Load, RefusesAnOlderHost) {
  TestModel model("affine");
  std::string log;
  itera_host host = makeLoggingHost(log);
  EXPECT_EQ(model.getQuery()(0, &host), nullptr);
  EXPECT_EQ(log, "0 expected a host of abi version 1 or newer, but got 0");
  EXPECT_EQ(model.getQuery()(0, nullptr), nullptr);
  EXPECT_NE(model.getQuery()(UINT32_MAX, nullptr), nullptr);
}

TEST(Load, RefusesMalformedHosts) {
  TestModel model("affine");
  std::string log;
  itera_host host = makeLoggingHost(log);
  host.struct_size = 0;
  EXPECT_EQ(model.getQuery()(ITERA_ABI_VERSION, &host), nullptr);
  host.struct_size = sizeof(host) - 1;
  EXPECT_EQ(model.getQuery()(ITERA_ABI_VERSION, &host), nullptr);
  host = makeLoggingHost(log);
  host.alloc = [](void *, size_t, size_t) -> void * { return nullptr; };
  EXPECT_EQ(model.getQuery()(ITERA_ABI_VERSION, &host), nullptr);
}

TEST(Load, AcceptsALongerHostOfTheFuture) {
  TestModel model("affine");
  struct {
    itera_host host;
    void *more[4];
  } future = {};
  future.host.struct_size = sizeof(future);
  EXPECT_NE(model.getQuery()(ITERA_ABI_VERSION, &future.host), nullptr);
}

TEST(Load, RefusesWhatCannotRunHere) {
  for (auto [name, reason] :
       {std::pair("bad-cpu", "0 this cpu lacks what the model was compiled "
                             "for: an unknown feature"),
        {"bad-abi", "0 the compiled program and the runtime have different "
                    "versions"},
        {"bad-bytes", "0 the compiled program describes an output "
                      "inconsistently"}}) {
    TestModel model(name);
    std::string log;
    itera_host host = makeLoggingHost(log);
    EXPECT_EQ(model.getQuery()(ITERA_ABI_VERSION, &host), nullptr) << name;
    EXPECT_EQ(log, reason);
    EXPECT_EQ(model.getApi(), nullptr) << name; // without a log just as well
  }
}

TEST(Load, LoadsAndUnloadsAThousandTimes) {
  for (int i = 0; i < 1000; ++i) {
    TestModel model("affine");
    const itera_model_api *api = model.getApi();
    ASSERT_NE(api, nullptr);
    itera_model *created;
    itera_session *session;
    ASSERT_EQ(api->model_create(nullptr, &created), ITERA_OK);
    ASSERT_EQ(api->session_create(created, &session), ITERA_OK);
    AffineCall call;
    ASSERT_EQ(call.run(api, session), ITERA_OK);
    ASSERT_TRUE(call.isRight());
    api->session_destroy(session);
    api->model_destroy(created);
  }
}
