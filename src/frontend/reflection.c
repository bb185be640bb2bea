#include "frontend/reflection.h"

#include "proto/api.h"
#include "proto/perdure/reflection.h"

/* The file and all it needs, each once, what is needed first. */
static void add_file(pb_reflection_Files *out, struct arena *arena, int file, bool *seen)
{
    struct str bytes;
    if (seen[file]) return;
    seen[file] = true;
    for (uint32_t i = 0; i < pb_files[file].dependency_count; i++) add_file(out, arena, pb_file_dependencies[pb_files[file].dependency_first + i], seen);
    if (pb_file_descriptor(file, arena, &bytes) == ERR_NONE) PB_PUSH(arena, out, descriptors) = bytes;
}

static void fail(pb_reflection_Answer *a, struct arena *arena, enum grpc_code code, const char *words)
{
    a->answer_case = pb_reflection_Answer_failure_tag;
    a->failure = pb_new(arena, pb_reflection_Failure);
    a->failure->code = (int32_t)code;
    a->failure->message = str_of(words);
}

static void files(pb_reflection_Answer *a, struct arena *arena, int file)
{
    if (file < 0) {
        fail(a, arena, GRPC_NOT_FOUND, "there is no such file or symbol");
        return;
    }
    a->answer_case = pb_reflection_Answer_files_tag;
    a->files = pb_new(arena, pb_reflection_Files);
    add_file(a->files, arena, file, arena_array(arena, bool, pb_file_count));
}

static void services(pb_reflection_Answer *a, struct arena *arena)
{
    a->answer_case = pb_reflection_Answer_services_tag;
    a->services = pb_new(arena, pb_reflection_Services);
    for (size_t i = 0; i < pb_service_count; i++) PB_PUSH_NEW(arena, a->services, service)->name = pb_name(pb_services[i].name);
}

err reflection_answer(struct str question, struct arena *arena, struct str *answer)
{
    pb_reflection_Question *q;
    pb_reflection_Answer a = {0};
    TRY(PB_DECODE(arena, question, pb_reflection_Question, &q));
    a.valid_host = q->host;
    a.original_question = q;
    switch (q->ask_case) {
    case pb_reflection_Question_file_by_name_tag: files(&a, arena, pb_file_find(q->file_by_name)); break;
    case pb_reflection_Question_file_containing_symbol_tag: files(&a, arena, pb_file_of_symbol(q->file_containing_symbol)); break;
    case pb_reflection_Question_list_services_tag: services(&a, arena); break;
    case pb_reflection_Question_file_containing_extension_tag:
    case pb_reflection_Question_extension_numbers_of_type_tag: fail(&a, arena, GRPC_NOT_FOUND, "there are no extensions"); break;
    default: fail(&a, arena, GRPC_INVALID_ARGUMENT, "the question asks for nothing"); break;
    }
    *answer = PB_ENCODE_ARENA(pb_reflection_Answer, &a, arena);
    return ERR_NONE;
}
