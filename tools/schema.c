/* SPDX-License-Identifier: MIT */
/* shmring-dump schema: the types of records, as C, and what differs between two segments. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "image.h"

/* --- Text and JSON --------------------------------------------------------------- */

#define NUMBER_MAX 24

/* The value that has the name. */
static const char *number_of(const struct shr_field *field, const struct shr_enum_name *name,
			     char number[NUMBER_MAX])
{
	snprintf(number, NUMBER_MAX, field->kind == SHR_KIND_U64 ? "%" PRIu64 : "%" PRId64,
		 name->value);
	return number;
}

/* "0 buy, 1 sell", in lines below the field's name. */
static void enum_text(const struct shr_field *field)
{
	enum { INDENT = 21, WIDTH = 80 };
	int column = WIDTH;

	for (uint32_t i = 0; i < field->name_count; i++) {
		const struct shr_enum_name *name = &field->names[i];
		int last = i + 1 == field->name_count;
		char number[NUMBER_MAX];
		int width;

		number_of(field, name, number);
		width = (int)strlen(number) + 1 + text_width(name->name) + !last;
		if (column + 1 + width > WIDTH) {
			printf("%s%*s", i ? "\n" : "", INDENT, "");
			column = INDENT;
		} else {
			putchar(' ');
			column++;
		}
		printf("%s ", number);
		text_string(stdout, name->name);
		if (!last)
			putchar(',');
		column += width;
	}
	if (field->name_count)
		putchar('\n');
}

static void schema_text(const struct style *style, const struct shr_object_info *object)
{
	printf("%s%s ", BOLD(style), name_of_kind(object->kind));
	text_string(stdout, object->name);
	printf("%s: ", PLAIN(style));
	if (!object->schema) {
		puts("untyped");
		return;
	}
	fputs("struct ", stdout);
	text_string(stdout, object->schema->name);
	printf(", version %" PRIu32 ", %" PRIu32 " bytes, layout %016" PRIx64 "\n",
	       object->schema->version, object->schema->size, object->schema_hash);
	for (uint32_t i = 0; i < object->schema->field_count; i++) {
		const struct shr_field *field = &object->schema->fields[i];
		char type[24];

		if (field->count)
			snprintf(type, sizeof(type), "%s[%" PRIu32 "]", shr_kind_name(field->kind),
				 field->count);
		else
			snprintf(type, sizeof(type), "%s", shr_kind_name(field->kind));
		printf("  %5" PRIu32 "  %-10s  ", field->offset, type);
		fputs(NAME(style), stdout);
		text_string(stdout, field->name);
		fputs(PLAIN(style), stdout);
		if (field->unit) {
			fputs(", ", stdout);
			text_string(stdout, field->unit);
		}
		if (field->help) {
			fputs(": ", stdout);
			text_string(stdout, field->help);
		}
		if (field->since)
			printf(", since version %" PRIu32, field->since);
		putchar('\n');
		enum_text(field);
	}
}

static int schema_show(const struct shr_inspect *inspect, const struct style *style,
		       const char *name)
{
	struct shr_segment_info info;
	json_t *json = json_object(), *objects = json_array();
	int err = shr_inspect_segment(inspect, &info), result = 0;

	for (uint32_t i = 0; !err && i < info.objects; i++) {
		struct shr_object_info object;
		int bad = shr_inspect_object(inspect, i, &object);
		json_t *one;

		if (bad) {
			result = failed(name, bad);
			continue;
		}
		if (style->format == FORMAT_TEXT) {
			schema_text(style, &object);
			continue;
		}
		one = json_object();
		json_put_bytes(one, "name", object.name);
		json_put(one, "kind", json_kind(object.kind));
		json_put(one, "schema",
			 object.schema ? json_schema(object.schema, object.schema_hash)
				       : json_null());
		json_array_append_new(objects, one);
	}
	json_put(json, "v", json_integer(1));
	json_put_bytes(json, "segment", name);
	json_put(json, "objects", objects);
	if (!err && style->format != FORMAT_TEXT)
		show_json(style, json);
	else
		json_decref(json);
	return err ? failed(name, err) : result;
}

/* --- C --------------------------------------------------------------------------- */

static const char *c_type(uint32_t kind)
{
	static const char *const types[] = {[SHR_KIND_CHAR] = "char",    [SHR_KIND_I8] = "int8_t",
					    [SHR_KIND_U8] = "uint8_t",   [SHR_KIND_I16] = "int16_t",
					    [SHR_KIND_U16] = "uint16_t", [SHR_KIND_I32] = "int32_t",
					    [SHR_KIND_U32] = "uint32_t", [SHR_KIND_I64] = "int64_t",
					    [SHR_KIND_U64] = "uint64_t", [SHR_KIND_F32] = "float",
					    [SHR_KIND_F64] = "double"};

	return kind && kind < sizeof(types) / sizeof(types[0]) ? types[kind] : NULL;
}

