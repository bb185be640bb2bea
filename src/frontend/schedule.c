/* RPCs on schedules. Source: limits-and-errors, section 8; F095 to F105. */
#include "frontend/schedules.h"

#include "store/store.h"
#include "visibility/query.h"

enum { PAGE_MAX = 1000, SUFFIX_SIZE = 21 }; /* "-2006-01-02T15:04:05Z" */

/* What most handlers here need: the input and the answer. */
struct schedule_rpc {
    struct schedule_input input;
    struct error error;
    const struct pb_message *reply_type;
    const void *reply;
};

static void answer(struct schedule_input *input, err result)
{
    struct schedule_rpc *r = container_of(input, struct schedule_rpc, input);
    if (result != ERR_NONE) rpc_error_of(input->rpc, result, &r->error);
    else rpc_reply(input->rpc, r->reply_type, r->reply);
}

static void submit(struct frontend *f, struct rpc *rpc, struct str schedule_id, enum schedule_next (*run)(struct schedule_input *input),
                   const struct pb_message *reply_type, const void *reply)
{
    struct schedule_rpc *r = OP_NEW(rpc, struct schedule_rpc);
    r->input.run = run;
    r->input.done = answer;
    r->reply_type = reply_type;
    r->reply = reply;
    schedule_submit(f, rpc, &r->input, schedule_id);
}

static enum schedule_next fail(struct schedule_input *input, err result)
{
    struct schedule_rpc *r = container_of(input, struct schedule_rpc, input);
    r->error.message = arena_str(input->rpc->arena, r->error.message); /* its words may be in the draft */
    rpc_error_of(input->rpc, result, &r->error);
    return SCHEDULE_DONE;
}

static enum schedule_next not_found(struct schedule_input *input, struct str schedule_id)
{
    rpc_error(input->rpc, ERR_NOT_FOUND, "there is no schedule \"%.*s\"", (int)size_min(schedule_id.size, 200), schedule_id.data);
    return SCHEDULE_DONE;
}

/* ---- checks ---- */

static bool check_schedule_id(struct rpc *rpc, struct str id)
{
    if (!check_id(rpc, "schedule id", id, true)) return false;
    size_t most = (size_t)rpc->frontend->settings.limits.id_length_max - (sizeof VISIBILITY_SCHEDULE_PREFIX - 1);
    if (id.size <= most) return true;
    rpc_error(rpc, ERR_INVALID, "schedule id has %zu bytes; at most %zu are allowed", id.size, most);
    return false;
}

/* What the action's start will be checked for later, said now. */
static bool check_action(struct rpc *rpc, const pb_schedule_Schedule *s)
{
    const pb_workflow_NewWorkflowExecutionInfo *info = s->action->start_workflow;
    pb_ws_StartWorkflowExecutionRequest q = {
        .namespace = rpc->ns->name, .workflow_id = info->workflow_id, .workflow_type = info->workflow_type, .task_queue = info->task_queue, .input = info->input,
        .workflow_execution_timeout = info->workflow_execution_timeout, .workflow_run_timeout = info->workflow_run_timeout,
        .workflow_task_timeout = info->workflow_task_timeout, .retry_policy = info->retry_policy, .memo = info->memo,
        .search_attributes = info->search_attributes, .priority = info->priority,
    };
    if (!check_start_request(rpc, &q)) return false;
    size_t most = (size_t)rpc->frontend->settings.limits.id_length_max - SUFFIX_SIZE;
    if (info->workflow_id.size <= most) return true;
    rpc_error(rpc, ERR_INVALID, "workflow id has %zu bytes; at most %zu are allowed before the time of the action", info->workflow_id.size, most);
    return false;
}

/* Canonical, checked, in the rpc's arena; NULL: answered. */
static pb_schedule_Schedule *check_schedule(struct rpc *rpc, const pb_schedule_Schedule *sent)
{
    struct error error = {0};
    pb_schedule_Schedule *canonical;
    err result = schedule_canonical(sent, rpc->arena, &canonical, &error);
    if (result != ERR_NONE) rpc_error_of(rpc, result, &error);
    if (result != ERR_NONE || !check_action(rpc, canonical) || !check_blob(rpc, "the schedule", PB_SIZE(pb_schedule_Schedule, canonical))) return NULL;
    return canonical;
}

