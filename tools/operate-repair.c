/* SPDX-License-Identifier: MIT */
/*
 * shmring repair: what dead members left is mended, as the next attach or waiter would
 * do it. Who is dead, the library proves by their locks; nothing is guessed.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "operate.h"

#define LETTER_OWNERS LONG_ONLY
#define LETTER_RESET  (LONG_ONLY + 1)

/* What a member can have. */
enum hold {
	HOLD_PRODUCER,
	HOLD_CLAIM,
	HOLD_RECORD,
	HOLD_CURSOR,
	HOLD_TAKEN,
	HOLD_MUTEX,
	HOLD_TABLE,
	HOLD_SLOT,
	HOLDS
};

/* What became of those of the dead. */
static const char *const mended[HOLDS] = {
	[HOLD_PRODUCER] = "producers' roles are free",
	[HOLD_CLAIM] = "claim locks are free",
	[HOLD_RECORD] = "records that were never committed are skipped",
	[HOLD_CURSOR] = "cursors are let go: durable ones keep their place, others are gone",
	[HOLD_TAKEN] = "records of queues are given back, or lost where it is at most once",
	[HOLD_MUTEX] = "mutexes are free, and dirty: the next one to lock repairs",
	[HOLD_TABLE] = "inserts or removes are undone or finished",
	[HOLD_SLOT] = "updates of slots are over; in place the next writer repairs",
};

struct holding {
	enum hold what;
	uint32_t member;
	char text[160];
};

struct survey {
	struct shr_segment_info info;
	struct shr_member_info *members; /* from number 1 on */
	struct holding *holdings;
	size_t count;
	size_t room;
	int out_of_memory;
};

struct repair {
	int dry_run;
	int owners;
	int reset_lost;
};

static const struct option_row options[] = {
	{'n', "dry-run", NULL, "only tell who is dead and what would be mended"},
	{LETTER_OWNERS, "owners", NULL, "only list who is attached and holds what"},
	{LETTER_RESET, "reset-lost", NULL, "make mutexes usable again that were given up"},
	{0}};

static int take(void *request, int letter, const char *argument)
{
	struct repair *repair = request;

	(void)argument;
	if (letter == 'n')
		repair->dry_run = 1;
	else if (letter == LETTER_OWNERS)
		repair->owners = 1;
	else
		repair->reset_lost = 1;
	return 0;
}

/* --- Who has what ---------------------------------------------------------------------- */

__attribute__((format(printf, 4, 5))) static void add(struct survey *survey, uint32_t member,
						      enum hold what, const char *format, ...)
{
	struct holding *holding;
	va_list arguments;

	if (!member)
		return;
	if (survey->count == survey->room) {
		size_t room = 2 * survey->room + 16;
		struct holding *more = realloc(survey->holdings, room * sizeof(*more));

		if (!more) {
			survey->out_of_memory = 1;
			return;
		}
		survey->holdings = more;
		survey->room = room;
	}
	holding = &survey->holdings[survey->count++];
	holding->what = what;
	holding->member = member;
	va_start(arguments, format);
	vsnprintf(holding->text, sizeof(holding->text), format, arguments);
	va_end(arguments);
}

static int survey_records(struct survey *survey, const struct shr_inspect *inspect, uint32_t index,
			  const char *name)
{
	struct shr_walk_record record;
	struct shr_walk *walk = NULL;
	int err = shr_walk_open(&walk, inspect, index, SHR_WALK_UNREAD | SHR_WALK_BUSY, 0);
	uint64_t start = err ? 0 : shr_walk_position(walk);
	struct shr_object_info object;

	if (!err)
		err = shr_inspect_object(inspect, index, &object);
	/* One lap: who writes fast would never let it end. */
	while (!err && shr_walk_position(walk) - start < object.ring.capacity) {
		err = shr_walk_next(walk, &record);
		if (err)
			break;
		if (record.state == SHR_STATE_BUSY)
			add(survey, record.member, HOLD_RECORD,
			    "a record of %s, reserved at %" PRIu64 ", %" PRIu64 " bytes", name,
			    record.position, record.size);
		if (record.state == SHR_STATE_TAKEN)
			add(survey, record.worker, HOLD_TAKEN, "a record of %s, taken at %" PRIu64,
			    name, record.position);
	}
	shr_walk_close(walk);
	return err == -EAGAIN ? 0 : err;
}

