/* cli/table.c: every command: its words, its function, its flags, what its help says. */
#include "cli/commands.h"

#define ROWS(...) (const uint16_t[]){__VA_ARGS__, 0}
#define F(field) FLAG_##field
#define NEED(field) (FLAG_##field | FLAG_REQUIRED)
#define WHICH NEED(workflow_id), F(run_id)
#define SOME F(workflow_id), F(run_id), F(query), F(reason), F(rps), F(yes)
#define INPUT F(input), F(input_file), F(input_meta), F(input_base64)
#define SHARED_START NEED(type), NEED(task_queue), F(workflow_id), INPUT, F(execution_timeout), F(run_timeout), F(task_timeout), F(memo), F(search_attribute), \
    F(static_summary), F(static_details), F(priority_key), F(fairness_key), F(fairness_weight)
#define START SHARED_START, F(id_reuse_policy), F(id_conflict_policy), F(fail_existing), F(start_delay), F(cron)
#define WITH_START START, NEED(with_start_name), F(update_id), F(run_id), F(with_start_first_run_id), F(update_input), F(update_input_file), F(update_input_meta), \
    F(update_input_base64)
#define UPDATE WHICH, NEED(update_name), F(update_id), F(first_run_id), INPUT
#define RESET F(workflow_id), F(run_id), F(query), F(event_id), F(reset_type), F(build_id), F(reapply_exclude), F(reapply_type), NEED(reason), F(yes)
#define OVERRIDE NEED(override_behavior), F(override_deployment), F(override_build_id)
#define SPEC F(calendar), F(interval), F(crons), F(start_time), F(end_time), F(time_zone), F(jitter), F(catchup_window), F(overlap_policy), F(pause_on_failure), F(paused), \
    F(notes), F(remaining_actions), F(schedule_memo), F(schedule_attribute)
#define ACTIVITIES F(activity_id), F(activity_type), F(match_all)
#define NAMESPACE F(description), F(email), F(data), F(retention), F(active_cluster), F(clusters), F(history_archival), F(history_uri), F(visibility_archival), F(visibility_uri)
#define ENDPOINT NEED(endpoint_name), F(endpoint_description), F(description_file), F(target_namespace), F(target_task_queue), F(target_url)
#define VERSION NEED(deployment_name), NEED(rule_build_id)
#define LOCAL true, 0
#define WORDS(most) true, most
#define NAMED false, 1

const uint16_t flags_global[] = {F(output), F(color), F(time_format), F(no_shorthand), F(command_timeout), F(connect_timeout), F(config_file), F(profile),
    F(disable_config_file), F(disable_config_env), F(env), F(env_file), F(log_level), F(log_format), 0};
const uint16_t flags_connection[] = {F(address), F(namespace), F(api_key), F(identity), F(authority), F(grpc_meta), F(tls), F(tls_ca_path), F(tls_ca_data),
    F(tls_cert_path), F(tls_cert_data), F(tls_key_path), F(tls_key_data), F(tls_server_name), F(tls_no_verify), F(codec_endpoint), F(codec_auth), F(codec_header), 0};

