/* perdure: one executable. The first words choose what it is. */
#include "cli/commands.h"
#include "server/dev.h"

#include <stdio.h>
#include <string.h>

static void print_usage(FILE *out)
{
    fprintf(out, "Perdure runs durable programs: it speaks the Temporal API, so SDKs and programs for it work unchanged.\n\n"
                 "Usage:\n"
                 "  perdure server start-dev [flags]   start a server on this machine\n"
                 "  perdure workflow COMMAND           start, watch and steer workflows\n"
                 "  perdure activity COMMAND           end, hold and repeat activities\n"
                 "  perdure schedule COMMAND           workflows that start by the clock\n"
                 "  perdure batch COMMAND              jobs that work through many workflows\n"
                 "  perdure task-queue COMMAND         see who works on a task queue; its limits\n"
                 "  perdure worker COMMAND             workers, and which of their versions get the work\n"
                 "  perdure operator COMMAND           namespaces, search attributes, Nexus endpoints, the cluster\n"
                 "  perdure config|env COMMAND         where the server is, kept in a file\n"
                 "  perdure completion SHELL           completion for bash, zsh or fish\n"
                 "  perdure --version\n"
                 "  perdure COMMAND --help\n\n"
                 "Examples:\n"
                 "  perdure server start-dev --db-filename perdure.db\n");
}

int main(int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "server") == 0 && strcmp(argv[2], "start-dev") == 0) return server_start_dev(argc - 2, argv + 2);
    if (argc == 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-v") == 0)) {
        printf("perdure %s\n", PERDURE_VERSION);
        return 0;
    }
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)) {
        print_usage(stdout);
        return 0;
    }
    if (argc >= 2 && strcmp(argv[1], "server") != 0) return cli_main(argc, argv);
    print_usage(stderr);
    return 1;
}
