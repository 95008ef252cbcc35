/* SPDX-License-Identifier: MIT */
/*
 * shmring-dump save. The file has its name only when it is whole, so that whoever is killed
 * leaves nothing; where the filesystem has no unnamed files, whoever is interrupted.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "progress.h"

static volatile sig_atomic_t stopped; /* by this signal */

static void stop(int signal)
{
	stopped = signal;
}

static void catch_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action = {.sa_handler = stop}, before;

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (!sigaction(signals[i], NULL, &before) && before.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
}

static int progress(uint64_t done, uint64_t total, void *unused)
{
	return stopped ? 1 : progress_bytes(done, total, unused);
}

static int cannot(const char *file, int error)
{
	progress_clear();
	fputs("shmring-dump: ", stderr);
	text_string(stderr, file);
	fprintf(stderr, ": cannot write it: %s\n", strerror(error));
	return error == EACCES || error == EPERM ? EXIT_PERMISSION : EXIT_FAILURE;
}

struct output {
	int fd;
	char link[40]; /* leads to the file while it has no name; or "" */
};

/* 0, or errno. */
static int output_open(struct output *output, const char *file)
{
	const char *slash = strrchr(file, '/');
	size_t length = slash == file ? 1 : slash ? (size_t)(slash - file) : 1;
	char directory[PATH_MAX];
	struct stat st;

	if (!lstat(file, &st))
		return EEXIST;
	if (length >= sizeof(directory))
		return ENAMETOOLONG;
	memcpy(directory, slash ? file : ".", length);
	directory[length] = '\0';
	output->fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (output->fd >= 0) {
		snprintf(output->link, sizeof(output->link), "/proc/self/fd/%d", output->fd);
		if (!access(output->link, F_OK))
			return 0;
		close(output->fd);
	}
	output->link[0] = '\0';
	output->fd = open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return output->fd < 0 ? errno : 0;
}

/* 0, or errno. */
static int output_finish(const struct output *output, const char *file)
{
	if (fsync(output->fd) < 0)
		return errno;
	if (stopped || !output->link[0])
		return 0;
	return linkat(AT_FDCWD, output->link, AT_FDCWD, file, AT_SYMLINK_FOLLOW) < 0 ? errno : 0;
}

int command_save(struct shr_inspect *inspect, const char *name, const char *file)
{
	struct output output;
	uint64_t left_out = 0;
	int err, result = 0, error = output_open(&output, file);

	if (error)
		return cannot(file, error);
	catch_signals();
	progress_begin();
	shr_inspect_on_progress(inspect, progress, NULL);
	err = shr_inspect_save(inspect, output.fd, &left_out);
	if (!err)
		error = output_finish(&output, file);
	progress_clear();
	if (stopped)
		result = EXIT_FAILURE;
	else if (err)
		result = failed(name, err);
	else if (error)
		result = cannot(file, error);
	close(output.fd);
	if (result && !output.link[0])
		unlink(file);
	if (stopped) {
		signal(stopped, SIG_DFL);
		raise(stopped);
	}
	if (!result && left_out)
		fprintf(stderr,
			"shmring-dump: slots left out, as they change too fast: %" PRIu64 "\n",
			left_out);
	return result;
}
