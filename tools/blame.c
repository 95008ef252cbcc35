/* SPDX-License-Identifier: MIT */
/*
 * shmring-dump blame: who holds up a ring. A ring at work is held up by somebody
 * all the time, for an instant; so it is looked at twice, and only what is the same
 * is told.
 */
#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "commands.h"

#define LOOK_NS 200000000
#define MOST 3

static const char *name_of_blame(uint32_t what)
{
	return what == SHR_BLAME_CONSUMER ? "consumer" : what == SHR_BLAME_RECORD ? "record" : "claim";
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
	json_put(json, "what", json_string(name_of_blame(blame->what)));
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
		uint32_t objects, const struct look *first, const struct look *second, json_t *list)
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
	if (!told && !result && style->format == FORMAT_TEXT)
		puts("nobody holds up a ring; for mutexes see locks");
	return result;
}

int command_blame(const struct shr_inspect *inspect, const struct style *style, const char *name)
{
	struct shr_segment_info info;
	struct look first = {0}, second = {0};
	json_t *json, *list;
	int result, err = shr_inspect_segment(inspect, &info);

	if (err)
		return failed(name, err);
	look(inspect, info.objects, &first);
	nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
	look(inspect, info.objects, &second);
	list = json_array();
	result = tell(inspect, style, name, info.objects, &first, &second, list);
	if (style->format == FORMAT_TEXT) {
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