static int survey_ring(struct survey *survey, const struct shr_inspect *inspect, uint32_t index,
		       const char *name)
{
	struct shr_ring_status status;
	struct shr_blame blame[4];
	int count, err = shr_inspect_ring(inspect, index, &status);

	if (err)
		return err;
	add(survey, status.producer, HOLD_PRODUCER, "the producer's role of %s", name);
	count = shr_inspect_blame(inspect, index, blame, sizeof(blame) / sizeof(blame[0]));
	for (int i = 0; i < count; i++)
		if (blame[i].what == SHR_BLAME_CLAIM)
			add(survey, blame[i].member, HOLD_CLAIM, "the claim lock of %s", name);
	for (uint32_t i = 0; i < SHR_RING_CURSORS_MAX; i++) {
		struct shr_cursor_info cursor;

		if (!shr_inspect_cursor(inspect, index, i, &cursor))
			add(survey, cursor.member, HOLD_CURSOR, "cursor %s of %s", cursor.name,
			    name);
	}
	return count < 0 ? count : survey_records(survey, inspect, index, name);
}

static int survey_mutexes(struct survey *survey, const struct shr_inspect *inspect, uint32_t index,
			  const struct shr_object_info *object)
{
	struct shr_mutex_info mutex;

	for (uint32_t i = 0; i < object->count; i++) {
		int err = shr_inspect_mutex(inspect, index, i, &mutex);

		if (err)
			return err;
		add(survey, mutex.owner, HOLD_MUTEX, "mutex %s[%" PRIu32 "]", object->name, i);
	}
	return 0;
}

static int survey_table(struct survey *survey, const struct shr_inspect *inspect, uint32_t index,
			const struct shr_object_info *object)
{
	struct shr_mutex_info lock;
	int err = shr_inspect_table_lock(inspect, index, &lock);

	if (err)
		return err;
	add(survey, lock.owner, HOLD_TABLE, "an insert or a remove in %s", object->name);
	for (uint32_t i = 0; i < object->count; i++) {
		err = shr_inspect_next_lock(inspect, index, &i, NULL, &lock);
		if (err <= 0)
			return err;
		add(survey, lock.owner, HOLD_SLOT, "an update of %s[%" PRIu32 "]", object->name, i);
	}
	return 0;
}

static int survey_objects(struct survey *survey, const struct shr_inspect *inspect)
{
	int err = 0;

	for (uint32_t i = 0; i < survey->info.objects && !err; i++) {
		struct shr_object_info object;

		err = shr_inspect_object(inspect, i, &object);
		if (err)
			break;
		if (object.kind == SHR_OBJECT_RING)
			err = survey_ring(survey, inspect, i, object.name);
		else if (object.kind == SHR_OBJECT_MUTEX)
			err = survey_mutexes(survey, inspect, i, &object);
		else if (object.kind == SHR_OBJECT_TABLE)
			err = survey_table(survey, inspect, i, &object);
	}
	return err ? err : survey->out_of_memory ? -ENOMEM : 0;
}

static void survey_free(struct survey *survey)
{
	free(survey->members);
	free(survey->holdings);
}

/* 0, or -errno. survey_free() it in any case. */
static int survey_take(struct survey *survey, const struct shr_inspect *inspect)
{
	int err = shr_inspect_segment(inspect, &survey->info);

	if (!err)
		survey->members = calloc(survey->info.members, sizeof(*survey->members));
	if (!err && !survey->members)
		err = -ENOMEM;
	for (uint32_t i = 0; i < survey->info.members && !err; i++)
		err = shr_inspect_member(inspect, i + 1, &survey->members[i]);
	return err ? err : survey_objects(survey, inspect);
}

/* --- Told -------------------------------------------------------------------------------- */

static uint32_t count_members(const struct survey *survey, uint32_t state)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < survey->info.members; i++)
		count += survey->members[i].state == state;
	return count;
}