static bool check_patch(struct rpc *rpc, const pb_schedule_SchedulePatch *patch)
{
    struct error error = {0};
    err result = schedule_check_patch(patch, rpc->arena, &error);
    if (result != ERR_NONE) rpc_error_of(rpc, result, &error);
    return result == ERR_NONE;
}

/* ---- create ---- */

struct create_rpc { struct schedule_rpc base; pb_schedule_Schedule *canonical; };

static enum schedule_next create_run(struct schedule_input *input)
{
    struct create_rpc *c = container_of(container_of(input, struct schedule_rpc, input), struct create_rpc, base);
    struct rpc *rpc = input->rpc;
    const pb_ws_CreateScheduleRequest *q = rpc->request;
    pb_ws_CreateScheduleResponse *reply = pb_new(rpc->arena, pb_ws_CreateScheduleResponse);
    c->base.reply_type = &pb_ws_CreateScheduleResponse_type;
    c->base.reply = reply;
    const pb_store_ScheduleEntity *there = schedule_entry_state(input->entry);
    if (there != NULL && str_equal(there->create_request_id, q->request_id)) { /* the same request again */
        reply->conflict_token = schedule_token(there, rpc->arena);
        answer(input, ERR_NONE);
        return SCHEDULE_DONE;
    }
    if (there != NULL) {
        pb_errordetails_WorkflowExecutionAlreadyStartedFailure *detail = pb_new(rpc->arena, pb_errordetails_WorkflowExecutionAlreadyStartedFailure);
        rpc_error_detail(rpc, ERR_ALREADY_EXISTS, &pb_errordetails_WorkflowExecutionAlreadyStartedFailure_type, detail,
                         "there is a schedule \"%.*s\" already", STR_ARG(q->schedule_id));
        return SCHEDULE_DONE;
    }
    struct schedule_draft *d = schedule_draft(input->entry, &c->base.error);
    pb_schedule_Schedule *canonical = PB_CLONE(d->arena, pb_schedule_Schedule, c->canonical);
    err result = schedule_draft_spec(input->entry, canonical->spec, rpc->arena, &c->base.error);
    if (result != ERR_NONE) return fail(input, result);
    d->step.spec = schedule_draft_new_spec(input->entry);
    pb_store_ScheduleEntity *s = schedule_new(&d->step, canonical);
    if (q->memo != NULL) s->memo = PB_CLONE(d->arena, pb_common_Memo, q->memo);
    if (q->search_attributes != NULL) s->search_attributes = PB_CLONE(d->arena, pb_common_SearchAttributes, q->search_attributes);
    s->create_request_id = arena_str(d->arena, q->request_id);
    schedule_draft_new(input->entry, s);
    reply->conflict_token = schedule_token(s, rpc->arena);
    if (q->initial_patch != NULL) {
        result = schedule_patch(&d->step, s, q->initial_patch);
        if (result != ERR_NONE) return fail(input, result);
        s->conflict_token = 1;
    }
    schedule_advance(&d->step, s);
    return SCHEDULE_COMMIT;
}

static void create_schedule(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_CreateScheduleRequest *q = rpc->request;
    if (!check_schedule_id(rpc, q->schedule_id) || !check_id(rpc, "request id", q->request_id, true) || !check_id(rpc, "identity", q->identity, false) ||
        !check_memo(rpc, q->memo) || !check_search_attributes(rpc, q->search_attributes) || !check_patch(rpc, q->initial_patch))
        return;
    struct create_rpc *c = OP_NEW(rpc, struct create_rpc);
    c->canonical = check_schedule(rpc, q->schedule);
    if (c->canonical == NULL) return;
    c->base.input.run = create_run;
    c->base.input.done = answer;
    schedule_submit(f, rpc, &c->base.input, q->schedule_id);
}

/* ---- describe, matching times ---- */

