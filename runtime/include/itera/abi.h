/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The C interface of a compiled model.
 *
 * A model exports one function, itera_model_query_<name>. A shared object also
 * exports it under the fixed name itera_model_query, so that a host which does
 * not know the name can find it with dlsym. The function returns a table;
 * everything else goes through that table:
 *
 *   const itera_model_api *api = itera_model_query(ITERA_ABI_VERSION, NULL);
 *   itera_model *model;
 *   itera_session *session;
 *   if (!api || api->model_create(NULL, &model) != ITERA_OK) ...
 *   if (api->session_create(model, &session) != ITERA_OK) ...
 *   if (api->forward(session, inputs, input_bytes, 1, outputs, output_bytes, 1)
 *       != ITERA_OK)
 *     report(api->last_error(session));
 *   api->session_destroy(session);
 *   api->model_destroy(model);
 *
 * Rules that hold for every call:
 *  - It never aborts, prints, reads the environment or keeps hidden state.
 *    Errors are return codes, with a text kept in the session.
 *  - Every pointer, count and length is checked before anything is written.
 *  - A model is immutable and may be shared by any number of threads. A session
 *    belongs to one thread at a time. A model must outlive its sessions.
 *
 * Compatibility: structs begin with their size and only ever grow at the end.
 * A host reads a member only if struct_size says that it is there (ITERA_HAS).
 * ITERA_ABI_VERSION changes only when an existing member changes its meaning.
 */
#ifndef ITERA_ABI_H
#define ITERA_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The version of this interface. Pass it to the query function. */
#define ITERA_ABI_VERSION 1u

/** True if the struct that POINTER points to has MEMBER, by its own size. */
#define ITERA_HAS(pointer, type, member)                                       \
  ((pointer)->struct_size >=                                                   \
   offsetof(type, member) + sizeof(((type *)0)->member))

/** Result of a call: ITERA_OK or what went wrong. */
typedef int32_t itera_status;
enum {
  ITERA_OK = 0,
  /** A pointer is null or misaligned, or a count, length or value is wrong. */
  ITERA_ERROR_INVALID_ARGUMENT = 1,
  /** The allocator gave no memory, or there is no allocator. */
  ITERA_ERROR_OUT_OF_MEMORY = 2,
  /** The model does not offer this call. */
  ITERA_ERROR_UNSUPPORTED = 3,
  /** A state blob belongs to another model or is damaged. Nothing changed. */
  ITERA_ERROR_BAD_STATE = 4,
  /** The artefact contradicts itself: a fault of the compiler. */
  ITERA_ERROR_INTERNAL = 5,
  /** The call is not allowed now: begin is missing, or the stream is finished. */
  ITERA_ERROR_OUT_OF_ORDER = 6,
  /** The model's table of positions ends before these frames would. */
  ITERA_ERROR_END_OF_POSITIONS = 7,
  /** A carried state holds a NaN or an infinity. */
  ITERA_ERROR_NOT_FINITE = 8
};

/** Element types. The numbers are those of ONNX's TensorProto.DataType. */
typedef uint32_t itera_dtype;
enum {
  ITERA_FLOAT32 = 1,
  ITERA_UINT8 = 2,
  ITERA_INT8 = 3,
  ITERA_UINT16 = 4,
  ITERA_INT16 = 5,
  ITERA_INT32 = 6,
  ITERA_INT64 = 7,
  ITERA_BOOL = 9, /* one byte, 0 or 1 */
  ITERA_FLOAT16 = 10,
  ITERA_FLOAT64 = 11,
  ITERA_UINT32 = 12,
  ITERA_UINT64 = 13,
  ITERA_BFLOAT16 = 16
};

/** What streaming does with a tensor. */
enum {
  /** The model does not stream: the tensor belongs to forward alone. */
  ITERA_ROLE_WHOLE = 0,
  /** It has a time dimension and is fed or delivered frame by frame. */
  ITERA_ROLE_STREAM = 1,
  /** An input without time: an argument of begin. */
  ITERA_ROLE_STATIC = 2,
  /** An input that gives the first value of a state: an argument of begin,
   *  which takes null for zeros. */
  ITERA_ROLE_INITIAL_STATE = 3,
  /** An output that is known at the end only: a result of finish. */
  ITERA_ROLE_FINAL = 4,
  /** A carried state, in state_info. */
  ITERA_ROLE_STATE = 5
};

