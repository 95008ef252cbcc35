/* SPDX-License-Identifier: MIT */
/*
 * One epoll loop over a ring, a UNIX socket, its clients and signals. The lines
 * in the ring go to everybody who is connected:
 *
 *	epoll-serve /news /tmp/news &
 *	epoll-serve --client /tmp/news &
 *	epoll-serve --send /news < file
 *
 * Shows shr_cursor_fd() beside other descriptors, and a consumer that gives
 * records back only when they are out: without a client they stay in the ring,
 * also over an end and a new start of the server. A client that sends "stats"
 * is told how it goes; one that takes nothing for a second is dropped.
 *
 * The records are those of lines.h. lines-send makes a ring of its own, so start
 * it first; it removes the ring when all is out, which ends the server.
 */
#include "lines.h"
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CLIENTS_MAX 64
#define EVENTS_MAX  16
#define BATCH       ((size_t)64 * 1024) /* bytes, and what is over of the last record */
#define BATCHES_MAX 16                  /* in a row, then a look at the other descriptors */
#define SLOW_NS     INT64_C(1000000000) /* longest time for a client to take a batch */

struct client {
	int fd;          /* -1: free */
	uint32_t events; /* that epoll waits for */
	size_t sent;     /* bytes of the batch */
	int asks;        /* for counts, not answered yet */
	size_t typed;    /* bytes of its command so far */
	char command[8];
};

struct server {
	const char *path; /* of the socket */
	struct shr_ring *ring;
	struct shr_cursor *cursor;
	int epoll, listener, signals;
	int records;        /* the cursor's descriptor */
	uint32_t listening; /* events that epoll waits for there */
	int held;           /* records that were given to us and not released: the batch */
	char *batch;
	size_t batched;
	int64_t deadline_ns; /* for the clients that have not taken all of it; 0: none */
	uint64_t received;
	int connected;
	struct client clients[CLIENTS_MAX];
};

__attribute__((format(printf, 1, 2))) static int complain(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("epoll-serve: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	return -1;
}

/* --- Clients --------------------------------------------------------------- */

/* Wait for @events of @fd; @where tells whose they are. @before is what it was till now. */
static int watch(const struct server *s, int fd, void *where, uint32_t *before, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = where};

	if (*before == events)
		return 0;
	if (epoll_ctl(s->epoll, EPOLL_CTL_MOD, fd, &event))
		return complain("cannot watch a descriptor: %s", strerror(errno));
	*before = events;
	return 0;
}

static int add(const struct server *s, int fd, void *where)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = where};

	if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event))
		return complain("cannot watch a descriptor: %s", strerror(errno));
	return 0;
}

static void drop(struct server *s, struct client *c, const char *why)
{
	if (why)
		complain("client %d is dropped: %s", (int)(c - s->clients) + 1, why);
	close(c->fd); /* and epoll forgets it */
	c->fd = -1;
	s->connected--;
}

/* Nothing of the batch is out yet, or all: here a text of our own may stand. */
static void answer(struct server *s, struct client *c)
{
	struct shr_ring_status status;
	char text[160];
	int length;

	if (shr_ring_stat(s->ring, &status)) {
		drop(s, c, shr_last_error());
		return;
	}
	length = snprintf(text, sizeof(text),
			  "received %" PRIu64 " clients %d skipped %" PRIu64 " redelivered %" PRIu64
			  "\n",
			  s->received, s->connected, status.skipped, status.redelivered);
	c->asks = 0;
	if (send(c->fd, text, (size_t)length, MSG_NOSIGNAL) != length)
		drop(s, c, "it does not take its answer");
}

/* Send it what it will take of the batch. */
static void push(struct server *s, struct client *c)
{
	while (c->sent < s->batched) {
		ssize_t n = send(c->fd, s->batch + c->sent, s->batched - c->sent, MSG_NOSIGNAL);

		if (n < 0) {
			if (errno != EAGAIN)
				drop(s, c, strerror(errno));
			return;
		}
		c->sent += (size_t)n;
	}
	if (c->asks)
		answer(s, c);
}

