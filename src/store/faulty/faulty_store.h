/* store/faulty/faulty_store.h: a store on virtual time that may be slow, fail, fill up and crash, within the contract of store.h.
 *
 * What is submitted is seen by later reads at once, becomes durable some time later in the order of submission, and is
 * reported some time after that. Reads come back in any order. A crash loses what was not durable and every answer on its
 * way; what was durable and not yet reported survives. Inside are two memory stores: one with all that was submitted, one
 * with what is durable; what a failure takes back is made anew from a log of the durable commits.
 *
 * Thread: one.   Clock and randomness: given. */
#ifndef STORE_FAULTY_FAULTY_STORE_H
#define STORE_FAULTY_FAULTY_STORE_H

#include "base/prng.h"
#include "store/store.h"

struct faulty_options {
    uint64_t seed;
    duration delay_max;         /* until durable, until reported, until a read answers; 0: no delay at all */
    uint32_t fail_one_in;       /* of commits and reads; 0: none fail by chance */
    void (*on_durable)(void *arg, const struct store_commit *commit); /* each commit, once, when it becomes durable; may be NULL */
    void *arg;
};

struct faulty_store;
struct faulty_store *faulty_create(const struct faulty_options *options, instant now);
void faulty_destroy(struct faulty_store *f);
struct store *faulty_as_store(struct faulty_store *f); /* closing it has no effect: it is the disk */

void faulty_set_now(struct faulty_store *f, instant now);
instant faulty_next_due(const struct faulty_store *f);
void faulty_tick(struct faulty_store *f);           /* does what is due: makes durable, reports, answers */

/* The nth request from now on (from 0) fails once. */
void faulty_arm(struct faulty_store *f, int64_t nth);
bool faulty_has_fired(const struct faulty_store *f);
void faulty_set_fail_one_in(struct faulty_store *f, uint32_t one_in);
void faulty_set_full(struct faulty_store *f, bool is_full); /* commits fail with ERR_STORE_FULL, reads go on */
/* The machine stops: whatever was under way is lost or, for some of the oldest commits, durable after all. No mail comes
 * any more from before. The same store then serves the next life. */
void faulty_crash(struct faulty_store *f);

/* What is durable, for checkers; answers at once, into the read's arena. */
void faulty_read_durable(struct faulty_store *f, struct store_read *read);
void faulty_read_seen(struct faulty_store *f, struct store_read *read); /* with what is submitted and not durable yet */
bool faulty_is_failing(const struct faulty_store *f); /* a commit has failed, and its shard has not recovered yet */
struct faulty_stats { uint64_t commits, durable, failed, reads, crashes, lost; };
struct faulty_stats faulty_get_stats(const struct faulty_store *f);

#endif
