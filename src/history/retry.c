/* history/retry.c: when a failed attempt is tried again. Source: F061, limits-and-errors section 5. */
#include <math.h>

#include "history/machines.h"

enum { INITIAL_S = 1, MAXIMUM_FACTOR = 100 };

pb_common_RetryPolicy *retry_policy_filled(const pb_common_RetryPolicy *policy, struct arena *arena)
{
    pb_common_RetryPolicy *p = pb_new(arena, pb_common_RetryPolicy);
    if (policy != NULL) *p = *policy;
    if (ns_of(p->initial_interval) == 0) p->initial_interval = duration_of(arena, INITIAL_S * NS_PER_S);
    if (p->backoff_coefficient == 0) p->backoff_coefficient = 2;
    int64_t initial = ns_of(p->initial_interval);
    if (ns_of(p->maximum_interval) == 0)
        p->maximum_interval = duration_of(arena, initial < DURATION_MAX.ns / MAXIMUM_FACTOR ? initial * MAXIMUM_FACTOR : DURATION_MAX.ns);
    return p;
}

static const char *type_problem(struct str type)
{
    static const char *const kinds[] = {"StartToClose", "ScheduleToStart", "ScheduleToClose", "Heartbeat"};
    struct str prefix = STR("TemporalTimeout:");
    if (!str_starts_with(type, prefix)) return NULL;
    for (size_t i = 0; i < countof(kinds); i++)
        if (str_equal_c(str_skip(type, prefix.size), kinds[i])) return NULL;
    return "a non-retryable error type names a kind of timeout that does not exist";
}

const char *retry_policy_problem(const pb_common_RetryPolicy *p)
{
    if (p == NULL || p->maximum_attempts == 1) return NULL;
    if (ns_of(p->initial_interval) < 0) return "the initial interval of the retry policy is negative";
    if (p->backoff_coefficient != 0 && !(p->backoff_coefficient >= 1)) return "the backoff coefficient of the retry policy is below 1";
    if (ns_of(p->maximum_interval) < 0) return "the maximum interval of the retry policy is negative";
    if (ns_of(p->maximum_interval) != 0 && ns_of(p->maximum_interval) < ns_of(p->initial_interval))
        return "the maximum interval of the retry policy is shorter than its initial interval";
    if (p->maximum_attempts < 0) return "the maximum attempts of the retry policy are negative";
    for (size_t i = 0; i < p->non_retryable_error_types_count; i++) {
        const char *problem = type_problem(p->non_retryable_error_types[i]);
        if (problem != NULL) return problem;
    }
    return NULL;
}

static bool is_listed(const pb_common_RetryPolicy *policy, struct str type)
{
    for (size_t i = 0; i < policy->non_retryable_error_types_count; i++)
        if (str_equal(policy->non_retryable_error_types[i], type)) return true;
    return false;
}

static bool timeout_is_listed(const pb_common_RetryPolicy *policy, int32_t timeout_type)
{
    switch (timeout_type) {
    case TIMEOUT_TYPE_START_TO_CLOSE: return is_listed(policy, STR("TemporalTimeout:StartToClose"));
    case TIMEOUT_TYPE_HEARTBEAT: return is_listed(policy, STR("TemporalTimeout:Heartbeat"));
    default: return true; /* waiting longer would not have helped */
    }
}

static bool is_retryable(const pb_common_RetryPolicy *policy, const pb_failure_Failure *f)
{
    switch (f->failure_info_case) {
    case pb_failure_Failure_terminated_failure_info_tag: case pb_failure_Failure_canceled_failure_info_tag: return false;
    case pb_failure_Failure_timeout_failure_info_tag: return !timeout_is_listed(policy, f->timeout_failure_info->timeout_type);
    case pb_failure_Failure_server_failure_info_tag: return !f->server_failure_info->non_retryable;
    case pb_failure_Failure_application_failure_info_tag:
        return !f->application_failure_info->non_retryable && !is_listed(policy, f->application_failure_info->type);
    default: return true;
    }
}

static int64_t interval(const pb_common_RetryPolicy *p, int32_t attempt)
{
    int64_t initial = ns_of(p->initial_interval), most = ns_of(p->maximum_interval);
    double ns = (double)initial * pow(p->backoff_coefficient, attempt - 1);
    if (most <= 0) most = DURATION_MAX.ns;
    if (!(ns > 0)) return 0;
    return ns < (double)most ? (int64_t)ns : most;
}

struct retry_answer retry_next(const pb_common_RetryPolicy *policy, int32_t attempt, instant now, instant expires_at,
                               const pb_failure_Failure *failure)
{
    if (policy == NULL) return (struct retry_answer){RETRY_STATE_RETRY_POLICY_NOT_SET, {0}};
    if (failure != NULL && !is_retryable(policy, failure)) return (struct retry_answer){RETRY_STATE_NON_RETRYABLE_FAILURE, {0}};
    if (policy->maximum_attempts != 0 && attempt >= policy->maximum_attempts)
        return (struct retry_answer){RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED, {0}};
    int64_t pause = interval(policy, attempt);
    if (failure != NULL && failure->failure_info_case == pb_failure_Failure_application_failure_info_tag &&
        failure->application_failure_info->next_retry_delay != NULL)
        pause = ns_of(failure->application_failure_info->next_retry_delay);
    if (pause < 0) pause = 0;
    if (instant_is_set(expires_at) && instant_before(expires_at, instant_add(now, (duration){pause})))
        return (struct retry_answer){RETRY_STATE_TIMEOUT, {0}};
    return (struct retry_answer){RETRY_STATE_IN_PROGRESS, {pause}};
}
