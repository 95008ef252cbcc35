/* SPDX-License-Identifier: MIT */
/* shmring-dump: the slots of a table. */
#include "slot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#define PAYLOAD_MAX ((size_t)1 << 20) /* copied of one record */
#define PATIENCE    10                /* looks at one that is being changed, */
#define PAUSE_NS    1000000           /* and between them */

int slots_open(struct slots *slots, const struct shr_inspect *inspect, uint32_t index)
{
	int err;

	*slots = (struct slots){.inspect = inspect, .index = index};
	err = shr_inspect_object(inspect, index, &slots->object);
	if (!err)
		err = shr_inspect_table(inspect, index, &slots->status);
	if (err)
		return err;
	slots->room = slots->status.record_size < PAYLOAD_MAX ? (size_t)slots->status.record_size
							      : PAYLOAD_MAX;
	slots->payload = malloc(slots->room);
	return slots->payload ? 0 : -ENOMEM;
}

void slots_close(struct slots *slots)
{
	free(slots->payload);
}

/* Its numbers, and who is inside or died there. */
static int look_around(const struct slots *slots, struct slot *slot)
{
	struct shr_mutex_info lock = {0};
	struct shr_member_info member;
	int err, odd;

	err = shr_inspect_slot(slots->inspect, slots->index, slot->number, NULL, 0, &slot->info,
			       &lock);
	if (err == -EBADMSG) /* the lock is spoilt: nothing that it says counts */
		err = shr_inspect_slot(slots->inspect, slots->index, slot->number, NULL, 0,
				       &slot->info, NULL);
	if (err)
		return err;
	odd = slots->status.mode == SHR_TABLE_IN_PLACE && slot->info.sequence & 1;
	slot->state = odd ? SLOT_TORN : SLOT_FAST;
	slot->member = odd ? lock.owner ? lock.owner : lock.last_dead : 0;
	if (odd && lock.owner && !shr_inspect_member(slots->inspect, lock.owner, &member) &&
	    member.state == SHR_MEMBER_ALIVE)
		slot->state = SLOT_BUSY;
	return slot->info.generation & 1 ? 0 : -ENOENT;
}

int slot_look(struct slots *slots, uint32_t number, int patience, struct slot *slot)
{
	for (int i = 1;; i++) {
		int err;

		*slot = (struct slot){.number = number};
		err = shr_inspect_slot(slots->inspect, slots->index, number, slots->payload,
				       slots->room, &slot->info, NULL);
		if (err != -EAGAIN && err != -ENOENT)
			return err;
		err = look_around(slots, slot);
		if (err || slot->state == SLOT_TORN || i >= (patience ? PATIENCE : 1))
			return err;
		nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
	}
}

int slots_each(struct slots *slots, int (*each)(const struct slot *slot, void *argument),
	       void *argument)
{
	struct shr_slot_info info[SLOTS_MANY];
	int count = 0, err = 0;

	for (uint32_t first = 0; !err; first += (uint32_t)count) {
		count = shr_inspect_slots(slots->inspect, slots->index, first, SLOTS_MANY, info);
		if (count <= 0)
			return count;
		for (int i = 0; !err && i < count; i++) {
			struct slot slot;

			if (!(info[i].generation & 1))
				continue;
			err = slot_look(slots, first + (uint32_t)i, 1, &slot);
			err = err == -ENOENT ? 0 : err ? err : each(&slot, argument);
		}
	}
	return err;
}

int slots_commits(const struct slots *slots, uint64_t *commits)
{
	struct shr_slot_info info[SLOTS_MANY];
	uint64_t sum = 0;
	int count = 0;

	for (uint32_t first = 0;; first += (uint32_t)count) {
		count = shr_inspect_slots(slots->inspect, slots->index, first, SLOTS_MANY, info);
		for (int i = 0; i < count; i++)
			sum += info[i].version - info[i].generation;
		if (count <= 0)
			break;
	}
	*commits = sum;
	return count;
}

const char *slot_state_name(const struct slot *slot)
{
	static const char *const names[] = {"ready", "busy", "torn", "fast"};

	return slot->info.generation & 1 ? names[slot->state] : "free";
}

/* --- Shown ------------------------------------------------------------------- */

struct shr_walk_record slots_record(const struct slots *slots)
{
	return (struct shr_walk_record){.payload = slots->payload,
					.size = slots->status.record_size,
					.copied = slots->room};
}

void slot_text_payload(const struct style *style, const struct slots *slots)
{
	const struct shr_schema *schema = slots->object.schema;
	struct shr_walk_record record = slots_record(slots);

	if (!schema) {
		text_hex(stdout, style, &record);
	} else if (slots->status.mode == SHR_TABLE_COUNTERS) {
		text_labels(stdout, style, schema, slots->status.key_field, &record);
		putchar('\n');
		text_counters(stdout, schema, slots->status.key_field, &record);
		return;
	} else {
		text_record(stdout, style, schema, &record);
	}
	putchar('\n');
}

int slot_text_head(const struct style *style, const struct slots *slots, const struct slot *slot,
		   const struct slot_change *change)
{
	fputs(BOLD(style), stdout);
	text_string(stdout, slots->object.name);
	printf("[%" PRIu32 "]%s", slot->number, PLAIN(style));
	if (change)
		printf(" %s", change->what);
	printf(" v%" PRIu64, slot->info.version);
	if (change && change->count > 1)
		printf(", %" PRIu64 " changes since v%" PRIu64, change->count, change->since);
	if (!(slot->info.generation & 1)) {
		putchar('\n');
		return 0;
	}
	putchar(':');
	switch (slot->state) {
	case SLOT_READY:
		return 1;
	case SLOT_BUSY:
		printf(" %sbeing changed, member %" PRIu32 "%s\n", BAD(style), slot->member,
		       PLAIN(style));
		break;
	case SLOT_TORN:
		printf(" %storn: ", BAD(style));
		if (slot->member)
			printf("member %" PRIu32, slot->member);
		else
			fputs("somebody", stdout);
		printf(" died inside an update%s\n", PLAIN(style));
		break;
	default:
		printf(" %schanges too fast to be copied%s\n", BAD(style), PLAIN(style));
	}
	return 0;
}

void slot_text(const struct style *style, const struct slots *slots, const struct slot *slot,
	       const struct slot_change *change)
{
	if (slot_text_head(style, slots, slot, change))
		slot_text_payload(style, slots);
}

json_t *slot_json(const struct slots *slots, const struct slot *slot,
		  const struct slot_change *change)
{
	int used = slot->info.generation & 1;
	json_t *json = json_object();

	json_put(json, "v", json_integer(1));
	json_put_bytes(json, "object", slots->object.name);
	json_put(json, "slot", json_integer(slot->number));
	json_put(json, "version", json_u64(slot->info.version));
	json_put(json, "generation", json_u64(slot->info.generation));
	json_put(json, "state", json_string(slot_state_name(slot)));
	if (change) {
		json_put(json, "change", json_string(change->what));
		json_put(json, "changes", json_u64(change->count));
	}
	if (used && slot->member)
		json_put(json, "member", json_integer(slot->member));
	return json;
}
