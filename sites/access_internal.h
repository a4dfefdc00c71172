/* How rules are put together: what the file's parser and the route table's reader share. */
#ifndef TF_SITES_ACCESS_INTERNAL_H
#define TF_SITES_ACCESS_INTERNAL_H

#include "base/arena.h"
#include "sites/access.h"

/* A tf_access that can be filled; all it points to lies in the arena. */
struct tf_access_made {
    struct tf_access access; /* first: tf_access_destroy is given a pointer to it */
    struct tf_arena arena;
    struct tf_access_user *users;
    struct tf_access_rule *rules;
};

/* NULL without memory. */
struct tf_access_made *tf_access_make(size_t user_count, size_t rule_count);

#endif
