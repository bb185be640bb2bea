/* The history of the task at hand: pages laid end to end, and where the next workflow task is in them. */
#include "core/run_state.h"

#include <stdlib.h>

static void page_free(struct page *page)
{
    arena_fini(&page->arena);
    free(page->bytes);
    free(page);
}

void feed_fini(struct feed *feed)
{
    while (feed->pages != NULL) {
        struct page *page = feed->pages;
        feed->pages = page->next;
        page_free(page);
    }
    free(feed->token);
    *feed = (struct feed){.is_complete = true};
}

/* Lets go of pages whose events were all applied. */
void feed_drop_pages(struct feed *feed)
{
    while (feed->pages != NULL && feed->pages->end <= feed->at) {
        struct page *page = feed->pages;
        feed->pages = page->next;
        if (feed->pages == NULL) feed->page_last = &feed->pages;
        page_free(page);
    }
    if (feed->at < 4096) return;
    memmove(feed->events, feed->events + feed->at, (feed->count - feed->at) * sizeof *feed->events);
    for (struct page *page = feed->pages; page != NULL; page = page->next) page->end -= feed->at;
    feed->count -= feed->at;
    feed->at = 0;
}

static void feed_set_token(struct feed *feed, struct str token)
{
    free(feed->token);
    feed->token = str_is_empty(token) ? NULL : str_dup_c(token);
    feed->token_size = token.size;
    feed->is_complete = str_is_empty(token);
}

static int64_t feed_last_id(const struct run *run)
{
    return run->feed.count > run->feed.at ? run->feed.events[run->feed.count - 1]->event_id : run->last_event_id;
}

/* Makes room for `more` events and as many again as there are. */
static void feed_grow(struct run *run, size_t more)
{
    struct feed *feed = &run->feed;
    feed->capacity = feed->capacity * 2 + more;
    const event_t **bigger = arena_alloc(&run->task->arena, feed->capacity * sizeof *bigger);
    if (feed->count != 0) memcpy(bigger, feed->events, feed->count * sizeof *bigger);
    feed->events = bigger;
}

/* Appends events that follow what is there; skips those that were there before. */
static err feed_append(struct run *run, const event_t *const *events, size_t count)
{
    struct feed *feed = &run->feed;
    int64_t last = feed_last_id(run);
    int64_t last_wanted = run->task->poll->query == NULL && run->task->poll->started_event_id > 0
        ? run->task->poll->started_event_id : INT64_MAX;
    for (size_t i = 0; i < count; i++) {
        if (events[i] == NULL || events[i]->event_id <= last) continue;
        if (events[i]->event_id > last_wanted) break;
        if (events[i]->event_id != last + 1)
            return run_fail(run, WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED, "history has a gap: event %" PRId64 " follows event %" PRId64,
                            events[i]->event_id, last);
        if (feed->count == feed->capacity) feed_grow(run, count - i);
        feed->events[feed->count++] = events[i];
        last++;
    }
    return ERR_NONE;
}

void run_feed_task(struct run *run)
{
    const pb_ws_PollWorkflowTaskQueueResponse *poll = run->task->poll;
    const event_t *const *events = poll->history != NULL ? (const event_t *const *)poll->history->events : NULL;
    size_t count = poll->history != NULL ? poll->history->events_count : 0;
    feed_fini(&run->feed);
    run->feed.page_last = &run->feed.pages;
    run->is_fetching = false;
    while (count != 0 && events[0] != NULL && events[0]->event_id <= run->last_event_id) {
        events++;
        count--;
    }
    bool has_gap = count != 0 && events[0] != NULL && events[0]->event_id > run->last_event_id + 1;
    if (run->last_event_id == 0 && (has_gap || count == 0)) { /* the server thinks this run is in the cache */
        run->feed.tail = (const event_t **)events;
        run->feed.tail_count = count;
        run->feed.is_complete = false;
        return;
    }
    if (has_gap) {
        run->is_rebuild = true;
        return;
    }
    feed_set_token(&run->feed, poll->next_page_token);
    if (feed_append(run, events, count) != ERR_NONE) return; /* the run has failed */
}

struct str run_page_token(const struct run *run)
{
    return str_make(run->feed.token, run->feed.token_size);
}

/* Fetched events have met those that came with the task, or there are no more to fetch. */
static err feed_join_tail(struct run *run)
{
    struct feed *feed = &run->feed;
    const event_t **tail = feed->tail;
    size_t count = feed->tail_count;
    feed->tail = NULL;
    feed->tail_count = 0;
    feed_set_token(feed, run->task->poll->next_page_token);
    return feed_append(run, (const event_t *const *)tail, count);
}

