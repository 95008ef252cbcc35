/* SPDX-License-Identifier: MIT */
/*
 * shmring-dump blame: who holds up a ring or a table. One at work is held up by
 * somebody all the time, for an instant; so it is looked at twice, and only what is the
 * same is told.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "commands.h"

#define LOOK_NS 200000000
#define MOST 3

static const char *name_of_blame(uint32_t what)
{
	static const char *const names[] = {"?", "consumer", "record", "claim"};

	return names[what <= SHR_BLAME_CLAIM ? what : 0];
}

static void put_member(const struct shr_inspect *inspect, const struct style *style, uint32_t number)
{
	struct shr_member_info member;

	if (shr_inspect_member(inspect, number, &member)) {
		printf("member %" PRIu32 ", which is impossible", number);
		return;
	}
	printf("member %" PRIu32 ", pid %" PRIu32 "%s ", number, member.pid,
	       member.same_namespace ? "" : " (of another namespace)");
	text_string(stdout, member.command);
	printf(", %s%s%s", member.state == SHR_MEMBER_ALIVE ? "" : BAD(style),
	       name_of_member_state(member.state), PLAIN(style));
}

/* Which cursor of a ring that has several is it? */
static int find_gate(const struct shr_inspect *inspect, uint32_t index, uint32_t places,
		     const struct shr_blame *blame, struct shr_cursor_info *cursor)
{
	if (blame->what != SHR_BLAME_CONSUMER || places < 2)
		return 0;
	for (uint32_t i = 0; i < places; i++)
		if (!shr_inspect_cursor(inspect, index, i, cursor) &&
		    !(cursor->flags & SHR_CURSOR_LOSSY) && cursor->position == blame->position &&
		    cursor->member == blame->member)
			return 1;
	return 0;
}

static void blame_text(const struct shr_inspect *inspect, const struct style *style,
		       const char *object, const struct shr_blame *blame,
		       const struct shr_cursor_info *gate)
{
	fputs(BOLD(style), stdout);
	text_string(stdout, object);
	printf("%s: ", PLAIN(style));
	switch (blame->what) {
	case SHR_BLAME_CONSUMER:
		printf("full, %" PRIu64 " bytes unread from position %" PRIu64 ": waits for ",
		       blame->unread, blame->position);
		if (gate) {
			fputs("cursor ", stdout);
			text_string(stdout, gate->name);
			fputs(blame->member ? ", " : ", which nobody has open", stdout);
		}
		if (blame->member)
			put_member(inspect, style, blame->member);
		else if (!gate)
			fputs("a consumer, and there is none", stdout);
		break;
	case SHR_BLAME_RECORD:
		printf("the record at position %" PRIu64 " is reserved and not committed by ",
		       blame->position);
		put_member(inspect, style, blame->member);
		break;
	default:
		fputs("the claim lock is held by ", stdout);
		put_member(inspect, style, blame->member);
	}
	printf(", for at least %.1f s\n", LOOK_NS / 1e9);
}

static json_t *blame_json(const char *object, const struct shr_blame *blame,
			  const struct shr_cursor_info *gate)
{
	json_t *json = json_object();

	json_put_bytes(json, "object", object);
	json_put(json, "what", json_enum(name_of_blame(blame->what), blame->what));
	if (gate)
		json_put_bytes(json, "cursor", gate->name);
	json_put(json, "member", json_integer(blame->member));
	json_put(json, "position", json_u64(blame->position));
	json_put(json, "unread_bytes", json_u64(blame->unread));
	json_put(json, "held_ns", json_u64(LOOK_NS));
	return json;
}

static int stays(const struct shr_blame *blame, const struct shr_blame *before, int count)
{
	for (int i = 0; i < count; i++)
		if (before[i].what == blame->what && before[i].member == blame->member &&
		    before[i].position == blame->position)
			return 1;
	return 0;
}

/* One look at every ring: what each says, -errno where it cannot be told. */
struct look {
	struct shr_blame blame[SHR_OBJECTS_MAX][MOST];
	int count[SHR_OBJECTS_MAX];
};

