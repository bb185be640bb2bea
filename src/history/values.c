#include "history/values.h"

#include <stdarg.h>
#include <stdio.h>

pb_google_Timestamp *timestamp_of(struct arena *arena, instant t)
{
    if (!instant_is_set(t) || t.ns == INSTANT_NEVER.ns) return NULL;
    pb_google_Timestamp *out = pb_new(arena, pb_google_Timestamp);
    out->seconds = t.ns / NS_PER_S;
    out->nanos = (int32_t)(t.ns % NS_PER_S);
    return out;
}

pb_google_Duration *duration_of(struct arena *arena, int64_t ns)
{
    pb_google_Duration *out = pb_new(arena, pb_google_Duration);
    out->seconds = ns / NS_PER_S;
    out->nanos = (int32_t)(ns % NS_PER_S);
    return out;
}

pb_google_Duration *duration_or_none(struct arena *arena, int64_t ns) { return ns != 0 ? duration_of(arena, ns) : NULL; }

instant instant_of(const pb_google_Timestamp *t)
{
    if (t == NULL) return (instant){0};
    int64_t s = t->seconds > INT64_C(9000000000) ? INT64_C(9000000000) : t->seconds < 0 ? 0 : t->seconds;
    return (instant){s * NS_PER_S + (t->nanos > 0 && t->nanos < NS_PER_S ? t->nanos : 0)};
}

int64_t ns_of(const pb_google_Duration *d)
{
    if (d == NULL) return 0;
    int64_t most = DURATION_MAX.ns / NS_PER_S;
    if (d->seconds >= most) return DURATION_MAX.ns;
    if (d->seconds <= -most) return -DURATION_MAX.ns;
    return d->seconds * NS_PER_S + d->nanos;
}

pb_common_WorkflowExecution *execution_of(struct arena *arena, struct str workflow_id, struct str run_id)
{
    pb_common_WorkflowExecution *out = pb_new(arena, pb_common_WorkflowExecution);
    out->workflow_id = workflow_id;
    out->run_id = run_id;
    return out;
}

pb_common_WorkflowType *workflow_type_of(struct arena *arena, struct str name)
{
    pb_common_WorkflowType *out = pb_new(arena, pb_common_WorkflowType);
    out->name = name;
    return out;
}

pb_common_ActivityType *activity_type_of(struct arena *arena, struct str name)
{
    pb_common_ActivityType *out = pb_new(arena, pb_common_ActivityType);
    out->name = name;
    return out;
}

pb_taskqueue_TaskQueue *task_queue_of(struct arena *arena, struct str name)
{
    pb_taskqueue_TaskQueue *out = pb_new(arena, pb_taskqueue_TaskQueue);
    out->name = name;
    out->kind = TASK_QUEUE_KIND_NORMAL;
    return out;
}

size_t payloads_size(const pb_common_Payloads *payloads) { return payloads != NULL ? PB_SIZE(pb_common_Payloads, payloads) : 0; }
size_t failure_size(const pb_failure_Failure *failure) { return failure != NULL ? PB_SIZE(pb_failure_Failure, failure) : 0; }

struct str run_id_new(struct step *step)
{
    char text[37];
    prng_uuid_at(step->prng, step->now, text);
    return arena_str(step->arena, str_of(text));
}

struct str uuid_new(struct step *step)
{
    char text[37];
    prng_uuid(step->prng, text);
    return arena_str(step->arena, str_of(text));
}

pb_failure_Failure *server_failure(struct arena *arena, struct str message, bool is_non_retryable)
{
    pb_failure_Failure *f = pb_new(arena, pb_failure_Failure);
    f->message = message;
    f->source = STR("Server");
    f->failure_info_case = pb_failure_Failure_server_failure_info_tag;
    f->server_failure_info = pb_new(arena, pb_failure_ServerFailureInfo);
    f->server_failure_info->non_retryable = is_non_retryable;
    return f;
}

pb_failure_Failure *timeout_failure(struct arena *arena, struct str message, int32_t timeout_type)
{
    pb_failure_Failure *f = pb_new(arena, pb_failure_Failure);
    f->message = message;
    f->source = STR("Server");
    f->failure_info_case = pb_failure_Failure_timeout_failure_info_tag;
    f->timeout_failure_info = pb_new(arena, pb_failure_TimeoutFailureInfo);
    f->timeout_failure_info->timeout_type = timeout_type;
    return f;
}

static err fail_with(struct step *step, err code, const struct pb_message *type, const void *detail, const char *format, va_list args)
{
    if (step->error == NULL) return code;
    char text[512];
    vsnprintf(text, sizeof text, format, args);
    code = error_set(step->error, step->arena, code, "%s", text);
    step->error->detail_type = type;
    step->error->detail = detail;
    return code;
}

err fail_not_found(struct step *step, err code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const void *detail = pb_new(step->arena, pb_errordetails_NotFoundFailure);
    code = fail_with(step, code, &pb_errordetails_NotFoundFailure_type, detail, format, args);
    va_end(args);
    return code;
}

err fail_exhausted(struct step *step, err code, int32_t cause, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pb_errordetails_ResourceExhaustedFailure *detail = pb_new(step->arena, pb_errordetails_ResourceExhaustedFailure);
    detail->cause = cause;
    detail->scope = RESOURCE_EXHAUSTED_SCOPE_NAMESPACE;
    code = fail_with(step, code, &pb_errordetails_ResourceExhaustedFailure_type, detail, format, args);
    va_end(args);
    return code;
}
