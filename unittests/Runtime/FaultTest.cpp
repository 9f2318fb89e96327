// SPDX-License-Identifier: Apache-2.0
//
// A program that contradicts itself is found out before anything of it runs,
// whatever the contradiction is.

#include "itera/program.h"
#include "gtest/gtest.h"
#include <functional>

extern "C" {
const char *itera_find_fault(const itera_program_t *program);
uint64_t itera_count_at(const itera_count *count, uint64_t n);
uint64_t itera_count_growth(const itera_count *count, uint64_t frames);
uint64_t itera_last_position(const itera_program_t *program);
}

static void entry(const itera_call *) {}

namespace {

/// A program that is right: x and y of T = 8 frames, where y has a frame for
/// every two, one frame late; and the last value.
struct Program {
  int64_t series[2] = {2, 8}, half[2] = {2, 4}, channel[1] = {2};
  itera_tensor_info inputs[2] = {
      makeInfo("x", series, 2, ITERA_ROLE_STREAM, 64, 1),
      makeInfo("class", channel, 1, ITERA_ROLE_STATIC, 8)};
  itera_tensor_info outputs[2] = {
      makeInfo("y", half, 2, ITERA_ROLE_STREAM, 32, 1),
      makeInfo("last", channel, 1, ITERA_ROLE_FINAL, 8)};
  itera_tensor_info states[2] = {
      makeInfo("a", channel, 1, ITERA_ROLE_STATE, 8),
      makeInfo("b", channel, 1, ITERA_ROLE_STATE, 8)};
  uint64_t offsets[2] = {0, 64};
  itera_chunk chunks[3] = {{8, entry}, {4, entry}, {1, entry}};
  itera_count_step late[2] = {{-1, 1, 1}, {0, 2, 1}}, total[1] = {{0, 2, 1}};
  itera_count counts[2] = {{late, 2}, {nullptr, 0}};
  itera_count totals[2] = {{total, 1}, {nullptr, 0}};
  itera_stream stream = {};
  itera_program_t program = {};

  static itera_tensor_info makeInfo(const char *name, const int64_t *dims,
                                    uint32_t rank, uint32_t role,
                                    uint64_t bytes, int32_t time = -1) {
    return {sizeof(itera_tensor_info),
            ITERA_FLOAT32,
            name,
            dims,
            rank,
            role,
            bytes,
            time,
            -1,
            1,
            1,
            0,
            ""};
  }

  Program() {
    outputs[0].period = 2;
    outputs[0].latency = 2;
    stream.struct_size = sizeof stream;
    stream.chunk_count = 3;
    stream.chunks = chunks;
    stream.warmup = 1;
    stream.alignment = 2;
    stream.max_frames = UINT64_MAX;
    stream.flush_frames = 1;
    stream.reset = stream.flush = stream.final = entry;
    stream.state_bytes = 128;
    stream.states = states;
    stream.state_offsets = offsets;
    stream.state_count = 2;
    stream.counts = counts;
    stream.totals = totals;
    program.struct_size = sizeof program;
    program.abi = ITERA_PROGRAM_ABI;
    program.name = program.compiler_version = program.flags = program.target =
        program.source_hash = "";
    program.inputs = inputs;
    program.outputs = outputs;
    program.input_count = program.output_count = 2;
    program.scratch_align = 1;
    program.forward = entry;
    program.stream = &stream;
  }
  Program(const Program &) = delete;
};

} // namespace

static void expectFault(const char *what,
                        std::vector<std::function<void(Program &)>> damages) {
  for (size_t i = 0; i < damages.size(); ++i) {
    Program p;
    damages[i](p);
    const char *fault = itera_find_fault(&p.program);
    EXPECT_STREQ(fault ? fault : "none", what) << i;
  }
}

TEST(Fault, NoneInARightProgram) {
  Program p;
  EXPECT_EQ(itera_find_fault(&p.program), nullptr);
  p.program.stream = nullptr;
  EXPECT_EQ(itera_find_fault(&p.program), nullptr);
}

