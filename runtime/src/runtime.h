// SPDX-License-Identifier: Apache-2.0
//
// What the parts of the runtime know of each other.
//
// The runtime is freestanding C: it includes no libc header beyond the
// compiler's own, keeps no writable globals, and needs nothing at load time.
// It is linked once into every artefact, so everything here is hidden.

#ifndef ITERA_RUNTIME_H
#define ITERA_RUNTIME_H

#include "itera/program.h"

// Defined by the compiler's object code.
extern const struct itera_program itera_program
    __attribute__((visibility("hidden")));

struct itera_model {
  itera_host host; // a copy; members that the host did not know are null
};

// What a call demands of the buffer for a tensor.
typedef enum itera_rule {
  itera_rule_unused,   // nothing: it is not looked at
  itera_rule_exact,    // `need` bytes
  itera_rule_at_least, // `need` bytes or more
  itera_rule_optional  // `need` bytes, or a null pointer
} itera_rule;

// A tensor of the program in a session: what is known of it from the start, and
// its place in the call that runs.
typedef struct itera_port {
  const itera_tensor_info *info;
  uint64_t outer;  // product of the dimensions before time
  uint64_t inner;  // bytes of one frame at one place of these
  uint64_t frame;  // bytes of one frame: outer * inner
  uint64_t whole;  // frames that the source file has
  uint64_t single; // of an output: the most frames that one frame brings
  char *staging;   // memory for the frames of one entry, see feed.c
  uint64_t count;  // of an output: its frames up to the session's position

  itera_rule rule; // of this call
  uint64_t need;
  char *base;     // the caller's buffer, which is never written if it is an
  uint64_t given; // input, and its bytes
  uint64_t row;   // frames that the buffer holds
  uint64_t done;  // of these, read or written
  uint64_t fresh; // of an output: frames that the next entry writes
} itera_port;

// One block of memory: the session, its ports and pointers, then the areas.
struct itera_session {
  const itera_model *model;
  void *scratch;
  size_t allocated; // bytes of the block
  size_t align;     // and its alignment

  itera_port *inputs, *outputs;
  void **input_pointers, **output_pointers; // for itera_call

  // The rest is for streams. The stream itself is `constants`, `state`,
  // `position`, `undoable`, `begun` and `finished`, and nothing else.
  char *constants;
  char *state;
  char *spare[2];      // the second only if flush_frames > 1
  char *zeros;         // staging memory that is free during begin
  uint64_t zero_bytes; // bytes of it that begin may need
  uint64_t position;
  uint64_t last_position; // where the stream must end at the latest
  uint64_t undoable;      // frames that can be taken back
  int64_t clock[3];
  uint8_t begun, finished;

  char error[256];
};

// The arguments of a call.
typedef struct itera_arguments {
  const void *const *inputs;
  const size_t *input_bytes;
  uint32_t input_count;
  void *const *outputs;
  const size_t *output_bytes;
  uint32_t output_count;
} itera_arguments;

// Where blobs of the stream go while frames are fed.
typedef struct itera_snapshots {
  uint64_t every; // at its multiples
  void *blobs;
  size_t bytes;
} itera_snapshots;

// text.c: a line of text that is cut off when it is full.
typedef struct itera_text {
  char *data;
  size_t capacity;
  size_t used;
} itera_text;
itera_text itera_text_begin(char *data, size_t capacity);
void itera_text_append(itera_text *text, const char *string);
void itera_text_append_name(itera_text *text, const char *name);
void itera_text_append_number(itera_text *text, uint64_t number);

// host.c: the host's hooks, or what stands in for them.
itera_status itera_host_copy(itera_host *to, const itera_host *from);
void *itera_host_alloc(const itera_host *host, size_t size, size_t align);
void itera_host_free(const itera_host *host, void *pointer, size_t size,
                     size_t align);
void itera_host_log(const itera_host *host, int32_t level, const char *message);
void itera_host_trace(const itera_host *host, const char *event, int32_t phase);

// cpu_<arch>.c: the ITERA_CPU_* bits that this CPU and its kernel offer.
uint64_t itera_cpu_features(void);
// cpu_names.c: the usual name of the feature that bit number `bit` stands for.
const char *itera_cpu_feature_name(int bit);

// memory.c
void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memset(void *to, int value, size_t size);
int memcmp(const void *left, const void *right, size_t size);

// tensors.c
size_t itera_dtype_size(itera_dtype dtype); // 0 if unknown
int itera_tensor_is_consistent(const itera_tensor_info *info);
uint64_t itera_times(uint64_t a, uint64_t b); // UINT64_MAX if it overflows

// checks.c: what is wrong with the arguments of a call. Every refusal leaves
// its text in the session.
itera_status itera_refuse(itera_session *session, itera_status status,
                          const char *problem);
// "<what>: expected N<unit>, but got K"
itera_status itera_refuse_number(itera_session *session, itera_status status,
                                 const char *what, uint64_t expected,
                                 const char *unit, uint64_t got);
itera_status itera_check_inputs_array(itera_session *session,
                                      const itera_arguments *arguments);
itera_status itera_check_outputs_array(itera_session *session,
                                       const itera_arguments *arguments);
itera_status itera_check_frame_counts(itera_session *session,
                                      const uint64_t *output_frames);
// Takes the buffers into the ports, by their rules. Overlaps of an output with
// an input or another output are refused.
itera_status itera_take_inputs(itera_session *session,
                               const itera_arguments *arguments);
