/* SPDX-License-Identifier: MIT */
/*
 * L2: a schema made at run time, a member at a time. It is checked as it grows,
 * so that an error is about what was added, and as a whole at the end.
 */
#include <shmring/schema.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "layout.h"

struct shr_schema_builder {
	struct shr_schema schema;
	struct shr_field fields[SHR_FIELDS_MAX];
	uint32_t name_count; /* of values, in all members */
	int complete;
	int err;	       /* of the first call that failed, */
	char why[ERROR_SIZE]; /* and its sentence */
};

/* The first failure stays: nothing is done after it. */
static int fail(struct shr_schema_builder *builder, int err)
{
	if (err == -ENOMEM)
		shr_fail(ENOMEM, "out of memory");
	if (err) {
		builder->err = err;
		snprintf(builder->why, sizeof(builder->why), "%s", shr_last_error());
	}
	return err;
}

/* Can it be changed? */
static int begin(const struct shr_schema_builder *builder)
{
	if (!builder)
		return shr_fail(EINVAL, "there is no schema to add to");
	if (builder->err)
		return shr_fail(-builder->err, "%s", builder->why);
	return builder->complete ? shr_fail(EALREADY, "the schema is complete") : 0;
}

static int copy_text(const char **to, const char *text)
{
	char *copy;

	if (!text)
		return shr_fail(EINVAL, "a schema has no text where it needs one");
	if (strnlen(text, SHR_SCHEMA_TEXT_MAX) == SHR_SCHEMA_TEXT_MAX)
		return shr_fail(EINVAL, "a text of the schema has %d bytes or more",
				SHR_SCHEMA_TEXT_MAX);
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	free((char *)*to);
	*to = copy;
	return 0;
}

int shr_schema_builder_new(struct shr_schema_builder **result, const char *name, uint32_t version)
{
	struct shr_schema_builder *builder;

	*result = NULL;
	if (!schema_is_name(name))
		return shr_fail(EINVAL, "a schema needs a name of 1 to %d bytes",
				SHR_FIELD_NAME_MAX);
	builder = calloc(1, sizeof(*builder));
	if (!builder)
		return shr_fail(ENOMEM, "out of memory");
	builder->schema = (struct shr_schema){.struct_size = sizeof(builder->schema),
					      .field_size = sizeof(builder->fields[0]),
					      .version = version,
					      .fields = builder->fields};
	if (copy_text(&builder->schema.name, name)) {
		free(builder);
		return shr_fail(ENOMEM, "out of memory");
	}
	*result = builder;
	return 0;
}

static int add_member(struct shr_schema_builder *builder, const char *name, uint32_t kind,
		      uint32_t count)
{
	struct shr_schema *schema = &builder->schema;
	struct shr_field *field = &builder->fields[schema->field_count];
	uint64_t size = shr_kind_size(kind), bytes = size * (count ? count : 1);

	if (!schema_is_name(name))
		return shr_fail(EINVAL, "a member needs a name of 1 to %d bytes",
				SHR_FIELD_NAME_MAX);
	if (!size)
		return shr_fail(EINVAL, "member %s has no kind", name);
	if (schema->field_count == SHR_FIELDS_MAX)
		return shr_fail(EINVAL, "member %s is one more than %d", name, SHR_FIELDS_MAX);
	for (uint32_t i = 0; i < schema->field_count; i++)
		if (!strcmp(builder->fields[i].name, name))
			return shr_fail(EINVAL, "two members are named %s", name);
	if (schema->size % size)
		return shr_fail(EINVAL,
				"member %s would lie at %u, which is no multiple of its size, %u",
				name, schema->size, (uint32_t)size);
	if (bytes > UINT32_MAX - schema->size)
		return shr_fail(EINVAL, "with member %s a record would have 4 GiB", name);
	*field = (struct shr_field){.offset = schema->size, .count = count, .kind = kind};
	if (copy_text(&field->name, name))
		return -ENOMEM;
	schema->size += (uint32_t)bytes;
	schema->field_count++;
	return 0;
}

int shr_schema_builder_member(struct shr_schema_builder *builder, const char *name, uint32_t kind,
			      uint32_t count)
{
	int err = begin(builder);

	return err ? err : fail(builder, add_member(builder, name, kind, count));
}

/* The member that was added last, or NULL and *@err. */
static struct shr_field *last(struct shr_schema_builder *builder, int *err)
{
	*err = begin(builder);
	if (!*err && !builder->schema.field_count)
		*err = fail(builder, shr_fail(EINVAL, "the schema has no member yet"));
	return *err ? NULL : &builder->fields[builder->schema.field_count - 1];
}

int shr_schema_builder_unit(struct shr_schema_builder *builder, const char *unit)
{
	int err;
	struct shr_field *field = last(builder, &err);

	return field ? fail(builder, copy_text(&field->unit, unit)) : err;
}

int shr_schema_builder_help(struct shr_schema_builder *builder, const char *help)
{
	int err;
	struct shr_field *field = last(builder, &err);

	return field ? fail(builder, copy_text(&field->help, help)) : err;
}

int shr_schema_builder_since(struct shr_schema_builder *builder, uint32_t version)
{
	int err;
	struct shr_field *field = last(builder, &err);

	if (field)
		field->since = version;
	return err;
}

static int add_enum_name(struct shr_schema_builder *builder, struct shr_field *field,
			 struct shr_enum_name name)
{
	size_t count = field->name_count;
	struct shr_enum_name *names;
	int err;

	if (builder->name_count == SHR_ENUM_NAMES_MAX)
		return shr_fail(EINVAL, "the schema names more than %d values", SHR_ENUM_NAMES_MAX);
	names = realloc((void *)field->names, (count + 1) * sizeof(*names));
	if (!names)
		return -ENOMEM;
	field->names = names;
	names[count] = name;
	err = schema_enum_name_check(field, (uint32_t)count);
	if (err)
		return err;
	names[count].name = NULL;
	if (copy_text(&names[count].name, name.name))
		return -ENOMEM;
	field->name_count++;
	builder->name_count++;
	return 0;
}

int shr_schema_builder_enum_name(struct shr_schema_builder *builder, int64_t value,
				 const char *name)
{
	int err;
	struct shr_field *field = last(builder, &err);

	return field ? fail(builder, add_enum_name(builder, field,
						   (struct shr_enum_name){value, name}))
		     : err;
}

static int check_end(const struct shr_schema *schema)
{
	for (uint32_t i = 0; i < schema->field_count; i++) {
		uint32_t size = shr_kind_size(schema->fields[i].kind);

		if (schema->size % size)
			return shr_fail(EINVAL,
					"the schema has %u bytes, no multiple of the size of member "
					"%s, %u",
					schema->size, schema->fields[i].name, size);
	}
	return schema_check(schema);
}

int shr_schema_builder_end(struct shr_schema_builder *builder, const struct shr_schema **schema)
{
	int err = builder && builder->complete ? 0 : begin(builder);

	if (!err)
		err = fail(builder, check_end(&builder->schema));
	*schema = err ? NULL : &builder->schema;
	if (!err)
		builder->complete = 1;
	return err;
}

void shr_schema_builder_free(struct shr_schema_builder *builder)
{
	if (!builder)
		return;
	for (uint32_t i = 0; i < builder->schema.field_count; i++) {
		struct shr_field *field = &builder->fields[i];

		for (uint32_t j = 0; j < field->name_count; j++)
			free((char *)field->names[j].name);
		free((void *)field->names);
		free((char *)field->help);
		free((char *)field->unit);
		free((char *)field->name);
	}
	free((char *)builder->schema.name);
	free(builder);
}
