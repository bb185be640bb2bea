/* Updates: requests that a workflow accepts or rejects, and answers. */
#include "frontend/internal.h"

const struct handler_table update_handlers = {NULL, 0};
