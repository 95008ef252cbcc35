/* SPDX-License-Identifier: MIT */
/* Peers: what the kernel has. Never blocking: two busy processes, as everywhere here. */
#include "peers.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* Two descriptors, or a mqueue twice; made before fork, so that both processes have them. */
struct ends {
	int from, to;
};
#define ENDS_MAX 32
static struct ends ends[ENDS_MAX];
static int ends_count;

static struct ends *ends_new(int from, int to)
{
	if (ends_count == ENDS_MAX)
		die_plain("too many descriptors of peers");
	ends[ends_count] = (struct ends){from, to};
	return &ends[ends_count++];
}

static void *pipe_open(size_t size, const char **reason)
{
	int fd[2];

	(void)size;
	if (pipe2(fd, O_NONBLOCK | O_CLOEXEC)) {
		*reason = "pipe2 fails";
		return NULL;
	}
	(void)fcntl(fd[1], F_SETPIPE_SZ, RING_BYTES);
	return ends_new(fd[0], fd[1]);
}

/* All of it: where it does not fit at once, the rest is waited for. */
static int pipe_push(void *object, const void *message, size_t size)
{
	const struct ends *pipe = object;
	size_t done = 0;

	while (done < size) {
		ssize_t n = write(pipe->to, (const char *)message + done, size - done);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			die_errno("write to a pipe");
		if (n < 0 && !done)
			return 0;
		done += n > 0 ? (size_t)n : 0;
	}
	return 1;
}

static int pipe_pop(void *object, void *buffer, size_t size)
{
	const struct ends *pipe = object;
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(pipe->from, (char *)buffer + done, size - done);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			die_errno("read from a pipe");
		if (n < 0 && !done)
			return 0;
		done += n > 0 ? (size_t)n : 0;
	}
	return 1;
}

static void *socket_open(size_t size, const char **reason)
{
	int fd[2], bytes = RING_BYTES;

	(void)size;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd)) {
		*reason = "socketpair fails";
		return NULL;
	}
	(void)setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	return ends_new(fd[0], fd[1]);
}

static int socket_push(void *object, const void *message, size_t size)
{
	const struct ends *pair = object;
	ssize_t n = send(pair->to, message, size, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		die_errno("send");
	return n >= 0;
}

static int socket_pop(void *object, void *buffer, size_t size)
{
	const struct ends *pair = object;
	ssize_t n = recv(pair->from, buffer, size, 0);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		die_errno("recv");
	if (n >= 0 && (size_t)n != size)
		die_plain("a packet has another size than it was sent with");
	return n >= 0;
}

/* As many messages as the ring's bytes hold, or what an ordinary user may have. */
static void *mq_open_size(size_t size, const char **reason)
{
	struct mq_attr attr = {.mq_msgsize = (long)size};
	const long counts[] = {RING_BYTES / (long)size, 256, 10};
	mqd_t queue = -1;
	char name[64];

	snprintf(name, sizeof(name), "/shmring-bench-%d-%zu", (int)getpid(), size);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]) && queue < 0; i++) {
		attr.mq_maxmsg = counts[i];
		queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK | O_CLOEXEC, 0600,
				&attr);
	}
	if (queue < 0) {
		*reason = "mq_open fails: see fs.mqueue.msgsize_max and RLIMIT_MSGQUEUE";
		return NULL;
	}
	mq_unlink(name);
	return ends_new(queue, queue);
}

static int mq_push(void *object, const void *message, size_t size)
{
	const struct ends *queue = object;
	int err = mq_send(queue->to, message, size, 0);

	if (err < 0 && errno != EAGAIN && errno != EINTR)
		die_errno("mq_send");
	return err == 0;
}

static int mq_pop(void *object, void *buffer, size_t size)
{
	const struct ends *queue = object;
	ssize_t n = mq_receive(queue->from, buffer, size, NULL);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		die_errno("mq_receive");
	if (n >= 0 && (size_t)n != size)
		die_plain("a message has another size than it was sent with");
	return n >= 0;
}

QUEUE_EACH(pipe, pipe_push, pipe_pop, size, 0)
QUEUE_EACH(socket, socket_push, socket_pop, size, 0)
QUEUE_EACH(mq, mq_push, mq_pop, size, 0)
QUEUE_EACH(mq_several, mq_push, mq_pop, size, 1)

const struct queue kernel_queues[] = {
	{.name = "pipe",
	 .style = STYLE_CALLS,
	 .open = pipe_open,
	 .put = pipe_put,
	 .take = pipe_take},
	{.name = "UNIX seqpacket",
	 .style = STYLE_CALLS,
	 .open = socket_open,
	 .put = socket_put,
	 .take = socket_take},
	{.name = "POSIX mq",
	 .style = STYLE_CALLS,
	 .open = mq_open_size,
	 .put = mq_put,
	 .take = mq_take},
	{.name = "POSIX mq",
	 .style = STYLE_CALLS,
	 .several = 1,
	 .open = mq_open_size,
	 .put = mq_several_put,
	 .take = mq_several_take},
	{.name = NULL},
};