TEST(Fault, CodeAndCounts) {
  expectFault("the compiled program and the runtime have different versions",
              {[](Program &p) { p.stream.struct_size = 8; }});
  expectFault("the compiled stream lacks its code or its counts",
              {[](Program &p) { p.stream.reset = nullptr; },
               [](Program &p) { p.stream.flush = nullptr; },
               [](Program &p) { p.stream.flush_frames = 0; },
               [](Program &p) { p.stream.counts = nullptr; },
               [](Program &p) { p.stream.totals = nullptr; }});
}

TEST(Fault, Chunks) {
  expectFault("the compiled stream describes its chunks inconsistently",
              {[](Program &p) { p.stream.chunks = nullptr; },
               [](Program &p) { p.stream.chunk_count = 0; },
               [](Program &p) { p.stream.chunk_count = 2; },
               [](Program &p) { p.stream.alignment = 0; },
               [](Program &p) { p.stream.alignment = 3; },
               [](Program &p) { p.stream.warmup = UINT64_MAX; },
               [](Program &p) { p.stream.flush_frames = UINT64_MAX; },
               [](Program &p) { p.chunks[0].frames = 4; },
               [](Program &p) { p.chunks[0].frames = 2; },
               [](Program &p) { p.chunks[0].frames = UINT64_MAX - 1; },
               [](Program &p) { p.chunks[1].frames = 3; },
               [](Program &p) { p.chunks[1].entry = nullptr; },
               [](Program &p) { p.chunks[2].entry = nullptr; }});
}

TEST(Fault, States) {
  expectFault("the compiled stream describes a state inconsistently",
              {[](Program &p) { p.stream.states = nullptr; },
               [](Program &p) { p.stream.state_offsets = nullptr; },
               [](Program &p) { p.states[1].bytes = 12; },
               [](Program &p) { p.states[1].node = nullptr; },
               [](Program &p) { p.states[1].role = ITERA_ROLE_STATIC; },
               [](Program &p) { p.states[1].time_dim = 0; },
               [](Program &p) { p.states[1].batch_dim = 1; },
               [](Program &p) { p.states[1].batch_dim = -2; },
               [](Program &p) { p.offsets[1] = 32; },
               [](Program &p) { p.offsets[1] = 128; },
               [](Program &p) { p.offsets[1] = UINT64_MAX - 63; },
               [](Program &p) { p.offsets[1] = 0; },
               [](Program &p) { p.stream.state_bytes = 71; },
               [](Program &p) { p.stream.constants_bytes = UINT64_MAX; }});
}

TEST(Fault, Rollback) {
  uint32_t bases[2] = {1, UINT32_MAX};
  auto enable = [&](Program &p) {
    p.stream.rollback_window = 4;
    p.stream.rollback = entry;
    p.stream.state_bases = bases;
  };
  Program right;
  enable(right);
  EXPECT_EQ(itera_find_fault(&right.program), nullptr);
  expectFault("the compiled stream describes its rollback inconsistently",
              {[&](Program &p) { p.stream.rollback = entry; },
               [&](Program &p) { p.stream.state_bases = bases; },
               [&](Program &p) {
                 enable(p);
                 p.stream.rollback = nullptr;
               },
               [&](Program &p) {
                 enable(p);
                 p.stream.state_bases = nullptr;
               },
               [&](Program &p) {
                 enable(p);
                 p.stream.rollback_window = 5; // a chunk has 4 frames
               },
               [&](Program &p) {
                 enable(p);
                 bases[0] = 2;
               }});
}

TEST(Fault, Inputs) {
  expectFault("the compiled stream describes an input inconsistently",
              {[](Program &p) { p.inputs[0].role = ITERA_ROLE_WHOLE; },
               [](Program &p) { p.inputs[0].role = ITERA_ROLE_FINAL; },
               [](Program &p) { p.inputs[0].role = ITERA_ROLE_STATIC; },
               [](Program &p) { p.inputs[0].time_dim = -1; },
               [](Program &p) { p.inputs[0].time_dim = 2; },
               [](Program &p) { p.inputs[0].batch_dim = 1; },
               [](Program &p) { p.inputs[0].frames = 2; },
               [](Program &p) { p.inputs[0].period = 2; },
               [](Program &p) { p.inputs[1].time_dim = 0; },
               [](Program &p) {
                 // Another length than x has.
                 p.inputs[1].role = ITERA_ROLE_STREAM;
                 p.inputs[1].time_dim = 0;
               }});
  // Without any streamed input nothing says what a frame is.
  expectFault("the compiled stream describes an input inconsistently",
              {[](Program &p) {
                p.inputs[0].role = ITERA_ROLE_STATIC;
                p.inputs[0].time_dim = -1;
              }});
}

