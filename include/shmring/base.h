/* SPDX-License-Identifier: MIT */
/*
 * What every layer of shmring shares: version, the sentence behind an error,
 * deadlines, and the options convention.
 *
 * Errors. Functions return 0 (or a count) or a negative errno. Results go
 * through pointers that are written only on success. Where the number alone
 * would leave a person guessing, shr_last_error() has a sentence.
 *
 * Options. Structs of options start with their own size, and a zero in any
 * other field means the default:
 *
 *	struct shr_ring_options options = {
 *		.struct_size = sizeof(options), .capacity = 1 << 20,
 *	};
 *
 * NULL instead of options means all defaults. A struct_size of 0, or a field
 * that this library does not know and that is not zero, is -EINVAL.
 *
 * Fork. Every handle belongs to the process that opened it. In a child made
 * by fork() each call on an inherited handle returns -ECHILD and touches
 * nothing, except that close and detach free the child's copy. Plain maps of
 * map.h are the exception: they are shared with the child.
 */
#ifndef SHMRING_BASE_H
#define SHMRING_BASE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SHR_API __attribute__((visibility("default")))

#define SHR_VERSION_MAJOR 0
#define SHR_VERSION_MINOR 1
#define SHR_VERSION_PATCH 0

/*
 * The version of the library that is linked, "MAJOR.MINOR.PATCH", which may
 * be newer than the SHR_VERSION_* a program was compiled with.
 *
 * Threads:  any.
 * Since:    0.1
 */
SHR_API const char *shr_version(void);

/*
 * A sentence for people on why this thread's last failing shmring call
 * failed, without a full stop or newline. Never NULL; "" before the first
 * failure. Plain outcomes of the data path (-EAGAIN, -ETIMEDOUT, -EINTR) set
 * none. Valid until the thread's next failing call.
 *
 * Threads:  any; each thread has its own.
 * Since:    0.1
 */
SHR_API const char *shr_last_error(void);

/* A deadline that never comes, for the calls named _until. */
#define SHR_FOREVER INT64_MAX

/*
 * The deadline @timeout_ns nanoseconds from now, in nanoseconds on
 * CLOCK_MONOTONIC, as the calls named _until take it. Saturates at
 * SHR_FOREVER; a negative time-out is a deadline that has passed.
 *
 * Threads:  any.
 * Since:    0.1
 */
SHR_API int64_t shr_deadline_ns(int64_t timeout_ns);

#ifdef __cplusplus
}
#endif

#endif
