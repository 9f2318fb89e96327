// SPDX-License-Identifier: Apache-2.0
//
// How many frames of an output come of how many frames fed.
//
// Counts only grow, and they stop at INT64_MAX instead of overflowing. A stream
// ends before it gets there (itera_last_position), so that no difference of two
// counts is ever wrong.

#include "runtime.h"

static const uint64_t infinite = INT64_MAX;

uint64_t itera_count_at(const itera_count *count, uint64_t n) {
  if (n >= infinite)
    return infinite;
  int64_t value = (int64_t)n;
  for (uint64_t i = 0; i < count->step_count; ++i) {
    const itera_count_step *step = &count->steps[i];
    if (__builtin_add_overflow(value, step->add, &value))
      return infinite; // value was not negative, so the sum is too large
    if (value <= 0)
      value = 0;
    else if (step->divide != 1)
      value /= step->divide;
    if (__builtin_mul_overflow(value, step->multiply, &value))
      return infinite;
  }
  return (uint64_t)value;
}

uint64_t itera_count_growth(const itera_count *count, uint64_t frames) {
  uint64_t growth = frames;
  for (uint64_t i = 0; i < count->step_count; ++i) {
    const itera_count_step *step = &count->steps[i];
    uint64_t divide = (uint64_t)step->divide;
    growth = itera_times(growth / divide + (growth % divide != 0),
                         (uint64_t)step->multiply);
  }
  return growth;
}

uint64_t itera_count_end(const itera_stream *stream, uint32_t output,
                         uint64_t length, uint64_t flushed) {
  uint64_t count = itera_count_at(&stream->counts[output], length + flushed);
  uint64_t total = itera_count_at(&stream->totals[output], length);
  return count < total ? count : total;
}

int itera_count_is_whole(const itera_stream *stream, uint32_t output,
                         uint64_t length) {
  uint64_t total = itera_count_at(&stream->totals[output], length);
  return itera_count_at(&stream->counts[output], length) <= total &&
         itera_count_at(&stream->counts[output],
                        length + stream->flush_frames) >= total;
}

static int counts_fit(const struct itera_program *program, uint64_t position) {
  const itera_stream *stream = program->stream;
  uint64_t end;
  if (__builtin_add_overflow(position, stream->flush_frames, &end) ||
      end >= infinite)
    return 0;
  for (uint32_t i = 0; i < program->output_count; ++i)
    if (program->outputs[i].role == ITERA_ROLE_STREAM &&
        (itera_count_at(&stream->counts[i], end) == infinite ||
         itera_count_at(&stream->totals[i], position) == infinite))
      return 0;
  return 1;
}

uint64_t itera_last_position(const struct itera_program *program) {
  uint64_t last = 0;
  for (uint64_t bit = UINT64_C(1) << 62; bit; bit >>= 1)
    if (counts_fit(program, last + bit))
      last += bit;
  return last < program->stream->max_frames ? last
                                            : program->stream->max_frames;
}
