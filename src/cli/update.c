/* cli/update.c: updates of workflows that run, or that are started with them. */
#include "cli/commands.h"
#include "cli/workflow.h"

static const struct pb_failure_Failure *failure_of(const struct pb_update_Outcome *outcome)
{
    return outcome != NULL && outcome->value_case == pb_update_Outcome_failure_tag ? outcome->failure : NULL;
}

/* The result for people or programs; without one the field is left out. */
static struct field result_field(struct cli *cli, const char *label, const struct pb_update_Outcome *outcome)
{
    struct field field = {.label = label};
    struct json_out w;
    if (outcome == NULL || outcome->value_case != pb_update_Outcome_success_tag) return field;
    if (!cli_is_json(cli)) return field_text(cli, label, outcome->success != NULL ? cli_payload_text(cli, outcome->success) : STR("null"));
    cli_json_begin(cli, &w);
    cli_json_payload(cli, &w, outcome->success);
    field.value = arena_str(cli->arena, buf_view(w.out));
    buf_fini(w.out);
    return field;
}

/* `stage` NULL: it is over, or nobody asked. A failure of an update that was waited for is the command's. */
static int show_update(struct cli *cli, struct str id, const struct pb_update_Outcome *outcome, const char *stage)
{
    const struct pb_failure_Failure *failure = failure_of(outcome);
    struct field none = {0};
    if (failure != NULL && stage == NULL) return cli_fail(cli, "the update failed: %.*s", STR_ARG(failure->message));
    const struct field fields[] = {
        str_is_empty(cli->f.update_name) ? none : field_text(cli, "Name", cli->f.update_name),
        field_text(cli, "UpdateId", id),
        result_field(cli, "Result", outcome),
        failure == NULL ? none : cli_is_json(cli) ? field_message(cli, "Failure", &pb_failure_Failure_type, failure) : field_text(cli, "Failure", failure->message),
        stage == NULL ? none : field_text(cli, "Stage", str_of(stage)),
    };
    cli_put_fields(cli, NULL, fields, countof(fields));
    return 0;
}

/* Asks until there is an outcome, or once. False: said. */
static bool poll(struct cli *cli, struct str id, bool waits, const struct pb_update_Outcome **outcome)
{
    struct pb_update_UpdateRef ref = {.workflow_execution = cli_execution(cli), .update_id = id};
    struct pb_update_WaitPolicy wait = {.lifecycle_stage = UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED};
    struct pb_ws_PollWorkflowExecutionUpdateRequest request = {.namespace = cli->f.namespace, .update_ref = &ref, .identity = cli->f.identity, .wait_policy = waits ? &wait : NULL};
    struct pb_ws_PollWorkflowExecutionUpdateResponse *response;
    do {
        if (!CALL_WAIT(cli, ws_PollWorkflowExecutionUpdate, &request, &response, duration_s(70))) {
            cli_fail_call(cli, "asking for the update");
            return false;
        }
    } while (waits && response->outcome == NULL);
    *outcome = response->outcome;
    return true;
}

static int poll_and_show(struct cli *cli, bool waits)
{
    const struct pb_update_Outcome *outcome;
    if (!poll(cli, cli->f.update_id, waits, &outcome)) return 1;
    return show_update(cli, cli->f.update_id, outcome, waits ? NULL : outcome != NULL ? "Completed" : "Accepted");
}

/* ---- sending ---- */

struct sending {
    struct pb_update_Meta meta;
    struct pb_update_Input input;
    struct pb_update_Request update;
    struct pb_update_WaitPolicy wait;
    struct pb_ws_UpdateWorkflowExecutionRequest request;
};

static bool sending_init(struct cli *cli, struct sending *s, struct str name, struct str first_run_id, const struct input_flags *flags, int32_t stage)
{
    *s = (struct sending){.meta = {.update_id = str_is_empty(cli->f.update_id) ? cli_uuid(cli) : cli->f.update_id, .identity = cli->f.identity},
        .input = {.name = name, .header = pb_new(cli->arena, struct pb_common_Header)}, .wait = {.lifecycle_stage = stage}};
    s->update = (struct pb_update_Request){.meta = &s->meta, .input = &s->input};
    s->request = (struct pb_ws_UpdateWorkflowExecutionRequest){.namespace = cli->f.namespace, .workflow_execution = cli_execution(cli),
        .first_execution_run_id = first_run_id, .wait_policy = &s->wait, .request = &s->update};
    return cli_payloads(cli, flags, &s->input.args);
}

