// SPDX-License-Identifier: Apache-2.0
//
// A whole stream as a blob of bytes.
//
//   0  magic            8 bytes, "ITERASTR"
//   8  version          4 bytes, of this layout
//  12  abi              4 bytes, ITERA_ABI_VERSION
//  16  state_hash      16 bytes, of the program
//  32  position         8 bytes
//  40  flags            4 bytes: 1 begun, 2 finished
//  44  crc              4 bytes, CRC-32 (as in zip) of everything else
//  48  payload_bytes    8 bytes
//  56  undoable         8 bytes, frames that can be taken back
//  64  payload          what begin has computed, then each state, without gaps
//
// All numbers are little-endian. Equal streams give equal blobs. A blob comes
// from anywhere: nothing in it is believed before all of it has been checked.

#include "runtime.h"

typedef struct blob_header {
  char magic[8];
  uint32_t version;
  uint32_t abi;
  uint64_t hash[2];
  uint64_t position;
  uint32_t flags;
  uint32_t crc;
  uint64_t payload_bytes;
  uint64_t undoable;
} blob_header;

_Static_assert(sizeof(blob_header) == 64, "the header has no padding");
enum { blob_version = 1, flag_begun = 1, flag_finished = 2 };

//===----------------------------------------------------------------------===//
// CRC-32
//===----------------------------------------------------------------------===//

// crc->table[k][b]: what the byte b does to a sum k bytes later. On the stack:
// as constants the tables would burden every artefact.
typedef struct crc_tables {
  uint32_t table[4][256];
} crc_tables;

static void make_tables(crc_tables *crc) {
  for (uint32_t b = 0; b < 256; ++b) {
    uint32_t sum = b;
    for (int bit = 0; bit < 8; ++bit)
      sum = sum >> 1 ^ (sum & 1 ? 0xedb88320u : 0);
    crc->table[0][b] = sum;
  }
  for (int k = 1; k < 4; ++k)
    for (uint32_t b = 0; b < 256; ++b) {
      uint32_t sum = crc->table[k - 1][b];
      crc->table[k][b] = sum >> 8 ^ crc->table[0][sum & 0xff];
    }
}