err run_add_page(struct run *run, struct str response)
{
    enum { EMPTY_PAGES_MAX = 64 };
    struct feed *feed = &run->feed;
    if (run->task == NULL || !run->is_fetching) return ERR_INVALID;
    struct page *page = xcalloc(1, sizeof *page);
    arena_init(&page->arena, 4096, 0);
    page->bytes = str_dup_c(response);
    pb_ws_GetWorkflowExecutionHistoryResponse *r;
    if (RUN_DECODE(&page->arena, str_make(page->bytes, response.size), pb_ws_GetWorkflowExecutionHistoryResponse, &r) != ERR_NONE) {
        page_free(page);
        return run_fail(run, WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED, "a page of history can not be decoded");
    }
    *feed->page_last = page;
    feed->page_last = &page->next;
    run->is_fetching = false;
    size_t before = feed->count;
    if (r->history != NULL) TRY(feed_append(run, (const event_t *const *)r->history->events, r->history->events_count));
    feed_set_token(feed, r->next_page_token);
    bool is_joined = feed->tail_count != 0 && feed_last_id(run) + 1 >= feed->tail[0]->event_id;
    if (is_joined || (feed->is_complete && feed->tail_count != 0)) TRY(feed_join_tail(run));
    page->end = feed->count;
    run->empty_page_count = feed->count == before && !feed->is_complete ? run->empty_page_count + 1 : 0;
    if (run->empty_page_count > EMPTY_PAGES_MAX)
        return run_fail(run, WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED, "the server sends page after page of history with no event in it");
    if (feed->is_complete && feed->count == 0 && run->last_event_id == 0)
        return run_fail(run, WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED, "the server has no history of this run");
    return ERR_NONE;
}

void run_page_failed(struct run *run, struct str message)
{
    (void)!run_fail(run, WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED, "the history could not be fetched: %.*s", STR_ARG(message));
}

/* ---- workflow tasks in it --------------------------------------------------------------------------------------- */

/* Whether the events of the commands behind a completed workflow task are all there. */
static bool has_commands_of(const struct feed *feed, size_t completed_at)
{
    for (size_t i = completed_at + 1; i < feed->count; i++)
        if (event_command_kind(feed->events[i]->event_type) == OUT_NONE) return true;
    return feed->is_complete;
}

enum feed_state run_find_task(struct run *run, size_t *end, bool *is_replay)
{
    const struct feed *feed = &run->feed;
    for (size_t i = feed->at; i < feed->count; i++) {
        if (feed->events[i]->event_type != EVENT_TYPE_WORKFLOW_TASK_STARTED) continue;
        if (i + 1 == feed->count) {
            if (!feed->is_complete) return FEED_NEED_PAGE;
            if (run->task->poll->query != NULL) return FEED_END; /* somebody else is at it */
            *is_replay = run->options->is_replayer;
        } else if (feed->events[i + 1]->event_type == EVENT_TYPE_WORKFLOW_TASK_COMPLETED) {
            if (!has_commands_of(feed, i + 1)) return FEED_NEED_PAGE;
            *is_replay = true;
        } else {
            continue; /* it failed, or its workflow was closed from outside */
        }
        *end = i + 1;
        return FEED_TASK;
    }
    return feed->is_complete ? FEED_END : FEED_NEED_PAGE;
}

void run_note_completed(struct run *run, const event_t *e)
{
    const pb_history_WorkflowTaskCompletedEventAttributes *a = e->workflow_task_completed_event_attributes;
    const pb_sdk_WorkflowTaskCompletedMetadata *sdk = a->sdk_metadata;
    if (sdk != NULL) {
        for (size_t i = 0; i < sdk->core_used_flags_count; i++)
            if (sdk->core_used_flags[i] < 64) run->core_flags |= UINT64_C(1) << sdk->core_used_flags[i];
        for (size_t i = 0; i < sdk->lang_used_flags_count; i++) run_note_lang_flag(run, sdk->lang_used_flags[i]);
        if (!str_is_empty(sdk->sdk_name) && !str_equal(sdk->sdk_name, run->sdk_name)) run->sdk_name = arena_str(&run->arena, sdk->sdk_name);
        if (!str_is_empty(sdk->sdk_version) && !str_equal(sdk->sdk_version, run->sdk_version))
            run->sdk_version = arena_str(&run->arena, sdk->sdk_version);
    }
    struct str build_id = a->deployment_version != NULL ? a->deployment_version->build_id
        : a->worker_version != NULL ? a->worker_version->build_id : STR_EMPTY;
    struct str name = a->deployment_version != NULL ? a->deployment_version->deployment_name : STR_EMPTY;
    if (!str_equal(build_id, run->build_id)) run->build_id = arena_str(&run->arena, build_id);
    if (!str_equal(name, run->deployment_name)) run->deployment_name = arena_str(&run->arena, name);
}

bool run_note_lang_flag(struct run *run, uint32_t flag)
{
    for (size_t i = 0; i < run->lang_flags_count; i++)
        if (run->lang_flags[i] == flag) return false;
    PB_PUSH(&run->arena, run, lang_flags) = flag;
    return true;
}

err run_look_ahead(struct run *run, size_t end)
{
    const struct feed *feed = &run->feed;
    if (end >= feed->count || feed->events[end]->event_type != EVENT_TYPE_WORKFLOW_TASK_COMPLETED) return ERR_NONE;
    TRY(event_check(run, feed->events[end]));
    run_note_completed(run, feed->events[end]);
    for (size_t i = end + 1; i < feed->count; i++) {
        const event_t *e = feed->events[i];
        if (event_command_kind(e->event_type) == OUT_NONE) break;
        TRY(event_check(run, e));
        if (e->event_type == EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED) update_ahead(run, e);
        if (e->event_type != EVENT_TYPE_MARKER_RECORDED) continue;
        if (str_equal_c(e->marker_recorded_event_attributes->marker_name, "core_local_activity")) TRY(local_note_marker(run, e));
        else patch_ahead(run, e);
    }
    return ERR_NONE;
}
