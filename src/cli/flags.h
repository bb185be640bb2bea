/* cli/flags.h: every flag of every command is one row here: its field, its spelling, its help. A command lists the rows it
 * takes; a name may stand in several rows (the --type of a start is not the --type of a reset).
 *
 * Thread: one.   Source: the words and letters of the official command line. */
#ifndef CLI_FLAGS_H
#define CLI_FLAGS_H

#include "cli/options.h"

/* X(kind, field, name, letter, value, help). */
#define FLAG_TABLE(X)                                                                                                            \
    X(STRING, output, "output", 'o', "FORMAT", "text, json, jsonl (one document a line) or none [text]")                         \
    X(STRING, color, "color", 0, "WHEN", "always, never or auto (on a terminal) [auto]")                                         \
    X(STRING, time_format, "time-format", 0, "HOW", "relative, iso or raw [relative]")                                           \
    X(FLAG, no_shorthand, "no-json-shorthand-payloads", 0, NULL, "show payloads as they are stored, also in JSON")               \
    X(DURATION, command_timeout, "command-timeout", 0, "DURATION", "give up after this long [never]")                            \
    X(DURATION, connect_timeout, "client-connect-timeout", 0, "DURATION", "give up connecting after this long")                  \
    X(STRING, config_file, "config-file", 0, "PATH", "the TOML file with profiles")                                              \
    X(STRING, profile, "profile", 0, "NAME", "the profile of the config file to use [default]")                                  \
    X(FLAG, disable_config_file, "disable-config-file", 0, NULL, "do not read the config file")                                  \
    X(FLAG, disable_config_env, "disable-config-env", 0, NULL, "do not read settings from TEMPORAL_… variables")                 \
    X(STRING, env, "env", 0, "NAME", "the environment of the env file to use [default]")                                         \
    X(STRING, env_file, "env-file", 0, "PATH", "the file with environments")                                                     \
    X(STRING, log_level, "log-level", 0, "LEVEL", "debug, info, warn, error or never [info]")                                    \
    X(STRING, log_format, "log-format", 0, "FORMAT", "text or json [text]")                                                      \
    X(STRING, address, "address", 0, "HOST:PORT", "where the server is [localhost:7233]")                                        \
    X(STRING, namespace, "namespace", 'n', "NAME", "the namespace to work in [default]")                                         \
    X(STRING, api_key, "api-key", 0, "KEY", "sent as a bearer token; turns TLS on")                                              \
    X(STRING, identity, "identity", 0, "TEXT", "who you are, for histories and logs [temporal-cli:USER@HOST]")                   \
    X(STRING, authority, "client-authority", 0, "NAME", "the :authority header of requests")                                     \
    X(STRINGS, grpc_meta, "grpc-meta", 0, "KEY=VALUE", "a header of every request; may be given several times")                  \
    X(FLAG, tls, "tls", 0, NULL, "use TLS; --tls=false turns it off although other TLS flags are there")                         \
    X(STRING, tls_ca_path, "tls-ca-path", 0, "PATH", "who signed the server's certificate")                                      \
    X(STRING, tls_ca_data, "tls-ca-data", 0, "PEM", "the same, as text")                                                         \
    X(STRING, tls_cert_path, "tls-cert-path", 0, "PATH", "the client's own certificate")                                         \
    X(STRING, tls_cert_data, "tls-cert-data", 0, "PEM", "the same, as text")                                                     \
    X(STRING, tls_key_path, "tls-key-path", 0, "PATH", "the key of the client's certificate")                                    \
    X(STRING, tls_key_data, "tls-key-data", 0, "PEM", "the same, as text")                                                       \
    X(STRING, tls_server_name, "tls-server-name", 0, "NAME", "the name the server's certificate has to carry")                   \
    X(FLAG, tls_no_verify, "tls-disable-host-verification", 0, NULL, "accept any certificate of the server")                     \
    X(STRING, codec_endpoint, "codec-endpoint", 0, "URL", "a codec server that payloads go through, http or https")              \
    X(STRING, codec_auth, "codec-auth", 0, "TEXT", "the Authorization header for the codec server")                              \
    X(STRINGS, codec_header, "codec-header", 0, "KEY=VALUE", "a header for the codec server; may be given several times")        \
    X(STRING, workflow_id, "workflow-id", 'w', "ID", "the workflow's id")                                                        \
    X(STRING, run_id, "run-id", 'r', "ID", "one run of it [the latest]")                                                         \
    X(STRING, type, "type", 0, "NAME", "the workflow type")                                                                      \
    X(STRING, task_queue, "task-queue", 't', "NAME", "the task queue")                                                           \
    X(STRINGS, input, "input", 'i', "JSON", "an argument; may be given several times")                                           \
    X(STRINGS, input_file, "input-file", 0, "PATH", "a file that holds an argument; may be given several times")                 \
    X(STRINGS, input_meta, "input-meta", 0, "KEY=VALUE", "metadata of the arguments' payloads; encoding=… replaces json/plain")  \
    X(FLAG, input_base64, "input-base64", 0, NULL, "the arguments are given in base64")                                          \
    X(DURATION, execution_timeout, "execution-timeout", 0, "DURATION", "fail the execution after this long, all runs together")  \
    X(DURATION, run_timeout, "run-timeout", 0, "DURATION", "fail one run after this long")                                       \
    X(DURATION, task_timeout, "task-timeout", 0, "DURATION", "how long a worker may take for one workflow task [10s]")           \
    X(STRING, id_reuse_policy, "id-reuse-policy", 0, "POLICY",                                                                   \
      "when a closed run has this id: AllowDuplicate, AllowDuplicateFailedOnly, RejectDuplicate, TerminateIfRunning")            \
    X(STRING, id_conflict_policy, "id-conflict-policy", 0, "POLICY",                                                             \
      "when an open run has this id: Fail, UseExisting, TerminateExisting")                                                      \
    X(FLAG, fail_existing, "fail-existing", 0, NULL, "an open run with this id is an error")                                     \
    X(DURATION, start_delay, "start-delay", 0, "DURATION", "wait before the first workflow task")                                \
    X(STRING, cron, "cron", 0, "TEXT", "start again on these times; a schedule does it better")                                  \
    X(STRINGS, memo, "memo", 0, "KEY=JSON", "a memo field; may be given several times")                                          \
    X(STRINGS, search_attribute, "search-attribute", 0, "KEY=JSON", "a search attribute; may be given several times")            \
    X(STRING, static_summary, "static-summary", 0, "TEXT", "one line for people who look at it")                                 \
    X(STRING, static_details, "static-details", 0, "TEXT", "more lines of it")                                                   \
    X(INT, priority_key, "priority-key", 0, "NUMBER", "1 to 5; 1 goes first [3]")                                                         \
    X(STRING, fairness_key, "fairness-key", 0, "TEXT", "tasks share a queue fairly between keys")                                \
    X(STRING, fairness_weight, "fairness-weight", 0, "NUMBER", "the share of this key [1]")                                      \
    X(FLAG, detailed, "detailed", 0, NULL, "show each event with all its fields")                                                \
    X(FLAG, follow, "follow", 'f', NULL, "go on until the workflow is closed")                                                   \
    X(FLAG, raw, "raw", 0, NULL, "show everything the server answers, as text too")                                              \
    X(FLAG, reset_points, "reset-points", 0, NULL, "show the points to which a reset can go")                                    \
    X(STRING, signal_name, "name", 0, "NAME", "the signal")                                                                      \
    X(STRING, signal_type, "signal-name", 0, "NAME", "the signal")                                                               \
    X(STRINGS, signal_input, "signal-input", 0, "JSON", "an argument of the signal; may be given several times")                 \
    X(STRINGS, signal_input_file, "signal-input-file", 0, "PATH", "a file that holds an argument of the signal")                 \
    X(STRINGS, signal_input_meta, "signal-input-meta", 0, "KEY=VALUE", "metadata of the signal's payloads")                      \
    X(FLAG, signal_input_base64, "signal-input-base64", 0, NULL, "the signal's arguments are given in base64")                   \
    X(STRING, query_name, "name", 0, "NAME", "the query")                                                                        \
    X(STRING, update_name, "name", 0, "NAME", "the update")                                                                      \
    X(STRING, update_id, "update-id", 0, "ID", "the update's id [a new one]")                                                    \
    X(STRING, first_run_id, "first-execution-run-id", 0, "ID", "only if this run began the chain")                               \
    X(STRING, with_start_name, "update-name", 0, "NAME", "the update")                                                           \
    X(STRING, with_start_first_run_id, "update-first-execution-run-id", 0, "ID", "only if this run began the chain")             \
    X(STRING, with_start_stage, "update-wait-for-stage", 0, "STAGE", "return as soon as the workflow is there: accepted")        \
    X(STRINGS, update_input, "update-input", 0, "JSON", "an argument of the update; may be given several times")                 \
    X(STRINGS, update_input_file, "update-input-file", 0, "PATH", "a file that holds an argument of the update")                 \
    X(STRINGS, update_input_meta, "update-input-meta", 0, "KEY=VALUE", "metadata of the update's payloads")                      \
    X(FLAG, update_input_base64, "update-input-base64", 0, NULL, "the update's arguments are given in base64")                   \
    X(STRING, wait_for_stage, "wait-for-stage", 0, "STAGE", "accepted: return as soon as the workflow has accepted it")          \
    X(STRING, reject_condition, "reject-condition", 0, "WHICH", "refuse when the workflow is not_open or not_completed_cleanly") \
    X(STRING, query, "query", 'q', "FILTER", "a list filter, e.g. ExecutionStatus = 'Running'")                                  \
    X(STRING, reason, "reason", 0, "TEXT", "why")                                                                                \
    X(STRING, rps, "rps", 0, "NUMBER", "with --query: at most so many executions a second")                                      \
    X(FLAG, yes, "yes", 'y', NULL, "do not ask")                                                                                 \
    X(INT, limit, "limit", 0, "NUMBER", "show at most so many")                                                                  \
    X(INT, page_size, "page-size", 0, "NUMBER", "fetch so many at a time")                                                       \
    X(FLAG, archived, "archived", 0, NULL, "look into the archive instead")                                                      \
    X(INT, event_id, "event-id", 'e', "NUMBER", "the event to go back to: one right behind a started workflow task")             \
    X(STRING, reset_type, "type", 't', "POINT", "FirstWorkflowTask, LastWorkflowTask or BuildId, instead of --event-id")         \
    X(STRING, build_id, "build-id", 0, "ID", "with --type BuildId: before the first task of this build")                         \
    X(STRINGS, reapply_exclude, "reapply-exclude", 0, "WHAT", "do not apply these again: All, Signal, Update")                   \
    X(STRING, reapply_type, "reapply-type", 0, "WHAT", "what to apply again: All, Signal or None [All]; see --reapply-exclude")  \
    X(STRING, override_behavior, "versioning-override-behavior", 0, "HOW", "pinned to a version, or auto_upgrade")               \
    X(STRING, override_deployment, "versioning-override-deployment-name", 0, "NAME", "pinned: the deployment of the version")    \
    X(STRING, override_build_id, "versioning-override-build-id", 0, "ID", "pinned: the build id of the version")                 \
    X(STRINGS, fold, "fold", 0, "STATUS", "fold children that ended so: running, completed, failed, canceled, terminated, timedout, continueasnew") \
    X(FLAG, no_fold, "no-fold", 0, NULL, "show all children of the workflow, none folded")                                       \
    X(INT, depth, "depth", 0, "NUMBER", "how many levels of children to show, 0 none, -1 all [-1]")                              \
    X(INT, concurrency, "concurrency", 0, "NUMBER", "how many histories may be read at a time [10]")                             \
    X(STRING, source, "source", 's', "PATH", "the history to read")                                                              \
    X(STRING, target, "target", 't', "PATH", "where to write it [the terminal]")                                                 \
    X(STRING, schedule_id, "schedule-id", 's', "ID", "the schedule")                                                             \
    X(STRINGS, calendar, "calendar", 0, "JSON", "times as fields: {\"dayOfWeek\": \"Fri\", \"hour\": \"17\"}; may be given several times") \
    X(DURATION, catchup_window, "catchup-window", 0, "DURATION", "how late a missed action may still be taken")                  \
    X(STRINGS, crons, "cron", 0, "TEXT", "times as cron text: \"30 12 * * Fri\"; may be given several times")                    \
    X(STRING, end_time, "end-time", 0, "TIME", "until when, e.g. 2030-01-31T09:00:00Z")                                          \
    X(STRING, start_time, "start-time", 0, "TIME", "from when, e.g. 2030-01-31T09:00:00Z")                                       \
    X(STRINGS, interval, "interval", 0, "EVERY[/PHASE]", "times by distance: 90m, or 5h/1h; may be given several times")         \
    X(DURATION, jitter, "jitter", 0, "DURATION", "each time is late by chance, at most so much")                                 \
    X(STRING, notes, "notes", 0, "TEXT", "a note about its state")                                                               \
    X(FLAG, paused, "paused", 0, NULL, "paused from the beginning")                                                              \
    X(FLAG, pause_on_failure, "pause-on-failure", 0, NULL, "pause it when a workflow fails")                                     \
    X(INT, remaining_actions, "remaining-actions", 0, "NUMBER", "how many actions are left [any number]")                        \
    X(STRING, time_zone, "time-zone", 0, "NAME", "the time zone of calendars and cron, e.g. Europe/Berlin [UTC]")                \
    X(STRINGS, schedule_attribute, "schedule-search-attribute", 0, "KEY=JSON", "a search attribute of the schedule itself")      \
    X(STRINGS, schedule_memo, "schedule-memo", 0, "KEY=JSON", "a memo field of the schedule itself")                             \
    X(STRING, overlap_policy, "overlap-policy", 0, "POLICY", "when the last workflow still runs [Skip]")                         \
    X(FLAG, pause, "pause", 0, NULL, "pause it")                                                                                 \
    X(FLAG, unpause, "unpause", 0, NULL, "let it go on")                                                                         \
    X(FLAG, long_, "long", 'l', NULL, "more columns")                                                                            \
    X(FLAG, really_long, "really-long", 0, NULL, "all that is known, in more lines")                                             \
    X(STRING, job_id, "job-id", 0, "ID", "the batch job")                                                                        \
    X(STRING, activity_id, "activity-id", 'a', "ID", "the activity")                                                             \
    X(STRING, activity_type, "activity-type", 0, "NAME", "all activities of this type, instead of one id")                       \
    X(FLAG, match_all, "match-all", 0, NULL, "all activities of the workflow")                                                   \
    X(STRING, result, "result", 0, "JSON", "the result")                                                                         \
    X(STRING, details, "detail", 0, "JSON", "details of the failure")                                                            \
    X(FLAG, keep_paused, "keep-paused", 0, NULL, "a paused activity stays paused")                                               \
    X(FLAG, reset_attempts, "reset-attempts", 0, NULL, "begin again at the first attempt")                                       \
    X(FLAG, reset_heartbeats, "reset-heartbeats", 0, NULL, "forget the last heartbeat's details")                                \
    X(FLAG, restore_options, "restore-original-options", 0, NULL, "the options it was scheduled with")                           \
    X(DURATION, schedule_to_close, "schedule-to-close-timeout", 0, "DURATION", "all attempts together")                          \
    X(DURATION, schedule_to_start, "schedule-to-start-timeout", 0, "DURATION", "until a worker takes it")                        \
    X(DURATION, start_to_close, "start-to-close-timeout", 0, "DURATION", "one attempt")                                          \
    X(DURATION, heartbeat_timeout, "heartbeat-timeout", 0, "DURATION", "between two heartbeats")                                 \
    X(DURATION, retry_initial, "retry-initial-interval", 0, "DURATION", "before the second attempt")                             \
    X(DURATION, retry_maximum, "retry-maximum-interval", 0, "DURATION", "at most so long between two attempts")                  \
    X(STRING, retry_backoff, "retry-backoff-coefficient", 0, "NUMBER", "each wait is longer by this factor")                     \
    X(INT, retry_attempts, "retry-maximum-attempts", 0, "NUMBER", "at most so many attempts; 0 = any number")                    \
    X(STRING, description, "description", 0, "TEXT", "what the namespace is for")                                                \
    X(STRING, email, "email", 0, "ADDRESS", "who answers for the namespace")                                                     \
    X(STRINGS, data, "data", 0, "KEY=VALUE", "a field of the namespace's data; may be given several times")                      \
    X(DURATION, retention, "retention", 0, "DURATION", "how long closed workflows are kept [72h]")                               \
    X(FLAG, global, "global", 0, NULL, "replicated between clusters")                                                            \
    X(STRING, namespace_id, "namespace-id", 0, "ID", "by its id instead of its name")                                            \
    X(STRING, active_cluster, "active-cluster", 0, "NAME", "the cluster that works for a global namespace")                      \
    X(STRINGS, clusters, "cluster", 0, "NAME", "a cluster that has the namespace; may be given several times")                   \
    X(STRING, history_archival, "history-archival-state", 0, "STATE", "disabled or enabled")                                     \
    X(STRING, history_uri, "history-uri", 0, "URI", "where histories are archived; never changes")                               \
    X(STRING, visibility_archival, "visibility-archival-state", 0, "STATE", "disabled or enabled")                               \
    X(STRING, visibility_uri, "visibility-uri", 0, "URI", "where lists are archived; never changes")                             \
    X(FLAG, promote_global, "promote-global", 0, NULL, "make it a global namespace")                                             \
    X(STRING, replication_state, "replication-state", 0, "STATE", "normal or handover")                                          \
    X(STRING, cluster_name, "name", 0, "NAME", "the cluster")                                                                    \
    X(STRING, frontend_address, "frontend-address", 0, "HOST:PORT", "where the other cluster is")                                \
    X(FLAG, enable_connection, "enable-connection", 0, NULL, "connect the clusters")                                             \
    X(STRING, endpoint_name, "name", 0, "NAME", "the endpoint")                                                                  \
    X(STRING, endpoint_description, "description", 0, "TEXT", "what the endpoint is for; Markdown")                              \
    X(STRING, description_file, "description-file", 0, "PATH", "a file that holds the description")                              \
    X(FLAG, unset_description, "unset-description", 0, NULL, "remove the description")                                           \
    X(STRING, target_namespace, "target-namespace", 0, "NAME", "the namespace of the workers that answer")                       \
    X(STRING, target_task_queue, "target-task-queue", 0, "NAME", "their task queue")                                             \
    X(STRING, target_url, "target-url", 0, "URL", "a server outside that answers, instead of workers")                           \
    X(STRINGS, attribute_names, "name", 0, "NAME", "the search attribute; may be given several times")                           \
    X(STRINGS, attribute_types, "type", 0, "TYPE", "Text, Keyword, Int, Double, Bool, Datetime or KeywordList, one for each name") \
    X(FLAG, detail, "detail", 0, NULL, "versions and shards too")                                                                \
    X(STRING, task_queue_type, "task-queue-type", 0, "TYPE", "workflow, activity or nexus")                                     \
    X(STRING, legacy_type, "task-queue-type-legacy", 0, "TYPE", "with --legacy-mode: workflow or activity [workflow]")           \
    X(FLAG, legacy_mode, "legacy-mode", 0, NULL, "only who polls")                                                               \
    X(FLAG, disable_stats, "disable-stats", 0, NULL, "no statistics")                                                            \
    X(STRINGS, queue_types, "task-queue-type", 0, "TYPE", "workflow, activity or nexus; may be given several times [all]")       \
    X(STRINGS, select_build_id, "select-build-id", 0, "ID", "only what runs this build id; may be given several times")          \
    X(FLAG, select_unversioned, "select-unversioned", 0, NULL, "what runs without a build id, too")                              \
    X(FLAG, select_active, "select-all-active", 0, NULL, "all versions with tasks or pollers of late")                           \
    X(FLAG, report_reachability, "report-reachability", 0, NULL, "may new tasks still go to each build id?")                     \
    X(FLAG, report_config, "report-config", 0, NULL, "the rate limits that were set, too")                                       \
    X(INT, partitions_legacy, "partitions-legacy", 0, "NUMBER", "with --legacy-mode: how many partitions to ask [1]")            \
    X(STRING, queue_rps, "queue-rps-limit", 0, "NUMBER", "tasks a second of the whole queue; \"default\" takes the limit away")  \
    X(STRING, queue_rps_reason, "queue-rps-limit-reason", 0, "TEXT", "why")                                                      \
    X(STRING, fairness_rps, "fairness-key-rps-limit-default", 0, "NUMBER", "tasks a second of each fairness key; \"default\" takes it away") \
    X(STRING, fairness_rps_reason, "fairness-key-rps-limit-reason", 0, "TEXT", "why")                                            \
    X(STRINGS, build_ids, "build-id", 0, "ID", "a build id; may be given several times")                                         \
    X(STRINGS, task_queues, "task-queue", 't', "NAME", "a task queue; may be given several times")                               \
    X(STRING, reachability_type, "reachability-type", 0, "WHICH", "look at open, closed or all existing workflows [existing]")   \
    X(INT, max_sets, "max-sets", 0, "NUMBER", "at most so many sets [0: all]")                                                   \
    X(STRING, rule_build_id, "build-id", 0, "ID", "the build id")                                                                \
    X(STRING, compatible_build_id, "existing-compatible-build-id", 0, "ID", "a build id of the set to add to")                   \
    X(FLAG, set_as_default, "set-as-default", 0, NULL, "the set becomes the queue's default, too")                               \
    X(STRING, source_build_id, "source-build-id", 0, "ID", "from this build id")                                                 \
    X(STRING, target_build_id, "target-build-id", 0, "ID", "to this build id")                                                   \
    X(INT, rule_index, "rule-index", 'i', "NUMBER", "the rule's place in the list, from 0")                                      \
    X(INT, rule_percentage, "percentage", 0, "NUMBER", "the share of new workflows it takes [100]")                              \
    X(FLAG, force, "force", 0, NULL, "although no worker of this build polls, or no rule without a share is left")               \
    X(STRING, deployment, "name", 'd', "NAME", "the deployment")                                                                 \
    X(STRING, deployment_name, "deployment-name", 0, "NAME", "the deployment")                                                   \
    X(FLAG, unversioned, "unversioned", 0, NULL, "workers without a version, instead of a build id")                             \
    X(FLAG, skip_drainage, "skip-drainage", 0, NULL, "although workflows may still run on it")                                   \
    X(FLAG, ignore_missing, "ignore-missing-task-queues", 0, NULL, "although the new version does not poll all task queues")     \
    X(FLAG, allow_no_pollers, "allow-no-pollers", 0, NULL, "although nobody polls for the new version")                          \
    X(STRING, percentage, "percentage", 0, "NUMBER", "the share of new workflows, 0 to 100")                                     \
    X(FLAG, delete_, "delete", 0, NULL, "no version ramps up any more")                                                          \
    X(STRINGS, metadata, "metadata", 0, "KEY=JSON", "an entry to set; may be given several times")                               \
    X(STRINGS, remove_entries, "remove-entries", 0, "KEY", "an entry to remove; may be given several times")                     \
    X(STRING, manager_identity, "manager-identity", 0, "TEXT", "who alone may change the deployment")                            \
    X(FLAG, self, "self", 0, NULL, "you yourself, by --identity")                                                                \
    X(STRING, instance_key, "worker-instance-key", 0, "ID", "the worker; see worker list")                                       \
    X(STRING, prop, "prop", 'p', "NAME", "the property, e.g. address or tls.server_name")                                        \
    X(STRING, value, "value", 'v', "TEXT", "its value")                                                                          \
    X(STRING, key, "key", 'k', "NAME", "the property, e.g. address")

#define FLAG_TYPE_FLAG bool
#define FLAG_TYPE_STRING struct str
#define FLAG_TYPE_INT int64_t
#define FLAG_TYPE_DURATION duration
#define FLAG_TYPE_STRINGS struct option_strings
#define X(kind, field, name, letter, value, help) FLAG_TYPE_##kind field;
struct flags { FLAG_TABLE(X) };
#undef X
#define X(kind, field, name, letter, value, help) FLAG_##field,
enum flag { FLAG_NONE, FLAG_TABLE(X) FLAG_COUNT };
#undef X
_Static_assert(FLAG_COUNT <= 0x100, "a row and FLAG_REQUIRED share 16 bits");

enum { FLAG_REQUIRED = 0x100 }; /* or'ed to a row in a command's list */

struct flag_row {
    const char *name, *value, *help;
    size_t offset; /* in struct flags */
    enum option_kind kind;
    char letter;
};
extern const struct flag_row flag_rows[FLAG_COUNT];

/* The second name some flags go by: --name for --type and the other way round. NULL: none. */
const char *flag_alias(enum flag flag);

/* The words a flag may be, with spaces between them; NULL: any. */
const char *flag_choices(enum flag flag);

#endif
