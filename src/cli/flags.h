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
    X(STRINGS, memo, "memo", 0, "KEY=JSON", "a memo field; may be given several times")                                          \
    X(STRINGS, search_attribute, "search-attribute", 0, "KEY=JSON", "a search attribute; may be given several times")            \
    X(STRING, static_summary, "static-summary", 0, "TEXT", "one line for people who look at it")                                 \
    X(STRING, static_details, "static-details", 0, "TEXT", "more lines of it")                                                   \
    X(INT, priority_key, "priority-key", 0, "1…5", "1 goes first [3]")                                                           \
    X(STRING, fairness_key, "fairness-key", 0, "TEXT", "tasks share a queue fairly between keys")                                \
    X(STRING, fairness_weight, "fairness-weight", 0, "NUMBER", "the share of this key [1]")                                      \
    X(FLAG, detailed, "detailed", 0, NULL, "show each event with all its fields")                                                \
    X(FLAG, follow, "follow", 'f', NULL, "go on until the workflow is closed")                                                   \
    X(FLAG, raw, "raw", 0, NULL, "show everything the server answers")                                                           \
    X(FLAG, reset_points, "reset-points", 0, NULL, "show the points to which a reset can go")                                    \
    X(STRING, signal_name, "name", 0, "NAME", "the signal")                                                                      \
    X(STRING, signal_type, "signal-name", 0, "NAME", "the signal")                                                               \
    X(STRINGS, signal_input, "signal-input", 0, "JSON", "an argument of the signal; may be given several times")                 \
    X(STRING, query_name, "name", 0, "NAME", "the query")                                                                        \
    X(STRING, update_name, "name", 0, "NAME", "the update")                                                                      \
    X(STRING, update_id, "update-id", 0, "ID", "the update's id [a new one]")                                                    \
    X(STRING, first_run_id, "first-execution-run-id", 0, "ID", "only if this run began the chain")                               \
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
    X(STRING, description, "description", 0, "TEXT", "what the namespace is for")                                                \
    X(STRING, email, "email", 0, "ADDRESS", "who answers for the namespace")                                                     \
    X(STRINGS, data, "data", 0, "KEY=VALUE", "a field of the namespace's data; may be given several times")                      \
    X(DURATION, retention, "retention", 0, "DURATION", "how long closed workflows are kept [72h]")                               \
    X(FLAG, global, "global", 0, NULL, "replicated between clusters")                                                            \
    X(STRING, namespace_id, "namespace-id", 0, "ID", "by its id instead of its name")                                            \
    X(STRINGS, attribute_names, "name", 0, "NAME", "the search attribute; may be given several times")                           \
    X(STRINGS, attribute_types, "type", 0, "TYPE", "Text, Keyword, Int, Double, Bool, Datetime or KeywordList, one for each name") \
    X(FLAG, detail, "detail", 0, NULL, "versions and shards too")                                                                \
    X(STRING, task_queue_type, "task-queue-type", 0, "TYPE", "workflow, activity or nexus [all]")                                \
    X(STRING, legacy_type, "task-queue-type-legacy", 0, "TYPE", "with --legacy-mode: workflow or activity [workflow]")           \
    X(FLAG, legacy_mode, "legacy-mode", 0, NULL, "only who polls")                                                               \
    X(FLAG, disable_stats, "disable-stats", 0, NULL, "no statistics")                                                            \
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

#endif
