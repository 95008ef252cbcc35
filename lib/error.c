/* SPDX-License-Identifier: MIT */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <shmring/base.h>

static _Thread_local char sentence[ERROR_SIZE];

int shr_fail(int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	return -err;
}

const char *shr_last_error(void)
{
	return sentence;
}

const char *shr_version(void)
{
	return "0.1.0";
}

int64_t shr_deadline_ns(int64_t timeout_ns)
{
	struct timespec now;
	int64_t now_ns;

	clock_gettime(CLOCK_MONOTONIC, &now);
	now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	return timeout_ns > SHR_FOREVER - now_ns ? SHR_FOREVER : now_ns + timeout_ns;
}

/*
 * An older caller's struct is shorter, a newer one's longer: what is beyond
 * @known must be zero, or the caller asks for what this library has not got.
 */
int shr_options_check(const void *options, unsigned long size, unsigned long known)
{
	const unsigned char *byte = options;

	if (size < sizeof(size_t))
		return shr_fail(EINVAL, "options.struct_size is %lu: set it to sizeof(options)", size);
	if (size > 65536)
		return shr_fail(EINVAL, "options.struct_size is %lu: that is no struct of options",
				size);
	for (unsigned long i = known; i < size; i++)
		if (byte[i])
			return shr_fail(EINVAL, "an option is set that this library (%s) has not got",
					shr_version());
	return 0;
}
