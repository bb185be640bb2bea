#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/mailbox.h"
#include "base/map.h"
#include "base/prng.h"
#include "base/test.h"

TEST(an_arena_keeps_to_its_budget)
{
    struct arena a;
    arena_init(&a, 64, 1000);
    check(arena_try_alloc(&a, 500) != NULL);
    check(arena_try_alloc(&a, 600) == NULL);
    check(a.used <= 1000);
    check(arena_try_alloc(&a, SIZE_MAX) == NULL);
    arena_fini(&a);
    check_int(a.used, 0);
}

TEST(an_arena_begins_on_memory_of_its_caller_and_goes_on_beyond)
{
    ARENA_ON_STACK(a, 100);
    char *first = arena_alloc(&a, 90), *second = arena_alloc(&a, 90);
    check(first == a_ && (second < a_ || second >= a_ + sizeof a_));
    memset(first, 1, 90);
    memset(second, 2, 90);
    arena_reset(&a);
    char *third = arena_alloc(&a, 90);
    check(third == second); /* the block that it took itself stays */
    check_int(first[89], 1);
    arena_fini(&a);
    check_int(a.used, 0);
    arena_init_on(&a, a_, sizeof a_);
    arena_reset(&a);
    check(arena_alloc(&a, 8) != a_);
    arena_fini(&a);
}

TEST(arena_strings_are_copies_that_end_with_a_nul)
{
    struct arena a;
    arena_init(&a, 0, 0);
    char text[] = "abc";
    struct str s = arena_str(&a, str_of(text));
    text[0] = 'x';
    check_str(s, "abc");
    check_int(s.data[3], 0);
    check_str(arena_printf(&a, "%d-%s", 7, "q"), "7-q");
    for (int i = 0; i < 1000; i++) check((uintptr_t)arena_alloc(&a, (size_t)i) % 16 == 0);
    arena_reset(&a);
    check(a.head != NULL);
    arena_fini(&a);
}

TEST(a_map_agrees_with_a_plain_array_under_random_use)
{
    enum { KEYS = 300 };
    struct prng prng;
    prng_init(&prng, 1);
    struct map map = {0};
    struct map_u64 numbers = {0};
    static int values[KEYS];
    bool present[KEYS] = {false};
    size_t count = 0;
    for (int round = 0; round < 20000; round++) {
        size_t k = prng_below(&prng, KEYS);
        char key[16];
        struct str name = {key, (size_t)snprintf(key, sizeof key, "key-%zu", k)};
        if (prng_chance(&prng, 2)) {
            void *old = map_put(&map, name, &values[k]);
            check(old == (present[k] ? &values[k] : NULL));
            check(map_u64_put(&numbers, k, &values[k]) == old);
            count += !present[k];
            present[k] = true;
        } else {
            void *old = map_remove(&map, name);
            check(old == (present[k] ? &values[k] : NULL));
            check(map_u64_remove(&numbers, k) == old);
            count -= present[k];
            present[k] = false;
        }
        check_int(map_count(&map), count);
        check_int(map_u64_count(&numbers), count);
        check((map_get(&map, name) != NULL) == present[k]);
        check((map_u64_get(&numbers, k) != NULL) == present[k]);
    }
    size_t walked = 0;
    struct str key;
    for (size_t at = 0; map_next(&map, &at, &key) != NULL; walked++) check(str_starts_with(key, STR("key-")));
    check_int(walked, count);
    map_fini(&map);
    map_u64_fini(&numbers);
}

TEST(a_map_is_walked_in_insertion_order)
{
    struct map map = {0};
    int v = 0;
    map_put(&map, STR("b"), &v);
    map_put(&map, STR("a"), &v);
    map_put(&map, STR("c"), &v);
    map_remove(&map, STR("a"));
    map_put(&map, STR("a"), &v);
    char order[4] = "";
    struct str key;
    int n = 0;
    for (size_t at = 0; map_next(&map, &at, &key) != NULL;) order[n++] = key.data[0];
    check(strcmp(order, "bca") == 0);
    map_fini(&map);
}

