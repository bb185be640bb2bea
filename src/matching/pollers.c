/* matching/pollers.c: who polls a partition, and how fast tasks come and go. For description and scaling hints only. */
#include "matching/internal.h"

#include <stdlib.h>

enum { METER_BUCKET_SECONDS = 5, RECORDS_MAX = 1000 };
static const duration record_age_max = {5 * 60 * NS_PER_S};

static void meter_move(struct meter *meter, int64_t bucket)
{
    if (meter->since == 0) {
        meter->since = bucket * METER_BUCKET_SECONDS;
        meter->bucket = bucket;
    }
    for (int steps = 0; meter->bucket < bucket && steps < METER_BUCKETS; steps++)
        meter->counts[++meter->bucket % METER_BUCKETS] = 0;
    if (meter->bucket < bucket) meter->bucket = bucket;
}

void meter_add(struct meter *meter, instant now)
{
    meter_move(meter, now.ns / NS_PER_S / METER_BUCKET_SECONDS);
    meter->counts[meter->bucket % METER_BUCKETS]++;
}

double meter_rate(const struct meter *meter, instant now)
{
    if (meter->since == 0) return 0;
    struct meter moved = *meter;
    meter_move(&moved, now.ns / NS_PER_S / METER_BUCKET_SECONDS);
    uint64_t sum = 0;
    for (int i = 0; i < METER_BUCKETS; i++) sum += moved.counts[i];
    double whole = (double)(METER_BUCKETS - 1) * METER_BUCKET_SECONDS + (double)(now.ns / NS_PER_MS % (METER_BUCKET_SECONDS * 1000)) / 1000;
    double age = (double)now.ns / (double)NS_PER_S - (double)moved.since;
    double seconds = age < whole ? age : whole;
    return (double)sum / (seconds < 1 ? 1 : seconds);
}

void poller_book_init(struct poller_book *book) { list_init(&book->records); }

static void record_drop(struct poller_book *book, struct poller_record *record)
{
    list_remove(&record->link);
    map_remove(&book->by_identity, record->identity);
    free(record);
}

void poller_book_fini(struct poller_book *book)
{
    struct list *link;
    while ((link = list_first(&book->records)) != NULL) record_drop(book, container_of(link, struct poller_record, link));
    map_fini(&book->by_identity);
}

void poller_book_forget(struct poller_book *book, instant now)
{
    struct list *link;
    while ((link = list_first(&book->records)) != NULL) {
        struct poller_record *record = container_of(link, struct poller_record, link);
        if (map_count(&book->by_identity) <= RECORDS_MAX && instant_since(now, record->last_access).ns < record_age_max.ns) break;
        record_drop(book, record);
    }
}

struct poller_record *poller_book_find(const struct poller_book *book, struct str identity)
{
    return map_get(&book->by_identity, identity);
}

static struct poller_record *record_create(const struct task_poller *poller)
{
    size_t size = poller->identity.size + poller->build_id.size + poller->deployment.size;
    struct poller_record *record = xcalloc(1, sizeof *record + size);
    char *at = (char *)(record + 1);
    const struct str from[] = {poller->identity, poller->build_id, poller->deployment};
    struct str *to[] = {&record->identity, &record->build_id, &record->deployment};
    for (size_t i = 0; i < countof(from); i++) {
        if (from[i].size != 0) memcpy(at, from[i].data, from[i].size);
        *to[i] = str_make(at, from[i].size);
        at += from[i].size;
    }
    return record;
}

void poller_book_note(struct poller_book *book, const struct task_poller *poller, instant now)
{
    struct poller_record *record = map_get(&book->by_identity, poller->identity), *old = NULL;
    if (record != NULL && (!str_equal(record->build_id, poller->build_id) || !str_equal(record->deployment, poller->deployment))) {
        old = record;
        record = NULL;
    }
    if (record == NULL) {
        record = record_create(poller);
        if (old != NULL) {
            record->hint_window = old->hint_window;
            record->hint_count = old->hint_count;
            record_drop(book, old);
        }
        map_put(&book->by_identity, record->identity, record);
    }
    record->last_access = now;
    record->rate_max = poller->rate_max;
    list_remove(&record->link);
    list_push(&book->records, &record->link);
    poller_book_forget(book, now);
}
