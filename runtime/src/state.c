// SPDX-License-Identifier: Apache-2.0
//
// The carried states, one by one.

#include "runtime.h"

uint32_t itera_state_count(void) { return itera_program.stream->state_count; }

const itera_tensor_info *itera_state_info(uint32_t index) {
  const itera_stream *stream = itera_program.stream;
  return index < stream->state_count ? &stream->states[index] : NULL;
}

// The checks that reading and writing share.
static itera_status check_access(itera_session *session, uint32_t index,
                                 const void *data, size_t bytes) {
  const itera_stream *stream = itera_program.stream;
  itera_status status = itera_check_begun(session);
  if (status != ITERA_OK)
    return status;
  if (index >= stream->state_count) {
    itera_text text = itera_text_begin(session->error, sizeof session->error);
    itera_text_append(&text, "states: expected a number below ");
    itera_text_append_number(&text, stream->state_count);
    itera_text_append(&text, ", but got ");
    itera_text_append_number(&text, index);
    return ITERA_ERROR_INVALID_ARGUMENT;
  }
  const itera_tensor_info *info = &stream->states[index];
  if (bytes != info->bytes) {
    char what[128];
    itera_text text = itera_text_begin(what, sizeof what);
    itera_text_append(&text, "state ");
    itera_text_append_name(&text, info->name);
    return itera_refuse_number(session, ITERA_ERROR_INVALID_ARGUMENT, what,
                               info->bytes, " bytes", bytes);
  }
  if (bytes && !data)
    return itera_refuse(session, ITERA_ERROR_INVALID_ARGUMENT,
                        "the pointer is null");
  return ITERA_OK;
}

itera_status itera_state_read(itera_session *session, uint32_t index,
                              void *data, size_t bytes) {
  if (!session)
    return ITERA_ERROR_INVALID_ARGUMENT;
  session->error[0] = '\0';
  itera_status status = check_access(session, index, data, bytes);
  if (status == ITERA_OK)
    memcpy(data, session->state + itera_program.stream->state_offsets[index],
           bytes);
  return status;
}

// No frame before now can be taken back: the bases become what the states are.
static void forget_frames(itera_session *session) {
  const itera_stream *stream = itera_program.stream;
  session->undoable = 0;
  for (uint32_t i = 0; stream->state_bases && i < stream->state_count; ++i)
    if (stream->state_bases[i] != UINT32_MAX)
      memcpy(session->state + stream->state_offsets[stream->state_bases[i]],
             session->state + stream->state_offsets[i],
             stream->states[i].bytes);
}

itera_status itera_state_write(itera_session *session, uint32_t index,
                               const void *data, size_t bytes) {
  if (!session)
    return ITERA_ERROR_INVALID_ARGUMENT;
  session->error[0] = '\0';
  itera_status status = check_access(session, index, data, bytes);
  if (status != ITERA_OK)
    return status;
  memcpy(session->state + itera_program.stream->state_offsets[index], data,
         bytes);
  forget_frames(session);
  return ITERA_OK;
}

itera_status itera_state_reset(itera_session *session) {
  if (!session)
    return ITERA_ERROR_INVALID_ARGUMENT;
  session->error[0] = '\0';
  itera_status status = itera_check_begun(session);
  if (status == ITERA_OK)
    itera_run_reset(session);
  return status;
}

//===----------------------------------------------------------------------===//
// NaN and infinity
//===----------------------------------------------------------------------===//

// The bits of the exponent, all of which are set in what is not finite; 0 for
// integers.
static uint64_t exponent_bits(itera_dtype dtype) {
  switch (dtype) {
  case ITERA_FLOAT16:
    return 0x7c00;
  case ITERA_BFLOAT16:
    return 0x7f80;
  case ITERA_FLOAT32:
    return 0x7f800000;
  case ITERA_FLOAT64:
    return UINT64_C(0x7ff) << 52;
  default:
    return 0;
  }
}

// The first element that is not finite, or the number of elements. Infinities
// count unless they are legitimate.
static uint64_t find_not_finite(const itera_tensor_info *info, const char *data,
                                uint32_t flags) {
  uint64_t mask = exponent_bits(info->dtype);
  size_t size = itera_dtype_size(info->dtype);
  uint64_t count = info->bytes / size;
  if (!mask)
    return count;
  // A NaN has bits below the exponent.
  uint64_t fraction = (mask & -mask) - 1;
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t bits = 0; // the machine is little-endian
    memcpy(&bits, data + i * size, size);
    if ((bits & mask) == mask &&
        (!(flags & ITERA_STATE_INFINITE) || bits & fraction))
      return i;
  }
  return count;
}

itera_status itera_state_check(itera_session *session) {
  if (!session)
    return ITERA_ERROR_INVALID_ARGUMENT;
  session->error[0] = '\0';
  itera_status status = itera_check_begun(session);
  if (status != ITERA_OK)
    return status;
  const itera_stream *stream = itera_program.stream;
  for (uint32_t i = 0; i < stream->state_count; ++i) {
    const itera_tensor_info *info = &stream->states[i];
    uint64_t element =
        find_not_finite(info, session->state + stream->state_offsets[i],
                        stream->state_flags ? stream->state_flags[i] : 0);
    if (element == info->bytes / itera_dtype_size(info->dtype))
      continue;
    itera_text text = itera_text_begin(session->error, sizeof session->error);
    itera_text_append(&text, "state ");
    itera_text_append_name(&text, info->name);
    itera_text_append(&text, " of node ");
    itera_text_append_name(&text, info->node);
    itera_text_append(&text, ": element ");
    itera_text_append_number(&text, element);
    itera_text_append(&text, " is not finite");
    return ITERA_ERROR_NOT_FINITE;
  }
  return ITERA_OK;
}
