#include "history/step.h"

void step_init(struct step *step)
{
    step->find_namespace = NULL;
    step->check_search_attributes = NULL;
    step->find_zone = NULL;
    step->find_argument = NULL;
    step->is_durable = false;
    step->touched = step->created = NULL;
    step->touched_count = step->created_count = 0;
    step->tasks = NULL;
    step->messages = NULL;
    step->notices = NULL;
    step->callbacks = NULL;
    step->tasks_end = &step->tasks;
    step->messages_end = &step->messages;
    step->notices_end = &step->notices;
    step->callbacks_end = &step->callbacks;
}

static bool has(struct execution *const *list, size_t count, const struct execution *execution)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == execution) return true;
    return false;
}

/* Lists of executions are short (a chain's end and its beginning), so they grow by copying. */
static void add(struct step *step, struct execution ***list, size_t *count, struct execution *execution)
{
    if (has(*list, *count, execution)) return;
    struct execution **longer = arena_array(step->arena, struct execution *, *count + 1);
    if (*count != 0) memcpy(longer, *list, *count * sizeof *longer);
    longer[(*count)++] = execution;
    *list = longer;
}

void step_touch(struct step *step, struct execution *execution) { add(step, &step->touched, &step->touched_count, execution); }

void step_create(struct step *step, struct execution *execution)
{
    add(step, &step->created, &step->created_count, execution);
    step_touch(step, execution);
}

struct task_effect *step_task(struct step *step)
{
    struct task_effect *task = arena_new(step->arena, struct task_effect);
    *step->tasks_end = task;
    step->tasks_end = &task->next;
    return task;
}

void step_take_back_task(struct step *step, enum task_kind kind, int64_t run, int64_t stamp)
{
    struct task_effect **at = &step->tasks;
    while (*at != NULL) {
        if ((*at)->kind == kind && (*at)->run == run && (*at)->stamp == stamp) *at = (*at)->next;
        else at = &(*at)->next;
    }
    step->tasks_end = at;
}

struct message_effect *step_message(struct step *step)
{
    struct message_effect *message = arena_new(step->arena, struct message_effect);
    *step->messages_end = message;
    step->messages_end = &message->next;
    return message;
}

struct callback_effect *step_callback(struct step *step)
{
    struct callback_effect *callback = arena_new(step->arena, struct callback_effect);
    *step->callbacks_end = callback;
    step->callbacks_end = &callback->next;
    return callback;
}

void step_take_back_requests(struct step *step, struct str run_id)
{
    struct message_effect **at = &step->messages;
    while (*at != NULL) {
        if (str_equal((*at)->asking_run_id, run_id)) *at = (*at)->next;
        else at = &(*at)->next;
    }
    step->messages_end = at;
}

void step_notice(struct step *step, enum notice_kind kind, struct execution *execution, struct str id)
{
    for (struct notice_effect *n = step->notices; n != NULL; n = n->next)
        if (n->kind == kind && n->execution == execution && str_equal(n->id, id)) return;
    struct notice_effect *notice = arena_new(step->arena, struct notice_effect);
    *notice = (struct notice_effect){kind, execution, id, NULL};
    *step->notices_end = notice;
    step->notices_end = &notice->next;
}