static enum schedule_next describe_run(struct schedule_input *input)
{
    struct rpc *rpc = input->rpc;
    const pb_ws_DescribeScheduleRequest *q = rpc->request;
    const pb_store_ScheduleEntity *s = schedule_entry_state(input->entry);
    if (s == NULL) return not_found(input, q->schedule_id);
    if (schedule_entry_is_starting(input->entry) && !input->has_waited) return SCHEDULE_WAIT;
    pb_ws_DescribeScheduleResponse *reply = pb_new(rpc->arena, pb_ws_DescribeScheduleResponse);
    reply->schedule = s->schedule;
    reply->info = schedule_info(s, schedule_entry_spec(input->entry), rpc->frontend->now, rpc->arena);
    reply->memo = s->memo;
    reply->search_attributes = s->search_attributes;
    reply->conflict_token = schedule_token(s, rpc->arena);
    RPC_REPLY(rpc, pb_ws_DescribeScheduleResponse, reply); /* encoded at once: it borrows from the state */
    return SCHEDULE_DONE;
}

static void describe_schedule(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_DescribeScheduleRequest *q = rpc->request;
    if (check_schedule_id(rpc, q->schedule_id)) submit(f, rpc, q->schedule_id, describe_run, NULL, NULL);
}

static enum schedule_next matching_run(struct schedule_input *input)
{
    struct rpc *rpc = input->rpc;
    const pb_ws_ListScheduleMatchingTimesRequest *q = rpc->request;
    if (schedule_entry_state(input->entry) == NULL) return not_found(input, q->schedule_id);
    pb_ws_ListScheduleMatchingTimesResponse *reply = pb_new(rpc->arena, pb_ws_ListScheduleMatchingTimesResponse);
    size_t count;
    pb_google_Timestamp **times = schedule_matching(schedule_entry_spec(input->entry), pb_instant(q->start_time), pb_instant(q->end_time), rpc->arena, &count);
    PB_SET_ARRAY(reply, start_time, times, count);
    RPC_REPLY(rpc, pb_ws_ListScheduleMatchingTimesResponse, reply);
    return SCHEDULE_DONE;
}

static void matching_times(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_ListScheduleMatchingTimesRequest *q = rpc->request;
    if (!check_schedule_id(rpc, q->schedule_id)) return;
    if (q->start_time == NULL || q->end_time == NULL) rpc_error(rpc, ERR_INVALID, "a start time and an end time are needed");
    else submit(f, rpc, q->schedule_id, matching_run, NULL, NULL);
}

/* ---- update, patch, delete ---- */

static enum schedule_next update_run(struct schedule_input *input)
{
    struct create_rpc *c = container_of(container_of(input, struct schedule_rpc, input), struct create_rpc, base);
    struct rpc *rpc = input->rpc;
    const pb_ws_UpdateScheduleRequest *q = rpc->request;
    const pb_store_ScheduleEntity *there = schedule_entry_state(input->entry);
    if (there == NULL) return not_found(input, q->schedule_id);
    err result = schedule_check_token(there, q->conflict_token, rpc->arena, &c->base.error);
    if (result != ERR_NONE) return fail(input, result);
    struct schedule_draft *d = schedule_draft(input->entry, &c->base.error);
    pb_schedule_Schedule *canonical = PB_CLONE(d->arena, pb_schedule_Schedule, c->canonical);
    result = schedule_draft_spec(input->entry, canonical->spec, rpc->arena, &c->base.error);
    if (result != ERR_NONE) return fail(input, result);
    schedule_update(&d->step, d->state, canonical);
    if (q->memo != NULL) d->state->memo = PB_CLONE(d->arena, pb_common_Memo, q->memo);
    if (q->search_attributes != NULL) d->state->search_attributes = PB_CLONE(d->arena, pb_common_SearchAttributes, q->search_attributes);
    d->step.spec = schedule_draft_new_spec(input->entry);
    schedule_advance(&d->step, d->state);
    return SCHEDULE_COMMIT;
}