/* Can it be the name of a struct or a member? */
static int is_c_name(const char *name)
{
	static const char *const words[] = {
		"auto",    "break",  "case",     "char",   "const",    "continue", "default",
		"do",      "double", "else",     "enum",   "extern",   "float",    "for",
		"goto",    "if",     "inline",   "int",    "long",     "register", "restrict",
		"return",  "short",  "signed",   "sizeof", "static",   "struct",   "switch",
		"typedef", "union",  "unsigned", "void",   "volatile", "while"};
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";

	if (!strchr(letters, name[0]))
		return 0;
	for (const char *at = name; *at; at++)
		if (!strchr(letters, *at) && (*at < '0' || *at > '9'))
			return 0;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(name, words[i]))
			return 0;
	return *name && (name[0] != '_' || !strchr("_ABCDEFGHIJKLMNOPQRSTUVWXYZ", name[1]));
}

/* NULL, or why there is no struct in C that a compiler lays out so. */
static const char *c_obstacle(const struct shr_schema *schema)
{
	uint32_t end = 0;

	if (!is_c_name(schema->name))
		return "its type has a name that is none in C";
	for (uint32_t i = 0; i < schema->field_count; i++) {
		const struct shr_field *field = &schema->fields[i];
		uint32_t size = shr_kind_size(field->kind);

		if (!is_c_name(field->name))
			return "a member has a name that is none in C";
		for (uint32_t j = 0; j < i; j++)
			if (!strcmp(schema->fields[j].name, field->name))
				return "two members have the same name";
		if (!size || field->offset != end || schema->size % size)
			return "the members are not laid out as a compiler does";
		end += size * (field->count ? field->count : 1);
	}
	return end == schema->size ? NULL : "the members are not laid out as a compiler does";
}

/* Text that may end no comment, and begin none. */
static void put_comment(const char *string)
{
	size_t size;
	char *text = NULL;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return;
	text_string(out, string);
	fclose(out);
	for (const char *at = text; at && *at; at++) {
		putchar(*at);
		/* No star beside a slash. */
		if ((at[0] == '*' && at[1] == '/') || (at[0] == '/' && at[1] == '*'))
			putchar(' ');
	}
	free(text);
}

/* A string literal. */
static void put_literal(const char *string)
{
	putchar('"');
	for (const unsigned char *at = (const unsigned char *)string; *at; at++)
		if (*at < ' ' || *at > '~' || *at == '"' || *at == '\\' || *at == '?')
			printf("\\%03o", *at);
		else
			putchar(*at);
	putchar('"');
}

/* The names of values: an array for each field that has them. */
static void put_enums(const struct shr_schema *schema)
{
	for (uint32_t i = 0; i < schema->field_count; i++) {
		const struct shr_field *field = &schema->fields[i];

		if (!field->name_count)
			continue;
		printf("static const struct shr_enum_name %s_%s_names[] = {\n", schema->name,
		       field->name);
		for (uint32_t j = 0; j < field->name_count; j++) {
			int64_t value = field->names[j].value;

			/* -2^63 has no literal. */
			if (value == INT64_MIN)
				fputs("\t{INT64_MIN, ", stdout);
			else
				printf("\t{INT64_C(%" PRId64 "), ", value);
			put_literal(field->names[j].name);
			puts("},");
		}
		puts("};");
	}
}

/* Is anything told of it? */
static int is_noted(const struct shr_field *field)
{
	return field->unit || field->help || field->since || field->name_count;
}

/* Of SHR_SCHEMA: the field, and what is told of it. */
static void put_row(const struct shr_schema *schema, const struct shr_field *field)
{
	int noted = is_noted(field);

	printf(",%s%s", noted ? "\n\t   (" : " ", field->name);
	if (field->unit) {
		fputs(", SHR_UNIT(", stdout);
		put_literal(field->unit);
		putchar(')');
	}
	if (field->help) {
		fputs(", SHR_HELP(", stdout);
		put_literal(field->help);
		putchar(')');
	}
	if (field->since)
		printf(", SHR_SINCE(%" PRIu32 ")", field->since);
	if (field->name_count)
		printf(", SHR_ENUM(%s_%s_names)", schema->name, field->name);
	if (noted)
		putchar(')');
}