static void show_member(const struct survey *survey, const struct shr_member_info *member)
{
	printf("member %" PRIu32 ", pid %" PRIu32 "%s ", member->number, member->pid,
	       member->same_namespace ? "" : " (of another namespace)");
	text_string(stdout, member->command);
	if (member->role[0]) {
		fputs(" as ", stdout);
		text_string(stdout, member->role);
	}
	printf(": %s\n", name_of_member_state(member->state));
	for (size_t i = 0; i < survey->count; i++) {
		if (survey->holdings[i].member != member->number)
			continue;
		fputs("  has ", stdout);
		text_string(stdout, survey->holdings[i].text);
		putchar('\n');
	}
}

/* Those that are in a state of @states, a bit each. */
static void show_members(const struct survey *survey, uint32_t states)
{
	for (uint32_t i = 0; i < survey->info.members; i++)
		if (survey->members[i].state <= SHR_MEMBER_UNKNOWN &&
		    states >> survey->members[i].state & 1)
			show_member(survey, &survey->members[i]);
}

/* Is @holding of @before still there, with the same owner? */
static int still(const struct survey *after, const struct holding *holding)
{
	for (size_t i = 0; i < after->count; i++)
		if (after->holdings[i].member == holding->member &&
		    after->holdings[i].what == holding->what &&
		    !strcmp(after->holdings[i].text, holding->text))
			return 1;
	return 0;
}

/* What the dead had, and have no more. Returns how many of the dead are left. */
static uint32_t show_mended(const struct survey *before, const struct survey *after)
{
	uint64_t count[HOLDS] = {0};
	uint32_t dead = count_members(before, SHR_MEMBER_DEAD), left = 0;

	for (uint32_t i = 0; i < before->info.members; i++)
		left += before->members[i].state == SHR_MEMBER_DEAD &&
			after->members[i].state == SHR_MEMBER_DEAD &&
			after->members[i].attached_ns == before->members[i].attached_ns;
	for (size_t i = 0; i < before->count; i++) {
		const struct holding *holding = &before->holdings[i];

		if (holding->member <= before->info.members &&
		    before->members[holding->member - 1].state == SHR_MEMBER_DEAD &&
		    !still(after, holding))
			count[holding->what]++;
	}
	printf("mended what %" PRIu32 " of %" PRIu32 " dead members left\n", dead - left, dead);
	for (int i = 0; i < HOLDS; i++)
		if (count[i])
			printf("  %" PRIu64 " %s\n", count[i], mended[i]);
	return left;
}

/* --- Done ---------------------------------------------------------------------------------- */

/* Attach to @name, if it is what was looked at: 0, or the exit status, told. */
static int attach(struct shr_segment **segment, const char *name, const struct survey *before)
{
	struct shr_segment_options how = {.struct_size = sizeof(how), .role = "shmring repair"};
	int err = shr_segment_attach(segment, name, &how);

	if (err)
		return operate_failed(name, err);
	if (shr_segment_epoch(*segment) == before->info.epoch)
		return 0;
	operate_say("%s: it was just replaced by another segment", name);
	shr_segment_detach(*segment);
	return EXIT_FAILURE;
}

static int mend(const char *name, const struct shr_inspect *inspect, const struct survey *before)
{
	struct shr_segment *segment = NULL;
	struct survey after = {.count = 0};
	int err, result = attach(&segment, name, before);

	if (result)
		return result;
	/* The attach has mended what was in its own place already, the sweep does the rest. */
	err = shr_member_sweep(segment, NULL, NULL);
	result = err < 0 ? operate_failed(name, err) : 0;
	shr_segment_detach(segment);
	err = survey_take(&after, inspect);
	if (err)
		result = operate_failed(name, err);
	else if (show_mended(before, &after) && !result)
		result = EXIT_FAILURE;
	survey_free(&after);
	return result;
}

/* --- Mutexes that were given up ----------------------------------------------------------- */

