#include "store/memory/tables.h"

err memory_list(struct memory *m, struct store_read *read)
{
    (void)m;
    (void)read;
    return ERR_UNIMPLEMENTED;
}

err memory_count(struct memory *m, struct store_read *read)
{
    (void)m;
    (void)read;
    return ERR_UNIMPLEMENTED;
}