/* What a client says. A command that is not known is no command. */
static void listen_to(struct server *s, struct client *c)
{
	char text[256];
	ssize_t n = read(c->fd, text, sizeof(text));

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		drop(s, c, n ? strerror(errno) : NULL);
		return;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (text[i] == '\n') {
			c->asks |= c->typed == 5 && !memcmp(c->command, "stats", 5);
			c->typed = 0;
		} else if (c->typed < sizeof(c->command)) {
			c->command[c->typed++] = text[i];
		}
	}
	if (c->asks && (!c->sent || c->sent == s->batched))
		answer(s, c);
}

/* It begins with the batch that is just going out, if there is one. */
static int welcome(struct server *s)
{
	int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return errno == EAGAIN || errno == ECONNABORTED || errno == EINTR
			       ? 0
			       : complain("cannot accept a client: %s", strerror(errno));
	for (int i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &s->clients[i];

		if (c->fd >= 0)
			continue;
		*c = (struct client){.fd = fd, .events = EPOLLIN};
		s->connected++;
		return add(s, fd, c);
	}
	close(fd);
	complain("a client is turned away: there are %d", CLIENTS_MAX);
	return 0;
}

/* --- From the ring to the clients ------------------------------------------ */

/* Gather a batch. 0, or as next. */
static int fill(struct server *s)
{
	struct shr_record record;
	int err = 0;

	while (s->batched < BATCH && !(err = shr_cursor_next(s->cursor, &record))) {
		s->held = 1;
		if (record.type != LINES_DATA)
			continue; /* the end of a lines-send */
		memcpy(s->batch + s->batched, record.payload, record.size);
		s->batched += record.size;
		s->received++;
	}
	return s->held ? 0 : err; /* next says it again */
}

/* Has every client all of the batch? Not if there is none. */
static int send_batch(struct server *s)
{
	int late = s->deadline_ns && shr_deadline_ns(0) >= s->deadline_ns, behind = 0;

	for (int i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &s->clients[i];

		if (c->fd >= 0)
			push(s, c);
		if (c->fd >= 0 && c->sent < s->batched && late)
			drop(s, c, "it is slow");
		if (c->fd < 0)
			continue;
		behind += c->sent < s->batched;
		watch(s, c->fd, c, &c->events, c->sent < s->batched ? EPOLLIN | EPOLLOUT : EPOLLIN);
	}
	if (!behind)
		s->deadline_ns = 0;
	else if (!s->deadline_ns)
		s->deadline_ns = shr_deadline_ns(SLOW_NS);
	return !behind && (s->connected || !s->batched);
}

static int release(struct server *s)
{
	for (int i = 0; i < CLIENTS_MAX; i++)
		s->clients[i].sent = 0;
	s->batched = 0;
	s->held = 0;
	return shr_cursor_release(s->cursor);
}

/*
 * Move on what is there until next says -EAGAIN: only then will the descriptor
 * tell of more. While a batch is stuck nothing is taken, and it is not watched.
 * 1: there may be more, but the other descriptors want a look.
 */
static int move(struct server *s)
{
	for (int i = 0; i < BATCHES_MAX; i++) {
		int err = s->held ? 0 : fill(s);

		if (err == -EAGAIN)
			return watch(s, s->records, &s->records, &s->listening, EPOLLIN);
		if (err)
			return complain("%s", shr_last_error());
		if (!send_batch(s))
			return watch(s, s->records, &s->records, &s->listening, 0);
		if (release(s))
			return complain("%s", shr_last_error());
	}
	return 1;
}

/* --- The loop -------------------------------------------------------------- */

/* For epoll_wait(): until who is behind is slow. */
static int patience_ms(const struct server *s)
{
	int64_t left_ns = s->deadline_ns - shr_deadline_ns(0);

	if (!s->deadline_ns)
		return -1;
	return left_ns > 0 ? (int)(left_ns / 1000000) + 1 : 0;
}

