/* cli/codec.h: a codec server: payloads go through it on their way out and back, all those of a message in one request.
 *
 * Search attributes never do: the server reads them. */
#ifndef CLI_CODEC_H
#define CLI_CODEC_H

#include "cli/cli.h"

/* Has --codec-endpoint been given? */
static inline bool codec_is_used(const struct cli *cli) { return !str_is_empty(cli->f.codec_endpoint); }
/* Replaces the payloads inside a message. False: cli->code and cli->message say why. */
bool codec_apply(struct cli *cli, bool encodes, const struct pb_message *type, void *message);

#endif
