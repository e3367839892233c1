/* Functions for wfaas in C or C++: one header, nothing to link.
 *
 *   #include "faas.h"
 *
 *   static void hello(const uint8_t *body, size_t len) {
 *     faas_status(201);
 *     faas_header("content-type", "text/plain");
 *     faas_write("you sent: ", 10);
 *     faas_write(body, len);
 *   }
 *   FAAS_HANDLER(hello)
 *
 *   clang --target=wasm32-wasi -O2 -mexec-model=reactor -o hello.wasm hello.c
 *
 * Memory is not freed: each request has an instance of its own. docs/guest-abi.md of wfaas has the
 * contract of the host functions.
 */
#ifndef FAAS_H
#define FAAS_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
#define FAAS_C extern "C"
#else
#define FAAS_C
#endif

/* A host function of the module `faas`. It answers a number that is not below zero, or an error. */
#define FAAS_IMPORT(name) \
  FAAS_C __attribute__((import_module("faas"), import_name(#name))) int32_t

/* There is no such header, or no further value of it. */
#define FAAS_MISSING (-1)
/* A range that is not in memory. */
#define FAAS_FAULT (-2)
/* Not a status, a name or a value. */
#define FAAS_INVALID (-3)
/* There is no room in the head of an answer. */
#define FAAS_TOO_LARGE (-4)
/* The head was sent. */
#define FAAS_SENT (-5)

/* Texts of the request. They copy as much as there is room for, without a NUL, and answer the whole
 * length. The path is as the client sent it, percent-encoded; its first faas_request_route() bytes
 * are the function's route. faas_request_headers gives `name:value` and a line feed for each. */
FAAS_IMPORT(request_method) faas_request_method(char *to, size_t room);
FAAS_IMPORT(request_path) faas_request_path(char *to, size_t room);
FAAS_IMPORT(request_route) faas_request_route(void);
FAAS_IMPORT(request_query) faas_request_query(char *to, size_t room);
FAAS_IMPORT(request_headers) faas_request_headers(char *to, size_t room);

/* Value number `index` of a header, from 0; FAAS_MISSING behind the last one. */
FAAS_IMPORT(request_header)
faas_request_header_at(const char *name, size_t name_len, uint32_t index, char *to, size_t room);

/* Reads bytes of the body that have arrived; waits for some, 0 at the end. In a program that calls
 * this, the handler gets no body. */
FAAS_IMPORT(request_body_read) faas_read(void *to, size_t room);

/* Sets the status, from 200 to 599; it is 200 otherwise. */
FAAS_IMPORT(response_status) faas_status(uint32_t code);

/* Adds a header after those of the same name. */
FAAS_IMPORT(response_header)
faas_header_bytes(const char *name, size_t name_len, const void *value, size_t value_len);

/* Sends the head, if that was not done, and these bytes; waits while the client does not take them. */
FAAS_IMPORT(response_write) faas_write(const void *from, size_t len);

/* The first value of a header. */
static inline int32_t faas_request_header(const char *name, char *to, size_t room) {
  return faas_request_header_at(name, strlen(name), 0, to, room);
}

static inline int32_t faas_header(const char *name, const char *value) {
  return faas_header_bytes(name, strlen(name), value, strlen(value));
}

static inline int32_t faas_print(const char *text) { return faas_write(text, strlen(text)); }

/* Makes a function `void handler(const uint8_t *body, size_t len)` the one that answers requests. */
#define FAAS_HANDLER(handler)                                                              \
  FAAS_C __attribute__((export_name("faas_alloc"))) void *faas_alloc(size_t len) {         \
    return malloc(len > 0 ? len : 1);                                                      \
  }                                                                                        \
  FAAS_C __attribute__((export_name("faas_handle"))) uint64_t faas_handle(uint8_t *body,   \
                                                                           size_t len) {   \
    handler(body, len);                                                                    \
    return 0;                                                                              \
  }

#endif
