/* cli/files.h: where profiles and environments are kept on disk, and the config and env commands' way to them. */
#ifndef CLI_FILES_H
#define CLI_FILES_H

#include "cli/cli.h"
#include "cli/settings.h"

/* A file that is not there is empty. False: said. */
bool profiles_load(struct cli *cli, struct settings *out);
bool environments_load(struct cli *cli, struct settings *out);
/* Written beside and renamed, readable by the owner alone. False: said. */
bool profiles_store(struct cli *cli, const struct settings *settings);
bool environments_store(struct cli *cli, const struct settings *settings);
struct str profile_name(const struct cli *cli);
struct str environment_name(const struct cli *cli);

#endif
