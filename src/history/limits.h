/* history/limits.h: every limit and default of a namespace, from one table. The rows are the dynamic-config keys that
 * matter here; enum-free: a row is a field of struct limits, its key, its default and what it bounds.
 * Source: limits-and-errors sheet of the reference; the same numbers as the official server. */
#ifndef HISTORY_LIMITS_H
#define HISTORY_LIMITS_H

#include "base/instant.h"
#include "base/str.h"

#define LIMITS_TABLE(X)                                                                                              \
    X(blob_size_max, "limit.blobSize.error", 2 * 1024 * 1024, "bytes of one payload, result, signal, heartbeat")      \
    X(memo_size_max, "limit.memoSize.error", 2 * 1024 * 1024, "bytes of a memo")                                      \
    X(history_size_max, "limit.historySize.error", 50 * 1024 * 1024, "bytes of history before a run is terminated")   \
    X(history_size_suggest, "limit.historySize.suggestContinueAsNew", 4 * 1024 * 1024, "bytes of history that suggest continue-as-new") \
    X(history_count_max, "limit.historyCount.error", 51200, "events before a run is terminated")                      \
    X(history_count_suggest, "limit.historyCount.suggestContinueAsNew", 4096, "events that suggest continue-as-new")  \
    X(history_limit_holds, "perdure.history.limitHoldsRun", 0, "1: a run at its history limit takes no more events but stays open") \
    X(id_length_max, "limit.maxIDLength", 1000, "bytes of ids, types, queue and signal names")                        \
    X(pending_activities_max, "limit.numPendingActivities.error", 2000, "pending activities of a run")                \
    X(pending_children_max, "limit.numPendingChildExecutions.error", 2000, "pending child workflows of a run")        \
    X(pending_signals_max, "limit.numPendingSignals.error", 2000, "pending signals to other workflows of a run")      \
    X(pending_cancels_max, "limit.numPendingCancelRequests.error", 2000, "pending cancel requests to other workflows of a run") \
    X(signals_max, "history.maximumSignalsPerExecution", 10000, "signals a run takes")                                \
    X(updates_in_flight_max, "history.maxInFlightUpdates", 10, "updates in flight of a run")                          \
    X(updates_size_max, "history.maxInFlightUpdatePayloads", 20 * 1024 * 1024, "payload bytes of updates in flight")  \
    X(updates_total_max, "history.maxTotalUpdates", 2000, "updates of a run in all")                                  \
    X(buffered_events_max, "history.maximumBufferedEventsBatch", 100, "events buffered while a workflow task runs")   \
    X(buffered_size_max, "history.maximumBufferedEventsSizeInBytes", 2 * 1024 * 1024, "bytes buffered while a workflow task runs") \
    X(buffered_queries_max, "history.MaxBufferedQueryCount", 1, "queries that wait for the next workflow task")       \
    X(activity_failure_size_max, "limit.mutableStateActivityFailureSize.error", 4096, "bytes kept of an activity's last failure") \
    X(search_attributes_count_max, "frontend.searchAttributesNumberOfKeysLimit", 100, "search attributes of a run")   \
    X(search_attribute_size_max, "frontend.searchAttributesSizeOfValueLimit", 2048, "bytes of one search attribute")  \
    X(search_attributes_size_max, "frontend.searchAttributesTotalSizeLimit", 40 * 1024, "bytes of all search attributes of a run") \
    X(callbacks_max, "system.maxCallbacksPerWorkflow", 32, "completion callbacks of a run")                           \
    X(callback_url_max, "frontend.callbackURLMaxLength", 1000, "bytes of a completion callback's URL")                 \
    X(callback_header_max, "frontend.callbackHeaderMaxLength", 8 * 1024, "bytes of a completion callback's headers")  \
    X(callback_pause_min_ms, "component.callbacks.retryPolicy.initialInterval", 1000, "before the second attempt of a callback") \
    X(callback_pause_max_ms, "component.callbacks.retryPolicy.maximumInterval", 3600 * 1000, "the longest pause between attempts of a callback") \
    X(callback_timeout_ms, "component.callbacks.request.timeout", 10 * 1000, "how long an attempt of a callback lasts") \
    X(callback_concurrency_max, "history.outboundQueue.groupLimiter.concurrency", 100, "callbacks under way to one destination") \
    X(links_max, "frontend.maxlinksPerRequest", 10, "links of a request")                                             \
    X(link_size_max, "frontend.linkMaxSize", 4000, "bytes of a link")                                                 \
    X(problems_shown_from, "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute", 5, "failed workflow tasks in a row that show in visibility; 0: never") \
    X(reset_points_max, "history.historyMaxAutoResetPoints", 20, "auto-reset points of a run")                        \
    X(eager_activities, "system.enableActivityEagerExecution", 1, "1: activities may be handed out in the completion reply") \
    X(eager_workflow_start, "system.enableEagerWorkflowStart", 1, "1: a start may hand out the first workflow task")  \
    X(activity_grace_ms, "perdure.activity.timeoutGrace", 300, "after an attempt's time is up in which an answer that was on its way still counts") \
    X(workflow_task_timeout_ms, "history.defaultWorkflowTaskTimeout", 10 * 1000, "default workflow task timeout")     \
    X(workflow_task_heartbeat_ms, "history.workflowTaskHeartbeatTimeout", 30 * 60 * 1000, "budget of empty workflow task heartbeats") \
    X(minimal_run_interval_ms, "history.workflowIdReuseMinimalInterval", 1000, "least time between starts of runs of a chain") \
    X(history_long_poll_ms, "history.longPollExpirationInterval", 20 * 1000, "how long a history or update wait lasts") \
    X(task_long_poll_ms, "matching.longPollExpirationInterval", 60 * 1000, "how long a task poll lasts")              \
    X(workflow_pause_enabled, "frontend.WorkflowPauseEnabled", 1, "1: workflows can be paused")                       \
    X(retention_min_ms, "system.namespaceMinRetentionLocal", 3600 * 1000, "how long namespaces keep closed runs at least") \
    X(schedule_rate_max, "worker.schedulerNamespaceStartWorkflowRPS", 1000, "workflows a second that schedules of a namespace start, 0: no limit (officially 30)") \
    X(batches_max, "frontend.MaxConcurrentBatchOperationPerNamespace", 1, "open batch jobs of a namespace")           \
    X(batch_rate_max, "worker.batcherRPS", 500, "executions a second of one batch job (here ten times the official default)") \
    X(batch_concurrency, "worker.batcherConcurrency", 5, "executions a batch job works on at once, at most 64")

struct limits {
#define X(field, key, value, text) int64_t field;
    LIMITS_TABLE(X)
#undef X
};

/* The defaults above. */
struct limits limits_default(void);
/* Sets one by its dynamic-config key (case does not matter); false when the key is not one of these. */
bool limits_set(struct limits *limits, struct str key, int64_t value);

#endif
