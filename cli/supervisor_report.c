/* What the supervisor has to say: of workers that crashed, of functions in quarantine; server.json. */
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "cli/supervisor_internal.h"
#include "h2o-handler/log.h"

static void time_text(char ret_text[40], int64_t from_now_ns)
{
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t const ns = (int64_t)now.tv_sec * (int64_t)TF_NS_PER_S + now.tv_nsec + from_now_ns;
    time_t const seconds = (time_t)(ns / (int64_t)TF_NS_PER_S);
    gmtime_r(&seconds, &parts);
    size_t const length = strftime(ret_text, 40, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(ret_text + length, 40 - length, ".%03dZ", (int)(ns / 1000000 % 1000));
}

/* ---- standard error ---- */

/* "site/path (artifact 0123456789ab)"; a worker's bytes, so escaped. */
static const char *name_culprit(const struct tf_culprit *culprit, char ret_name[900])
{
    char site[300], path[500];
    tf_log_escape((struct tf_text){culprit->site, strlen(culprit->site)}, site, sizeof(site));
    tf_log_escape((struct tf_text){culprit->path, strlen(culprit->path)}, path, sizeof(path));
    snprintf(ret_name, 900, "%s%s%s%sartifact %.12s%s", site, site[0] != '\0' ? "/" : "", path,
             site[0] != '\0' ? " (" : "", culprit->key, site[0] != '\0' ? ")" : "");
    return ret_name;
}

static void blame(struct tf_supervisor *supervisor, const struct tf_culprit *culprit)
{
    char name[900];
    if (!tf_quarantine_death(&supervisor->quarantine, culprit, tf_clock_ns()))
        return;
    for (uint32_t i = 0; i < TF_SUSPECTS; i++) {
        const struct tf_suspect *const suspect = &supervisor->quarantine.suspects[i];
        if (suspect->until_ns != 0 && memcmp(suspect->culprit.key, culprit->key, TF_RUNNING_KEY_BYTES) == 0)
            fprintf(stderr, "terrafirma: %s is in quarantine for %llu s: workers kept dying while it ran\n",
                    name_culprit(culprit, name), (unsigned long long)(suspect->lasts_ns / TF_NS_PER_S));
    }
}

void tf_supervisor_crashed(struct tf_supervisor *supervisor, const struct tf_child *child, long pid, int signal)
{
    struct tf_crash *const crash = &supervisor->crashes[supervisor->crash_count++ % TF_CRASHES_KEPT];
    char name[900];
    *crash = (struct tf_crash){.worker = child->index, .pid = pid, .signal = signal};
    time_text(crash->at, 0);
    crash->has_culprit = tf_quarantine_culprit(supervisor->running[child->index], &crash->culprit);
    if (crash->has_culprit) {
        fprintf(stderr, "terrafirma: worker %u died while it ran %s\n", child->index,
                name_culprit(&crash->culprit, name));
        blame(supervisor, &crash->culprit);
    } else {
        tf_quarantine_death(&supervisor->quarantine, NULL, tf_clock_ns());
    }
}

void tf_supervisor_tick(struct tf_supervisor *supervisor)
{
    if (!tf_quarantine_tick(&supervisor->quarantine, tf_clock_ns()))
        return;
    fprintf(stderr, "terrafirma: the quarantine of a function is over\n");
    supervisor->is_report_due = true;
}

/* ---- server.json ---- */

/* A path that is no UTF-8 has no JSON: then it says nothing. */
static json_t *text_or_null(const char *text)
{
    json_t *const value = text[0] != '\0' ? json_string(text) : NULL;
    return value != NULL ? value : json_null();
}

static void add_culprit(json_t *object, const struct tf_culprit *culprit)
{
    json_object_set_new(object, "site", text_or_null(culprit->site));
    json_object_set_new(object, "function", text_or_null(culprit->path));
    json_object_set_new(object, "key", text_or_null(culprit->key));
}

static json_t *processes(const struct tf_supervisor *supervisor)
{
    json_t *const list = json_array();
    for (uint32_t i = 0; i < supervisor->worker_count; i++) {
        const struct tf_child *const child = &supervisor->workers[i];
        json_array_append_new(list, json_pack("{s:i, s:I, s:I}", "index", (int)i, "pid", (json_int_t)child->pid,
                                              "deaths", (json_int_t)child->deaths_all));
    }
    return list;
}

static json_t *crashes(const struct tf_supervisor *supervisor)
{
    json_t *const list = json_array();
    uint64_t const first = supervisor->crash_count > TF_CRASHES_KEPT ? supervisor->crash_count - TF_CRASHES_KEPT : 0;
    for (uint64_t i = first; i < supervisor->crash_count; i++) {
        const struct tf_crash *const crash = &supervisor->crashes[i % TF_CRASHES_KEPT];
        json_t *const object = json_pack("{s:s, s:i, s:I, s:i}", "at", crash->at, "worker", (int)crash->worker, "pid",
                                         (json_int_t)crash->pid, "signal", crash->signal);
        if (crash->has_culprit)
            add_culprit(object, &crash->culprit);
        json_array_append_new(list, object);
    }
    return list;
}

static json_t *quarantined(const struct tf_supervisor *supervisor)
{
    json_t *const list = json_array();
    uint64_t const now_ns = tf_clock_ns();
    for (uint32_t i = 0; i < TF_SUSPECTS; i++) {
        const struct tf_suspect *const suspect = &supervisor->quarantine.suspects[i];
        if (suspect->until_ns == 0)
            continue;
        char until[40];
        time_text(until, (int64_t)(suspect->until_ns - now_ns));
        json_t *const object = json_pack("{s:s, s:I}", "until", until, "times", (json_int_t)suspect->times);
        add_culprit(object, &suspect->culprit);
        json_array_append_new(list, object);
    }
    return list;
}

void tf_supervisor_report(struct tf_supervisor *supervisor)
{
    char now[40];
    struct tf_error error;
    supervisor->is_report_due = false;
    time_text(now, 0);
    json_t *const report = json_pack("{s:i, s:s, s:I, s:b}", "version", 1, "updated", now, "pid", (json_int_t)getpid(),
                                     "stopped", supervisor->is_stopping);
    json_object_set_new(report, "workers", processes(supervisor));
    json_object_set_new(report, "crashes", crashes(supervisor));
    json_object_set_new(report, "quarantine", quarantined(supervisor));
    char *const text = report != NULL ? json_dumps(report, JSON_INDENT(1)) : NULL;
    json_decref(report);
    if (text == NULL)
        fprintf(stderr, "terrafirma: no memory for server.json\n");
    else if (tf_file_write_atomic(supervisor->report_folder_fd, "server.json", text, strlen(text), 0640, &error) !=
             TF_OK)
        fprintf(stderr, "terrafirma: cannot write server.json: %s\n", error.text);
    free(text);
}
