#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "compiler/child.h"

static int work(struct tf_child *child)
{
    int code = tf_child_enter(&child->job->limits, &child->error);
    if (code != 0)
        return code;
    switch (child->job->kind) {
    case TF_JOB_JUDGE:
        return tf_child_judge(child);
    case TF_JOB_BUILD:
        return tf_child_build(child);
    case TF_JOB_INSPECT:
        return tf_child_inspect(child);
    case TF_JOB_CHECK:
        code = tf_child_check(child);
        return code != 0 ? code : tf_child_judge(child);
    default:
        return tf_error_set(&child->error, TF_ERR_USAGE, "unknown job");
    }
}

int main(void)
{
    struct tf_child child = {0};
    if (tf_child_open_job(&child) != 0) {
        (void)!write(STDERR_FILENO, child.error.text, strlen(child.error.text));
        return 1;
    }
    int const code = work(&child);
    tf_child_send(&child, code != 0 ? TF_RECORD_FAILED : TF_RECORD_DONE);
    return 0;
}
