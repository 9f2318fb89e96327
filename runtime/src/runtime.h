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

struct itera_session {
  const itera_model *model;
  void *scratch;
  size_t allocated; // bytes of the block that holds session and scratch
  size_t align;     // and its alignment
  char error[256];
};

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

// tensors.c
size_t itera_dtype_size(itera_dtype dtype); // 0 if unknown
int itera_tensor_is_consistent(const itera_tensor_info *info);
itera_status itera_check_buffers(itera_session *session,
                                 const void *const *inputs,
                                 const size_t *input_bytes,
                                 uint32_t input_count, void *const *outputs,
                                 const size_t *output_bytes,
                                 uint32_t output_count);

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

// query.c: the only symbol that the linker exports, under the model's names.
const itera_model_api *itera_runtime_query(uint32_t max_abi,
                                           const itera_host *host);

#endif // ITERA_RUNTIME_H
