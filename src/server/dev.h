/* server/dev.h: `perdure server start-dev`. */
#ifndef SERVER_DEV_H
#define SERVER_DEV_H

/* argv[0] is "start-dev". Returns the exit status of the process. Blocks until the server has stopped. */
int server_start_dev(int argc, char **argv);

#endif
