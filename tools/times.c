/* SPDX-License-Identifier: MIT */
/* shmring-dump: times, read and written. */
#include "times.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "commands.h"

#define SECOND_NS UINT64_C(1000000000)
/* The last whole second of a 64-bit time in ns: in the year 2554. */
#define SECONDS_MAX (UINT64_MAX / SECOND_NS - 1)

static enum time_style time_style; /* of all output of this program */

void time_set_style(enum time_style style)
{
	time_style = style;
}

static uint64_t time_of(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

uint64_t time_now(void)
{
	return time_of(CLOCK_REALTIME);
}

uint64_t time_steady(void)
{
	return time_of(CLOCK_MONOTONIC);
}

/* @fraction: with what is behind the second. */
static void put(FILE *out, uint64_t time_ns, int fraction)
{
	time_t seconds = (time_t)(time_ns / SECOND_NS);
	struct tm tm, *ok = time_style == TIMES_UTC ? gmtime_r(&seconds, &tm)
						    : localtime_r(&seconds, &tm);
	char text[32];

	if (time_style != TIMES_UNIX && ok &&
	    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm))
		fputs(text, out);
	else
		fprintf(out, "%" PRIu64, time_ns / SECOND_NS);
	if (fraction)
		fprintf(out, ".%09" PRIu64, time_ns % SECOND_NS);
	if (time_style == TIMES_UTC)
		fputc('Z', out);
}

void put_time(uint64_t time_ns)
{
	put(stdout, time_ns, 0);
}

void time_write(FILE *out, uint64_t time_ns)
{
	put(out, time_ns, 0);
}

void put_time_ns(uint64_t time_ns)
{
	put(stdout, time_ns, 1);
}

/* ".5" or nothing: nanoseconds. */
static const char *parse_fraction(const char *text, uint64_t *ns)
{
	uint64_t unit = SECOND_NS / 10;

	*ns = 0;
	if (*text != '.')
		return text;
	for (text++; *text >= '0' && *text <= '9'; text++, unit /= 10)
		*ns += (uint64_t)(*text - '0') * unit;
	return text;
}

static int parse_unix(const char *text, uint64_t *time_ns)
{
	uint64_t seconds, ns;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	seconds = strtoull(text, &end, 10);
	if (errno || seconds > SECONDS_MAX || *parse_fraction(end, &ns))
		return -EINVAL;
	*time_ns = seconds * SECOND_NS + ns;
	return 0;
}

static int parse_ago(const char *text, uint64_t *time_ns)
{
	static const char units[] = "smhd";
	static const uint64_t seconds[] = {1, 60, 3600, 86400};
	uint64_t number, now = time_now();
	const char *unit;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &end, 10);
	unit = *end ? strchr(units, *end) : NULL;
	if (errno || !unit || end[1])
		return -EINVAL;
	if (number > now / SECOND_NS / seconds[unit - units]) /* before 1970 */
		*time_ns = 0;
	else
		*time_ns = now - number * seconds[unit - units] * SECOND_NS;
	return 0;
}

static int parse_date(const char *text, uint64_t *time_ns)
{
	struct tm tm = {.tm_isdst = -1}, normal;
	uint64_t ns = 0;
	time_t seconds;
	int date = 0, all = 0;

	sscanf(text, "%4d-%2d-%2d%n%*1[T ]%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
	       &date, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &all);
	/* All digits, as many as belong there. */
	if (date != 10 || (all && all != 19) || strcspn(text, " +") < 10)
		return -EINVAL;
	text = all ? parse_fraction(text + all, &ns) : text + date;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	normal = tm;
	if (!strcmp(text, "Z"))
		seconds = timegm(&normal);
	else if (!*text)
		seconds = mktime(&normal);
	else
		return -EINVAL;
	/* The 30th of February would be another day. An hour may be, where clocks are put on. */
	if (seconds < 0 || (uint64_t)seconds > SECONDS_MAX || normal.tm_mday != tm.tm_mday ||
	    normal.tm_mon != tm.tm_mon || tm.tm_hour < 0 || tm.tm_hour > 23 || tm.tm_min < 0 ||
	    tm.tm_min > 59 || tm.tm_sec < 0 || tm.tm_sec > 60)
		return -EINVAL;
	*time_ns = (uint64_t)seconds * SECOND_NS + ns;
	return 0;
}

int time_parse(const char *text, uint64_t *time_ns)
{
	return *text == '@'   ? parse_unix(text + 1, time_ns)
	       : *text == '-' ? parse_ago(text + 1, time_ns)
			      : parse_date(text, time_ns);
}
