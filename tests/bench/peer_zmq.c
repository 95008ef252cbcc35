/* SPDX-License-Identifier: MIT */
/*
 * Peer: zmq, PUSH to PULL over ipc. Its own thread moves the messages and shares
 * the cpu of its process, so here both sides block, for a short time.
 */
#include "peers.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <zmq.h>

#define WAIT_MS 1

static char endpoint[64]; /* an abstract name: no file stays behind */

/* Of each process, made at its first use: threads do not go through fork. */
static void *endpoint_open(size_t size, const char **reason)
{
	(void)size;
	(void)reason;
	snprintf(endpoint, sizeof(endpoint), "ipc://@shmring-bench-%d", (int)getpid());
	return endpoint;
}

static void *socket_of(int type, size_t size)
{
	static void *context;
	int high = (int)(RING_BYTES / size), wait_ms = WAIT_MS;
	void *made;

	if (!context)
		context = zmq_ctx_new();
	made = context ? zmq_socket(context, type) : NULL;
	if (!made ||
	    zmq_setsockopt(made, type == ZMQ_PUSH ? ZMQ_SNDHWM : ZMQ_RCVHWM, &high, sizeof(high)) ||
	    zmq_setsockopt(made, ZMQ_SNDTIMEO, &wait_ms, sizeof(wait_ms)) ||
	    zmq_setsockopt(made, ZMQ_RCVTIMEO, &wait_ms, sizeof(wait_ms)))
		die_plain("cannot make a socket of zmq");
	return made;
}

/* One socket a size of messages: its high-water mark is in messages. */
struct socket {
	size_t size;
	void *socket;
};

static struct socket *socket_find(struct socket *sockets, size_t size)
{
	while (sockets->size && sockets->size != size)
		sockets++;
	return sockets;
}

static void *socket_use(void *object, int type, size_t size)
{
	static struct socket sockets[16];
	struct socket *found = socket_find(sockets, size);
	char name[96];

	if (found->size)
		return found->socket;
	found->socket = socket_of(type, size);
	found->size = size;
	snprintf(name, sizeof(name), "%s-%zu", (const char *)object, size);
	if (type == ZMQ_PULL ? zmq_bind(found->socket, name) : zmq_connect(found->socket, name))
		die_plain("cannot connect two sockets of zmq");
	return found->socket;
}

static int zmq_push(void *object, const void *message, size_t size)
{
	void *to = socket_use(object, ZMQ_PUSH, size);

	if (zmq_send(to, message, size, 0) >= 0)
		return 1;
	if (zmq_errno() != EAGAIN && zmq_errno() != EINTR)
		die_plain("zmq_send fails");
	return 0;
}

static int zmq_pop(void *object, void *buffer, size_t size)
{
	void *from = socket_use(object, ZMQ_PULL, size);
	int n = zmq_recv(from, buffer, size, 0);

	if (n < 0 && zmq_errno() != EAGAIN && zmq_errno() != EINTR)
		die_plain("zmq_recv fails");
	if (n >= 0 && (size_t)n != size)
		die_plain("a message has another size than it was sent with");
	return n >= 0;
}

QUEUE_EACH(zmq, zmq_push, zmq_pop, size, 0)

const struct queue zmq_queues[] = {
	{.name = "zmq ipc",
	 .style = STYLE_CALLS,
	 .threads = 1,
	 .open = endpoint_open,
	 .put = zmq_put,
	 .take = zmq_take},
	{.name = NULL},
};
