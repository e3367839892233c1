// Like wc: lines, words and bytes of the request's body.

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

int main(void) {
  unsigned long lines = 0, words = 0, bytes = 0;
  int in_word = 0;
  for (int c; (c = getchar()) != EOF; bytes++) {
    if (c == '\n') lines++;
    int word = !isspace(c);
    if (word && !in_word) words++;
    in_word = word;
  }
  if (ferror(stdin)) {
    perror("wordcount: reading the body");
    return EXIT_FAILURE;
  }
  printf("%lu lines, %lu words, %lu bytes\n", lines, words, bytes);
  return EXIT_SUCCESS;
}