static void look(const struct shr_inspect *inspect, uint32_t objects, struct look *look)
{
	for (uint32_t i = 0; i < objects && i < SHR_OBJECTS_MAX; i++)
		look->count[i] = shr_inspect_blame(inspect, i, look->blame[i], MOST);
}

static int tell(const struct shr_inspect *inspect, const struct style *style, const char *name,
		uint32_t objects, const struct look *first, const struct look *second, json_t *list,
		int *all)
{
	struct shr_object_info object;
	int told = 0, result = 0;

	for (uint32_t i = 0; i < objects && i < SHR_OBJECTS_MAX; i++) {
		if (shr_inspect_object(inspect, i, &object) || object.kind != SHR_OBJECT_RING)
			continue;
		if (second->count[i] < 0) { /* say it again, for the sentence */
			struct shr_blame again[MOST];

			result = failed(name, shr_inspect_blame(inspect, i, again, MOST));
			continue;
		}
		for (int j = 0; j < second->count[i]; j++) {
			const struct shr_blame *blame = &second->blame[i][j];
			struct shr_cursor_info cursor, *gate = NULL;

			if (!stays(blame, first->blame[i], first->count[i]))
				continue;
			told++;
			if (find_gate(inspect, i, object.ring.cursors, blame, &cursor))
				gate = &cursor;
			if (style->format == FORMAT_TEXT)
				blame_text(inspect, style, object.name, blame, gate);
			else
				json_array_append_new(list, blame_json(object.name, blame, gate));
		}
	}
	*all += told;
	return result;
}

/* --- Tables ------------------------------------------------------------------ */

#define THE_TABLE UINT32_MAX /* instead of a slot: the lock of inserts and removes */

/* A lock that somebody holds, or a torn record in the slot, that nobody has locked. */
struct held {
	uint32_t object;
	uint32_t slot;
	uint64_t acquired; /* times, when it was looked at */
	uint32_t owner;    /* 0: torn */
	uint32_t last_dead;
	uint32_t waiters;
};

struct all_held {
	struct held *held;
	size_t count, room;
};

/* @held by what was seen of it. 1: it is held or torn. */
static int held_view(struct held *held, uint32_t mode, const struct shr_slot_info *slot,
		     const struct shr_mutex_info *lock)
{
	held->acquired = lock->acquired;
	held->owner = lock->owner;
	held->last_dead = lock->last_dead;
	held->waiters = lock->waiters;
	return lock->owner ||
	       (mode == SHR_TABLE_IN_PLACE && slot->generation & slot->sequence & 1);
}

/* 1: it is held or torn; 0, or -errno. */
static int held_now(const struct shr_inspect *inspect, uint32_t mode, struct held *held)
{
	struct shr_slot_info slot = {0};
	struct shr_mutex_info lock;
	int err = held->slot == THE_TABLE ? shr_inspect_table_lock(inspect, held->object, &lock)
					  : shr_inspect_slot(inspect, held->object, held->slot,
							     NULL, 0, &slot, &lock);

	return err ? err : held_view(held, mode, &slot, &lock);
}

