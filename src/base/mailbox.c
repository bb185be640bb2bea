#include "base/mailbox.h"

void mailbox_init(struct mailbox *box, void (*notify)(void *arg), void *arg)
{
    pthread_mutex_init(&box->mutex, NULL);
    list_init(&box->mails);
    box->notify = notify;
    box->notify_arg = arg;
}

void mailbox_fini(struct mailbox *box) { pthread_mutex_destroy(&box->mutex); }

void mailbox_send(struct mailbox *box, struct mail *mail)
{
    pthread_mutex_lock(&box->mutex);
    bool was_empty = list_is_empty(&box->mails);
    list_push(&box->mails, &mail->link);
    pthread_mutex_unlock(&box->mutex);
    if (was_empty && box->notify != NULL) box->notify(box->notify_arg);
}

bool mailbox_is_empty(struct mailbox *box)
{
    pthread_mutex_lock(&box->mutex);
    bool is_empty = list_is_empty(&box->mails);
    pthread_mutex_unlock(&box->mutex);
    return is_empty;
}

size_t mailbox_open_all(struct mailbox *box)
{
    struct list arrived;
    pthread_mutex_lock(&box->mutex);
    if (list_is_empty(&box->mails)) {
        list_init(&arrived);
    } else {
        arrived = box->mails;
        arrived.next->prev = arrived.prev->next = &arrived;
        list_init(&box->mails);
    }
    pthread_mutex_unlock(&box->mutex);
    size_t count = 0;
    for (struct list *link; (link = list_pop(&arrived)) != NULL; count++) {
        struct mail *mail = container_of(link, struct mail, link);
        mail->open(mail);
    }
    return count;
}
