/* server/glue.h: between connections and the frontend: bytes become messages, answers become bytes. */
#ifndef SERVER_GLUE_H
#define SERVER_GLUE_H

struct glue;
struct loop;
struct frontend;
struct grpc_handler;

struct glue *glue_create(struct loop *loop, struct frontend *frontend);
void glue_destroy(struct glue *glue);
const struct grpc_handler *glue_handler(void); /* with the glue as its argument */

#endif