static void schema_c(const struct shr_schema *schema, uint64_t hash)
{
	printf("/* %" PRIu32 " bytes, layout %016" PRIx64 " */\nstruct %s {\n", schema->size, hash,
	       schema->name);
	for (uint32_t i = 0; i < schema->field_count; i++) {
		const struct shr_field *field = &schema->fields[i];

		printf("\t%s %s", c_type(field->kind), field->name);
		if (field->count)
			printf("[%" PRIu32 "]", field->count);
		puts(";");
	}
	puts("};");
	put_enums(schema);
	printf("SHR_SCHEMA(%s, %" PRIu32, schema->name, schema->version);
	for (uint32_t i = 0; i < schema->field_count; i++)
		put_row(schema, &schema->fields[i]);
	puts(");");
}

/* The object before @index that has a type of the same name: 1, and it is another one: -1. */
static int shown_before(const struct shr_inspect *inspect, uint32_t index,
			const struct shr_object_info *object)
{
	struct shr_object_info before;

	for (uint32_t i = 0; i < index; i++)
		if (!shr_inspect_object(inspect, i, &before) && before.schema &&
		    !strcmp(before.schema->name, object->schema->name))
			return before.schema_hash == object->schema_hash ? 1 : -1;
	return 0;
}

static int schema_as_c(const struct shr_inspect *inspect, const char *name)
{
	struct shr_object_info object;
	struct shr_segment_info info;
	int result = 0, err = shr_inspect_segment(inspect, &info);

	if (err)
		return failed(name, err);
	puts("#include <stdint.h>\n\n#include <shmring/schema.h>");
	for (uint32_t i = 0; i < info.objects; i++) {
		const char *obstacle = NULL;
		int before = 0;

		err = shr_inspect_object(inspect, i, &object);
		if (err) {
			result = failed(name, err);
			continue;
		}
		printf("\n/* %s ", name_of_kind(object.kind));
		put_comment(object.name);
		if (object.schema) {
			before = shown_before(inspect, i, &object);
			obstacle = before < 0 ? "there is another type of the same name"
					      : c_obstacle(object.schema);
			fputs(": ", stdout);
			put_comment(object.schema->name);
		} else {
			fputs(": untyped", stdout);
		}
		if (obstacle) {
			printf(": %s", obstacle);
			fflush(stdout);
			fputs("shmring-dump: ", stderr);
			text_string(stderr, object.name);
			fprintf(stderr, ": not in C: %s\n", obstacle);
			result = EXIT_FAILURE;
		}
		puts(" */");
		if (object.schema && !before && !obstacle)
			schema_c(object.schema, object.schema_hash);
	}
	return result;
}

/* --- What differs ---------------------------------------------------------------- */

struct diff {
	const struct style *style;
	json_t *differences; /* an array; NULL: as text */
};

/* "f64[2] at 8", the unit, and the names of values */
static void put_field(const struct shr_field *field)
{
	char number[NUMBER_MAX];

	fputs(shr_kind_name(field->kind), stdout);
	if (field->count)
		printf("[%" PRIu32 "]", field->count);
	printf(" at %" PRIu32, field->offset);
	if (field->unit) {
		fputs(", ", stdout);
		text_string(stdout, field->unit);
	}
	for (uint32_t i = 0; i < field->name_count; i++) {
		printf(", %s ", number_of(field, &field->names[i], number));
		text_string(stdout, field->names[i].name);
	}
}

static const struct shr_field *find_field(const struct shr_schema *schema, const char *name)
{
	for (uint32_t i = 0; i < schema->field_count; i++)
		if (!strcmp(schema->fields[i].name, name))
			return &schema->fields[i];
	return NULL;
}

static int same_names(const struct shr_field *a, const struct shr_field *b)
{
	if (a->name_count != b->name_count)
		return 0;
	for (uint32_t i = 0; i < a->name_count; i++)
		if (a->names[i].value != b->names[i].value ||
		    strcmp(a->names[i].name, b->names[i].name))
			return 0;
	return 1;
}

static int same_field(const struct shr_field *a, const struct shr_field *b)
{
	return a->kind == b->kind && a->count == b->count && a->offset == b->offset &&
	       !strcmp(a->unit ? a->unit : "", b->unit ? b->unit : "") && same_names(a, b);
}

/* "  + name: f64 at 8" */
static void put_change(const struct style *style, const char *sign, const struct shr_field *was,
		       const struct shr_field *is)
{
	printf("  %s %s", sign, NAME(style));
	text_string(stdout, was ? was->name : is->name);
	printf("%s: ", PLAIN(style));
	put_field(was ? was : is);
	if (was && is) {
		fputs("; now ", stdout);
		put_field(is);
	}
	putchar('\n');
}

