// A CGI program: what it writes to stdout is a head, an empty line, and the body.
//
//   GET  /cgi          who asks, and how
//   GET  /cgi/old      a redirect
//   POST /cgi          the body with its bytes as hexadecimal digits, as it arrives

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Variables of the request: all of them are text, and may be missing.
static const char *variable(const char *name) {
  const char *value = getenv(name);
  return value ? value : "";
}

static int hex(void) {
  static unsigned char bytes[16 << 10];
  static char digits[2 * sizeof bytes];
  printf("Content-Type: text/plain\n\n");
  // A client that is slow to send or to take holds up this loop, and nothing else.
  for (size_t count; (count = fread(bytes, 1, sizeof bytes, stdin)) > 0;) {
    for (size_t i = 0; i < count; i++) {
      digits[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
      digits[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    if (fwrite(digits, 2, count, stdout) < count) return EXIT_FAILURE;
  }
  return ferror(stdin) ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(void) {
  const char *method = variable("REQUEST_METHOD"), *path = variable("PATH_INFO");
  if (strcmp(path, "/old") == 0) {
    printf("Status: 301\nLocation: %s\n\n", variable("SCRIPT_NAME"));
  } else if (strcmp(path, "") != 0 && strcmp(path, "/") != 0) {
    printf("Status: 404\nContent-Type: text/plain\n\nthere is nothing at %s\n", path);
  } else if (strcmp(method, "POST") == 0) {
    return hex();
  } else {
    printf("Content-Type: text/plain\nCache-Control: no-store\n\n");
    printf("%s by %s\n", method, variable("HTTP_USER_AGENT"));
  }
  return EXIT_SUCCESS;
}