static void update_schedule(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_UpdateScheduleRequest *q = rpc->request;
    if (!check_schedule_id(rpc, q->schedule_id) || !check_id(rpc, "request id", q->request_id, false) || !check_id(rpc, "identity", q->identity, false) ||
        !check_memo(rpc, q->memo) || !check_search_attributes(rpc, q->search_attributes))
        return;
    struct create_rpc *c = OP_NEW(rpc, struct create_rpc);
    c->canonical = check_schedule(rpc, q->schedule);
    if (c->canonical == NULL) return;
    c->base.input.run = update_run;
    c->base.input.done = answer;
    c->base.reply_type = &pb_ws_UpdateScheduleResponse_type;
    c->base.reply = pb_new(rpc->arena, pb_ws_UpdateScheduleResponse);
    schedule_submit(f, rpc, &c->base.input, q->schedule_id);
}

static enum schedule_next patch_run(struct schedule_input *input)
{
    struct schedule_rpc *r = container_of(input, struct schedule_rpc, input);
    const pb_ws_PatchScheduleRequest *q = input->rpc->request;
    if (schedule_entry_state(input->entry) == NULL) return not_found(input, q->schedule_id);
    struct schedule_draft *d = schedule_draft(input->entry, &r->error);
    err result = schedule_patch(&d->step, d->state, q->patch);
    if (result != ERR_NONE) return fail(input, result);
    schedule_advance(&d->step, d->state);
    return SCHEDULE_COMMIT;
}

static void patch_schedule(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_PatchScheduleRequest *q = rpc->request;
    if (!check_schedule_id(rpc, q->schedule_id) || !check_id(rpc, "request id", q->request_id, false) || !check_id(rpc, "identity", q->identity, false)) return;
    if (q->patch == NULL) {
        rpc_error(rpc, ERR_INVALID, "the patch is missing");
        return;
    }
    if (!check_patch(rpc, q->patch)) return;
    submit(f, rpc, q->schedule_id, patch_run, &pb_ws_PatchScheduleResponse_type, pb_new(rpc->arena, pb_ws_PatchScheduleResponse));
}

static enum schedule_next delete_run(struct schedule_input *input)
{
    const pb_ws_DeleteScheduleRequest *q = input->rpc->request;
    if (schedule_entry_state(input->entry) == NULL) return not_found(input, q->schedule_id);
    schedule_draft(input->entry, NULL)->is_delete = true;
    return SCHEDULE_COMMIT;
}

static void delete_schedule(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_DeleteScheduleRequest *q = rpc->request;
    if (!check_schedule_id(rpc, q->schedule_id) || !check_id(rpc, "identity", q->identity, false)) return;
    submit(f, rpc, q->schedule_id, delete_run, &pb_ws_DeleteScheduleResponse_type, pb_new(rpc->arena, pb_ws_DeleteScheduleResponse));
}

/* ---- list, count: rows of the division of schedules ---- */

struct list_rpc { struct store_read read; struct rpc *rpc; struct visibility_query *query; };

static void answer_list(struct list_rpc *l)
{
    struct arena *arena = l->rpc->arena;
    pb_ws_ListSchedulesResponse *reply = pb_new(arena, pb_ws_ListSchedulesResponse);
    for (size_t i = 0; i < l->read.visibility_count; i++) {
        const pb_store_VisibilityRow *row = l->read.visibility[i];
        pb_schedule_ScheduleListEntry *entry = PB_PUSH_NEW(arena, reply, schedules);
        entry->schedule_id = str_skip(row->workflow_id, size_min(sizeof VISIBILITY_SCHEDULE_PREFIX - 1, row->workflow_id.size));
        entry->memo = row->memo;
        entry->search_attributes = pb_new(arena, pb_common_SearchAttributes);
        for (size_t k = 0; row->search_attributes != NULL && k < row->search_attributes->indexed_fields_count; k++) {
            pb_common_SearchAttributes_IndexedFieldsEntry *field = row->search_attributes->indexed_fields[k];
            if (!str_equal_c(field->key, "TemporalSchedulePaused")) PB_PUSH(arena, entry->search_attributes, indexed_fields) = field;
        }
        if (PB_DECODE(arena, row->extra, pb_schedule_ScheduleListInfo, &entry->info) != ERR_NONE) entry->info = pb_new(arena, pb_schedule_ScheduleListInfo);
    }
    reply->next_page_token = l->read.next_page_token;
    RPC_REPLY(l->rpc, pb_ws_ListSchedulesResponse, reply);
}