static void diff_fields(const struct style *style, const struct shr_schema *was,
			const struct shr_schema *is)
{
	for (uint32_t i = 0; i < was->field_count; i++) {
		const struct shr_field *field = &was->fields[i];
		const struct shr_field *now = find_field(is, field->name);

		if (!now)
			put_change(style, "-", field, NULL);
		else if (!same_field(field, now))
			put_change(style, "~", field, now);
	}
	for (uint32_t i = 0; i < is->field_count; i++)
		if (!find_field(was, is->fields[i].name))
			put_change(style, "+", NULL, &is->fields[i]);
}

static void put_type(const struct shr_schema *schema)
{
	if (!schema) {
		fputs("untyped", stdout);
		return;
	}
	fputs("struct ", stdout);
	text_string(stdout, schema->name);
	printf(" version %" PRIu32, schema->version);
}

/* Has it another kind or type? */
static int is_another(const struct shr_object_info *was, const struct shr_object_info *is)
{
	return was->kind != is->kind || was->schema_hash != is->schema_hash ||
	       (was->schema && is->schema && was->schema->version != is->schema->version);
}

static void diff_object_text(const struct style *style, const struct shr_object_info *was,
			     const struct shr_object_info *is, int together)
{
	printf("%s%s ", BOLD(style), name_of_kind(was->kind));
	text_string(stdout, was->name);
	printf("%s: ", PLAIN(style));
	put_type(was->schema);
	if (!together || is_another(was, is)) {
		printf("; now %s%s", was->kind != is->kind ? name_of_kind(is->kind) : "",
		       was->kind != is->kind ? " of " : "");
		put_type(is->schema);
	}
	printf("%s%s%s\n", together ? "" : BAD(style),
	       !together                             ? ": they do not go together"
	       : was->schema_hash != is->schema_hash ? ": they go together"
						     : "",
	       together ? "" : PLAIN(style));
	if (was->schema && is->schema)
		diff_fields(style, was->schema, is->schema);
}

static void diff_one_sided_text(const struct style *style, const char *sign,
				const struct shr_object_info *object)
{
	printf("%s %s%s ", sign, BOLD(style), name_of_kind(object->kind));
	text_string(stdout, object->name);
	printf("%s: ", PLAIN(style));
	put_type(object->schema);
	putchar('\n');
}

/* --- The same as JSON ------------------------------------------------------------- */

/* One more: @field, and @was or @is, may be NULL. */
static json_t *json_difference(json_t *differences, const char *object, const char *field,
			       json_t *was, json_t *is)
{
	json_t *json = json_object();

	json_put(json, "change", json_string(!was ? "added" : !is ? "removed" : "changed"));
	json_put_bytes(json, "object", object);
	if (field)
		json_put_bytes(json, "field", field);
	if (was)
		json_put(json, "was", was);
	if (is)
		json_put(json, "is", is);
	json_array_append_new(differences, json);
	return json;
}

static json_t *json_kind_and_type(const struct shr_object_info *object)
{
	json_t *json = json_object(), *type = json_null();

	if (object->schema) {
		type = json_object();
		json_put_bytes(type, "name", object->schema->name);
		json_put(type, "version", json_integer(object->schema->version));
		json_put(type, "hash", json_sprintf("%016" PRIx64, object->schema_hash));
	}
	json_put(json, "kind", json_kind(object->kind));
	json_put(json, "schema", type);
	return json;
}

/* @was or @is may be NULL. */
static void json_diff_object(json_t *differences, const struct shr_object_info *was,
			     const struct shr_object_info *is, int together)
{
	json_t *json = json_difference(differences, was ? was->name : is->name, NULL,
				       was ? json_kind_and_type(was) : NULL,
				       is ? json_kind_and_type(is) : NULL);

	json_put(json, "together", json_boolean(together));
}

static json_t *json_fields_of(const struct shr_object_info *object)
{
	json_t *type = json_schema(object->schema, object->schema_hash);
	json_t *fields = json_incref(json_object_get(type, "fields"));

	json_decref(type);
	return fields;
}