/* 0 after a signal, or -1 and said why. */
static int serve(struct server *s)
{
	struct epoll_event events[EVENTS_MAX];

	for (;;) {
		int more = move(s), n;

		if (more < 0)
			return -1;
		n = epoll_wait(s->epoll, events, EVENTS_MAX, more ? 0 : patience_ms(s));
		if (n < 0 && errno != EINTR)
			return complain("cannot wait: %s", strerror(errno));
		for (int i = 0; i < n; i++) {
			void *where = events[i].data.ptr;

			if (where == &s->signals)
				return 0;
			if (where == &s->listener && welcome(s))
				return -1;
			/* What is to be read or written in the ring or a batch is move()'s. */
			if (where == &s->listener || where == &s->records ||
			    !(events[i].events & ~(uint32_t)EPOLLOUT))
				continue;
			if (((struct client *)where)->fd >= 0)
				listen_to(s, where);
		}
	}
}

/* --- Beginning and end ----------------------------------------------------- */

static int address_of(struct sockaddr_un *address, const char *path)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (!*path || strlen(path) >= sizeof(address->sun_path))
		return complain("%s is no name for a socket", path);
	memcpy(address->sun_path, path, strlen(path));
	return 0;
}

/* A connected socket, or -1 and errno. */
static int connect_to(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0 || !connect(fd, (const struct sockaddr *)address, sizeof(*address)))
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

/* Bind; a socket that nobody listens on any more is in the way, and goes. */
static int bind_to(int fd, const struct sockaddr_un *address)
{
	struct stat st;
	int other;

	if (!bind(fd, (const struct sockaddr *)address, sizeof(*address)))
		return 0;
	if (errno != EADDRINUSE || lstat(address->sun_path, &st) || !S_ISSOCK(st.st_mode))
		return -1;
	other = connect_to(address);
	if (other >= 0)
		close(other);
	if (other >= 0 || errno != ECONNREFUSED) {
		errno = EADDRINUSE;
		return -1;
	}
	unlink(address->sun_path);
	return bind(fd, (const struct sockaddr *)address, sizeof(*address));
}

static int open_socket(struct server *s)
{
	struct sockaddr_un address;

	if (address_of(&address, s->path))
		return -1;
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->listener < 0 || bind_to(s->listener, &address)) {
		complain("cannot listen on %s: %s", s->path, strerror(errno));
		s->path = NULL; /* not ours */
		return -1;
	}
	if (listen(s->listener, CLIENTS_MAX))
		return complain("cannot listen on %s: %s", s->path, strerror(errno));
	return 0;
}

/* Several producers: any number of --send may write at a time. */
static int open_ring(struct shr_ring **ring, const char *name, const char *role)
{
	struct shr_ring_options options = {.struct_size = sizeof(options)};
	struct shr_segment_options segment = {.struct_size = sizeof(segment), .role = role};

	if (shr_ring_open(ring, name, "+>", &options, &segment))
		return complain("%s", shr_last_error());
	return 0;
}

static int open_cursor(struct server *s)
{
	if (shr_cursor_open(&s->cursor, s->ring, NULL))
		return complain("%s", shr_last_error());
	s->records = shr_cursor_fd(s->cursor);
	if (s->records < 0)
		return complain("%s", shr_last_error());
	s->batch = malloc(BATCH + shr_ring_max_record(s->ring));
	return s->batch ? 0 : complain("out of memory");
}

static int open_loop(struct server *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s->signals < 0 || s->epoll < 0)
		return complain("cannot make a loop: %s", strerror(errno));
	s->listening = EPOLLIN;
	return add(s, s->signals, &s->signals) || add(s, s->listener, &s->listener) ||
			       add(s, s->records, &s->records)
		       ? -1
		       : 0;
}