static void answer_count(struct list_rpc *l)
{
    struct arena *arena = l->rpc->arena;
    pb_ws_CountSchedulesResponse *reply = pb_new(arena, pb_ws_CountSchedulesResponse);
    for (size_t i = 0; i < l->read.group_count; i++) {
        const struct store_group *g = &l->read.groups[i];
        reply->count += g->count;
        if (l->query->group_count == 0) continue;
        pb_ws_CountSchedulesResponse_AggregationGroup *group = PB_PUSH_NEW(arena, reply, groups);
        group->count = g->count;
        for (size_t k = 0; k < g->value_count; k++) PB_PUSH(arena, group, group_values) = (pb_common_Payload *)(uintptr_t)g->values[k];
    }
    RPC_REPLY(l->rpc, pb_ws_CountSchedulesResponse, reply);
}

static void list_done(struct mail *mail)
{
    struct list_rpc *l = container_of(container_of(mail, struct store_read, mail), struct list_rpc, read);
    struct rpc *rpc = l->rpc;
    if (!rpc->is_answered && !rpc->is_cancelled) {
        if (l->read.result != ERR_NONE) rpc_error_of(rpc, l->read.result, &l->read.error);
        else if (l->read.kind == STORE_COUNT) answer_count(l);
        else answer_list(l);
    }
    arena_fini(&l->read.arena);
    rpc_let_go(rpc);
}

static void list(struct frontend *f, struct rpc *rpc, enum store_read_kind kind, struct str text, int32_t page_size, struct str token)
{
    const struct visibility_parse how = {.registry = namespace_attributes(rpc->ns), .now = f->now, .is_count = kind == STORE_COUNT};
    struct list_rpc *l = OP_NEW(rpc, struct list_rpc);
    struct error error = {0};
    err result = visibility_query_parse(text, &how, rpc->arena, &l->query, &error);
    if (result != ERR_NONE) {
        rpc_error_of(rpc, result, &error);
        return;
    }
    const struct attribute_value division = {.type = ATTRIBUTE_KEYWORD, .text = STR("TemporalScheduler")};
    l->query = visibility_query_and(l->query, visibility_node_compare(attribute_find(NULL, STR("TemporalNamespaceDivision")), OP_EQ, &division, 1, rpc->arena), rpc->arena);
    l->rpc = rpc;
    l->read.kind = kind;
    l->read.namespace_key = rpc->ns->key;
    l->read.query = l->query;
    l->read.limit = page_size > 0 ? size_min((size_t)page_size, PAGE_MAX) : PAGE_MAX;
    l->read.page_token = token;
    l->read.reply_to = f->env.mailbox;
    l->read.mail.open = list_done;
    arena_init(&l->read.arena, 0, 0);
    rpc_hold(rpc);
    store_read(f->env.store, &l->read);
}

static void list_schedules(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_ListSchedulesRequest *q = rpc->request;
    list(f, rpc, STORE_LIST, q->query, q->maximum_page_size, q->next_page_token);
}

static void count_schedules(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_CountSchedulesRequest *q = rpc->request;
    list(f, rpc, STORE_COUNT, q->query, 0, STR_EMPTY);
}

static const struct handler_row rows[] = {
    {pb_ws_CreateSchedule_method, create_schedule, 0},
    {pb_ws_DescribeSchedule_method, describe_schedule, 0},
    {pb_ws_UpdateSchedule_method, update_schedule, 0},
    {pb_ws_PatchSchedule_method, patch_schedule, 0},
    {pb_ws_DeleteSchedule_method, delete_schedule, 0},
    {pb_ws_ListScheduleMatchingTimes_method, matching_times, 0},
    {pb_ws_ListSchedules_method, list_schedules, 0},
    {pb_ws_CountSchedules_method, count_schedules, 0},
};
const struct handler_table schedule_handlers = {rows, countof(rows)};
