/* SPDX-License-Identifier: MIT */
/* shmring-dump follow: one segment after another of the same name. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "show.h"
#include "times.h"

#define PAUSE_FIRST_NS 1000000   /* between looks where nothing is new: 1 ms, */
#define PAUSE_LAST_NS  50000000  /* growing to 50 ms; and for a segment that is not there */
#define SAVE_NS        100000000 /* between two writes of the cursor file */

struct follow {
	struct show *show;
	uint64_t epoch;    /* of the segment that is followed; 0: none yet */
	uint64_t saved_ns; /* the cursor file */
	uint64_t heard;    /* records so far, */
	uint64_t heard_ns; /* and when there was the last one */
	int gone;          /* the segment */
	int again;         /* it is not the first one */
};

static void say(const struct follow *follow, const char *sentence)
{
	fflush(stdout);
	fputs("shmring-dump: ", stderr);
	text_string(stderr, follow->show->name);
	fprintf(stderr, ": %s\n", sentence);
}

static void sleep_ns(long ns)
{
	nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

/* --- The cursor file ---------------------------------------------------------- */

static int save(struct follow *follow)
{
	struct show *show = follow->show;

	/* What is noted as shown must have been. */
	if (!show->cursor || fflush(stdout) || ferror(stdout))
		return 0;
	for (uint32_t i = 0; i < show->count; i++) {
		const struct source *source = &show->sources[i];

		if (source->walk)
			cursor_set(show->cursor, source->object.name,
				   shr_walk_position(source->walk),
				   source->sequence ? source->sequence + 1 : source->expected);
	}
	follow->saved_ns = time_steady();
	return cursor_save(show->cursor);
}

static int save_now_and_then(struct follow *follow)
{
	return time_steady() - follow->saved_ns < SAVE_NS ? 0 : save(follow);
}

/* --- One segment -------------------------------------------------------------- */

/* Nothing that comes now is before --until. */
static int all_done(const struct show *show)
{
	const struct limit *until = &show->request->until;

	if (until->kind == LIMIT_TIME && time_now() > until->value)
		return 1;
	for (uint32_t i = 0; i < show->count; i++)
		if (!show->sources[i].done)
			return 0;
	return until->kind != LIMIT_NONE;
}

/* Number of records, or -errno. */
static int look(struct show *show, int now)
{
	int some = 0;

	for (uint32_t i = 0; i < show->count; i++) {
		int n = show_some(show, &show->sources[i], now);

		if (n < 0)
			return n;
		some |= n;
	}
	return some;
}

/* No record for as long as -t says. */
static int silent(struct follow *follow)
{
	uint64_t now = time_steady(), heard = follow->show->shown + follow->show->held;

	if (heard != follow->heard) {
		follow->heard = heard;
		follow->heard_ns = now;
	}
	return now - follow->heard_ns >= follow->show->request->silence_ns;
}

/* Until all is shown that is asked for, or the segment is gone. 0, 1 after a message, or -errno. */
static int watch(struct follow *follow)
{
	struct show *show = follow->show;
	long pause = PAUSE_FIRST_NS;
	int obsolete = 0;

	while (!show_enough(show) && !ferror(stdout)) {
		struct shr_segment_info info;
		int some = look(show, obsolete);

		if (some < 0)
			return some;
		if (save_now_and_then(follow))
			return 1;
		if (silent(follow))
			return 0;
		if (some) {
			pause = PAUSE_FIRST_NS;
			obsolete = 0;
			continue;
		}
		fflush(stdout);
		show_held(show);
		if (all_done(show))
			return 0;
		/* What was committed before it became obsolete has been looked for since. */
		if (obsolete) {
			follow->gone = 1;
			return 0;
		}
		sleep_ns(pause);
		pause = pause * 2 < PAUSE_LAST_NS ? pause * 2 : PAUSE_LAST_NS;
		if (!shr_inspect_segment(show->inspect, &info))
			obsolete = (int)info.obsolete;
	}
	return 0;
}

/* --- One after another -------------------------------------------------------- */

/* Open the segment, another one than before: 0, or -errno, -EINTR: it is enough. */
static int attach(struct follow *follow)
{
	struct show *show = follow->show;
	int told = follow->epoch != 0;

	for (;;) {
		struct shr_segment_info info;
		int err = shr_inspect_open(&show->inspect, show->name);

		if (!err)
			err = shr_inspect_segment(show->inspect, &info);
		if (!err && info.epoch != follow->epoch) {
			follow->epoch = info.epoch;
			return 0;
		}
		shr_inspect_close(show->inspect);
		show->inspect = NULL;
		if (err && (err != -ENOENT || show->request->once))
			return err;
		if (!told) {
			say(follow, "there is none yet: waiting for it");
			told = show->anew = 1;
		}
		if (silent(follow))
			return follow->epoch ? -EINTR : err;
		if (show_stopped)
			return -EINTR;
		sleep_ns(PAUSE_LAST_NS);
	}
}

/* All of a segment that was made meanwhile: nobody has seen any of it. */
static void from_the_start(struct show *show)
{
	show->anew = 1;
	show->from = SHR_WALK_OLDEST;
	show->last = UINT64_MAX;
}

/* What the cursor file says of this segment. */
static void recall(struct follow *follow)
{
	struct show *show = follow->show;

	if (cursor_of(show->cursor, follow->epoch) != -ESTALE)
		return;
	if (!follow->again)
		say(follow,
		    "the cursor file is of an earlier segment of this name: beginning anew");
	from_the_start(show);
}

/* 0, or the exit status after a message. */
static int follow_one(struct follow *follow)
{
	struct show *show = follow->show;
	int result, err = 0;

	if (show->cursor)
		recall(follow);
	result = show_open(show);
	if (result)
		return result;
	err = watch(follow);
	result = err < 0 ? failed(show->name, err) : err ? EXIT_FAILURE : 0;
	return save(follow) && !result ? EXIT_FAILURE : result;
}

int show_follow(struct show *show)
{
	struct follow follow = {.show = show, .heard_ns = time_steady()};
	int result = 0, err;

	if (show->request->cursor_file) {
		show->cursor = cursor_open(show->request->cursor_file);
		if (!show->cursor)
			return EXIT_FAILURE;
	}
	for (;;) {
		err = attach(&follow);
		if (err)
			break;
		if (show->anew)
			from_the_start(show);
		result = follow_one(&follow);
		show_close(show);
		if (result || !follow.gone)
			break;
		say(&follow, "the segment is obsolete: it was unlinked or replaced");
		if (show->request->once)
			break;
		from_the_start(show);
		follow.gone = 0;
		follow.again = 1;
	}
	cursor_close(show->cursor);
	return err && err != -EINTR ? failed(show->name, err) : result;
}
