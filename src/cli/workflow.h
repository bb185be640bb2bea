/* cli/workflow.h: what the files of the workflow commands share. */
#ifndef CLI_WORKFLOW_H
#define CLI_WORKFLOW_H

#include "cli/cli.h"

/* All events of --workflow-id / --run-id. False: said. */
bool workflow_history(struct cli *cli, struct pb_history_HistoryEvent ***events, size_t *count);

/* Goes through a history to its close event, waiting for it. With `shows`, each event is printed as it comes. NULL: said.
 * Runs that went on as a new one are followed; *run_id ends as the run that closed. */
const struct pb_history_HistoryEvent *workflow_follow(struct cli *cli, struct str *run_id, bool shows, bool is_detailed);

bool workflow_is_close(const struct pb_history_HistoryEvent *event);
struct str workflow_next_run(const struct pb_history_HistoryEvent *close); /* the run that goes on after this one; empty: none */
/* What the close event says: "COMPLETED", "FAILED" …; result and failure when there are any. */
const char *workflow_outcome(const struct pb_history_HistoryEvent *close, const struct pb_common_Payloads **result, const struct pb_failure_Failure **failure);
/* The part of an answer that says how a workflow ended: text, or fields of the open JSON object. Returns the exit status. */
int workflow_put_outcome(struct cli *cli, struct json_out *w, const struct pb_history_HistoryEvent *close, const struct str *run_time);

/* What the flags of a start ask for. False: said. */
bool workflow_start_request(struct cli *cli, struct pb_ws_StartWorkflowExecutionRequest *out);

/* ---- event.c: text only ---- */

void workflow_show_titles(struct cli *cli, bool is_detailed);
void workflow_show_event(struct cli *cli, const struct pb_history_HistoryEvent *event, bool is_detailed);

/* ---- batch.c ---- */

/* Does the command line name one workflow, or (*out) all that a query finds? False: neither or both, and that was said. */
bool batch_or_one(struct cli *cli, bool *out);
struct str batch_reason(struct cli *cli); /* --reason, or who asked */
/* Counts, asks, starts the job with the operation that is set; what all operations share is filled in here. */
int batch_job_start(struct cli *cli, struct pb_ws_StartBatchOperationRequest *request);

#endif