const struct command commands[] = {
    {"workflow start", run_workflow_start, ROWS(START), "Start a workflow and say which run it is.", "workflow start --type Greet --task-queue hello -w greet-1 -i '\"Ada\"'"},
    {"workflow execute", run_workflow_execute, ROWS(START, F(detailed)), "Start a workflow, show its progress and wait for its result.", "workflow execute --type Greet --task-queue hello -i '\"Ada\"'"},
    {"workflow signal-with-start", run_workflow_signal_with_start, ROWS(START, NEED(signal_type), F(signal_input), F(signal_input_file), F(signal_input_meta), F(signal_input_base64)),
     "Signal a workflow; start it first if it is not running.", "workflow signal-with-start -w cart-7 --type Cart -t shop --signal-name add --signal-input '\"apple\"'"},
    {"workflow start-update-with-start", run_workflow_start_update_with_start, ROWS(WITH_START, NEED(with_start_stage)), "Send an update until it is accepted; start the workflow first if it is not running.",
     "workflow start-update-with-start -w cart-7 --type Cart -t shop --id-conflict-policy UseExisting --update-name add --update-wait-for-stage accepted"},
    {"workflow execute-update-with-start", run_workflow_execute_update_with_start, ROWS(WITH_START), "Send an update and wait for its answer; start the workflow first if it is not running.",
     "workflow execute-update-with-start -w cart-7 --type Cart -t shop --id-conflict-policy UseExisting --update-name add --update-input '\"apple\"'"},
    {"workflow list", run_workflow_list, ROWS(F(query), F(limit), F(page_size), F(archived)), "List workflows, the latest first.",
     "workflow list --query \"ExecutionStatus = 'Failed' AND StartTime > '2030-01-01T00:00:00Z'\""},
    {"workflow count", run_workflow_count, ROWS(F(query)), "Count workflows.", "workflow count --query 'GROUP BY ExecutionStatus'"},
    {"workflow show", run_workflow_show, ROWS(WHICH, F(follow), F(detailed)), "Show the history of a workflow.", "workflow show -w greet-1 --follow"},
    {"workflow trace", run_workflow_trace, ROWS(WHICH, F(fold), F(no_fold), F(depth), F(concurrency)), "Watch a workflow, its activities, timers and children until it is closed.", "workflow trace -w order-9"},
    {"workflow describe", run_workflow_describe, ROWS(WHICH, F(raw), F(reset_points)), "Show how a workflow is doing.", "workflow describe -w greet-1"},
    {"workflow result", run_workflow_result, ROWS(WHICH), "Wait for a workflow and show its result.", "workflow result -w greet-1"},
    {"workflow signal", run_workflow_signal, ROWS(SOME, NEED(signal_name), INPUT), "Send a signal to one workflow, or to all that a query finds.", "workflow signal -w cart-7 --name add -i '\"apple\"'"},
    {"workflow query", run_workflow_query, ROWS(WHICH, NEED(query_name), INPUT, F(reject_condition)), "Ask a workflow something.", "workflow query -w cart-7 --name total"},
    {"workflow stack", run_workflow_stack, ROWS(WHICH, F(reject_condition)), "Show where a workflow's code waits.", "workflow stack -w cart-7"},
    {"workflow metadata", run_workflow_metadata, ROWS(WHICH, F(reject_condition)), "Show which signals, queries and updates a workflow takes.", "workflow metadata -w cart-7"},
    {"workflow update execute", run_workflow_update_execute, ROWS(UPDATE), "Send an update and wait for its answer.", "workflow update execute -w cart-7 --name checkout -i '{\"card\": 1}'"},
    {"workflow update start", run_workflow_update_start, ROWS(UPDATE, NEED(wait_for_stage)), "Send an update and wait until it is accepted.",
     "workflow update start -w cart-7 --name checkout --wait-for-stage accepted"},
    {"workflow update result", run_workflow_update_result, ROWS(WHICH, NEED(update_id)), "Wait for the answer of an update.", "workflow update result -w cart-7 --update-id checkout-1"},
    {"workflow update describe", run_workflow_update_describe, ROWS(WHICH, NEED(update_id)), "Show how far an update is.", "workflow update describe -w cart-7 --update-id checkout-1"},
    {"workflow update-options", run_workflow_update_options, ROWS(SOME, OVERRIDE), "Say on which version one workflow, or all that a query finds, go on.",
     "workflow update-options -w cart-7 --versioning-override-behavior auto_upgrade"},
    {"workflow cancel", run_workflow_cancel, ROWS(SOME), "Ask one workflow, or all that a query finds, to stop.", "workflow cancel -w cart-7"},
    {"workflow terminate", run_workflow_terminate, ROWS(SOME), "Stop workflows at once; their code is not asked.", "workflow terminate --query \"WorkflowType = 'Cart'\" --reason 'old shop'"},
    {"workflow delete", run_workflow_delete, ROWS(SOME), "Remove workflows with their histories.", "workflow delete -w cart-7"},
    {"workflow reset", run_workflow_reset, ROWS(RESET), "Go back to an earlier point of a workflow's history, as a new run.", "workflow reset -w cart-7 --type LastWorkflowTask --reason 'fixed worker'"},
    {"workflow reset with-workflow-update-options", run_workflow_reset_options, ROWS(RESET, OVERRIDE), "Reset, and say on which version the new run goes on.",
     "workflow reset with-workflow-update-options -w cart-7 --event-id 4 --reason bad --versioning-override-behavior auto_upgrade"},
    {"workflow fix-history-json", run_workflow_fix_history, ROWS(NEED(source), F(target)), "Write a history of any spelling as today's tools read it.", "workflow fix-history-json -s old.json -t new.json"},

    {"activity complete", run_activity_complete, ROWS(WHICH, NEED(activity_id), NEED(result)), "Give an activity its result from outside.", "activity complete -w order-9 -a pay --result '\"paid\"'"},
    {"activity fail", run_activity_fail, ROWS(WHICH, NEED(activity_id), F(reason), F(details)), "Let an activity fail from outside; it is not tried again.", "activity fail -w order-9 -a pay --reason 'card refused'"},
    {"activity pause", run_activity_pause, ROWS(WHICH, F(activity_id), F(activity_type)), "Hold an activity; a running attempt may end, no other begins.", "activity pause -w order-9 -a pay"},
    {"activity unpause", run_activity_unpause, ROWS(SOME, ACTIVITIES, F(reset_attempts), F(reset_heartbeats), F(jitter)), "Let paused activities go on.", "activity unpause -w order-9 -a pay --reset-attempts"},
    {"activity reset", run_activity_reset, ROWS(SOME, ACTIVITIES, F(keep_paused), F(reset_attempts), F(reset_heartbeats), F(jitter), F(restore_options)), "Begin activities again at their first attempt.",
     "activity reset -w order-9 --activity-type Pay"},
    {"activity update-options", run_activity_update_options, ROWS(SOME, ACTIVITIES, F(task_queue), F(schedule_to_close), F(schedule_to_start), F(start_to_close), F(heartbeat_timeout), F(retry_initial),
     F(retry_maximum), F(retry_backoff), F(retry_attempts), F(restore_options)), "Change timeouts, retries or the task queue of activities that are not closed.",
     "activity update-options -w order-9 -a pay --start-to-close-timeout 5m --retry-maximum-attempts 3"},

    {"schedule create", run_schedule_create, ROWS(NEED(schedule_id), SPEC, SHARED_START), "Make a schedule that starts workflows.",
     "schedule create -s nightly --cron '30 3 * * *' --time-zone Europe/Berlin --type Report -t reports"},
    {"schedule describe", run_schedule_describe, ROWS(NEED(schedule_id)), "Show a schedule and how it is doing.", "schedule describe -s nightly"},
    {"schedule list", run_schedule_list, ROWS(F(long_), F(really_long), F(query)), "List schedules.", "schedule list --long"},
    {"schedule update", run_schedule_update, ROWS(NEED(schedule_id), SPEC, SHARED_START), "Replace a schedule: what is not given has its default.", "schedule update -s nightly --interval 12h --type Report -t reports"},
    {"schedule toggle", run_schedule_toggle, ROWS(NEED(schedule_id), F(pause), F(unpause), F(reason)), "Pause a schedule, or let it go on.", "schedule toggle -s nightly --pause --reason 'moving house'"},
    {"schedule trigger", run_schedule_trigger, ROWS(NEED(schedule_id), F(overlap_policy)), "Take a schedule's action now.", "schedule trigger -s nightly"},
    {"schedule backfill", run_schedule_backfill, ROWS(NEED(schedule_id), NEED(start_time), NEED(end_time), F(overlap_policy)), "Take the actions of a time in the past.",
     "schedule backfill -s nightly --start-time 2030-01-01T00:00:00Z --end-time 2030-01-05T00:00:00Z --overlap-policy BufferAll"},
    {"schedule delete", run_schedule_delete, ROWS(NEED(schedule_id)), "Remove a schedule; workflows it has started go on.", "schedule delete -s nightly"},

    {"batch describe", run_batch_describe, ROWS(NEED(job_id)), "Show how far a batch job is.", "batch describe --job-id 4f6c"},
    {"batch list", run_batch_list, ROWS(F(limit)), "List batch jobs, the latest first.", "batch list --limit 5"},
    {"batch terminate", run_batch_terminate, ROWS(NEED(job_id), NEED(reason)), "Stop a batch job; what it has done stays done.", "batch terminate --job-id 4f6c --reason 'wrong query'"},

    {"task-queue describe", run_task_queue_describe, ROWS(NEED(task_queue), F(queue_types), F(select_build_id), F(select_unversioned), F(select_active), F(report_reachability), F(report_config),
     F(disable_stats), F(legacy_mode), F(legacy_type), F(partitions_legacy)), "Show who polls a task queue and how much waits in it.", "task-queue describe -t hello"},
    {"task-queue list-partition", run_task_queue_partitions, ROWS(NEED(task_queue)), "Show the partitions of a task queue and where they are.", "task-queue list-partition -t hello"},
    {"task-queue config get", run_task_queue_config_get, ROWS(NEED(task_queue), NEED(task_queue_type)), "Show the limits of a task queue.", "task-queue config get -t hello --task-queue-type activity"},
    {"task-queue config set", run_task_queue_config_set, ROWS(NEED(task_queue), NEED(task_queue_type), F(queue_rps), F(queue_rps_reason), F(fairness_rps), F(fairness_rps_reason)), "Set the limits of a task queue.",
     "task-queue config set -t hello --task-queue-type activity --queue-rps-limit 50 --queue-rps-limit-reason 'slow disk'"},
    {"task-queue get-build-ids", run_build_ids_get, ROWS(NEED(task_queue), F(max_sets)), "Show sets of build ids (an old way of versioning).", "task-queue get-build-ids -t hello"},
    {"task-queue get-build-id-reachability", run_build_ids_reachability, ROWS(F(build_ids), F(task_queues), F(reachability_type)), "Ask which build ids may still get tasks (an old way of versioning).",
     "task-queue get-build-id-reachability --build-id 2.0"},
    {"task-queue update-build-ids add-new-default", run_build_ids_add_default, ROWS(NEED(task_queue), NEED(rule_build_id)), "Add a build id in a new default set.",
     "task-queue update-build-ids add-new-default -t hello --build-id 3.0"},
    {"task-queue update-build-ids add-new-compatible", run_build_ids_add_compatible, ROWS(NEED(task_queue), NEED(rule_build_id), NEED(compatible_build_id), F(set_as_default)), "Add a build id to the set of another.",
     "task-queue update-build-ids add-new-compatible -t hello --build-id 2.1 --existing-compatible-build-id 2.0"},
    {"task-queue update-build-ids promote-id-in-set", run_build_ids_promote_id, ROWS(NEED(task_queue), NEED(rule_build_id)), "Make a build id the default of its set.",
     "task-queue update-build-ids promote-id-in-set -t hello --build-id 2.0"},
    {"task-queue update-build-ids promote-set", run_build_ids_promote_set, ROWS(NEED(task_queue), NEED(rule_build_id)), "Make the set of a build id the default.",
     "task-queue update-build-ids promote-set -t hello --build-id 2.0"},
    {"task-queue versioning get-rules", run_rules_get, ROWS(NEED(task_queue)), "Show the rules of a task queue (an old way of versioning).", "task-queue versioning get-rules -t hello"},
    {"task-queue versioning insert-assignment-rule", run_rules_insert_assignment, ROWS(NEED(task_queue), NEED(rule_build_id), F(rule_index), F(rule_percentage), F(yes)), "Add a rule for new workflows.",
     "task-queue versioning insert-assignment-rule -t hello --build-id 2.0 --percentage 10"},
    {"task-queue versioning replace-assignment-rule", run_rules_replace_assignment, ROWS(NEED(task_queue), NEED(rule_build_id), NEED(rule_index), F(rule_percentage), F(force), F(yes)), "Change a rule for new workflows.",
     "task-queue versioning replace-assignment-rule -t hello --rule-index 0 --build-id 2.0"},
    {"task-queue versioning delete-assignment-rule", run_rules_delete_assignment, ROWS(NEED(task_queue), NEED(rule_index), F(force), F(yes)), "Remove a rule for new workflows.",
     "task-queue versioning delete-assignment-rule -t hello --rule-index 0"},
    {"task-queue versioning add-redirect-rule", run_rules_add_redirect, ROWS(NEED(task_queue), NEED(source_build_id), NEED(target_build_id), F(yes)), "Let one build id take over from another.",
     "task-queue versioning add-redirect-rule -t hello --source-build-id 2.0 --target-build-id 2.1"},
    {"task-queue versioning replace-redirect-rule", run_rules_replace_redirect, ROWS(NEED(task_queue), NEED(source_build_id), NEED(target_build_id), F(yes)), "Change which build id takes over from another.",
     "task-queue versioning replace-redirect-rule -t hello --source-build-id 2.0 --target-build-id 2.2"},
    {"task-queue versioning delete-redirect-rule", run_rules_delete_redirect, ROWS(NEED(task_queue), NEED(source_build_id), F(yes)), "No build id takes over from this one any more.",
     "task-queue versioning delete-redirect-rule -t hello --source-build-id 2.0"},
    {"task-queue versioning commit-build-id", run_rules_commit, ROWS(NEED(task_queue), NEED(rule_build_id), F(force), F(yes)), "Give a build id all new workflows.", "task-queue versioning commit-build-id -t hello --build-id 2.0"},

    {"worker list", run_worker_list, ROWS(F(query), F(limit)), "List workers that report themselves.", "worker list --query \"TaskQueue = 'hello'\""},
    {"worker describe", run_worker_describe, ROWS(NEED(instance_key)), "Show what a worker reports.", "worker describe --worker-instance-key 4f6c"},
    {"worker deployment list", run_deployment_list, ROWS(0), "List worker deployments.", "worker deployment list"},
    {"worker deployment describe", run_deployment_describe, ROWS(NEED(deployment)), "Show a deployment, its versions and which of them gets the work.", "worker deployment describe --name shop"},
    {"worker deployment delete", run_deployment_delete, ROWS(NEED(deployment)), "Remove a deployment without versions.", "worker deployment delete --name shop"},
    {"worker deployment describe-version", run_deployment_describe_version, ROWS(VERSION), "Show a version of a deployment.", "worker deployment describe-version --deployment-name shop --build-id 2.0"},
    {"worker deployment delete-version", run_deployment_delete_version, ROWS(VERSION, F(skip_drainage)), "Remove a version that nobody needs.", "worker deployment delete-version --deployment-name shop --build-id 1.0"},
    {"worker deployment set-current-version", run_deployment_set_current, ROWS(NEED(deployment_name), F(rule_build_id), F(unversioned), F(ignore_missing), F(allow_no_pollers), F(yes)),
     "Say which version gets new workflows.", "worker deployment set-current-version --deployment-name shop --build-id 2.0"},
    {"worker deployment set-ramping-version", run_deployment_set_ramping, ROWS(NEED(deployment_name), F(rule_build_id), F(unversioned), F(percentage), F(delete_), F(ignore_missing), F(allow_no_pollers), F(yes)),
     "Give a version a share of new workflows.", "worker deployment set-ramping-version --deployment-name shop --build-id 2.1 --percentage 10"},
    {"worker deployment update-metadata-version", run_deployment_metadata, ROWS(VERSION, F(metadata), F(remove_entries)), "Change notes kept with a version.",
     "worker deployment update-metadata-version --deployment-name shop --build-id 2.0 --metadata 'commit=\"4f6c\"'"},
    {"worker deployment manager-identity set", run_deployment_manager_set, ROWS(F(deployment_name), F(manager_identity), F(self), F(yes)), "Say who alone may change a deployment.",
     "worker deployment manager-identity set --deployment-name shop --self"},
    {"worker deployment manager-identity unset", run_deployment_manager_unset, ROWS(F(deployment_name), F(yes)), "Let everybody change a deployment.", "worker deployment manager-identity unset --deployment-name shop"},

    {"operator cluster health", run_cluster_health, ROWS(0), "Ask whether the server is there.", "operator cluster health"},
    {"operator cluster describe", run_cluster_describe, ROWS(F(detail)), "Show what the cluster is called and where it stores.", "operator cluster describe --detail"},
    {"operator cluster system", run_cluster_system, ROWS(0), "Show the server's version and what it can do.", "operator cluster system -o json"},
    {"operator cluster list", run_cluster_list, ROWS(F(limit)), "List the clusters this one knows.", "operator cluster list"},
    {"operator cluster upsert", run_cluster_upsert, ROWS(NEED(frontend_address), F(enable_connection)), "Add another cluster, or change it.", "operator cluster upsert --frontend-address other.example:7233"},
    {"operator cluster remove", run_cluster_remove, ROWS(NEED(cluster_name)), "Forget another cluster.", "operator cluster remove --name other"},
    {"operator namespace create", run_namespace_create, ROWS(NAMESPACE, F(global)), "Make a namespace.", "operator namespace create -n orders --retention 7d", NAMED},
    {"operator namespace describe", run_namespace_describe, ROWS(F(namespace_id)), "Show one namespace.", "operator namespace describe -n orders", NAMED},
    {"operator namespace list", run_namespace_list, ROWS(0), "Show all namespaces.", "operator namespace list"},
    {"operator namespace update", run_namespace_update, ROWS(NAMESPACE, F(promote_global), F(replication_state)), "Change a namespace.", "operator namespace update -n orders --retention 30d", NAMED},
    {"operator namespace delete", run_namespace_delete, ROWS(F(yes)), "Remove a namespace with all that is in it.", "operator namespace delete -n orders", NAMED},
    {"operator search-attribute create", run_attribute_create, ROWS(NEED(attribute_names), NEED(attribute_types)), "Add search attributes.", "operator search-attribute create --name Region --type Keyword"},
    {"operator search-attribute list", run_attribute_list, ROWS(0), "Show the search attributes.", "operator search-attribute list"},
    {"operator search-attribute remove", run_attribute_remove, ROWS(NEED(attribute_names), F(yes)), "Remove search attributes.", "operator search-attribute remove --name Region"},
    {"operator nexus endpoint create", run_nexus_create, ROWS(ENDPOINT), "Make an endpoint.", "operator nexus endpoint create --name pay --target-namespace payments --target-task-queue pay"},
    {"operator nexus endpoint get", run_nexus_get, ROWS(NEED(endpoint_name)), "Show an endpoint.", "operator nexus endpoint get --name pay"},
    {"operator nexus endpoint list", run_nexus_list, ROWS(0), "Show all endpoints.", "operator nexus endpoint list"},
    {"operator nexus endpoint update", run_nexus_update, ROWS(ENDPOINT, F(unset_description)), "Change an endpoint: what is not given stays.", "operator nexus endpoint update --name pay --target-task-queue pay-2"},
    {"operator nexus endpoint delete", run_nexus_delete, ROWS(NEED(endpoint_name)), "Remove an endpoint.", "operator nexus endpoint delete --name pay"},

    {"config get", run_config_get, ROWS(F(prop)), "Show a profile of the config file.", "config get --profile prod", LOCAL},
    {"config set", run_config_set, ROWS(NEED(prop), NEED(value)), "Set a property of a profile.", "config set --prop address --value prod.example:7233 --profile prod", LOCAL},
    {"config list", run_config_list, ROWS(0), "Show the profiles.", "config list", LOCAL},
    {"config delete", run_config_delete, ROWS(NEED(prop)), "Remove a property of a profile.", "config delete --prop tls.server_name --profile prod", LOCAL},
    {"config delete-profile", run_config_delete_profile, ROWS(0), "Remove a profile.", "config delete-profile --profile prod", LOCAL},
    {"env get", run_env_get, ROWS(F(key)), "Show an environment of the env file.", "env get --env prod", WORDS(1)},
    {"env set", run_env_set, ROWS(F(key), F(value)), "Set a property of an environment.", "env set --env prod --key address --value prod.example:7233", WORDS(2)},
    {"env list", run_env_list, ROWS(0), "Show the environments.", "env list", LOCAL},
    {"env delete", run_env_delete, ROWS(F(key)), "Remove a property, or the whole environment.", "env delete --env prod", WORDS(1)},
    {"help flags", run_help_flags, ROWS(0), "Explain the flags that all commands have.", "help flags", LOCAL},
    {"completion bash", run_completion_bash, ROWS(0), "Print what makes bash complete commands and flags: source <(perdure completion bash)", "completion bash", LOCAL},
    {"completion zsh", run_completion_zsh, ROWS(0), "Print what makes zsh complete commands and flags: source <(perdure completion zsh)", "completion zsh", LOCAL},
    {"completion fish", run_completion_fish, ROWS(0), "Print what makes fish complete commands and flags: perdure completion fish | source", "completion fish", LOCAL},
};
const size_t command_count = countof(commands);
