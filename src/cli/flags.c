#include "cli/flags.h"

#define X(kind, field, name, letter, value, help) [FLAG_##field] = {name, value, help, offsetof(struct flags, field), OPTION_##kind, letter},
const struct flag_row flag_rows[FLAG_COUNT] = {FLAG_TABLE(X)};
#undef X

const char *flag_alias(enum flag flag)
{
    switch (flag) {
    case FLAG_type: return "name";
    case FLAG_signal_name: case FLAG_query_name: case FLAG_update_name: return "type";
    case FLAG_signal_type: return "signal-type";
    case FLAG_with_start_name: return "update-type";
    default: return NULL;
    }
}

const char *flag_choices(enum flag flag)
{
    switch (flag) {
    case FLAG_output: return "text json jsonl none";
    case FLAG_color: return "always never auto";
    case FLAG_time_format: return "relative iso raw";
    case FLAG_log_level: return "debug info warn error never";
    case FLAG_log_format: return "text json pretty";
    case FLAG_id_reuse_policy: return "AllowDuplicate AllowDuplicateFailedOnly RejectDuplicate TerminateIfRunning";
    case FLAG_id_conflict_policy: return "Fail UseExisting TerminateExisting";
    case FLAG_overlap_policy: return "Skip BufferOne BufferAll CancelOther TerminateOther AllowAll";
    case FLAG_wait_for_stage: case FLAG_with_start_stage: return "accepted";
    case FLAG_reject_condition: return "not_open not_completed_cleanly";
    case FLAG_reset_type: return "FirstWorkflowTask LastWorkflowTask LastContinuedAsNew BuildId";
    case FLAG_reapply_type: return "All Signal None";
    case FLAG_reapply_exclude: return "All Signal Update";
    case FLAG_override_behavior: return "unspecified pinned auto_upgrade";
    case FLAG_fold: return "running completed failed canceled terminated timedout continueasnew";
    case FLAG_queue_types: case FLAG_task_queue_type: return "workflow activity nexus";
    case FLAG_legacy_type: return "workflow activity";
    case FLAG_reachability_type: return "open closed existing";
    case FLAG_attribute_types: return "Text Keyword Int Double Bool Datetime KeywordList";
    case FLAG_history_archival: case FLAG_visibility_archival: return "disabled enabled";
    case FLAG_replication_state: return "normal handover";
    default: return NULL;
    }
}