/* The server answers early when it takes long; the same update id makes asking again safe. */
static bool is_early(const struct pb_ws_UpdateWorkflowExecutionResponse *response)
{
    return response->stage < UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED && response->outcome == NULL;
}

static int send_update(struct cli *cli, int32_t stage)
{
    const struct input_flags flags = cli_input(cli);
    struct sending s;
    struct pb_ws_UpdateWorkflowExecutionResponse *response;
    if (!sending_init(cli, &s, cli->f.update_name, cli->f.first_run_id, &flags, stage)) return 1;
    do {
        if (!CALL_WAIT(cli, ws_UpdateWorkflowExecution, &s.request, &response, duration_s(70))) return cli_fail_call(cli, "updating workflow");
    } while (is_early(response));
    const struct pb_update_Outcome *outcome = response->outcome;
    bool waits = stage == UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED;
    if (waits && outcome == NULL && !poll(cli, s.meta.update_id, true, &outcome)) return 1;
    return show_update(cli, s.meta.update_id, waits || failure_of(outcome) != NULL ? outcome : NULL, NULL);
}

int run_workflow_update_execute(struct cli *cli) { return send_update(cli, UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED); }
int run_workflow_update_start(struct cli *cli) { return send_update(cli, UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED); }
int run_workflow_update_result(struct cli *cli) { return poll_and_show(cli, true); }
int run_workflow_update_describe(struct cli *cli) { return poll_and_show(cli, false); }

/* ---- with a start ---- */

static int with_start(struct cli *cli, int32_t stage)
{
    const struct input_flags flags = {&cli->f.update_input, &cli->f.update_input_file, &cli->f.update_input_meta, cli->f.update_input_base64};
    bool waits = stage == UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED;
    struct pb_ws_StartWorkflowExecutionRequest start;
    struct sending s;
    struct pb_ws_ExecuteMultiOperationRequest request = {.namespace = cli->f.namespace};
    struct pb_ws_ExecuteMultiOperationResponse *response;
    const struct pb_ws_UpdateWorkflowExecutionResponse *updated;
    if (!cli->given[FLAG_id_conflict_policy]) return cli_fail(cli, "perdure %s needs --id-conflict-policy: what to do when the workflow runs already", cli->command->path);
    if (!workflow_start_request(cli, &start)) return 1;
    cli->f.workflow_id = start.workflow_id;
    if (!sending_init(cli, &s, cli->f.with_start_name, cli->f.with_start_first_run_id, &flags, stage)) return 1;
    struct pb_ws_ExecuteMultiOperationRequest_Operation *operation = PB_PUSH_NEW(cli->arena, &request, operations);
    operation->operation_case = pb_ws_ExecuteMultiOperationRequest_Operation_start_workflow_tag;
    operation->start_workflow = &start;
    operation = PB_PUSH_NEW(cli->arena, &request, operations);
    operation->operation_case = pb_ws_ExecuteMultiOperationRequest_Operation_update_workflow_tag;
    operation->update_workflow = &s.request;
    do {
        if (!CALL_WAIT(cli, ws_ExecuteMultiOperation, &request, &response, duration_s(70))) return cli_fail_call(cli, "starting and updating workflow");
        if (response->responses_count != 2 || response->responses[0]->start_workflow == NULL || (updated = response->responses[1]->update_workflow) == NULL)
            return cli_fail(cli, "the server's answer says nothing about the update");
    } while (is_early(updated));
    const struct pb_update_Outcome *outcome = updated->outcome;
    cli->f.run_id = response->responses[0]->start_workflow->run_id;
    if (waits && outcome == NULL && !poll(cli, s.meta.update_id, true, &outcome)) return 1;
    if (failure_of(outcome) != NULL) return cli_fail(cli, "the update failed: %.*s", STR_ARG(failure_of(outcome)->message));
    const struct field fields[] = {
        field_text(cli, "WorkflowId", start.workflow_id), field_text(cli, "RunId", cli->f.run_id), field_text(cli, "Type", cli->f.type),
        field_text(cli, "Namespace", cli->f.namespace), field_text(cli, "UpdateName", cli->f.with_start_name), field_text(cli, "UpdateId", s.meta.update_id),
        result_field(cli, "UpdateResult", waits ? outcome : NULL),
    };
    cli_put_fields(cli, "Running execution", fields, countof(fields));
    return 0;
}

int run_workflow_start_update_with_start(struct cli *cli) { return with_start(cli, UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED); }
int run_workflow_execute_update_with_start(struct cli *cli) { return with_start(cli, UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED); }