TEST(Fault, Outputs) {
  expectFault(
      "the compiled stream describes an output inconsistently",
      {[](Program &p) { p.outputs[0].role = ITERA_ROLE_WHOLE; },
       [](Program &p) { p.outputs[0].role = ITERA_ROLE_STATIC; },
       [](Program &p) { p.outputs[0].time_dim = 0; },
       [](Program &p) { p.outputs[0].time_dim = 7; },
       [](Program &p) { p.outputs[0].period = 0; },
       [](Program &p) { p.outputs[0].frames = 0; },
       [](Program &p) { p.outputs[0].period = 1; },
       [](Program &p) { p.outputs[0].frames = 2; },
       [](Program &p) { p.outputs[0].period = 3; },
       [](Program &p) { p.outputs[0].latency = -1; },
       [](Program &p) { p.outputs[0].latency = 1; },
       [](Program &p) { p.outputs[0].latency = 3; },
       [](Program &p) { p.outputs[0].latency = INT64_MAX; },
       [](Program &p) { p.stream.final = nullptr; },
       [](Program &p) { p.counts[0].steps = nullptr; },
       [](Program &p) { p.totals[0].steps = nullptr; },
       [](Program &p) { p.late[1].divide = 0; },
       [](Program &p) { p.late[1].multiply = 0; },
       [](Program &p) { p.late[1].divide = -2; },
       [](Program &p) { p.total[0].multiply = -1; },
       // A frame before any input; one too many in total; one too few that the
       // flush can reach.
       [](Program &p) { p.late[0].add = 2; },
       [](Program &p) { p.total[0].add = 2; },
       [](Program &p) {
         p.late[0].add = -4;
         p.outputs[0].latency = 5;
       },
       // No chunk may run at position 0, which has not yet a frame to deliver.
       [](Program &p) {
         p.stream.warmup = 0;
         p.late[0].add = -2;
         p.outputs[0].latency = 3;
         p.stream.flush_frames = 2;
       }});
}

TEST(Counts, AreTheFormula) {
  itera_count_step steps[] = {{-3, 2, 5}, {1, 3, 1}};
  itera_count count = {steps, 2};
  for (int64_t n = 0; n < 50; ++n) {
    int64_t first = n < 3 ? 0 : (n - 3) / 2 * 5;
    EXPECT_EQ(itera_count_at(&count, n), uint64_t((first + 1) / 3));
  }
  EXPECT_EQ(itera_count_at(&count, UINT64_MAX), uint64_t(INT64_MAX));
  // The growth by one frame is at most ceil(ceil(1 / 2) * 5 / 3).
  EXPECT_EQ(itera_count_growth(&count, 1), 2u);
  for (uint64_t frames = 0; frames < 9; ++frames)
    for (uint64_t n = 0; n < 20; ++n)
      EXPECT_LE(itera_count_at(&count, n + frames) - itera_count_at(&count, n),
                itera_count_growth(&count, frames));
  itera_count none = {nullptr, 0};
  EXPECT_EQ(itera_count_at(&none, 7), 7u);
  EXPECT_EQ(itera_count_growth(&none, 3), 3u);
}

TEST(Counts, StreamsEndBeforeTheyOverflow) {
  Program p;
  p.late[1] = {0, 1, INT64_C(1) << 40};
  uint64_t last = itera_last_position(&p.program);
  // With the flushed frame behind it.
  EXPECT_LT(itera_count_at(&p.counts[0], last + 1), uint64_t(INT64_MAX));
  EXPECT_EQ(itera_count_at(&p.counts[0], last + 2), uint64_t(INT64_MAX));
  // And before the length would mean that it is unknown.
  p.program.output_count = 0;
  EXPECT_EQ(itera_last_position(&p.program), uint64_t(INT64_MAX - 2));
  p.stream.max_frames = 100;
  EXPECT_EQ(itera_last_position(&p.program), 100u);
}