static int held_add(struct all_held *all, const struct held *one)
{
	if (all->count == all->room) {
		size_t room = all->room ? 2 * all->room : 64;
		struct held *more = realloc(all->held, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		all->held = more;
		all->room = room;
	}
	all->held[all->count++] = *one;
	return 0;
}

/* All that is held in a table: 0, or -errno, and what comes after it was looked at, too. */
static int look_at_table(const struct shr_inspect *inspect, uint32_t index, struct all_held *all)
{
	struct shr_table_status table;
	struct held held = {.object = index, .slot = THE_TABLE};
	struct shr_mutex_info lock;
	struct shr_slot_info slot;
	int result = shr_inspect_table(inspect, index, &table), err, found;

	if (result)
		return result;
	err = held_now(inspect, table.mode, &held);
	if (err > 0)
		err = held_add(all, &held);
	if (err && err != -EBADMSG)
		return err;
	result = err;
	for (held.slot = 0; held.slot < table.slots; held.slot++) {
		found = shr_inspect_next_lock(inspect, index, &held.slot, &slot, &lock);
		if (!found)
			break;
		err = found < 0 ? found : held_view(&held, table.mode, &slot, &lock);
		if (err > 0)
			err = held_add(all, &held);
		if (err && err != -EBADMSG)
			return err;
		result = err ? err : result;
	}
	return result;
}

static void held_text(const struct shr_inspect *inspect, const struct style *style,
		      const char *object, const struct held *held)
{
	fputs(BOLD(style), stdout);
	text_string(stdout, object);
	if (held->slot != THE_TABLE)
		printf("[%" PRIu32 "]", held->slot);
	printf("%s: ", PLAIN(style));
	if (held->owner) {
		fputs(held->slot == THE_TABLE ? "an insert or remove by " : "an update by ",
		      stdout);
		put_member(inspect, style, held->owner);
	} else {
		fputs("torn: ", stdout);
		if (held->last_dead)
			printf("member %" PRIu32, held->last_dead);
		else
			fputs("somebody", stdout);
		fputs(" died inside an update; readers get nothing until it is repaired", stdout);
	}
	if (held->waiters && held->owner)
		fputs(", others wait", stdout);
	printf(", for at least %.1f s\n", LOOK_NS / 1e9);
}

static json_t *held_json(const char *object, const struct held *held)
{
	json_t *json = json_object();

	json_put_bytes(json, "object", object);
	json_put(json, "what",
		 json_string(!held->owner              ? "torn"
			     : held->slot == THE_TABLE ? "table"
						       : "update"));
	if (held->slot != THE_TABLE)
		json_put(json, "slot", json_integer(held->slot));
	json_put(json, "member", json_integer(held->owner ? held->owner : held->last_dead));
	json_put(json, "waiters", json_boolean(held->owner && held->waiters));
	json_put(json, "held_ns", json_u64(LOOK_NS));
	return json;
}

/* Of what was held before, that which still is, by the same, for the same time. */
static int tell_held(const struct shr_inspect *inspect, const struct style *style,
		     const struct all_held *all, json_t *list)
{
	struct shr_table_status table;
	struct shr_object_info object;
	int told = 0;

	for (size_t i = 0; i < all->count; i++) {
		const struct held *before = &all->held[i];
		struct held now = *before;

		if (shr_inspect_table(inspect, before->object, &table) ||
		    shr_inspect_object(inspect, before->object, &object) ||
		    held_now(inspect, table.mode, &now) <= 0 || now.owner != before->owner ||
		    now.acquired != before->acquired)
			continue;
		told++;
		if (style->format == FORMAT_TEXT)
			held_text(inspect, style, object.name, &now);
		else
			json_array_append_new(list, held_json(object.name, &now));
	}
	return told;
}

/* The exit status. */
static int look_at_tables(const struct shr_inspect *inspect, const char *name, uint32_t objects,
			  struct all_held *all)
{
	struct shr_object_info object;
	int result = 0;

	for (uint32_t i = 0; i < objects; i++) {
		int err;

		if (shr_inspect_object(inspect, i, &object) || object.kind != SHR_OBJECT_TABLE)
			continue;
		err = look_at_table(inspect, i, all);
		result = err ? failed(name, err) : result;
	}
	return result;
}

int command_blame(const struct shr_inspect *inspect, const struct style *style, const char *name)
{
	struct shr_segment_info info;
	struct look first = {0}, second = {0};
	struct all_held held = {0};
	json_t *json, *list;
	int told = 0, bad, result, err = shr_inspect_segment(inspect, &info);

	if (err)
		return failed(name, err);
	look(inspect, info.objects, &first);
	bad = look_at_tables(inspect, name, info.objects, &held);
	if (!style->still)
		nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
	look(inspect, info.objects, &second);
	list = json_array();
	result = tell(inspect, style, name, info.objects, &first, &second, list, &told);
	told += tell_held(inspect, style, &held, list);
	free(held.held);
	result = result ? result : bad;
	if (style->format == FORMAT_TEXT) {
		if (!told && !result)
			puts("nobody holds up a ring or a table; for mutexes see locks");
		json_decref(list);
		return result;
	}
	json = json_object();
	json_put(json, "v", json_integer(1));
	json_put_bytes(json, "segment", name);
	json_put(json, "blame", list);
	show_json(style, json);
	return result;
}
