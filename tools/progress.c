/* SPDX-License-Identifier: MIT */
#include "progress.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dump.h"

#define EACH_NS  200000000  /* at most five times a second */
#define QUIET_NS 1000000000 /* where the line would stand among what is written */

static struct {
	int on;       /* there is somebody to look at it */
	int shown;    /* it is there now */
	int64_t next; /* time */
} progress;

static int same_terminal(void)
{
	struct stat out, err;

	return isatty(STDOUT_FILENO) && !fstat(STDOUT_FILENO, &out) &&
	       !fstat(STDERR_FILENO, &err) && out.st_rdev == err.st_rdev;
}

void progress_begin(void)
{
	progress.on = isatty(STDERR_FILENO);
	progress.next = shr_deadline_ns(progress.on && same_terminal() ? QUIET_NS : EACH_NS);
}

void progress_show(const char *format, ...)
{
	va_list arguments;
	int64_t now;

	if (!progress.on)
		return;
	now = shr_deadline_ns(0);
	if (now < progress.next)
		return;
	progress.next = now + EACH_NS;
	progress.shown = 1;
	fputs("\r\033[K", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fflush(stderr); /* it is no whole line */
}

int progress_bytes(uint64_t done, uint64_t total, void *unused)
{
	(void)unused;
	progress_show("%s: %" PRIu64 " of %" PRIu64 " MiB", tool_name, done >> 20, total >> 20);
	return 0;
}

void progress_clear(void)
{
	if (progress.shown) {
		fputs("\r\033[K", stderr);
		fflush(stderr);
	}
	progress.shown = 0;
}
