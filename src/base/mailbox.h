/* base/mailbox.h: how threads talk. Many senders, one owner who takes all that has arrived, in order of sending.
 *
 * `notify` is called by a sender, on its thread, when the mailbox was empty before: it wakes the owner's loop. */
#ifndef BASE_MAILBOX_H
#define BASE_MAILBOX_H

#include "base/list.h"

#include <pthread.h>

struct mail {
    struct list link;
    void (*open)(struct mail *mail); /* runs on the owner's thread; frees what it wants freed */
};
struct mailbox {
    pthread_mutex_t mutex;
    struct list mails;
    void (*notify)(void *arg);
    void *notify_arg;
};

void mailbox_init(struct mailbox *box, void (*notify)(void *arg), void *arg);
void mailbox_fini(struct mailbox *box); /* mails still inside are the caller's to find */
void mailbox_send(struct mailbox *box, struct mail *mail); /* any thread */
size_t mailbox_open_all(struct mailbox *box);              /* the owner; runs what has arrived; returns how many */
bool mailbox_is_empty(struct mailbox *box);                /* any thread */

#endif
