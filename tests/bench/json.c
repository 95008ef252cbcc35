/* SPDX-License-Identifier: MIT */
/* The same figures for programs. */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <sys/utsname.h>

#ifdef HAVE_JANSSON
#include <jansson.h>

static json_t *row_name(int row)
{
	return json_sprintf("%s: %s", plan.row[row].group, plan.row[row].name);
}

/* As many digits as a measurement has. */
static json_t *number(double value)
{
	char text[40];
	double rounded = value;

	snprintf(text, sizeof(text), "%.4g", value);
	if (sscanf(text, "%lf", &rounded) != 1)
		return json_real(value);
	return json_real(rounded);
}

static json_t *row_json(int row, enum distance distance)
{
	struct figure figure = figure_of(row, distance);
	json_t *object = json_object();

	json_object_set_new(object, "name", row_name(row));
	json_object_set_new(object, "placement", json_string(distance_name[distance]));
	json_object_set_new(object, "value", figure.runs ? number(figure.value) : json_null());
	json_object_set_new(object, "unit", json_string(plan.row[row].unit));
	json_object_set_new(object, "min", number(figure.least));
	json_object_set_new(object, "max", number(figure.most));
	json_object_set_new(object, "runs", json_integer(figure.runs));
	json_object_set_new(object, "disturbed", json_boolean(figure.disturbed));
	return object;
}

static json_t *or_null(json_t *value)
{
	return value ? value : json_null();
}

/* What it is held against; all keys are there, null where there is nothing to say. */
static void comparison_set(json_t *object, const struct comparison *comparison,
			   enum distance distance)
{
	struct judged judged = {.verdict = NO_FIGURE};
	json_t *against = NULL, *ratio = NULL, *target = NULL, *bound = NULL, *met = NULL;

	if (comparison) {
		judged = judge(comparison, distance);
		if (comparison->to >= 0) {
			ratio = number(judged.ratio);
			against = row_name(comparison->to);
		}
		if (comparison->target[distance] > 0) {
			target = number(comparison->target[distance]);
			bound = json_string(comparison->at_most ? "most" : "least");
		}
		if (judged.verdict == MET || judged.verdict == NOT_MET)
			met = json_boolean(judged.verdict == MET);
	}
	json_object_set_new(object, "ratio", or_null(ratio));
	json_object_set_new(object, "against", or_null(against));
	json_object_set_new(object, "target", or_null(target));
	json_object_set_new(object, "bound", or_null(bound));
	json_object_set_new(object, "met", or_null(met));
}

/* An array element of each comparison, or one of a row that is held against none. */
static void row_append(json_t *array, int row, enum distance distance)
{
	json_t *object;
	int n = 0;

	if (!figure_of(row, distance).runs)
		return;
	for (int i = 0; i <= plan.comparisons; i++) {
		const struct comparison *comparison =
			i < plan.comparisons ? &plan.comparison[i] : NULL;

		if (comparison &&
		    (comparison->of != row || judge(comparison, distance).verdict == NO_FIGURE))
			continue;
		if (!comparison && n)
			continue;
		object = row_json(row, distance);
		comparison_set(object, comparison, distance);
		json_array_append_new(array, object);
		n++;
	}
}

static json_t *machine_json(void)
{
	struct utsname system = {.release = "?"};
	char model[120];

	uname(&system);
	machine_model(model, sizeof(model));
	return json_sprintf("%s, %s %s", model, system.sysname, system.release);
}

/* A row a line, so that two results can be compared line by line. */
static void lines_write(FILE *stream, json_t *array)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		fputs(i ? ",\n" : "\n", stream);
		json_dumpf(json_array_get(array, i), stream,
			   JSON_REAL_PRECISION(6) | JSON_ENCODE_ANY);
	}
	fputs("\n", stream);
}

int json_write(const char *path, struct results *results)
{
	json_t *array = json_array(), *left = json_array(), *machine = machine_json();
	FILE *stream = fopen(path, "we");
	int err = -1;

	if (!stream)
		goto unref;
	for (int i = DISTANCES - 1; i > SIBLING; i--)
		for (int row = 0; row < plan.rows; row++)
			row_append(array, row, (enum distance)i);
	for (int i = 0; i < plan.left_out; i++)
		json_array_append_new(left, json_string(plan.left[i]));
	fputs("{\"machine\": ", stream);
	json_dumpf(machine, stream, JSON_ENCODE_ANY);
	fprintf(stream,
		",\n\"version\": \"%s\", \"seconds\": %.0f, \"disturbed\": %d,\n\"rows\": [",
		shr_version(), results->seconds, results->disturbed);
	lines_write(stream, array);
	fputs("],\n\"left_out\": [", stream);
	lines_write(stream, left);
	fputs("]}\n", stream);
	err = ferror(stream) ? -1 : 0;
	if (fclose(stream))
		err = -1;
unref:
	json_decref(machine);
	json_decref(array);
	json_decref(left);
	return err;
}

#else

int json_write(const char *path, struct results *results)
{
	(void)path;
	(void)results;
	errno = ENOTSUP;
	return -1;
}

#endif