static int run(const char *name, const char *path)
{
	static struct server server = {.listener = -1, .signals = -1, .epoll = -1};
	struct server *s = &server;
	int err;

	s->path = path;
	for (int i = 0; i < CLIENTS_MAX; i++)
		s->clients[i].fd = -1;
	err = open_ring(&s->ring, name, "epoll-serve") || open_cursor(s) || open_socket(s) ||
	      open_loop(s);
	if (!err) {
		printf("epoll-serve: the lines of %s go to %s\n", name, path);
		err = fflush(stdout) || serve(s);
	}
	if (s->listener >= 0 && s->path)
		unlink(s->path);
	/* The rest of the descriptors go with the process. */
	free(s->batch);
	shr_cursor_close(s->cursor);
	shr_ring_close(s->ring);
	return err ? 1 : 0;
}

/* --- The other ends -------------------------------------------------------- */

/* Print @count lines, or all (0), and pass on what is typed. */
static int client(const char *path, uint64_t count)
{
	struct sockaddr_un address;
	struct pollfd poll_on[2] = {{.events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
	uint64_t left = count;
	char text[4096];
	ssize_t n;

	if (address_of(&address, path))
		return 1;
	poll_on[0].fd = connect_to(&address);
	if (poll_on[0].fd < 0)
		return complain("cannot connect to %s: %s", path, strerror(errno)), 1;
	for (;;) {
		if (poll(poll_on, 2, -1) < 0)
			return complain("cannot wait: %s", strerror(errno)), 1;
		if (poll_on[1].revents) {
			n = read(STDIN_FILENO, text, sizeof(text));
			if (n <= 0)
				poll_on[1].fd = -1; /* poll() leaves it out */
			else if (send(poll_on[0].fd, text, (size_t)n, MSG_NOSIGNAL) < 0)
				return complain("cannot send: %s", strerror(errno)), 1;
		}
		if (!poll_on[0].revents)
			continue;
		n = read(poll_on[0].fd, text, sizeof(text));
		if (n <= 0)
			return left ? complain("the server ended, %" PRIu64 " lines before", left),
			       1    : 0;
		for (ssize_t i = 0; i < n; i++) {
			putchar(text[i]);
			if (text[i] == '\n' && left && !--left)
				return fflush(stdout) ? 1 : 0;
		}
		fflush(stdout);
	}
}

/* The lines of the standard input, a record each. Waits while the ring is full. */
static int send_lines(const char *name)
{
	struct shr_ring *ring = NULL;
	struct shr_producer *producer = NULL;
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	int err = open_ring(&ring, name, "epoll-send");

	if (err)
		return 1;
	err = shr_producer_open(&producer, ring);
	while (!err && (n = getline(&line, &room, stdin)) > 0)
		err = shr_producer_write_until(producer, line, (size_t)n, SHR_FOREVER);
	if (err)
		complain("%s", shr_last_error());
	free(line);
	shr_producer_close(producer);
	shr_ring_close(ring);
	return err ? 1 : 0;
}

static int usage(FILE *to)
{
	fputs("usage: epoll-serve NAME SOCKET\n"
	      "       epoll-serve --client SOCKET [COUNT]\n"
	      "       epoll-serve --send NAME\n"
	      "  -c, --client   print COUNT lines of a server, or all; send it standard input,\n"
	      "                 where the line \"stats\" asks for its counts\n"
	      "  -s, --send     put the lines of standard input into the ring\n"
	      "  -h, --help\n"
	      "The ring NAME is made if there is none, and stays.\n",
	      to);
	return to == stdout ? 0 : 2;
}

static int number(const char *text, uint64_t *value)
{
	char *end;

	*value = strtoull(text, &end, 10);
	return *value && end != text && !*end;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"client", no_argument, NULL, 'c'},
						{"send", no_argument, NULL, 's'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	uint64_t count = 0;
	int mode = 0, names, c;

	while ((c = getopt_long(argc, argv, "csh", options, NULL)) != -1) {
		if (c == 'h')
			return usage(stdout);
		if (c == '?' || mode)
			return usage(stderr);
		mode = c;
	}
	argv += optind;
	names = argc - optind;
	if (mode == 's' && names == 1)
		return send_lines(argv[0]);
	if (mode == 'c' && (names == 1 || (names == 2 && number(argv[1], &count))))
		return client(argv[0], count);
	return !mode && names == 2 ? run(argv[0], argv[1]) : usage(stderr);
}
