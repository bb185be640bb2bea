/* shard/watch.c: who waits for something to happen to a run. In memory only: after a restart its callers ask again. */
#include "shard/internal.h"

#include <stdlib.h>

struct watch_list { run_key run; struct list watches; };

void shard_watch_add(struct shard *s, struct shard_watch *watch)
{
    struct watch_list *list = map_u64_get(&s->watches, (uint64_t)watch->run);
    if (list == NULL) {
        list = xcalloc(1, sizeof *list);
        list->run = watch->run;
        list_init(&list->watches);
        map_u64_put(&s->watches, (uint64_t)watch->run, list);
    }
    watch->round = s->watch_round;
    list_push(&list->watches, &watch->link);
    s->watch_count++;
}

void shard_watch_remove(struct shard *s, struct shard_watch *watch)
{
    if (!list_is_linked(&watch->link)) return;
    list_remove(&watch->link);
    s->watch_count--;
    struct watch_list *list = map_u64_get(&s->watches, (uint64_t)watch->run);
    if (list == NULL || !list_is_empty(&list->watches)) return;
    map_u64_remove(&s->watches, (uint64_t)watch->run);
    free(list);
}

/* A callback may add and remove watches, also of this run: each that waited when this began is told once. */
void watch_notify(struct shard *s, run_key run, enum notice_kind kind, struct str id)
{
    uint64_t round = ++s->watch_round;
    struct watch_list *list;
    while ((list = map_u64_get(&s->watches, (uint64_t)run)) != NULL) {
        struct list *first = list_first(&list->watches);
        struct shard_watch *watch = container_of(first, struct shard_watch, link);
        if (watch->round >= round) break;
        watch->round = round;
        list_remove(first);
        list_push(&list->watches, first);
        watch->notify(watch, kind, id);
    }
}

void watch_fini(struct shard *s)
{
    struct watch_list *list;
    for (size_t at = 0; (list = map_u64_next(&s->watches, &at, NULL)) != NULL;) free(list);
    map_u64_fini(&s->watches);
}
