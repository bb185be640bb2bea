/* What a request must look like before an execution sees it. Limits: settings.limits; sources in the reference. */
#include "frontend/callback_request.h"
#include "frontend/internal.h"

static const struct limits *limits_of(struct rpc *rpc) { return &rpc->frontend->settings.limits; }

bool check_id(struct rpc *rpc, const char *what, struct str id, bool is_required)
{
    if (is_required && str_is_empty(id)) {
        rpc_error(rpc, ERR_INVALID, "%s is missing", what);
        return false;
    }
    if (id.size > (size_t)limits_of(rpc)->id_length_max) {
        rpc_error(rpc, ERR_INVALID, "%s has %zu bytes; at most %" PRId64 " are allowed", what, id.size, limits_of(rpc)->id_length_max);
        return false;
    }
    return true;
}

bool check_run_id(struct rpc *rpc, struct str run_id)
{
    if (str_is_empty(run_id) || uuid_is_valid(run_id)) return true;
    rpc_error(rpc, ERR_INVALID, "the run id \"%.*s\" is not a UUID", (int)size_min(run_id.size, 64), run_id.data);
    return false;
}

bool check_execution(struct rpc *rpc, const pb_common_WorkflowExecution *execution)
{
    if (execution == NULL) {
        rpc_error(rpc, ERR_INVALID, "the workflow execution is missing");
        return false;
    }
    return check_id(rpc, "workflow id", execution->workflow_id, true) && check_run_id(rpc, execution->run_id);
}

bool check_blob(struct rpc *rpc, const char *what, size_t size)
{
    if (size <= (size_t)limits_of(rpc)->blob_size_max) return true;
    rpc_error(rpc, ERR_INVALID, "%s has %zu bytes; at most %" PRId64 " are allowed", what, size, limits_of(rpc)->blob_size_max);
    return false;
}

bool check_payloads(struct rpc *rpc, const char *what, const pb_common_Payloads *payloads)
{
    return payloads == NULL || check_blob(rpc, what, PB_SIZE(pb_common_Payloads, payloads));
}

bool check_task_queue(struct rpc *rpc, const pb_taskqueue_TaskQueue *queue, bool is_required)
{
    struct str name = queue != NULL ? queue->name : STR_EMPTY;
    if (!check_id(rpc, "task queue name", name, is_required)) return false;
    if (str_starts_with(name, STR("/_sys/"))) {
        rpc_error(rpc, ERR_INVALID, "task queue names that begin with /_sys/ belong to the server");
        return false;
    }
    if (str_starts_with(name, STR("temporal-sys-per-ns-"))) {
        rpc_error(rpc, ERR_INVALID, "the task queue %.*s belongs to the server", STR_ARG(name));
        return false;
    }
    return true;
}

bool check_duration(struct rpc *rpc, const char *what, const pb_google_Duration *d, duration *out)
{
    *out = (duration){0};
    if (d == NULL) return true;
    if (d->seconds < 0 || d->nanos < 0 || d->nanos > 999999999) {
        rpc_error(rpc, ERR_INVALID, "%s must not be negative", what);
        return false;
    }
    if (d->seconds >= DURATION_MAX.ns / NS_PER_S) *out = DURATION_MAX;
    else *out = (duration){d->seconds * NS_PER_S + d->nanos};
    return true;
}

bool check_retry_policy(struct rpc *rpc, const pb_common_RetryPolicy *policy)
{
    if (policy == NULL || policy->maximum_attempts == 1) return true; /* one attempt: the rest does not matter */
    duration initial, max;
    if (!check_duration(rpc, "the retry policy's initial interval", policy->initial_interval, &initial) ||
        !check_duration(rpc, "the retry policy's maximum interval", policy->maximum_interval, &max))
        return false;
    const char *problem = NULL;
    if (policy->backoff_coefficient != 0 && policy->backoff_coefficient < 1) problem = "backoff coefficient must be at least 1";
    else if (max.ns != 0 && max.ns < initial.ns) problem = "maximum interval must not be shorter than the initial one";
    else if (policy->maximum_attempts < 0) problem = "maximum attempts must not be negative";
    for (size_t i = 0; problem == NULL && i < policy->non_retryable_error_types_count; i++) {
        struct str type = policy->non_retryable_error_types[i];
        if (!str_starts_with(type, STR("TemporalTimeout:"))) continue;
        int32_t number;
        if (!pb_enum_number(&pb_enums_TimeoutType_enum, str_skip(type, 16), &number)) problem = "non-retryable type names an unknown timeout";
    }
    if (problem == NULL) return true;
    rpc_error(rpc, ERR_INVALID, "the retry policy's %s", problem);
    return false;
}

bool check_priority(struct rpc *rpc, const pb_common_Priority *priority)
{
    if (priority == NULL) return true;
    const char *problem = NULL;
    if (priority->priority_key < 0) problem = "priority key must not be negative";
    else if (priority->fairness_key.size > 64) problem = "fairness key has more than 64 bytes";
    else if (priority->fairness_weight < 0) problem = "fairness weight must not be negative";
    if (problem == NULL) return true;
    rpc_error(rpc, ERR_INVALID, "the %s", problem);
    return false;
}

bool check_links(struct rpc *rpc, pb_common_Link *const *links, size_t count)
{
    if (count > (size_t)limits_of(rpc)->links_max) {
        rpc_error(rpc, ERR_INVALID, "%zu links; at most %" PRId64 " are allowed", count, limits_of(rpc)->links_max);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (PB_SIZE(pb_common_Link, links[i]) <= (size_t)limits_of(rpc)->link_size_max) continue;
        rpc_error(rpc, ERR_INVALID, "a link has more than %" PRId64 " bytes", limits_of(rpc)->link_size_max);
        return false;
    }
    return true;
}

bool check_callbacks(struct rpc *rpc, pb_common_Callback *const *callbacks, size_t count)
{
    const struct frontend_settings *s = &rpc->frontend->settings;
    if (count > (size_t)limits_of(rpc)->callbacks_max) {
        rpc_error(rpc, ERR_INVALID, "%zu completion callbacks; at most %" PRId64 " are allowed", count, limits_of(rpc)->callbacks_max);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const char *problem = callback_problem(callbacks[i], limits_of(rpc), s->callback_rules, s->callback_rule_count, rpc->arena);
        if (problem == NULL) continue;
        rpc_error(rpc, ERR_INVALID, "%s", problem);
        return false;
    }
    return true;
}

bool check_memo(struct rpc *rpc, const pb_common_Memo *memo)
{
    if (memo == NULL || PB_SIZE(pb_common_Memo, memo) <= (size_t)limits_of(rpc)->memo_size_max) return true;
    rpc_error(rpc, ERR_INVALID, "the memo has more than %" PRId64 " bytes", limits_of(rpc)->memo_size_max);
    return false;
}
