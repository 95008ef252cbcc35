/* SPDX-License-Identifier: MIT */
/* shmring-dump check: is anything damaged? */
#include <inttypes.h>
#include <stdlib.h>

#include "commands.h"
#include "progress.h"

struct report {
	const struct shr_inspect *inspect;
	const struct style *style;
	json_t *list;
	uint64_t damaged, left;
};

static const char *name_of_damage(uint32_t code)
{
	static const char *const names[] = {"?", "object", "position", "record", "zero",
					    "owner",  "lost",   "index",    "torn",   "left"};

	return names[code < sizeof(names) / sizeof(names[0]) ? code : 0];
}

/* What a death has left, and the next one to come mends. */
static int is_left(uint32_t code)
{
	return code == SHR_DAMAGE_TORN || code == SHR_DAMAGE_LEFT;
}

static int tell(const struct shr_damage *damage, void *argument)
{
	struct report *report = argument;
	const struct style *style = report->style;
	struct shr_object_info object = {.name = "?"};
	json_t *json;

	shr_inspect_object(report->inspect, damage->object, &object);
	report->damaged += !is_left(damage->code);
	report->left += is_left(damage->code);
	if (style->format == FORMAT_TEXT) {
		progress_clear();
		fputs(BOLD(style), stdout);
		text_string(stdout, object.name);
		printf("%s: %s%s%s: ", PLAIN(style), is_left(damage->code) ? "" : BAD(style),
		       name_of_damage(damage->code), is_left(damage->code) ? "" : PLAIN(style));
		text_string(stdout, damage->text);
		putchar('\n');
		return 0;
	}
	json = json_object();
	json_put_bytes(json, "object", object.name);
	json_put(json, "code", json_enum(name_of_damage(damage->code), damage->code));
	json_put(json, "damage", json_boolean(!is_left(damage->code)));
	json_put(json, "number", json_integer(damage->number));
	json_put(json, "position", json_u64(damage->position));
	json_put_bytes(json, "text", damage->text);
	json_array_append_new(report->list, json);
	return 0;
}

int command_check(const struct shr_inspect *inspect, const struct style *style, const char *name)
{
	struct report report = {.inspect = inspect, .style = style, .list = json_array()};
	int err = shr_inspect_check(inspect, tell, &report);
	json_t *json;

	progress_clear();
	if (err || style->format == FORMAT_TEXT) {
		json_decref(report.list);
		if (err)
			return failed(name, err);
		if (report.damaged || report.left)
			printf("%" PRIu64 " damaged, %" PRIu64
			       " left by the dead, which the next one to come mends\n",
			       report.damaged, report.left);
		else
			puts("no damage");
		return report.damaged ? EXIT_DAMAGED : 0;
	}
	json = json_object();
	json_put(json, "v", json_integer(1));
	json_put_bytes(json, "segment", name);
	json_put(json, "damaged", json_u64(report.damaged));
	json_put(json, "left", json_u64(report.left));
	json_put(json, "found", report.list);
	show_json(style, json);
	return report.damaged ? EXIT_DAMAGED : 0;
}