TEST(a_heap_gives_what_is_due_first_and_ties_in_order)
{
    struct heap heap = {0};
    struct heap_node nodes[200] = {0};
    struct prng prng;
    prng_init(&prng, 2);
    for (int i = 0; i < 200; i++) heap_put(&heap, &nodes[i], (instant){(int64_t)prng_below(&prng, 20)});
    for (int i = 0; i < 50; i++) heap_put(&heap, &nodes[i], (instant){(int64_t)prng_below(&prng, 20)});
    for (int i = 100; i < 150; i++) heap_remove(&heap, &nodes[i]);
    check_int(heap.count, 150);
    struct heap_node *last = NULL;
    for (struct heap_node *n; (n = heap_first(&heap)) != NULL; last = n) {
        if (last != NULL) check(last->due.ns < n->due.ns || (last->due.ns == n->due.ns && last->order < n->order));
        heap_remove(&heap, n);
        check(!heap_has(n));
    }
    heap_fini(&heap);
}

TEST(the_same_seed_gives_the_same_numbers)
{
    struct prng a, b;
    prng_init(&a, 42);
    prng_init(&b, 42);
    for (int i = 0; i < 100; i++) check(prng_next(&a) == prng_next(&b));
    char uuid[37];
    prng_uuid(&a, uuid);
    check_int(strlen(uuid), 36);
    check(uuid[14] == '4' && uuid[8] == '-' && strchr("89ab", uuid[19]) != NULL);
    char later[37];
    prng_uuid_at(&a, (instant){INT64_C(1700000000123) * NS_PER_MS}, uuid);
    prng_uuid_at(&a, (instant){INT64_C(1700000000124) * NS_PER_MS}, later);
    check(strncmp(uuid, "018bcfe5-687b-7", 15) == 0 && strchr("89ab", uuid[19]) != NULL && strcmp(uuid, later) < 0);
    for (int i = 0; i < 1000; i++) check(prng_below(&a, 7) < 7);
}

TEST(errors_say_code_and_words)
{
    struct arena a;
    arena_init(&a, 0, 0);
    struct error e = {0};
    check(error_set(&e, &a, ERR_WORKFLOW_CLOSED, "run %s", "r1") == ERR_WORKFLOW_CLOSED);
    check_str(error_message(&e), "run r1");
    check(error_grpc(&e) == GRPC_NOT_FOUND);
    e = (struct error){.code = ERR_STORE_FULL};
    check(error_message(&e).size > 0 && error_grpc(&e) == GRPC_UNAVAILABLE);
    check_str(str_of(grpc_code_name(GRPC_UNAUTHENTICATED)), "UNAUTHENTICATED");
    arena_fini(&a);
}

struct letter { struct mail mail; int number; };
static int opened[8], opened_count;
static void letter_open(struct mail *mail) { opened[opened_count++] = container_of(mail, struct letter, mail)->number; }
static void count_call(void *arg) { ++*(int *)arg; }

TEST(a_mailbox_keeps_order_and_wakes_its_owner_once)
{
    int wakes = 0;
    struct mailbox box;
    mailbox_init(&box, count_call, &wakes);
    struct letter letters[3] = {{{.open = letter_open}, 1}, {{.open = letter_open}, 2}, {{.open = letter_open}, 3}};
    for (int i = 0; i < 3; i++) mailbox_send(&box, &letters[i].mail);
    check_int(wakes, 1);
    check(!mailbox_is_empty(&box));
    check_int(mailbox_open_all(&box), 3);
    check(mailbox_is_empty(&box));
    check(opened[0] == 1 && opened[1] == 2 && opened[2] == 3);
    check_int(mailbox_open_all(&box), 0);
    mailbox_fini(&box);
}

TEST(a_buffer_grows_and_gives_from_the_front)
{
    struct buf b = {0};
    for (int i = 0; i < 1000; i++) buf_printf(&b, "%d,", i % 10);
    check_int(b.size, 2000);
    buf_consume(&b, 1998);
    check_str(buf_view(&b), "9,");
    buf_fini(&b);
}

TEST_MAIN
