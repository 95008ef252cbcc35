/* SPDX-License-Identifier: MIT */
/* shmring bench: what is measured, and how it is shown. bench.c measures. */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "operate.h"

#define SECONDS     3.0
#define SECONDS_MAX 3600.0
#define WAITED      0.02 /* from here on it is told */

struct request {
	struct bench bench;
	int json;
};

/* --- Options ---------------------------------------------------------------------- */

static const struct option_row options[] = {
	{'n', "time", "SECONDS", "measure as long as this, in all; 3 if not given"},
	{'s', "sizes", "BYTES,...", "of the records; 8,64,256,1k,4k if not given"},
	{'o', "output", "FORMAT", "text (the default) or json"},
	{0}};

static int take_seconds(struct bench *bench, const char *text)
{
	char *end;

	bench->seconds = strtod(text, &end);
	if (*text < '0' || *text > '9' || *end ||
	    !(bench->seconds > 0 && bench->seconds <= SECONDS_MAX))
		return operate_usage("%s is no number of seconds: more than 0, at most %.0f", text,
				     SECONDS_MAX);
	return 0;
}

static int take_sizes(struct bench *bench, const char *text)
{
	char *words = strdup(text), *rest = words, *word;
	int result = words ? 0 : operate_no_memory();

	bench->sizes = 0;
	while (!result && (word = strsep(&rest, ","))) {
		uint64_t size = 0;

		if (operate_number(word, 1, SIZE_LIMIT, &size) || size < SIZE_MIN)
			result = operate_usage("%s is no size of a record: %d to %d bytes", word,
					       SIZE_MIN, SIZE_LIMIT);
		else if (bench->sizes == SIZES_MAX)
			result = operate_usage("more than %d sizes", SIZES_MAX);
		else
			bench->size[bench->sizes++] = size;
	}
	free(words);
	return result;
}

static int take(void *request, int letter, const char *argument)
{
	struct request *wanted = request;

	if (letter == 'n')
		return take_seconds(&wanted->bench, argument);
	if (letter == 's')
		return take_sizes(&wanted->bench, argument);
	if (strcmp(argument, "text") && strcmp(argument, "json"))
		return operate_usage("%s is neither text nor json", argument);
	wanted->json = !strcmp(argument, "json");
	return 0;
}

/* --- What is shown -------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void show_line(double value, const char *unit,
							    const char *format, ...)
{
	int decimals = value >= 100 ? 0 : value >= 10 ? 1 : value >= 0.1 ? 2 : 6;
	va_list arguments;
	char what[64];

	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	printf("%-40s %10.*f %s\n", what, decimals, value, unit);
}

static void show_text(const struct bench *bench)
{
	for (size_t i = 0; i < bench->sizes; i++)
		show_line(bench->stream[i] / 1e6, "million records/s", "one way, %" PRIu64 " bytes",
			  bench->size[i]);
	show_line(bench->busy.p50, "ns", "round trip of 64 bytes, busy, p50");
	show_line(bench->busy.p99, "ns", "round trip of 64 bytes, busy, p99");
	show_line(bench->asleep.p50, "ns", "round trip of 64 bytes, asleep, p50");
	show_line(bench->asleep.p99, "ns", "round trip of 64 bytes, asleep, p99");
	show_line(bench->write_ns, "ns", "table, write a record of %d bytes", RECORD_SIZE);
	show_line(bench->read_ns, "ns", "table, read a record of %d bytes", RECORD_SIZE);
	putchar('\n');
	if (bench->one_cpu)
		puts("Two processes on one cpu.");
	else if (bench->cpu[1] < 0)
		puts("Two processes on any cpus.");
	else
		printf("Two processes on the cpus %d and %d.\n", bench->cpu[0], bench->cpu[1]);
	if (bench->waited >= WAITED && !bench->one_cpu)
		printf("They waited for their cpus, which others had, %.0f%% of the time.\n",
		       bench->waited * 100);
	puts("The figures depend on which cpus are used, and on what else runs meanwhile.\n"
	     "\"make bench\" in the source compares with other libraries, and with what the\n"
	     "machine can do.");
}

static json_t *json_round(double value)
{
	return json_integer((json_int_t)(value + 0.5));
}

static json_t *json_quantiles(struct quantiles quantiles)
{
	json_t *json = json_object();

	json_put(json, "p50_ns", json_round(quantiles.p50));
	json_put(json, "p99_ns", json_round(quantiles.p99));
	return json;
}

static int show_json(const struct bench *bench)
{
	json_t *json = json_object(), *cpus = json_array(), *stream = json_array();
	json_t *trip = json_object(), *table = json_object();
	int err;

	for (int i = 0; i < 2 && bench->cpu[1] >= 0; i++)
		json_array_append_new(cpus, json_integer(bench->cpu[i]));
	for (size_t i = 0; i < bench->sizes; i++) {
		json_t *row = json_object();

		json_put(row, "size", json_integer((json_int_t)bench->size[i]));
		json_put(row, "records_per_second", json_round(bench->stream[i]));
		json_array_append_new(stream, row);
	}
	json_put(trip, "size", json_integer(TRIP_SIZE));
	json_put(trip, "busy", json_quantiles(bench->busy));
	json_put(trip, "asleep", json_quantiles(bench->asleep));
	json_put(table, "slots", json_integer(SLOTS));
	json_put(table, "size", json_integer(RECORD_SIZE));
	json_put(table, "write_ns", json_real(bench->write_ns));
	json_put(table, "read_ns", json_real(bench->read_ns));
	json_put(json, "v", json_integer(1));
	json_put(json, "version", json_string(shr_version()));
	json_put(json, "seconds", json_real(bench->seconds));
	json_put(json, "cpus", cpus);
	json_put(json, "waited", bench->waited < 0 ? json_null() : json_real(bench->waited));
	json_put(json, "one_way", stream);
	json_put(json, "round_trip", trip);
	json_put(json, "table", table);
	err = json_write(json, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(json);
	return err ? EXIT_FAILURE : 0;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct request wanted = {
		.bench = {.seconds = SECONDS, .sizes = 5, .size = {8, 64, 256, 1024, 4096}}};
	int result = operate_options(command, argc, argv, 0, 1, &wanted);
	char name[32];

	if (result != NO_COMMAND)
		return result;
	operate_catch_signals();
	snprintf(name, sizeof(name), "/shmring-bench-%d", (int)getpid());
	result = bench_run(&wanted.bench, argc > optind ? argv[optind] : name);
	if (result)
		return result;
	if (wanted.json)
		return show_json(&wanted.bench);
	show_text(&wanted.bench);
	return 0;
}

const struct command command_bench = {.name = "bench",
				      .arguments = "[SEGMENT]",
				      .summary = "Measure what this machine does.",
				      .options = options,
				      .take = take,
				      .run = run};
