#include "base/test.h"
#include "cli/commands.h"

/* The names a command takes, with the second names and those of all commands. */
static size_t names_of(const struct command *command, const char **names, char *letters)
{
    const uint16_t *lists[] = {command->flags, flags_global, command->is_local ? NULL : flags_connection};
    size_t n = 0;
    for (size_t i = 0; i < countof(lists); i++) {
        for (const uint16_t *flag = lists[i]; flag != NULL && *flag != 0; flag++) {
            names[n] = flag_rows[*flag & 0xff].name;
            letters[n++] = flag_rows[*flag & 0xff].letter;
            if (flag_alias((enum flag)(*flag & 0xff)) == NULL) continue;
            names[n] = flag_alias((enum flag)(*flag & 0xff));
            letters[n++] = 0;
        }
    }
    return n;
}

TEST(no_command_has_a_name_or_a_letter_twice)
{
    for (size_t c = 0; c < command_count; c++) {
        const char *names[256];
        char letters[256];
        size_t n = names_of(&commands[c], names, letters);
        check(n < 128);
        for (size_t i = 0; i < n; i++)
            for (size_t j = i + 1; j < n; j++)
                if (strcmp(names[i], names[j]) == 0 || (letters[i] != 0 && letters[i] == letters[j])) check_str(str_of(names[i]), commands[c].path);
    }
}

TEST(every_command_is_there_once_and_says_what_it_does)
{
    for (size_t c = 0; c < command_count; c++) {
        const struct command *command = &commands[c];
        check(command->run != NULL && command->summary != NULL && command->example != NULL);
        check(str_starts_with(str_of(command->example), str_of(command->path)));
        for (size_t other = 0; other < c; other++) check(strcmp(commands[other].path, command->path) != 0);
    }
}

TEST(a_flag_with_few_values_names_them_apart)
{
    for (int flag = FLAG_NONE + 1; flag < FLAG_COUNT; flag++) {
        const char *choices = flag_choices((enum flag)flag);
        check(flag_rows[flag].name != NULL && flag_rows[flag].help != NULL);
        check((flag_rows[flag].value == NULL) == (flag_rows[flag].kind == OPTION_FLAG));
        if (choices == NULL) continue;
        check(flag_rows[flag].kind == OPTION_STRING || flag_rows[flag].kind == OPTION_STRINGS);
        check(choices[0] != ' ' && choices[strlen(choices) - 1] != ' ' && strstr(choices, "  ") == NULL);
    }
}

TEST_MAIN