/** One input, output or state. Data is dense, row-major, little-endian. */
typedef struct itera_tensor_info {
  uint32_t struct_size; /* sizeof(itera_tensor_info) of the artefact */
  itera_dtype dtype;
  const char *name;    /* as in the source model, null-terminated */
  const int64_t *dims; /* rank numbers, all >= 0; may be null if rank is 0 */
  uint32_t rank;
  uint32_t role;      /* ITERA_ROLE_* */
  uint64_t bytes;     /* product of dims times the element size */
  int32_t time_dim;   /* the dimension of time if the role is STREAM, else -1 */
  int32_t batch_dim;  /* the dimension of independent rows, or -1 */
  uint64_t frames;    /* a streamed tensor has `frames` frames for each */
  uint64_t period;    /* `period` frames fed; 1 and 1 for inputs */
  int64_t latency;    /* its frame 0 needs the input frames 0 to latency */
  const char *node;   /* of a state or a tap: the node that it belongs to, else
                       * empty; never null */
} itera_tensor_info;

/** Levels of itera_host.log. */
enum { ITERA_LOG_ERROR = 0, ITERA_LOG_WARNING = 1, ITERA_LOG_INFO = 2 };

/** Phases of itera_host.trace. */
enum { ITERA_TRACE_BEGIN = 0, ITERA_TRACE_END = 1 };

/**
 * What the host offers to a model. Every hook may be null, and so may the
 * pointer to the whole struct. The struct is copied by model_create; ctx must
 * stay valid as long as the model and its sessions. Hooks may be called from
 * any thread that uses the model.
 */
typedef struct itera_host {
  uint32_t struct_size; /* sizeof(itera_host) of the host */
  uint32_t reserved;    /* 0 */
  void *ctx;            /* first argument of every hook */
  /** Memory of `size` bytes at a multiple of `align` (a power of two), or null.
   *  alloc and free come together or not at all; without them the model uses
   *  the process's malloc and free. */
  void *(*alloc)(void *ctx, size_t size, size_t align);
  void (*free)(void *ctx, void *pointer, size_t size, size_t align);
  /** Calls task(task_ctx, i) once for each i < count, in any order and on any
   *  threads, and returns when all calls have returned. */
  void (*parallel_for)(void *ctx, void (*task)(void *task_ctx, uint32_t index),
                       void *task_ctx, uint32_t count);
  /** One line of text without a line break; valid during the call only. */
  void (*log)(void *ctx, int32_t level, const char *message);
  /** Begin or end of a named piece of work, e.g. "forward". */
  void (*trace)(void *ctx, const char *event, int32_t phase);
} itera_host;

/** A loaded model: immutable, shared between threads. */
typedef struct itera_model itera_model;

/** State and scratch memory of one run of the model: one thread at a time. */
typedef struct itera_session itera_session;

