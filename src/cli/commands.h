/* cli/commands.h: the functions behind the rows of table.c: one file a group. Each returns the exit status. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/cli.h"

int run_workflow_start(struct cli *cli), run_workflow_execute(struct cli *cli), run_workflow_signal_with_start(struct cli *cli);
int run_workflow_start_update_with_start(struct cli *cli), run_workflow_execute_update_with_start(struct cli *cli), run_workflow_list(struct cli *cli);
int run_workflow_count(struct cli *cli), run_workflow_show(struct cli *cli), run_workflow_trace(struct cli *cli), run_workflow_describe(struct cli *cli);
int run_workflow_result(struct cli *cli), run_workflow_signal(struct cli *cli), run_workflow_query(struct cli *cli), run_workflow_stack(struct cli *cli);
int run_workflow_metadata(struct cli *cli), run_workflow_update_execute(struct cli *cli), run_workflow_update_start(struct cli *cli);
int run_workflow_update_result(struct cli *cli), run_workflow_update_describe(struct cli *cli), run_workflow_update_options(struct cli *cli);
int run_workflow_cancel(struct cli *cli), run_workflow_terminate(struct cli *cli), run_workflow_delete(struct cli *cli);
int run_workflow_reset(struct cli *cli), run_workflow_reset_options(struct cli *cli), run_workflow_fix_history(struct cli *cli);
int run_activity_complete(struct cli *cli), run_activity_fail(struct cli *cli), run_activity_pause(struct cli *cli);
int run_activity_unpause(struct cli *cli), run_activity_reset(struct cli *cli), run_activity_update_options(struct cli *cli);
int run_schedule_create(struct cli *cli), run_schedule_describe(struct cli *cli), run_schedule_list(struct cli *cli);
int run_schedule_update(struct cli *cli), run_schedule_toggle(struct cli *cli), run_schedule_trigger(struct cli *cli);
int run_schedule_backfill(struct cli *cli), run_schedule_delete(struct cli *cli), run_batch_describe(struct cli *cli), run_batch_list(struct cli *cli);
int run_batch_terminate(struct cli *cli), run_task_queue_describe(struct cli *cli), run_task_queue_partitions(struct cli *cli);
int run_task_queue_config_get(struct cli *cli), run_task_queue_config_set(struct cli *cli), run_build_ids_get(struct cli *cli);
int run_build_ids_reachability(struct cli *cli), run_build_ids_add_default(struct cli *cli), run_build_ids_add_compatible(struct cli *cli);
int run_build_ids_promote_id(struct cli *cli), run_build_ids_promote_set(struct cli *cli), run_rules_get(struct cli *cli);
int run_rules_insert_assignment(struct cli *cli), run_rules_replace_assignment(struct cli *cli), run_rules_delete_assignment(struct cli *cli);
int run_rules_add_redirect(struct cli *cli), run_rules_replace_redirect(struct cli *cli), run_rules_delete_redirect(struct cli *cli);
int run_rules_commit(struct cli *cli), run_worker_list(struct cli *cli), run_worker_describe(struct cli *cli), run_deployment_list(struct cli *cli);
int run_deployment_describe(struct cli *cli), run_deployment_delete(struct cli *cli), run_deployment_describe_version(struct cli *cli);
int run_deployment_delete_version(struct cli *cli), run_deployment_set_current(struct cli *cli), run_deployment_set_ramping(struct cli *cli);
int run_deployment_metadata(struct cli *cli), run_deployment_manager_set(struct cli *cli), run_deployment_manager_unset(struct cli *cli);
int run_cluster_health(struct cli *cli), run_cluster_describe(struct cli *cli), run_cluster_system(struct cli *cli), run_cluster_list(struct cli *cli);
int run_cluster_upsert(struct cli *cli), run_cluster_remove(struct cli *cli), run_namespace_create(struct cli *cli);
int run_namespace_describe(struct cli *cli), run_namespace_list(struct cli *cli), run_namespace_update(struct cli *cli);
int run_namespace_delete(struct cli *cli), run_attribute_create(struct cli *cli), run_attribute_list(struct cli *cli);
int run_attribute_remove(struct cli *cli), run_nexus_create(struct cli *cli), run_nexus_get(struct cli *cli), run_nexus_list(struct cli *cli);
int run_nexus_update(struct cli *cli), run_nexus_delete(struct cli *cli), run_config_get(struct cli *cli), run_config_set(struct cli *cli);
int run_config_list(struct cli *cli), run_config_delete(struct cli *cli), run_config_delete_profile(struct cli *cli), run_env_get(struct cli *cli);
int run_env_set(struct cli *cli), run_env_list(struct cli *cli), run_env_delete(struct cli *cli), run_help_flags(struct cli *cli), run_completion_bash(struct cli *cli);
int run_completion_zsh(struct cli *cli), run_completion_fish(struct cli *cli);

#endif
