// SPDX-License-Identifier: Apache-2.0
//
// What may be wrong with the constant that the compiler has emitted. It is
// checked once, when a host asks for the table of functions, so that no other
// part of the runtime has to doubt it.

#include "runtime.h"

enum { longest_chunk = 1 << 30 };

//===----------------------------------------------------------------------===//
// Streams
//===----------------------------------------------------------------------===//

// Inputs have as many frames as are fed; `length` becomes the source file's.
static int inputs_are_right(const struct itera_program *program,
                            uint64_t *length) {
  int found = 0;
  for (uint32_t i = 0; i < program->input_count; ++i) {
    const itera_tensor_info *info = &program->inputs[i];
    if (info->role == ITERA_ROLE_STATIC ||
        info->role == ITERA_ROLE_INITIAL_STATE)
      continue;
    if (info->role != ITERA_ROLE_STREAM || info->frames != 1 ||
        info->period != 1)
      return 0;
    uint64_t frames = (uint64_t)info->dims[info->time_dim];
    if (found && frames != *length)
      return 0;
    found = 1;
    *length = frames;
  }
  return found;
}

// Is time a dimension of what is streamed, and of nothing else?
static int has_right_dims(const itera_tensor_info *info) {
  int64_t rank = info->rank;
  if (info->batch_dim < -1 || info->batch_dim >= rank)
    return 0;
  if (info->role != ITERA_ROLE_STREAM)
    return info->time_dim == -1;
  return info->time_dim >= 0 && info->time_dim < rank &&
         info->time_dim != info->batch_dim;
}

static int count_is_right(const itera_count *count) {
  if (count->step_count && !count->steps)
    return 0;
  for (uint64_t i = 0; i < count->step_count; ++i)
    if (count->steps[i].divide < 1 || count->steps[i].multiply < 1)
      return 0;
  return 1;
}

// Does every chunk of more than one frame deliver what the rate says?
static int chunks_deliver(const itera_stream *stream,
                          const itera_tensor_info *info,
                          const itera_count *count) {
  // The first position where such a chunk may run. (Chunks are not longer than
  // longest_chunk, and neither is the alignment.)
  uint64_t rest = stream->warmup % stream->alignment;
  uint64_t first = stream->warmup + (rest ? stream->alignment - rest : 0);
  for (uint32_t i = 0; i + 1 < stream->chunk_count; ++i) {
    uint64_t frames = stream->chunks[i].frames;
    uint64_t fresh = itera_times(frames, info->frames);
    if (fresh % info->period)
      return 0;
    fresh /= info->period;
    // The counts are periodic; so many positions show any period.
    for (uint64_t k = 0, at = first; k < 64; ++k, at += stream->alignment)
      if (itera_count_at(count, at + frames) - itera_count_at(count, at) !=
          fresh)
        return 0;
  }
  return 1;
}

static int outputs_are_right(const struct itera_program *program,
                             uint64_t length) {
  const itera_stream *stream = program->stream;
  for (uint32_t i = 0; i < program->output_count; ++i) {
    const itera_tensor_info *info = &program->outputs[i];
    if (info->role == ITERA_ROLE_FINAL && stream->final)
      continue;
    const itera_count *count = &stream->counts[i], *total = &stream->totals[i];
    if (info->role != ITERA_ROLE_STREAM || !info->frames || !info->period ||
        info->latency < 0 || !count_is_right(count) || !count_is_right(total))
      return 0;
    uint64_t needed = (uint64_t)info->latency;
    if (itera_count_at(count, 0) != 0 || itera_count_at(count, needed) != 0 ||
        itera_count_at(count, needed + 1) == 0 ||
        itera_count_at(total, length) != (uint64_t)info->dims[info->time_dim] ||
        !itera_count_is_whole(stream, i, length) ||
        !chunks_deliver(stream, info, count))
      return 0;
  }
  return 1;
}

static int chunks_are_right(const itera_stream *stream) {
  if (!stream->chunks || !stream->chunk_count || !stream->alignment ||
      stream->alignment > longest_chunk || stream->warmup > longest_chunk ||
      stream->flush_frames > longest_chunk ||
      stream->chunks[stream->chunk_count - 1].frames != 1)
    return 0;
  uint64_t longer = (uint64_t)longest_chunk + 1;
  for (uint32_t i = 0; i < stream->chunk_count; ++i) {
    const itera_chunk *chunk = &stream->chunks[i];
    if (!chunk->entry || chunk->frames >= longer ||
        (chunk->frames > 1 && chunk->frames % stream->alignment))
      return 0;
    longer = chunk->frames;
  }
  return 1;
}

