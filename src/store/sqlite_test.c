/* What is SQLite's own: files that are refused, migrations, a full disk, kill -9, and space that comes back. */
#include "base/log.h"
#include "base/prng.h"
#include "base/test.h"
#include "store/contract.h"
#include "store/sqlite/database.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct place { /* a folder of its own */
    char folder[32], path[64];
    struct arena arena;
    struct error error;
    struct store *store;
    struct desk desk;
};

static void place_init(struct place *p)
{
    *p = (struct place){.folder = "sqlite-XXXXXX"};
    ensure(mkdtemp(p->folder) != NULL);
    snprintf(p->path, sizeof(p->path), "%s/perdure.db", p->folder);
    arena_init(&p->arena, 0, 0);
}

static void place_fini(struct place *p)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < countof(suffixes); i++) {
        char path[80];
        snprintf(path, sizeof(path), "%s%s", p->path, suffixes[i]);
        unlink(path);
    }
    rmdir(p->folder);
    arena_fini(&p->arena);
}

static err place_open(struct place *p)
{
    struct store_sqlite_options options = {.path = p->path};
    p->error = (struct error){0};
    return store_sqlite_open(&options, &p->store, &p->arena, &p->error);
}

static void place_start(struct place *p)
{
    err result = place_open(p);
    if (result != ERR_NONE) fprintf(stderr, "%.*s\n", STR_ARG(error_message(&p->error)));
    ensure(result == ERR_NONE);
    desk_init(&p->desk, p->store, 0);
}

static void place_stop(struct place *p)
{
    desk_fini(&p->desk);
    store_close(p->store);
}

