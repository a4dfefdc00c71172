#include "compiler/child.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

int tf_child_enter(const struct tf_limits *limits, struct tf_error *error)
{
    struct rlimit const processes = {limits->build_processes, limits->build_processes};
    if (setrlimit(RLIMIT_NPROC, &processes) != 0)
        return tf_error_system(error, "limiting the processes of a build");
    if (prctl(PR_SET_DUMPABLE, 0) != 0)
        return tf_error_system(error, "closing the build's process to others");
    for (int fd = 0; fd < TF_JOB_FD_COUNT; fd++)
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
            return tf_error_system(error, "descriptor %d of a build", fd);
    return 0;
}

void tf_child_send(struct tf_child *child, enum tf_record_kind kind)
{
    child->record.magic = TF_JOB_MAGIC;
    child->record.kind = kind;
    child->record.code = child->error.code;
    memcpy(child->record.text, child->error.text, sizeof(child->record.text));
    if (tf_file_write_all(TF_JOB_FD_RECORDS, &child->record, sizeof(child->record), NULL) != 0)
        _exit(1);
}

int tf_child_open_job(struct tf_child *child)
{
    struct stat st;
    uint8_t go;
    ssize_t got;
    tf_child_send(child, TF_RECORD_STARTED);
    while ((got = read(TF_JOB_FD_GO, &go, sizeof(go))) < 0 && errno == EINTR)
        continue;
    if (got != sizeof(go))
        return tf_error_set(&child->error, TF_ERR_USAGE, "terrafirma-compiler is started by terrafirma, with a job");
    if (fstat(TF_JOB_FD_JOB, &st) != 0)
        return tf_error_system(&child->error, "the job's descriptor");
    if ((size_t)st.st_size < sizeof(struct tf_job))
        return tf_error_set(&child->error, TF_ERR_USAGE, "terrafirma-compiler is started by terrafirma, with a job");
    const uint8_t *const bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, TF_JOB_FD_JOB, 0);
    if (bytes == MAP_FAILED)
        return tf_error_system(&child->error, "mapping the job");
    const struct tf_job *const job = (const void *)bytes;
    if (job->magic != TF_JOB_MAGIC || job->source_bytes != (uint64_t)st.st_size - sizeof(*job) ||
        memchr(job->cc[TF_TIER_OPTIMISED], 0, TF_JOB_CC_BYTES) == NULL ||
        memchr(job->cc[TF_TIER_FAST], 0, TF_JOB_CC_BYTES) == NULL)
        return tf_error_set(&child->error, TF_ERR_USAGE,
                            "terrafirma-compiler is of another build than the terrafirma that started it");
    child->job = job;
    child->source = bytes + sizeof(*job);
    return 0;
}
