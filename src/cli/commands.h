/* cli/commands.h: the functions behind the rows of command.c: one file a group. Each returns the exit status. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/cli.h"

int run_workflow_start(struct cli *cli);
int run_workflow_execute(struct cli *cli);
int run_workflow_signal_with_start(struct cli *cli);
int run_workflow_list(struct cli *cli);
int run_workflow_count(struct cli *cli);
int run_workflow_show(struct cli *cli);
int run_workflow_describe(struct cli *cli);
int run_workflow_result(struct cli *cli);
int run_workflow_signal(struct cli *cli);
int run_workflow_query(struct cli *cli);
int run_workflow_stack(struct cli *cli);
int run_workflow_metadata(struct cli *cli);
int run_workflow_update_execute(struct cli *cli);
int run_workflow_update_start(struct cli *cli);
int run_workflow_update_result(struct cli *cli);
int run_workflow_update_describe(struct cli *cli);
int run_workflow_cancel(struct cli *cli);
int run_workflow_terminate(struct cli *cli);
int run_workflow_delete(struct cli *cli);
int run_workflow_reset(struct cli *cli);
int run_cluster_health(struct cli *cli);
int run_cluster_describe(struct cli *cli);
int run_cluster_system(struct cli *cli);
int run_namespace_create(struct cli *cli);
int run_namespace_describe(struct cli *cli);
int run_namespace_list(struct cli *cli);
int run_namespace_update(struct cli *cli);
int run_namespace_delete(struct cli *cli);
int run_attribute_create(struct cli *cli);
int run_attribute_list(struct cli *cli);
int run_attribute_remove(struct cli *cli);
int run_task_queue_describe(struct cli *cli);
int run_config_get(struct cli *cli);
int run_config_set(struct cli *cli);
int run_config_list(struct cli *cli);
int run_config_delete(struct cli *cli);
int run_config_delete_profile(struct cli *cli);
int run_env_get(struct cli *cli);
int run_env_set(struct cli *cli);
int run_env_list(struct cli *cli);
int run_env_delete(struct cli *cli);
int run_completion_bash(struct cli *cli);
int run_completion_zsh(struct cli *cli);
int run_completion_fish(struct cli *cli);

/* Is there a command or a group that begins with this word? */
bool cli_knows(const char *word);

#endif