static void sql(const char *path, const char *text)
{
    sqlite3 *db;
    ensure(sqlite3_open(path, &db) == SQLITE_OK);
    ensure(sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_close(db);
}

static bool has_word(struct str text, const char *word)
{
    return text.size != 0 && memmem(text.data, text.size, word, strlen(word)) != NULL;
}

/* ---- opening ---- */

TEST(a_file_of_another_kind_is_refused_and_left_as_it_is)
{
    static const char *const contents[] = {"these are somebody's notes, not a database", "x", "SQLite format 3"};
    for (size_t i = 0; i < countof(contents); i++) {
        struct place p;
        place_init(&p);
        FILE *file = fopen(p.path, "w");
        fputs(contents[i], file);
        fclose(file);
        test_row = contents[i];
        check(place_open(&p) != ERR_NONE);
        check(has_word(error_message(&p.error), p.path));
        struct stat st;
        check_int(stat(p.path, &st), 0);
        check_int(st.st_size, strlen(contents[i]));
        place_fini(&p);
    }
}

TEST(a_database_of_another_program_is_refused)
{
    struct place p;
    place_init(&p);
    sql(p.path, "create table notes(x)");
    check_int(place_open(&p), ERR_PRECONDITION);
    check(has_word(error_message(&p.error), "another program"));
    place_fini(&p);
    place_init(&p);
    sql(p.path, "pragma application_id = 77; create table notes(x)");
    check_int(place_open(&p), ERR_PRECONDITION);
    place_fini(&p);
}

TEST(a_file_of_a_newer_release_is_refused)
{
    struct place p;
    place_init(&p);
    place_start(&p);
    place_stop(&p);
    sql(p.path, "pragma user_version = 1000");
    check_int(place_open(&p), ERR_PRECONDITION);
    check(has_word(error_message(&p.error), "newer release"));
    check(has_word(error_message(&p.error), "1000"));
    place_fini(&p);
}

TEST(a_damaged_file_is_refused)
{
    struct place p;
    place_init(&p);
    place_start(&p);
    place_stop(&p);
    int fd = open(p.path, O_WRONLY);
    char junk[4000];
    memset(junk, 0x5a, sizeof(junk));
    ensure(pwrite(fd, junk, sizeof(junk), 96) == sizeof(junk));
    close(fd);
    check(place_open(&p) != ERR_NONE);
    check(error_message(&p.error).size != 0);
    place_fini(&p);
}

TEST(a_path_that_can_not_be_written_is_refused_with_the_reason)
{
    struct place p;
    place_init(&p);
    snprintf(p.path, sizeof(p.path), "%s/nowhere/perdure.db", p.folder);
    check_int(place_open(&p), ERR_STORE);
    check(has_word(error_message(&p.error), strerror(ENOENT)));
    snprintf(p.path, sizeof(p.path), "%s", p.folder);
    check_int(place_open(&p), ERR_STORE);
    check(has_word(error_message(&p.error), strerror(EISDIR)));
    snprintf(p.path, sizeof(p.path), "%s/perdure.db", p.folder);
    place_fini(&p);
}

TEST(a_file_that_is_in_use_is_refused_until_its_owner_ends)
{
    struct place p;
    place_init(&p);
    place_start(&p);
    struct place again = {.arena = p.arena};
    memcpy(again.path, p.path, sizeof(p.path));
    check_int(place_open(&again), ERR_PRECONDITION); /* the same process */
    check(has_word(error_message(&again.error), "in use"));
    pid_t child = fork();
    if (child == 0) _exit(place_open(&again) == ERR_PRECONDITION && has_word(error_message(&again.error), "in use") ? 0 : 1);
    int status = -1;
    check(waitpid(child, &status, 0) == child);
    check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    p.arena = again.arena;
    place_stop(&p);
    place_start(&p);
    place_stop(&p);
    place_fini(&p);
}

/* ---- migrations ---- */

TEST(an_older_file_is_migrated_step_by_step_and_a_failed_step_changes_nothing)
{
    static const struct migration steps[] = {{"create table a(x); insert into a values(1);"}, {"alter table a add column y; update a set y = 2;"}, {"create table b(z);"}};
    const struct migration broken[] = {steps[0], steps[1], {"create table b(z); create table a(x);"}};
    struct place p;
    place_init(&p);
    struct database db;
    sql(p.path, "");
    check_int(database_open(&db, p.path, true, true, &p.arena, &p.error), ERR_NONE);
    check_int(schema_migrate(&db, steps, 1, &p.arena, &p.error), ERR_NONE);
    int64_t n;
    check_int(database_number(&db, "pragma user_version", &n), ERR_NONE);
    check_int(n, 1);
    check(schema_migrate(&db, broken, 3, &p.arena, &p.error) != ERR_NONE);
    check(has_word(error_message(&p.error), "version 3"));
    check_int(database_number(&db, "pragma user_version", &n), ERR_NONE);
    check_int(n, 2); /* the second step was sound */
    check_int(database_number(&db, "select count(*) from sqlite_schema where name = 'b'", &n), ERR_NONE);
    check_int(n, 0);
    check_int(schema_migrate(&db, steps, 3, &p.arena, &p.error), ERR_NONE);
    check_int(database_number(&db, "select x * 10 + y from a", &n), ERR_NONE);
    check_int(n, 12);
    check_int(database_number(&db, "pragma application_id", &n), ERR_NONE);
    check_int(n, SQLITE_APPLICATION_ID);
    database_close(&db);
    place_fini(&p);
}

/* ---- a full disk ---- */

static char filler[8000];

static err commit_numbered(struct desk *desk, int64_t i)
{
    char key[24];
    snprintf(key, sizeof(key), "%" PRId64, i);
    struct draft d;
    draft_init(&d, desk);
    draft_run(&d, i, key, "r", "state");
    draft_kv(&d, SPACE_META, key, "v");
    draft_history(&d, i, 1, 1, "");
    d.ops[2].bytes = str_make(filler, sizeof(filler));
    return draft_commit(&d, desk);
}

static bool is_stored(struct desk *desk, int64_t i)
{
    char key[24];
    snprintf(key, sizeof(key), "%" PRId64, i);
    struct ask ask;
    ask_init(&ask, desk, STORE_READ_KV);
    ask.read.space = SPACE_META;
    ask.read.key = str_of(key);
    bool has_kv = ask_read(&ask, desk) == ERR_NONE;
    ask_fini(&ask);
    ask_init(&ask, desk, STORE_READ_CURRENT);
    ask.read.key = str_of(key);
    bool has_run = ask_read(&ask, desk) == ERR_NONE;
    ask_fini(&ask);
    ask_init(&ask, desk, STORE_READ_HISTORY);
    ask.read.run = i;
    ask.read.from = 1;
    ask.read.to = 2;
    bool has_history = ask_read(&ask, desk) == ERR_NONE && ask.read.row_count == 1;
    ask_fini(&ask);
    check(has_kv == has_run && has_run == has_history); /* a commit is there or is not */
    return has_kv;
}

static void size_limit(rlim_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    ensure(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

TEST(on_a_full_disk_commits_fail_reads_go_on_and_room_heals_it)
{
    struct place p;
    place_init(&p);
    log_set_level(LOG_NEVER);
    signal(SIGXFSZ, SIG_IGN);
    place_start(&p);
    size_limit(1 << 20); /* stands for the disk: no file grows past it */
    int64_t stored = 0, tried = 0;
    err result = ERR_NONE;
    while (result == ERR_NONE && tried < 1000) {
        result = commit_numbered(&p.desk, ++tried);
        if (result == ERR_NONE) stored = tried;
    }
    check_int(result, ERR_STORE_FULL);
    check(stored > 10);
    check_int(commit_numbered(&p.desk, 2000), ERR_STORE_FULL); /* behind the failure */
    for (int64_t i = 1; i <= stored; i++) check(is_stored(&p.desk, i));
    check(!is_stored(&p.desk, tried));
    size_limit(RLIM_INFINITY);
    p.store->ops->recover(p.store, p.desk.shard);
    check_int(commit_numbered(&p.desk, 3000), ERR_NONE);
    place_stop(&p);
    place_start(&p);
    for (int64_t i = 1; i <= stored; i++) check(is_stored(&p.desk, i));
    check(is_stored(&p.desk, 3000));
    check(!is_stored(&p.desk, tried) && !is_stored(&p.desk, 2000));
    place_stop(&p);
    place_fini(&p);
    log_set_level(LOG_INFO);
}

/* ---- kill -9 ---- */

/* Commits for ever, several at once, and tells each acknowledged number on the pipe. */
static _Noreturn void child_commits(struct place *p, int out, int64_t from)
{
    enum { AT_ONCE = 8 };
    static struct draft drafts[AT_ONCE];
    static char keys[AT_ONCE][24];
    place_start(p);
    for (int64_t next = from;; next += AT_ONCE) {
        for (int k = 0; k < AT_ONCE; k++) {
            snprintf(keys[k], sizeof(keys[k]), "%" PRId64, next + k);
            draft_init(&drafts[k], &p->desk);
            draft_run(&drafts[k], next + k, keys[k], "r", "state");
            draft_kv(&drafts[k], SPACE_META, keys[k], "v");
            draft_history(&drafts[k], next + k, 1, 1, "some bytes");
            draft_submit(&drafts[k], &p->desk);
        }
        for (int k = 0; k < AT_ONCE; k++) {
            desk_wait(&p->desk, &drafts[k].is_done);
            int64_t number = next + k;
            if (drafts[k].commit.result != ERR_NONE || write(out, &number, sizeof(number)) != sizeof(number)) _exit(1);
        }
    }
}

static void check_integrity(struct place *p)
{
    sqlite3 *db;
    sqlite3_stmt *st;
    ensure(sqlite3_open(p->path, &db) == SQLITE_OK);
    check_int(sqlite3_prepare_v2(db, "pragma integrity_check", -1, &st, NULL), SQLITE_OK);
    check_int(sqlite3_step(st), SQLITE_ROW);
    check(strcmp((const char *)sqlite3_column_text(st, 0), "ok") == 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
}

TEST(kill_9_loses_nothing_acknowledged)
{
    struct place p;
    struct prng prng;
    prng_init(&prng, (uint64_t)getpid());
    place_init(&p);
    int64_t from = 1;
    for (int round = 0; round < 15; round++) {
        int ends[2];
        ensure(pipe(ends) == 0);
        pid_t child = fork();
        if (child == 0) {
            close(ends[0]);
            child_commits(&p, ends[1], from);
        }
        close(ends[1]);
        int64_t acknowledged[4096], last = 0;
        size_t count = 0, wanted = prng_below(&prng, 200) + 1;
        while (count < wanted && read(ends[0], &acknowledged[count], sizeof(last)) == sizeof(last)) count++;
        usleep((useconds_t)prng_below(&prng, 3000));
        kill(child, SIGKILL);
        while (count < countof(acknowledged) && read(ends[0], &acknowledged[count], sizeof(last)) == sizeof(last)) count++;
        close(ends[0]);
        waitpid(child, NULL, 0);
        check(count >= wanted);
        place_start(&p);
        for (size_t i = 0; i < count; i++) check(is_stored(&p.desk, acknowledged[i]));
        last = count != 0 ? acknowledged[count - 1] : from;
        for (int64_t i = last + 1; i < last + 20; i++) (void)is_stored(&p.desk, i); /* whole or not at all */
        struct ask ask;
        ask_init(&ask, &p.desk, STORE_READ_MAX);
        check_int(ask_read(&ask, &p.desk), ERR_NONE);
        check(ask.read.max_run >= last); /* no number is given out twice */
        from = ask.read.max_run + 1;
        ask_fini(&ask);
        check_integrity(&p);
        place_stop(&p);
    }
    place_fini(&p);
}

/* ---- space ---- */

static int64_t file_size(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (int64_t)st.st_size : -1;
}

TEST(deleted_runs_give_their_space_back)
{
    struct place p;
    place_init(&p);
    place_start(&p);
    enum { RUNS = 2500 };
    for (int64_t i = 1; i <= RUNS;) {
        struct draft d;
        draft_init(&d, &p.desk);
        for (int k = 0; k < 10; k++, i++) {
            draft_run(&d, i, "w", "r", "state");
            draft_history(&d, i, 1, 1, "");
            d.ops[d.commit.op_count - 1].bytes = str_make(filler, sizeof(filler));
        }
        ensure(draft_commit(&d, &p.desk) == ERR_NONE);
    }
    place_stop(&p);
    int64_t full = file_size(p.path), left = full;
    check(full > RUNS * (int64_t)sizeof(filler));
    place_start(&p);
    for (int64_t i = 1; i <= RUNS;) {
        struct draft d;
        draft_init(&d, &p.desk);
        for (int k = 0; k < 50; k++, i++) draft_op(&d, STORE_RUN_DELETE)->run = i;
        ensure(draft_commit(&d, &p.desk) == ERR_NONE);
    }
    for (int round = 0; round < 300 && left > full / 2; round++) { /* the writer gives back a little between transactions */
        place_stop(&p);
        left = file_size(p.path);
        place_start(&p);
        check_int(commit_numbered(&p.desk, 10000 + round), ERR_NONE);
    }
    check(left <= full / 2);
    check_integrity(&p);
    place_stop(&p);
    place_fini(&p);
}

TEST_MAIN