/* @segment: to reset them, NULL: only to tell. Returns how many were reset, or -errno. */
static int reset_object(const struct shr_inspect *inspect, struct shr_segment *segment,
			uint32_t index, const struct shr_object_info *object, uint64_t *lost)
{
	struct shr_mutex *mutex = NULL;
	struct shr_mutex_info info;
	int count = 0, err = segment ? shr_mutex_attach(&mutex, segment, object->name) : 0;

	for (uint32_t i = 0; i < object->count && !err; i++) {
		err = shr_inspect_mutex(inspect, index, i, &info);
		if (err || info.state != SHR_MUTEX_LOST)
			continue;
		++*lost;
		fputs("mutex ", stdout);
		text_string(stdout, object->name);
		printf("[%" PRIu32 "] is lost: an owner died, and the next one gave it up\n", i);
		err = mutex ? shr_mutex_reset(mutex, i) : 0;
		count += mutex && !err;
		if (err == -EINVAL) /* it is another's work by now */
			err = 0;
	}
	shr_mutex_close(mutex);
	return err ? err : count;
}

static int reset_lost(const char *name, const struct shr_inspect *inspect,
		      const struct survey *survey, const struct repair *repair)
{
	const int reset = repair->reset_lost && !repair->dry_run;
	struct shr_segment *segment = NULL;
	struct shr_object_info object;
	int result = reset ? attach(&segment, name, survey) : 0, count = 0, err = 0;
	uint64_t lost = 0;

	if (result)
		return result;
	for (uint32_t i = 0; i < survey->info.objects && err >= 0; i++) {
		err = shr_inspect_object(inspect, i, &object);
		if (!err && object.kind == SHR_OBJECT_MUTEX)
			err = reset_object(inspect, segment, i, &object, &lost);
		count += err > 0 ? err : 0;
	}
	shr_segment_detach(segment);
	if (err < 0)
		return operate_failed(name, err);
	if (lost && survey->info.locks == SHR_LOCKS_PTHREAD)
		printf("%" PRIu64 " lost mutexes are left alone: those of pthread cannot be reset\n",
		       lost);
	else if (lost && !repair->reset_lost)
		printf("%" PRIu64 " lost mutexes are left alone: --reset-lost makes them usable\n",
		       lost);
	else if (lost && repair->dry_run)
		printf("would reset %" PRIu64 " lost mutexes\n", lost);
	else if (count)
		printf("reset %d lost mutexes: the next one to lock each is told to repair\n",
		       count);
	return 0;
}

static int repair_all(const struct repair *repair, const char *name,
		      const struct shr_inspect *inspect, const struct survey *survey)
{
	uint32_t dead = count_members(survey, SHR_MEMBER_DEAD);
	uint32_t unknown = count_members(survey, SHR_MEMBER_UNKNOWN);
	int result = 0;

	if (repair->owners) {
		show_members(survey, ~(1u << SHR_MEMBER_FREE));
		return 0;
	}
	show_members(survey, 1u << SHR_MEMBER_DEAD);
	if (unknown)
		printf("%" PRIu32 " members of which no lock tells whether they live: left alone\n",
		       unknown);
	if (!dead)
		printf("nothing to repair: nobody is dead, %" PRIu32 " live\n",
		       count_members(survey, SHR_MEMBER_ALIVE));
	else if (repair->dry_run)
		printf("would mend what %" PRIu32 " dead members left\n", dead);
	else
		result = mend(name, inspect, survey);
	return result ? result : reset_lost(name, inspect, survey, repair);
}

static int run(const struct command *command, int argc, char **argv)
{
	struct repair repair = {0};
	struct survey survey = {.count = 0};
	struct shr_inspect *inspect = NULL;
	int err, result = operate_options(command, argc, argv, 1, 1, &repair);
	const char *name = argv[optind];

	if (result != NO_COMMAND)
		return result;
	err = shr_inspect_open(&inspect, name);
	if (!err)
		err = survey_take(&survey, inspect);
	result = err ? operate_failed(name, err) : repair_all(&repair, name, inspect, &survey);
	survey_free(&survey);
	shr_inspect_close(inspect);
	return result;
}

const struct command command_repair = {.name = "repair",
				       .arguments = "SEGMENT",
				       .summary = "Mend what dead processes left.",
				       .options = options,
				       .take = take,
				       .run = run};
