// Looks for matches of small regular expressions by backtracking, in the manner of a textbook.
#include "kernel.h"
#define N 4000
static char text[N + 1];
static const char *const patterns[] = { "ab*c", "^x.*y", "a.c.e*f", "d*dd$", "b.*b.c" };

static int match_here(const char *pattern, const char *at);

static int match_star(char c, const char *pattern, const char *at) {
    do {
        if (match_here(pattern, at)) return 1;
    } while (*at && (*at++ == c || c == '.'));
    return 0;
}

static int match_here(const char *pattern, const char *at) {
    if (!pattern[0]) return 1;
    if (pattern[1] == '*') return match_star(pattern[0], pattern + 2, at);
    if (pattern[0] == '$' && !pattern[1]) return !*at;
    if (*at && (pattern[0] == '.' || pattern[0] == *at)) return match_here(pattern + 1, at + 1);
    return 0;
}

static int match(const char *pattern, const char *at) {
    if (pattern[0] == '^') return match_here(pattern + 1, at);
    do {
        if (match_here(pattern, at)) return 1;
    } while (*at++);
    return 0;
}

EXPORT u64 run(u32 n) {
    u64 sum = 0;
    u32 seed = 77;
    for (u32 round = 0; round < n; round++) {
        for (int i = 0; i < N; i++)
            text[i] = next_random(&seed) % 40 ? "abcdefxy"[next_random(&seed) % 8] : 0;
        for (int start = 0; start < N; start++)
            if (!start || !text[start - 1])
                for (int i = 0; i < 5; i++)
                    sum = mix(sum, (u64)match(patterns[i], text + start));
    }
    return sum;
}