static void json_diff_fields(json_t *differences, const struct shr_object_info *was,
			     const struct shr_object_info *is)
{
	json_t *old = json_fields_of(was), *new = json_fields_of(is);

	for (uint32_t i = 0; i < was->schema->field_count; i++) {
		const struct shr_field *field = &was->schema->fields[i];
		const struct shr_field *now = find_field(is->schema, field->name);

		if (now && same_field(field, now))
			continue;
		json_difference(
			differences, was->name, field->name, json_incref(json_array_get(old, i)),
			now ? json_incref(json_array_get(new, (size_t)(now - is->schema->fields)))
			    : NULL);
	}
	for (uint32_t i = 0; i < is->schema->field_count; i++)
		if (!find_field(was->schema, is->schema->fields[i].name))
			json_difference(differences, was->name, is->schema->fields[i].name, NULL,
					json_incref(json_array_get(new, i)));
	json_decref(old);
	json_decref(new);
}

/* --- As either --------------------------------------------------------------------- */

/* 0, or EXIT_MISMATCH. */
static int diff_object(const struct diff *diff, const struct shr_object_info *was,
		       const struct shr_object_info *is)
{
	int together = was->kind == is->kind && !shr_schema_match(was->schema, is->schema);

	if (!diff->differences) {
		diff_object_text(diff->style, was, is, together);
		return together ? 0 : EXIT_MISMATCH;
	}
	if (!together || is_another(was, is))
		json_diff_object(diff->differences, was, is, together);
	if (was->schema && is->schema)
		json_diff_fields(diff->differences, was, is);
	return together ? 0 : EXIT_MISMATCH;
}

/* What one has alone: 0, or EXIT_MISMATCH. */
static int diff_one_sided(const struct diff *diff, const struct shr_object_info *was,
			  const struct shr_object_info *is)
{
	if (diff->differences)
		json_diff_object(diff->differences, was, is, !was);
	else
		diff_one_sided_text(diff->style, was ? "-" : "+", was ? was : is);
	return was ? EXIT_MISMATCH : 0;
}

static int diff_objects(const struct diff *diff, const struct shr_inspect *was,
			const struct shr_inspect *is, const char *name, const char *other)
{
	struct shr_object_info object, now;
	struct shr_segment_info info, of_other;
	int result = 0, index, err = shr_inspect_segment(was, &info);

	if (err)
		return failed(name, err);
	err = shr_inspect_segment(is, &of_other);
	if (err)
		return failed(other, err);
	for (uint32_t i = 0; i < info.objects; i++) {
		err = shr_inspect_object(was, i, &object);
		if (err)
			return failed(name, err);
		index = shr_inspect_find(is, object.name);
		if (index < 0) {
			result |= diff_one_sided(diff, &object, NULL);
			continue;
		}
		err = shr_inspect_object(is, (uint32_t)index, &now);
		if (err)
			return failed(other, err);
		result |= diff_object(diff, &object, &now);
	}
	for (uint32_t i = 0; i < of_other.objects; i++) {
		err = shr_inspect_object(is, i, &now);
		if (err)
			return failed(other, err);
		if (shr_inspect_find(was, now.name) < 0)
			result |= diff_one_sided(diff, NULL, &now);
	}
	return result;
}

static int schema_diff(const struct shr_inspect *was, const struct shr_inspect *is,
		       const struct style *style, const char *name, const char *other)
{
	struct diff diff = {.style = style, .differences = is_json(style) ? json_array() : NULL};
	int result = diff_objects(&diff, was, is, name, other);
	json_t *json;

	if (!diff.differences)
		return result;
	json = json_object();
	json_put(json, "v", json_integer(1));
	json_put_bytes(json, "segment", name);
	json_put_bytes(json, "other", other);
	json_put(json, "together", json_boolean(!result));
	json_put(json, "differences", diff.differences);
	if (!result || result == EXIT_MISMATCH)
		show_json(style, json);
	else
		json_decref(json);
	return result;
}

/* A segment; or what -r takes: -, core:FILE, or a path, which has a slash inside. */
static int other_open(struct shr_inspect **inspect, const struct request *request)
{
	const char *other = request->diff;
	char *placed;
	int err;

	if (!strcmp(other, "-") || !strncmp(other, "core:", 5) ||
	    (strncmp(other, "file:", 5) && *other && strchr(other + 1, '/')))
		return image_open(inspect, other);
	placed = name_in_directory(request, other);
	err = shr_inspect_open(inspect, placed ? placed : other);
	free(placed);
	return err ? failed(other, err) : 0;
}

int command_schema(const struct shr_inspect *inspect, const struct request *request,
		   const char *name)
{
	struct shr_inspect *other = NULL;
	int result;

	if (!request->diff)
		return request->as_c ? schema_as_c(inspect, name)
				     : schema_show(inspect, &request->style, name);
	result = other_open(&other, request);
	if (!result)
		result = schema_diff(inspect, other, &request->style, name, request->diff);
	shr_inspect_close(other);
	return result;
}
