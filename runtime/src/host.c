// SPDX-License-Identifier: Apache-2.0
//
// The host's hooks, and what stands in for a hook that is absent.
//
// malloc and free are weak references: an artefact needs no library, but uses
// the process's allocator where there is one. A host without a libc passes its
// own hooks.

#include "runtime.h"

extern void *malloc(size_t size) __attribute__((weak));
extern void free(void *pointer) __attribute__((weak));

itera_status itera_host_copy(itera_host *to, const itera_host *from) {
  *to = (itera_host){.struct_size = sizeof(itera_host)};
  if (!from)
    return ITERA_OK;
  // Version 1 of the struct ends with `trace`. A newer host may pass a longer
  // one; what is beyond our own size is not for us.
  if (!ITERA_HAS(from, itera_host, trace))
    return ITERA_ERROR_INVALID_ARGUMENT;
  if (!from->alloc != !from->free)
    return ITERA_ERROR_INVALID_ARGUMENT;
  *to = *from;
  to->struct_size = sizeof(itera_host);
  return ITERA_OK;
}

void *itera_host_alloc(const itera_host *host, size_t size, size_t align) {
  if (host->alloc) {
    void *pointer = host->alloc(host->ctx, size, align);
    if ((uintptr_t)pointer & (align - 1)) {
      host->free(host->ctx, pointer, size, align);
      return NULL;
    }
    return pointer;
  }
  // malloc promises 16 bytes of alignment at most: take more, align within, and
  // keep the block's start in front of the aligned address.
  size_t extra = align + sizeof(void *);
  if (!malloc || !free || size > SIZE_MAX - extra)
    return NULL;
  char *block = malloc(size + extra);
  if (!block)
    return NULL;
  uintptr_t start = (uintptr_t)block + sizeof(void *);
  void **aligned = (void **)((start + align - 1) & ~(uintptr_t)(align - 1));
  aligned[-1] = block;
  return aligned;
}

void itera_host_free(const itera_host *host, void *pointer, size_t size,
                     size_t align) {
  if (host->free)
    host->free(host->ctx, pointer, size, align);
  else if (pointer)
    free(((void **)pointer)[-1]);
}

void itera_host_log(const itera_host *host, int32_t level,
                    const char *message) {
  if (host->log)
    host->log(host->ctx, level, message);
}

void itera_host_trace(const itera_host *host, const char *event,
                      int32_t phase) {
  if (host->trace)
    host->trace(host->ctx, event, phase);
}