static uint32_t add_bytes(const crc_tables *crc, uint32_t sum, const void *data,
                          size_t bytes) {
  const uint8_t *at = data;
  for (; bytes >= 4; bytes -= 4, at += 4) {
    sum ^= (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
           (uint32_t)at[3] << 24;
    sum = crc->table[3][sum & 0xff] ^ crc->table[2][sum >> 8 & 0xff] ^
          crc->table[1][sum >> 16 & 0xff] ^ crc->table[0][sum >> 24];
  }
  for (; bytes; --bytes)
    sum = sum >> 8 ^ crc->table[0][(sum ^ *at++) & 0xff];
  return sum;
}

// Of a blob without the four bytes of its own sum.
static uint32_t sum_blob(const char *blob, size_t bytes) {
  crc_tables crc;
  make_tables(&crc);
  const size_t at = offsetof(blob_header, crc), behind = at + 4;
  uint32_t sum = add_bytes(&crc, UINT32_MAX, blob, at);
  return ~add_bytes(&crc, sum, blob + behind, bytes - behind);
}

//===----------------------------------------------------------------------===//
// Save and load
//===----------------------------------------------------------------------===//

size_t itera_state_size(const itera_session *session) {
  (void)session;
  const itera_stream *stream = itera_program.stream;
  size_t size = sizeof(blob_header) + stream->constants_bytes;
  for (uint32_t i = 0; i < stream->state_count; ++i)
    size += stream->states[i].bytes;
  return size;
}

static blob_header make_header(const itera_session *session) {
  const itera_stream *stream = itera_program.stream;
  return (blob_header){.magic = {'I', 'T', 'E', 'R', 'A', 'S', 'T', 'R'},
                       .version = blob_version,
                       .abi = ITERA_ABI_VERSION,
                       .hash = {stream->state_hash[0], stream->state_hash[1]},
                       .position = session->position,
                       .flags = (session->begun ? flag_begun : 0u) |
                                (session->finished ? flag_finished : 0u),
                       .payload_bytes =
                           itera_state_size(session) - sizeof(blob_header),
                       .undoable = session->undoable};
}

itera_status itera_state_save(itera_session *session, void *data,
                              size_t bytes) {
  if (!session)
    return ITERA_ERROR_INVALID_ARGUMENT;
  session->error[0] = '\0';
  const itera_stream *stream = itera_program.stream;
  size_t size = itera_state_size(session);
  if (bytes != size)
    return itera_refuse_number(session, ITERA_ERROR_INVALID_ARGUMENT,
                               "the blob", size, " bytes", bytes);
  if (!data)
    return itera_refuse(session, ITERA_ERROR_INVALID_ARGUMENT,
                        "the blob: the pointer is null");
  blob_header header = make_header(session);
  char *to = data;
  memcpy(to, &header, sizeof header);
  to += sizeof header;
  memcpy(to, session->constants, stream->constants_bytes);
  to += stream->constants_bytes;
  for (uint32_t i = 0; i < stream->state_count; ++i) {
    memcpy(to, session->state + stream->state_offsets[i],
           stream->states[i].bytes);
    to += stream->states[i].bytes;
  }
  header.crc = sum_blob(data, size);
  memcpy(data, &header, sizeof header);
  return ITERA_OK;
}

// Null, or why the blob is refused.
static const char *find_blob_fault(const itera_session *session,
                                   const blob_header *header, const char *blob,
                                   size_t bytes) {
  blob_header own = make_header(session);
  if (memcmp(header->magic, own.magic, sizeof own.magic))
    return "the blob is not a saved stream";
  if (header->version != own.version || header->abi != own.abi)
    return "the blob was saved by another version";
  if (memcmp(header->hash, own.hash, sizeof own.hash))
    return "the blob belongs to another model or another precision";
  uint32_t flags = header->flags;
  if (header->payload_bytes != own.payload_bytes ||
      header->crc != sum_blob(blob, bytes))
    return "the blob is damaged";
  // With the right sum these are the work of a hand, not of an accident.
  if (header->undoable > itera_program.stream->rollback_window ||
      header->undoable > header->position || flags > (flag_begun | flag_finished) ||
      flags == flag_finished || header->position > session->last_position ||
      (!flags && (header->position || !itera_needs_begin(&itera_program))))
    return "the blob is malformed";
  return NULL;
}

itera_status itera_state_load(itera_session *session, const void *data,
                              size_t bytes) {
  if (!session)
    return ITERA_ERROR_INVALID_ARGUMENT;
  session->error[0] = '\0';
  if (!data)
    return itera_refuse(session, ITERA_ERROR_INVALID_ARGUMENT,
                        "the blob: the pointer is null");
  const itera_stream *stream = itera_program.stream;
  size_t size = itera_state_size(session);
  if (bytes != size)
    return itera_refuse_number(session, ITERA_ERROR_BAD_STATE, "the blob", size,
                               " bytes", bytes);
  blob_header header;
  memcpy(&header, data, sizeof header);
  const char *fault = find_blob_fault(session, &header, data, bytes);
  if (fault)
    return itera_refuse(session, ITERA_ERROR_BAD_STATE, fault);
  const char *from = (const char *)data + sizeof header;
  memcpy(session->constants, from, stream->constants_bytes);
  from += stream->constants_bytes;
  for (uint32_t i = 0; i < stream->state_count; ++i) {
    memcpy(session->state + stream->state_offsets[i], from,
           stream->states[i].bytes);
    from += stream->states[i].bytes;
  }
  session->begun = header.flags & flag_begun;
  session->finished = header.flags >> 1 & 1;
  session->undoable = header.undoable;
  itera_set_position(session, header.position);
  return ITERA_OK;
}