/** The functions of a model, read-only. It lives as long as the code. */
typedef struct itera_model_api {
  uint32_t struct_size; /* sizeof(itera_model_api) of the artefact */
  uint32_t abi_version; /* ITERA_ABI_VERSION of the artefact */

  /* What the artefact is. The strings are static and never null. */
  const char *(*name)(void);
  const char *(*compiler_version)(void);
  const char *(*compiler_flags)(void);
  const char *(*target)(void);      /* triple and CPU */
  const char *(*source_hash)(void); /* of the file that was compiled */
  /** Why the model cannot stream, with the node that prevents it; "" if it
   *  can. */
  const char *(*stream_problem)(void);

  /* Inputs and outputs, in the order of the source model. The info functions
   * return null if index is too large. */
  uint32_t (*input_count)(void);
  const itera_tensor_info *(*input_info)(uint32_t index);
  uint32_t (*output_count)(void);
  const itera_tensor_info *(*output_info)(uint32_t index);

  /** Bytes of working memory that each session allocates. */
  uint64_t (*scratch_bytes)(void);

  /** Creates a model in *model. host may be null. On failure *model is null and
   *  the reason goes to host->log. */
  itera_status (*model_create)(const itera_host *host, itera_model **model);
  /** Frees a model whose sessions are all destroyed. Null is allowed. */
  void (*model_destroy)(itera_model *model);

  /** Creates a session in *session, with all the memory that it will need. On
   *  failure *session is null and the reason goes to the host's log. */
  itera_status (*session_create)(const itera_model *model,
                                 itera_session **session);
  /** Frees a session. Null is allowed. */
  void (*session_destroy)(itera_session *session);

  /** The text of the last failed call on this session, or "" if the last call
   *  succeeded. Valid until the next call on the session. */
  const char *(*last_error)(const itera_session *session);

  /**
   * Runs the model on whole inputs. inputs[i] points to input_bytes[i] bytes,
   * which must be exactly input_info(i)->bytes, and so on for outputs; the
   * counts must be input_count() and output_count(). Each buffer is aligned to
   * its element size. A pointer may be null if its tensor has no bytes. No
   * output may overlap an input or another output. Allocates nothing. On
   * failure no output is written.
   *
   * A model that streams takes inputs of any other length too: the bytes of
   * all streamed inputs must then stand for the same number of frames, and the
   * bytes of streamed outputs for the number of frames that come of them (see
   * frames_total). Such a call is begin, prefill and finish in one: it ends the
   * session's stream.
   */
  itera_status (*forward)(itera_session *session, const void *const *inputs,
                          const size_t *input_bytes, uint32_t input_count,
                          void *const *outputs, const size_t *output_bytes,
                          uint32_t output_count);

  /*
   * Streaming. All of these are null in an artefact whose model cannot stream.
   *
   * The arrays of inputs and outputs are those of forward, in the same order
   * and with the same counts. An entry that a call does not use (see the
   * tensor's role) is ignored and may be null with 0 bytes. A streamed tensor
   * of n frames is dense with n as its time dimension. In an array of outputs
   * the bytes are those that may be written: at least what the call delivers.
   *
   * A call that fails changes nothing: neither the stream nor an output.
   */

  /** Begins a stream: computes once what depends on the inputs STATIC and
   *  INITIAL_STATE, and sets the position to 0. A model without STATIC inputs
   *  needs no begin: its sessions begin when they are created, with zeros. */
  itera_status (*begin)(itera_session *session, const void *const *inputs,
                        const size_t *input_bytes, uint32_t input_count);
  /** Feeds `frames` frames of every input STREAM. output_frames[i] receives how
   *  many frames were written to output i: a function of the position alone,
   *  however the frames are split into calls. frames may be 0. */
  itera_status (*prefill)(itera_session *session, uint64_t frames,
                          const void *const *inputs, const size_t *input_bytes,
                          uint32_t input_count, void *const *outputs,
                          const size_t *output_bytes, uint32_t output_count,
                          uint64_t *output_frames);
  /** Feeds one frame: prefill with frames = 1. */
  itera_status (*step)(itera_session *session, const void *const *inputs,
                       const size_t *input_bytes, uint32_t input_count,
                       void *const *outputs, const size_t *output_bytes,
                       uint32_t output_count, uint64_t *output_frames);
  /** Ends the stream: delivers the frames that were held back for look-ahead,
   *  and the outputs FINAL, for which output_frames[i] is 1. The states stay as
   *  they are, but only begin, state_reset and state_load let the session go
   *  on. */
  itera_status (*finish)(itera_session *session, void *const *outputs,
                         const size_t *output_bytes, uint32_t output_count,
                         uint64_t *output_frames);
  /** What finish would deliver now, without ending the stream. */
  itera_status (*peek)(itera_session *session, void *const *outputs,
                       const size_t *output_bytes, uint32_t output_count,
                       uint64_t *output_frames);
  /** The frames of output `output` that feeding `frames` more frames delivers;
   *  0 if it is not streamed. */
  uint64_t (*frames_after)(const itera_session *session, uint64_t frames,
                           uint32_t output);
  /** The frames of output `output` that finish would deliver now. */
  uint64_t (*frames_left)(const itera_session *session, uint32_t output);
  /** The frames of output `output` that a whole stream of `length` frames gives:
   *  how long the buffers for forward must be. 0 if it is not streamed. */
  uint64_t (*frames_total)(uint64_t length, uint32_t output);
  /** Frames fed since the stream began. */
  uint64_t (*position)(const itera_session *session);

  /** The carried states, as tensors. They, the values computed by begin and the
   *  position are all that persists between two calls. */
  uint32_t (*state_count)(void);
  const itera_tensor_info *(*state_info)(uint32_t index);
  /** Copies one state out or in; bytes must be state_info(index)->bytes. */
  itera_status (*state_read)(itera_session *session, uint32_t index, void *data,
                             size_t bytes);
  itera_status (*state_write)(itera_session *session, uint32_t index,
                              const void *data, size_t bytes);
  /** Back to position 0, with the values that begin computed. */
  itera_status (*state_reset)(itera_session *session);
  /** Bytes that state_save writes; the same for every session of the model. */
  size_t (*state_size)(const itera_session *session);
  /** Writes the whole stream as a blob that any session of a model compiled
   *  from the same file with the same precision can load, on any target. Equal
   *  streams give equal blobs. bytes must be state_size. */
  itera_status (*state_save)(itera_session *session, void *data, size_t bytes);
  /** Refuses a blob of another model or a damaged one (BAD_STATE). */
  itera_status (*state_load)(itera_session *session, const void *data,
                             size_t bytes);
  /** ERROR_NOT_FINITE, with the state's name, if a state of floats holds a NaN
   *  or an infinity. Where the model itself has infinities (the padding of a
   *  maximum, a running maximum at its beginning), NaN alone counts. */
  itera_status (*state_check)(itera_session *session);
  /** A new session at the same place of the same stream, e.g. for beams. */
  itera_status (*session_clone)(itera_session *session, itera_session **clone);
  /** Row i of the batch goes on as a copy of row rows[i]; count must be the
   *  size of the batch. ERROR_UNSUPPORTED, with the name of a state, if the
   *  model's rows are not independent. */
  itera_status (*reorder_rows)(itera_session *session, const uint32_t *rows,
                               uint32_t count);
  /** Takes back the last `frames` frames, as if they had not been fed. At most
   *  rollback_window(), and no more than were fed since the stream began or a
   *  state was written; what was taken back counts no more until it is fed
   *  anew. Null if the model was compiled without a window. */
  itera_status (*rollback)(itera_session *session, uint64_t frames);
  uint64_t (*rollback_window)(void);
  /** prefill, which leaves a snapshot, a blob as of state_save, at every
   *  position on its way that is a multiple of `every` >= 1: so a stream can go
   *  back to places that many streams share. The blobs stand one after the
   *  other in `snapshots`, state_size bytes each, and snapshot_bytes must be
   *  those of all: (position + frames) / every - position / every of them. The
   *  memory must not overlap an input or output. Null if the model cannot
   *  stream. */
  itera_status (*prefill_snapshots)(
      itera_session *session, uint64_t frames, const void *const *inputs,
      const size_t *input_bytes, uint32_t input_count, void *const *outputs,
      const size_t *output_bytes, uint32_t output_count,
      uint64_t *output_frames, uint64_t every, void *snapshots,
      size_t snapshot_bytes);
} itera_model_api;

/**
 * The type of itera_model_query and itera_model_query_<name>. max_abi is the
 * newest version that the host understands. Returns null if the artefact is
 * newer than that or needs a CPU feature that is absent; host->log, if given,
 * receives the reason.
 */
typedef const itera_model_api *(*itera_model_query_fn)(uint32_t max_abi,
                                                       const itera_host *host);

/** Name of the alias in shared objects, for dlsym. */
#define ITERA_MODEL_QUERY_SYMBOL "itera_model_query"

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* ITERA_ABI_H */
