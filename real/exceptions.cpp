// Exceptions of C++: through frames with destructors, rethrown, nested, caught by a base class,
// and, with an argument, by nothing.
#include <stdio.h>
#include <stdlib.h>

// Usually in the C++ library, which the link does without.
void operator delete(void *object) noexcept { free(object); }
void operator delete(void *object, unsigned long) noexcept { free(object); }

struct Error {
    int code;
    explicit Error(int code) : code(code) {}
    virtual ~Error() {}
    virtual const char *what() const { return "error"; }
};

struct Missing : Error {
    explicit Missing(int code) : Error(code) {}
    const char *what() const override { return "missing"; }
};

struct Guard {
    const char *name;
    ~Guard() { printf("drop %s\n", name); }
};

__attribute__((noinline)) void fail(int depth) {
    Guard guard{depth == 0 ? "innermost" : "frame"};
    if (depth == 0) throw Missing(7);
    fail(depth - 1);
}

__attribute__((noinline)) void rethrow() {
    try {
        fail(2);
    } catch (const Error &error) {
        printf("seen %s %d\n", error.what(), error.code);
        throw;
    }
}

__attribute__((noinline)) void nested() {
    try {
        try {
            throw 1;
        } catch (int first) {
            Guard guard{"handler"};
            throw first + 0.5;
        }
    } catch (double second) {
        printf("caught %.1f\n", second);
    }
}

int main(int argc, char **) {
    try {
        rethrow();
    } catch (int) {
        puts("wrong");
    } catch (const Error &error) {
        printf("caught %s %d\n", error.what(), error.code);
    }
    nested();
    int sum = 0;
    for (int i = 0; i < 10000; i++) {
        try {
            if (i % 3 == 0) throw i;
            sum += 1;
        } catch (...) {
            sum += 2;
        }
    }
    printf("sum %d\n", sum);
    fflush(stdout);
    if (argc > 1) fail(0);
}
