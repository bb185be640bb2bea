#include "base/test.h"
#include "core/payload_size.h"
#include "proto/api.h"

TEST(the_largest_payloads_and_memo_count)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    pb_ws_StartWorkflowExecutionRequest *m = pb_new(&arena, pb_ws_StartWorkflowExecutionRequest);
    m->workflow_id = STR("a long id that does not count as a payload");
    check_int(payload_size_of(&pb_ws_StartWorkflowExecutionRequest_type, PB_ENCODE_ARENA(pb_ws_StartWorkflowExecutionRequest, m, &arena)).payloads, 0);
    m->input = pb_payloads_of(&arena, pb_payload_new(&arena, STR("json/plain"), STR("\"12345\"")));
    m->memo = pb_new(&arena, pb_common_Memo);
    pb_common_Memo_FieldsEntry *entry = PB_PUSH_NEW(&arena, m->memo, fields);
    entry->key = STR("k");
    entry->value = pb_payload_new(&arena, STR("json/plain"), STR("1"));
    struct str bytes = PB_ENCODE_ARENA(pb_ws_StartWorkflowExecutionRequest, m, &arena);
    struct payload_size size = payload_size_of(&pb_ws_StartWorkflowExecutionRequest_type, bytes);
    check_int(size.payloads, PB_SIZE(pb_common_Payloads, m->input));
    check_int(size.memo, PB_SIZE(pb_common_Memo, m->memo));
    for (size_t cut = 0; cut < bytes.size; cut++) /* broken bytes are survived */
        check(payload_size_of(&pb_ws_StartWorkflowExecutionRequest_type, (struct str){bytes.data, cut}).payloads <= size.payloads);
    arena_fini(&arena);
}

TEST(payloads_deep_inside_are_found)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    pb_ws_RespondWorkflowTaskCompletedRequest *m = pb_new(&arena, pb_ws_RespondWorkflowTaskCompletedRequest);
    pb_command_Command *c = PB_PUSH_NEW(&arena, m, commands);
    c->attributes_case = pb_command_Command_complete_workflow_execution_command_attributes_tag;
    c->complete_workflow_execution_command_attributes = pb_new(&arena, pb_command_CompleteWorkflowExecutionCommandAttributes);
    c->complete_workflow_execution_command_attributes->result = pb_payloads_of(&arena, pb_payload_new(&arena, STR("binary/plain"), STR("0123456789")));
    struct str bytes = PB_ENCODE_ARENA(pb_ws_RespondWorkflowTaskCompletedRequest, m, &arena);
    check_int(payload_size_of(&pb_ws_RespondWorkflowTaskCompletedRequest_type, bytes).payloads,
              PB_SIZE(pb_common_Payloads, c->complete_workflow_execution_command_attributes->result));
    arena_fini(&arena);
}

TEST_MAIN
