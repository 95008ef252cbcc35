/* SPDX-License-Identifier: MIT */
/* What feed.c and feed-archive.c share. */
#include <shmring/shmring.h>
#include <signal.h>
#include <string.h>

struct quote {
	double price;
	uint32_t size;
	char symbol[12];
};
SHR_SCHEMA(quote, 1, price, size, symbol);

#define FEED_LOOK_NS INT64_C(100000000) /* longest wait between looks at @feed_stopped */

extern volatile sig_atomic_t feed_stopped;

/* What a consumer of the feed has open. */
struct feed {
	struct shr_ring *ring;
	struct shr_cursor *cursor;
};

/* The quote in a record; what an older, shorter one has not is zero. */
static inline struct quote feed_quote(const struct shr_record *record)
{
	struct quote quote = {0};

	memcpy(&quote, record->payload, record->size < sizeof(quote) ? record->size : sizeof(quote));
	return quote;
}

/* Print a sentence; -1. */
__attribute__((format(printf, 1, 2))) int feed_complain(const char *format, ...);

/* The ring of a feed that is there, for a consumer. 0, or -1 and said why. */
int feed_open(struct feed *feed, const char *name, const char *role);
void feed_close(struct feed *feed);

/* Write all quotes to @path, going on behind what is there. The exit status. */
int feed_archive(const char *name, const char *path, uint64_t count);
