/* SPDX-License-Identifier: MIT */
/* shmring-dump save. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"

static int cannot(const char *file, int error)
{
	fputs("shmring-dump: ", stderr);
	text_string(stderr, file);
	fprintf(stderr, ": cannot write it: %s\n", strerror(error));
	return error == EACCES || error == EPERM ? EXIT_PERMISSION : EXIT_FAILURE;
}

int command_save(const struct shr_inspect *inspect, const char *name, const char *file)
{
	uint64_t left_out = 0;
	int err, result = 0, fd = open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return cannot(file, errno);
	err = shr_inspect_save(inspect, fd, &left_out);
	if (err)
		result = failed(name, err);
	else if (fsync(fd) < 0)
		result = cannot(file, errno);
	close(fd);
	if (result)
		unlink(file);
	else if (left_out)
		fprintf(stderr,
			"shmring-dump: slots left out, as they change too fast: %" PRIu64 "\n",
			left_out);
	return result;
}
