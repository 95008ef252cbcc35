/* SPDX-License-Identifier: MIT */
/*
 * feed archive: every quote once in a file, whoever is killed when.
 *
 * The place where it goes on is kept where the results are. Each line has the epoch of
 * the segment and the position behind its quote, so both come into the file together,
 * or not at all: a line that was cut by a kill is removed at the next start. The cursor
 * can be a plain gate then, which goes with its process: the sender does not wait for an
 * archive that is not there. The ring keeps some history for it; quotes that were
 * overwritten before it came back are counted in the next line.
 */
#include "feed.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CURSOR "archive"
#define TITLE  "# epoch position number time_ns symbol price size lost\n"
#define TITLED (sizeof(TITLE) - 1)
#define LINE   192 /* bytes at most */
#define BLOCK  ((size_t)64 * LINE)

struct archive {
	struct feed feed;
	const char *path;
	int fd;
	uint64_t written; /* quotes */
	off_t size;	  /* of the lines that are whole */
	/* Of the last line: */
	uint64_t epoch, position, number;
};

/* What the last whole line says; all zero if there is none. */
static int find_end(struct archive *a)
{
	char tail[2 * LINE + 1], *end, *line;
	off_t size = lseek(a->fd, 0, SEEK_END), from = size > 2 * LINE ? size - 2 * LINE : 0;
	ssize_t got = pread(a->fd, tail, TITLED, 0);

	if (got < 0)
		return feed_complain("cannot read %s: %s", a->path, strerror(errno));
	if (memcmp(tail, TITLE, (size_t)got) != 0)
		return feed_complain("%s is no archive of a feed", a->path);
	if ((size_t)got < TITLED) /* new, or killed in its first line */
		return 0;
	got = pread(a->fd, tail, 2 * LINE, from);
	if (got <= 0)
		return feed_complain("cannot read %s: %s", a->path, strerror(errno));
	tail[got] = 0;
	end = memrchr(tail, '\n', (size_t)got);
	if (!end)
		return feed_complain("%s is damaged at its end", a->path);
	a->size = from + (end + 1 - tail);
	line = memrchr(tail, '\n', (size_t)(end - tail));
	line = line ? line + 1 : tail;
	if (*line != '#' && sscanf(line, "%" SCNx64 " %" SCNu64 " %" SCNu64 " ", &a->epoch,
				   &a->position, &a->number) != 3)
		return feed_complain("%s is damaged at its end", a->path);
	return 0;
}

/*
 * Go on behind the last line. If the sender has used that place again, or the feed is
 * another one, take the oldest quote there is.
 */
static int open_cursor(struct archive *a)
{
	struct shr_cursor_options options = {.struct_size = sizeof(options),
					     .flags = SHR_CURSOR_CREATE,
					     .join = a->epoch ? SHR_JOIN_POSITION : SHR_JOIN_OLDEST,
					     .position = a->position,
					     .epoch = a->epoch};
	int err = shr_cursor_open_with(&a->feed.cursor, a->feed.ring, CURSOR, &options);

	if (err == -ERANGE || err == -ESTALE) {
		feed_complain("%s", shr_last_error());
		options.join = SHR_JOIN_OLDEST;
		err = shr_cursor_open_with(&a->feed.cursor, a->feed.ring, CURSOR, &options);
	}
	return err ? feed_complain("%s", shr_last_error()) : 0;
}

static size_t put_line(struct archive *a, const struct shr_record *record, char *line)
{
	struct quote quote = feed_quote(record);
	uint64_t epoch = shr_segment_epoch(shr_ring_segment(a->feed.ring)), lost = record->lost;

	/* By the numbers: they tell what was lost while nobody was here, too. */
	if (a->epoch == epoch)
		lost = record->sequence - a->number - 1;
	a->epoch = epoch;
	a->number = record->sequence;
	a->position = shr_cursor_position(a->feed.cursor);
	return (size_t)snprintf(line, LINE,
				"%016" PRIx64 " %" PRIu64 " %" PRIu64 " %" PRIu64
				" %.12s %.3f %" PRIu32 " %" PRIu64 "\n",
				a->epoch, a->position, a->number, record->time_ns, quote.symbol,
				quote.price, quote.size, lost);
}

static int write_all(const struct archive *a, const char *data, size_t size)
{
	while (size) {
		ssize_t done = write(a->fd, data, size);

		if (done < 0 && errno != EINTR)
			return feed_complain("cannot write %s: %s", a->path, strerror(errno));
		data += done > 0 ? done : 0;
		size -= done > 0 ? (size_t)done : 0;
	}
	return 0;
}

/* All that is there up to a block, in one write, and then one release. */
static int write_block(struct archive *a, uint64_t count)
{
	struct shr_record record;
	char block[BLOCK];
	size_t size = 0;
	int err = shr_cursor_next_until(a->feed.cursor, &record, shr_deadline_ns(FEED_LOOK_NS));

	while (!err) {
		size += put_line(a, &record, block + size);
		a->written++;
		if (size > sizeof(block) - LINE || a->written == count)
			break;
		err = shr_cursor_next(a->feed.cursor, &record);
	}
	if (write_all(a, block, size))
		return -1;
	if (size && shr_cursor_release(a->feed.cursor))
		return feed_complain("%s", shr_last_error());
	if (err && err != -EAGAIN && err != -ETIMEDOUT && err != -EINTR)
		return feed_complain("%s", shr_last_error());
	return 0;
}

/* Cut what a kill has left half; nobody else writes there, for the cursor is ours. */
static int begin(const struct archive *a)
{
	if (ftruncate(a->fd, a->size) || lseek(a->fd, a->size, SEEK_SET) < 0)
		return feed_complain("cannot cut %s: %s", a->path, strerror(errno));
	printf("archive goes on behind #%" PRIu64 "\n", a->number);
	return a->size ? 0 : write_all(a, TITLE, TITLED);
}

static int run(struct archive *a, uint64_t count)
{
	int err = find_end(a);

	if (!err)
		err = open_cursor(a);
	if (!err)
		err = begin(a);
	while (!err && !feed_stopped && (!count || a->written < count))
		err = write_block(a, count);
	return err;
}

int feed_archive(const char *name, const char *path, uint64_t count)
{
	struct archive a = {.path = path};
	int err = feed_open(&a.feed, name, "archive");

	if (err)
		return 1;
	a.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	err = a.fd < 0 ? feed_complain("cannot open %s: %s", path, strerror(errno)) : run(&a, count);
	if (a.fd >= 0 && close(a.fd) && !err)
		err = feed_complain("cannot write %s: %s", path, strerror(errno));
	feed_close(&a.feed);
	return err ? 1 : 0;
}