static int states_are_right(const itera_stream *stream) {
  if (stream->state_count && (!stream->states || !stream->state_offsets))
    return 0;
  for (uint32_t i = 0; i < stream->state_count; ++i) {
    const itera_tensor_info *info = &stream->states[i];
    uint64_t offset = stream->state_offsets[i];
    if (!itera_tensor_is_consistent(info) || !info->node ||
        info->role != ITERA_ROLE_STATE || !has_right_dims(info) ||
        offset % 64 || offset > stream->state_bytes ||
        info->bytes > stream->state_bytes - offset)
      return 0;
    for (uint32_t j = 0; j < i; ++j) {
      uint64_t other = stream->state_offsets[j];
      if (offset < other + stream->states[j].bytes &&
          other < offset + info->bytes)
        return 0;
    }
  }
  // All states fit into the block and lie apart, so this is no overflow unless
  // the block and the constants alone are one.
  uint64_t sum;
  return !__builtin_add_overflow(stream->constants_bytes, stream->state_bytes,
                                 &sum) &&
         sum < UINT64_MAX / 2;
}

static int rollback_is_right(const itera_stream *stream) {
  if (!stream->rollback_window)
    return !stream->rollback && !stream->state_bases;
  if (!stream->rollback || (stream->state_count && !stream->state_bases))
    return 0;
  for (uint32_t i = 0; i + 1 < stream->chunk_count; ++i)
    if (stream->chunks[i].frames < stream->rollback_window)
      return 0;
  for (uint32_t i = 0; i < stream->state_count; ++i) {
    uint32_t base = stream->state_bases[i];
    if (base != UINT32_MAX &&
        (base >= stream->state_count ||
         stream->states[base].bytes != stream->states[i].bytes))
      return 0;
  }
  return 1;
}

static const char *find_stream_fault(const struct itera_program *program) {
  const itera_stream *stream = program->stream;
  if (stream->struct_size != sizeof(*stream))
    return "the compiled program and the runtime have different versions";
  if (!stream->reset || !stream->flush != !stream->flush_frames ||
      (program->output_count && (!stream->counts || !stream->totals)))
    return "the compiled stream lacks its code or its counts";
  if (!chunks_are_right(stream))
    return "the compiled stream describes its chunks inconsistently";
  if (!states_are_right(stream))
    return "the compiled stream describes a state inconsistently";
  if (!rollback_is_right(stream))
    return "the compiled stream describes its rollback inconsistently";
  for (uint32_t i = 0; i < program->input_count; ++i)
    if (!has_right_dims(&program->inputs[i]))
      return "the compiled stream describes an input inconsistently";
  for (uint32_t i = 0; i < program->output_count; ++i)
    if (!has_right_dims(&program->outputs[i]))
      return "the compiled stream describes an output inconsistently";
  uint64_t length;
  if (!inputs_are_right(program, &length))
    return "the compiled stream describes an input inconsistently";
  if (!outputs_are_right(program, length))
    return "the compiled stream describes an output inconsistently";
  return NULL;
}

//===----------------------------------------------------------------------===//
// Programs
//===----------------------------------------------------------------------===//

const char *itera_find_fault(const struct itera_program *program) {
  if (program->struct_size != sizeof(*program) ||
      program->abi != ITERA_PROGRAM_ABI)
    return "the compiled program and the runtime have different versions";
  if (!program->name || !program->compiler_version || !program->flags ||
      !program->target || !program->source_hash || !program->forward)
    return "the compiled program lacks a string or its code";
  uint64_t align = program->scratch_align;
  if (!align || align > 4096 || (align & (align - 1)))
    return "the compiled program has a bad scratch alignment";
  if ((program->input_count && !program->inputs) ||
      (program->output_count && !program->outputs))
    return "the compiled program lacks a tensor table";
  for (uint32_t i = 0; i < program->input_count; ++i)
    if (!itera_tensor_is_consistent(&program->inputs[i]))
      return "the compiled program describes an input inconsistently";
  for (uint32_t i = 0; i < program->output_count; ++i)
    if (!itera_tensor_is_consistent(&program->outputs[i]))
      return "the compiled program describes an output inconsistently";
  return program->stream ? find_stream_fault(program) : NULL;
}
