/* Error texts: formatting into the caller's struct, and the names and sentences of the table in error.h. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int tf_error_set(struct tf_error *error, int code, const char *format, ...)
{
    if (error == NULL)
        return code;
    /* An argument may be the old text ("while building: %s"), so the new one is made elsewhere first. */
    char text[TF_ERROR_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(text, sizeof(text), format, arguments) < 0)
        text[0] = '\0';
    va_end(arguments);
    error->code = code;
    memcpy(error->text, text, sizeof(text));
    return code;
}

int tf_error_system(struct tf_error *error, const char *format, ...)
{
    int const saved = errno;
    if (error == NULL)
        return TF_ERR_SYSTEM;
    char text[TF_ERROR_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (length < 0) {
        text[0] = '\0';
        length = 0;
    }
    char reason[128];
    if ((size_t)length < sizeof(text) - 1)
        snprintf(text + length, sizeof(text) - (size_t)length, ": %s", strerror_r(saved, reason, sizeof(reason)));
    error->code = TF_ERR_SYSTEM;
    memcpy(error->text, text, sizeof(text));
    errno = saved;
    return TF_ERR_SYSTEM;
}

/* A switch over the enum, so that the compiler's -Wswitch names a row of error.h that is missing here. */
const char *tf_error_name(int code)
{
    switch ((enum tf_error_code)code) {
    case TF_OK:
        return "ok";
    case TF_ERR_SYSTEM:
        return "system";
    case TF_ERR_MALFORMED:
        return "malformed";
    case TF_ERR_INVALID:
        return "invalid";
    case TF_ERR_REFUSED:
        return "refused";
    case TF_ERR_LIMIT:
        return "limit";
    case TF_ERR_TOOLCHAIN:
        return "toolchain";
    case TF_ERR_TIMEOUT:
        return "timeout";
    case TF_ERR_NOT_FOUND:
        return "not_found";
    case TF_ERR_CORRUPT:
        return "corrupt";
    case TF_ERR_ABI:
        return "abi";
    case TF_ERR_CPU:
        return "cpu";
    case TF_ERR_AUDIT:
        return "audit";
    case TF_ERR_USAGE:
        return "usage";
    case TF_ERR_NO_SLOT:
        return "no_slot";
    case TF_ERR_GUEST:
        return "guest";
    case TF_ERR_BUSY:
        return "busy";
    case TF_ERR_CHANGED:
        return "changed";
    case TF_ERR_CANCELLED:
        return "cancelled";
    case TF_ERR_NO_MEMORY:
        return "no_memory";
    case TF_ERR_TRUST:
        return "trust";
    }
    return "unknown";
}

const char *tf_error_text(int code)
{
    switch (code) {
    case TF_OK:
        return "no error";
#define X(name, value, text)                                                                                           \
    case value:                                                                                                        \
        return text;
        TF_ERROR_ROWS(X)
#undef X
    default:
        return "unknown error";
    }
}