itera_status itera_take_outputs(itera_session *session,
                                const itera_arguments *arguments);

itera_status itera_check_snapshots(itera_session *session, uint64_t frames,
                                   const itera_snapshots *snapshots);

// counts.c
// The count after n frames; INT64_MAX if it does not fit.
uint64_t itera_count_at(const itera_count *count, uint64_t n);
// The most by which the count grows with `frames` more frames.
uint64_t itera_count_growth(const itera_count *count, uint64_t frames);
// The count when `flushed` frames have been flushed behind a stream of
// `length`.
uint64_t itera_count_end(const itera_stream *stream, uint32_t output,
                         uint64_t length, uint64_t flushed);
// Does the flush deliver what is missing of the total, neither more nor less?
int itera_count_is_whole(const itera_stream *stream, uint32_t output,
                         uint64_t length);
// The longest stream whose counts all fit and that the program allows.
uint64_t itera_last_position(const struct itera_program *program);

// faults.c: null, or what is wrong with the constant that the compiler emitted.
const char *itera_find_fault(const struct itera_program *program);

// feed.c: runs checked calls; none of these can fail.
void itera_run_begin(itera_session *session);
void itera_run_reset(itera_session *session);
void itera_run_feed(itera_session *session, uint64_t frames);
void itera_run_end(itera_session *session);
void itera_run_rollback(itera_session *session, uint64_t frames);
// The spare state block becomes the state.
void itera_swap_states(itera_session *session);

// stream.c
itera_status itera_check_begun(itera_session *session);
// Begun and not finished.
itera_status itera_check_open(itera_session *session);
itera_status itera_refuse_position(itera_session *session, uint64_t position,
                                   uint64_t frames);
itera_status itera_refuse_counts(itera_session *session);
void itera_plan_begin(itera_session *session);
void itera_set_position(itera_session *session, uint64_t position);

// session.c
itera_status itera_session_allocate(const itera_model *model,
                                    itera_session **session);
uint64_t itera_scratch_bytes(void);
// Must a host call begin, because only it knows some input?
int itera_needs_begin(const struct itera_program *program);

// model.c, session.c, forward.c: the functions of the table.
itera_status itera_model_create(const itera_host *host, itera_model **model);
void itera_model_destroy(itera_model *model);
itera_status itera_session_create(const itera_model *model,
                                  itera_session **session);
void itera_session_destroy(itera_session *session);
const char *itera_last_error(const itera_session *session);
itera_status itera_forward(itera_session *session, const void *const *inputs,
                           const size_t *input_bytes, uint32_t input_count,
                           void *const *outputs, const size_t *output_bytes,
                           uint32_t output_count);

// stream.c
itera_status itera_begin(itera_session *session, const void *const *inputs,
                         const size_t *input_bytes, uint32_t input_count);
itera_status itera_prefill(itera_session *session, uint64_t frames,
                           const void *const *inputs, const size_t *input_bytes,
                           uint32_t input_count, void *const *outputs,
                           const size_t *output_bytes, uint32_t output_count,
                           uint64_t *output_frames);
itera_status itera_prefill_snapshots(
    itera_session *session, uint64_t frames, const void *const *inputs,
    const size_t *input_bytes, uint32_t input_count, void *const *outputs,
    const size_t *output_bytes, uint32_t output_count, uint64_t *output_frames,
    uint64_t every, void *snapshots, size_t snapshot_bytes);
itera_status itera_step(itera_session *session, const void *const *inputs,
                        const size_t *input_bytes, uint32_t input_count,
                        void *const *outputs, const size_t *output_bytes,
                        uint32_t output_count, uint64_t *output_frames);
itera_status itera_finish(itera_session *session, void *const *outputs,
                          const size_t *output_bytes, uint32_t output_count,
                          uint64_t *output_frames);
itera_status itera_peek(itera_session *session, void *const *outputs,
                        const size_t *output_bytes, uint32_t output_count,
                        uint64_t *output_frames);
uint64_t itera_frames_after(const itera_session *session, uint64_t frames,
                            uint32_t output);
uint64_t itera_frames_left(const itera_session *session, uint32_t output);
uint64_t itera_frames_total(uint64_t length, uint32_t output);
uint64_t itera_position(const itera_session *session);

// state.c, blob.c, clone.c, rows.c, rollback.c
uint32_t itera_state_count(void);
const itera_tensor_info *itera_state_info(uint32_t index);
itera_status itera_state_read(itera_session *session, uint32_t index,
                              void *data, size_t bytes);
itera_status itera_state_write(itera_session *session, uint32_t index,
                               const void *data, size_t bytes);
itera_status itera_state_reset(itera_session *session);
itera_status itera_state_check(itera_session *session);
size_t itera_state_size(const itera_session *session);
itera_status itera_state_save(itera_session *session, void *data, size_t bytes);
itera_status itera_state_load(itera_session *session, const void *data,
                              size_t bytes);
itera_status itera_session_clone(itera_session *session, itera_session **clone);
itera_status itera_reorder_rows(itera_session *session, const uint32_t *rows,
                                uint32_t count);
itera_status itera_rollback(itera_session *session, uint64_t frames);
uint64_t itera_rollback_window(void);

// query.c: the only symbol that the linker exports, under the model's names.
const itera_model_api *itera_runtime_query(uint32_t max_abi,
                                           const itera_host *host);

#endif // ITERA_RUNTIME_H
