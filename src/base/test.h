/* base/test.h: unit tests that read as specifications. A test program includes this once per file, names behaviours
 * with TEST(...) and closes with TEST_MAIN. It prints each failure and a last line "N passed, N failed". */
#ifndef BASE_TEST_H
#define BASE_TEST_H

#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>

struct test {
    const char *name;
    void (*run)(void);
    struct test *next;
};
static struct test *test_first, **test_last = &test_first;
static int test_failures;    /* of the running test */
static const char *test_row; /* the running row of a table test, for messages */

#define TEST(name)                                                                          \
    static void test_##name(void);                                                          \
    static struct test test_of_##name = {#name, test_##name, NULL};                         \
    __attribute__((constructor)) static void test_add_##name(void)                          \
    {                                                                                       \
        *test_last = &test_of_##name;                                                       \
        test_last = &test_of_##name.next;                                                   \
    }                                                                                       \
    static void test_##name(void)

#define check(expression)                                                                                       \
    do {                                                                                                        \
        if (!(expression)) {                                                                                    \
            test_failures++;                                                                                    \
            fprintf(stderr, "%s:%d: %s%s%s\n", __FILE__, __LINE__, test_row != NULL ? test_row : "",            \
                    test_row != NULL ? ": " : "", #expression);                                                 \
        }                                                                                                       \
    } while (0)
#define check_int(actual, expected)                                                                             \
    do {                                                                                                        \
        long long check_a_ = (long long)(actual), check_e_ = (long long)(expected);                             \
        if (check_a_ != check_e_) {                                                                             \
            test_failures++;                                                                                    \
            fprintf(stderr, "%s:%d: %s%s%s is %lld, not %lld\n", __FILE__, __LINE__, test_row != NULL ? test_row : "", \
                    test_row != NULL ? ": " : "", #actual, check_a_, check_e_);                                 \
        }                                                                                                       \
    } while (0)
#define check_str(actual, expected)                                                                             \
    do {                                                                                                        \
        struct str check_a_ = (actual), check_e_ = str_of(expected);                                            \
        if (!str_equal(check_a_, check_e_)) {                                                                   \
            test_failures++;                                                                                    \
            fprintf(stderr, "%s:%d: %s%s%s is \"%.*s\", not \"%.*s\"\n", __FILE__, __LINE__,                    \
                    test_row != NULL ? test_row : "", test_row != NULL ? ": " : "", #actual, STR_ARG(check_a_), \
                    STR_ARG(check_e_));                                                                         \
        }                                                                                                       \
    } while (0)

/* argv[1], when given, runs only the tests whose name contains it. */
static int test_run_all(int argc, char **argv)
{
    int passed = 0, failed = 0;
    for (struct test *t = test_first; t != NULL; t = t->next) {
        if (argc > 1 && strstr(t->name, argv[1]) == NULL) continue;
        test_failures = 0;
        test_row = NULL;
        t->run();
        if (test_failures == 0) {
            passed++;
        } else {
            failed++;
            fprintf(stderr, "FAILED %s\n", t->name);
        }
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 && passed > 0 ? 0 : 1;
}
#define TEST_MAIN int main(int argc, char **argv) { return test_run_all(argc, argv); }

#endif
