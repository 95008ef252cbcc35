/* SPDX-License-Identifier: MIT */
/* shmring-dump -q: the parser, and what an expression says of a record. */
#include "query.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "times.h"

#define DEPTH_MAX 100 /* of parentheses and nots: bounds recursion */
#define UNKNOWN   2   /* neither 0 nor 1 */

enum token {
	TOKEN_END,
	TOKEN_NAME,
	TOKEN_NUMBER,
	TOKEN_STRING,
	TOKEN_OPEN,
	TOKEN_CLOSE,
	TOKEN_AND,
	TOKEN_OR,
	TOKEN_NOT,
	TOKEN_EQUAL, /* from here on: operators */
	TOKEN_UNEQUAL,
	TOKEN_LESS,
	TOKEN_LESS_EQUAL,
	TOKEN_MORE,
	TOKEN_MORE_EQUAL,
	TOKEN_MATCH,
	TOKEN_NO_MATCH,
};

struct value_node {
	enum token token;
	size_t at; /* in the expression */
	size_t length;
	size_t name;        /* of columns, its number */
	struct datum datum; /* of anything else */
	char *string;
};

struct node {
	enum token token;    /* TOKEN_AND, _OR, _NOT, or an operator */
	struct node *first;  /* AND, OR, NOT: of what */
	struct node *next;   /* beside it */
	struct node *before; /* all of the query, to be freed */
	size_t at;
	struct value_node left, right;
	regex_t *regex;
};

struct expression {
	const char *text;
	struct node *root;
};

struct query {
	struct expression *expressions;
	size_t count;
	size_t names; /* columns that query_bind() makes */
	struct node *last;
};

struct parser {
	struct query *query;
	const char *text;
	enum token token; /* the next one, */
	size_t at;        /* where it begins, */
	size_t length;    /* and its bytes */
	struct datum number;
	unsigned int depth;
	struct mistake mistake;
	int err;
};

/* --- Tokens ------------------------------------------------------------------ */

static int wrong(struct parser *parser, size_t at, const char *sentence)
{
	if (!parser->err) {
		parser->err = -EINVAL;
		parser->mistake = (struct mistake){'q', parser->text, 0, at, sentence};
	}
	return parser->err;
}

static int take_number(struct parser *parser)
{
	const char *start = parser->text + parser->at;
	int negative = *start == '-';
	const char *digits = start + negative;
	int hex = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
	struct datum *number = &parser->number;
	char *end;

	/* A double needs a sign of it; hexadecimal ones are integers. */
	errno = 0;
	number->u = strtoull(digits, &end, hex ? 16 : 10);
	if (!hex && (*end == '.' || *end == 'e' || *end == 'E')) {
		number->f = strtod(start, &end);
		number->kind = DATUM_DOUBLE;
	} else if (errno || (negative && number->u > (uint64_t)INT64_MAX + 1)) {
		return wrong(parser, parser->at, "an integer of more than 64 bits");
	} else {
		number->kind = negative ? DATUM_SIGNED : DATUM_UNSIGNED;
		number->i = (int64_t)(negative ? 0 - number->u : number->u);
	}
	parser->length = (size_t)(end - start);
	if ((hex && parser->length <= 2) || column_name(end) || *end == '.')
		return wrong(parser, parser->at, "not a number");
	parser->token = TOKEN_NUMBER;
	return 0;
}

static int take_string(struct parser *parser)
{
	const char *start = parser->text + parser->at, *end = start + 1;

	while (*end && *end != *start)
		end += *end == '\\' && end[1] ? 2 : 1;
	if (!*end)
		return wrong(parser, parser->at, "a string without an end");
	parser->length = (size_t)(end + 1 - start);
	parser->token = TOKEN_STRING;
	return 0;
}

static void take_name(struct parser *parser, size_t length)
{
	static const struct {
		const char *word;
		enum token token;
	} words[] = {{"and", TOKEN_AND}, {"or", TOKEN_OR}, {"not", TOKEN_NOT}};

	parser->token = TOKEN_NAME;
	parser->length = length;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strlen(words[i].word) == length &&
		    !memcmp(parser->text + parser->at, words[i].word, length))
			parser->token = words[i].token;
}

static int take_sign(struct parser *parser)
{
	/* Longer ones first. */
	static const struct {
		char sign[3];
		enum token token;
	} signs[] = {{"&&", TOKEN_AND},      {"||", TOKEN_OR},         {"==", TOKEN_EQUAL},
		     {"!=", TOKEN_UNEQUAL},  {"<=", TOKEN_LESS_EQUAL}, {">=", TOKEN_MORE_EQUAL},
		     {"!~", TOKEN_NO_MATCH}, {"<", TOKEN_LESS},        {">", TOKEN_MORE},
		     {"~", TOKEN_MATCH},     {"!", TOKEN_NOT},         {"(", TOKEN_OPEN},
		     {")", TOKEN_CLOSE}};
	const char *start = parser->text + parser->at;

	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
		size_t length = strlen(signs[i].sign);

		if (strncmp(start, signs[i].sign, length))
			continue;
		parser->token = signs[i].token;
		parser->length = length;
		return 0;
	}
	return wrong(parser, parser->at,
		     *start == '=' ? "equal is ==" : "this has no meaning here");
}

static int advance(struct parser *parser)
{
	const char *text = parser->text;
	size_t name;

	if (parser->err)
		return parser->err;
	parser->at += parser->length;
	parser->at += strspn(text + parser->at, " \t\n");
	text += parser->at;
	parser->length = 0;
	parser->token = TOKEN_END;
	name = column_name(text);
	if (!*text)
		return 0;
	if (name) {
		take_name(parser, name);
		return 0;
	}
	if (*text == '"' || *text == '\'')
		return take_string(parser);
	if (strspn(text + (*text == '-'), "0123456789"))
		return take_number(parser);
	return take_sign(parser);
}

/* --- The parser -------------------------------------------------------------- */

static int hex_digit(char byte)
{
	return byte >= '0' && byte <= '9'   ? byte - '0'
	       : byte >= 'a' && byte <= 'f' ? byte - 'a' + 10
	       : byte >= 'A' && byte <= 'F' ? byte - 'A' + 10
					    : -1;
}

/* The escapes that are shown in text: \n \r \t \xNN, and any other character is itself. */
static char unescape(const char **at)
{
	static const char named[] = "nrt", plain[] = "\n\r\t";
	const char *in = *at, *name;

	(*at)++;
	if (*in == 'x' && hex_digit(in[1]) >= 0 && hex_digit(in[2]) >= 0) {
		*at = in + 3;
		return (char)(hex_digit(in[1]) << 4 | hex_digit(in[2]));
	}
	name = strchr(named, *in);
	return name ? plain[name - named] : *in;
}

/* What stands between the quotes. In a @regex escapes are the regular expression's. */
static void string_of(struct parser *parser, struct value_node *value, int regex)
{
	const char *in = parser->text + value->at, quote = *in++;
	char *out = malloc(value->length);

	if (!out) {
		parser->err = -ENOMEM;
		return;
	}
	value->string = out;
	while (*in != quote) {
		if (*in != '\\') {
			*out++ = *in++;
		} else if (!regex || in[1] == quote) {
			in++;
			*out++ = unescape(&in);
		} else {
			*out++ = *in++;
			*out++ = *in++;
		}
	}
	*out = 0;
	value->datum = (struct datum){
		.kind = DATUM_TEXT, .text = value->string, .size = (size_t)(out - value->string)};
}

static int parse_value(struct parser *parser, struct value_node *value, int regex)
{
	*value = (struct value_node){
		.token = parser->token, .at = parser->at, .length = parser->length};
	switch (parser->token) {
	case TOKEN_NAME:
		if (regex)
			break;
		value->name = parser->query->names++;
		return advance(parser);
	case TOKEN_NUMBER:
		if (regex)
			break;
		value->datum = parser->number;
		return advance(parser);
	case TOKEN_STRING:
		string_of(parser, value, regex);
		return advance(parser);
	default:
		break;
	}
	return wrong(parser, parser->at,
		     regex ? "a regular expression in quotes is missing here"
			   : "a name, a number or a string is missing here");
}

static struct node *new_node(struct parser *parser, enum token token)
{
	struct node *node = calloc(1, sizeof(*node));

	if (!node) {
		parser->err = -ENOMEM;
		return NULL;
	}
	node->token = token;
	node->at = parser->at;
	node->before = parser->query->last;
	parser->query->last = node;
	return node;
}

/* A string beside @time is one. */
static int take_time(struct parser *parser, const struct value_node *name, struct value_node *value)
{
	struct datum *datum = &value->datum;

	if (name->token != TOKEN_NAME || value->token != TOKEN_STRING || name->length != 5 ||
	    memcmp(parser->text + name->at, "@time", 5))
		return 0;
	if (strlen(value->string) != datum->size || time_parse(value->string, &datum->u))
		return wrong(parser, value->at, "not a time");
	datum->kind = DATUM_UNSIGNED;
	return 0;
}

static struct node *parse_comparison(struct parser *parser)
{
	struct node *node = new_node(parser, TOKEN_EQUAL);
	int regex;

	if (!node || parse_value(parser, &node->left, 0))
		return NULL;
	if (parser->token < TOKEN_EQUAL) {
		wrong(parser, parser->at, "a comparison is missing here: == != < <= > >= ~ !~");
		return NULL;
	}
	node->token = parser->token;
	node->at = parser->at;
	regex = parser->token >= TOKEN_MATCH;
	if (advance(parser) || parse_value(parser, &node->right, regex))
		return NULL;
	if (take_time(parser, &node->left, &node->right) ||
	    take_time(parser, &node->right, &node->left))
		return NULL;
	if (!regex)
		return node;
	node->regex = malloc(sizeof(*node->regex));
	if (!node->regex) {
		parser->err = -ENOMEM;
		return NULL;
	}
	if (!regcomp(node->regex, node->right.string, REG_EXTENDED | REG_NOSUB))
		return node;
	free(node->regex);
	node->regex = NULL;
	wrong(parser, node->right.at, "not a regular expression");
	return NULL;
}

static struct node *parse_or(struct parser *parser);

static struct node *parse_not(struct parser *parser)
{
	struct node *node = NULL;
	enum token token = parser->token;
	size_t open = parser->at;

	if (token != TOKEN_NOT && token != TOKEN_OPEN)
		return parse_comparison(parser);
	if (++parser->depth > DEPTH_MAX) {
		wrong(parser, open, "this is too deep");
		return NULL;
	}
	if (token == TOKEN_NOT) {
		node = new_node(parser, TOKEN_NOT);
		if (node && !advance(parser))
			node->first = parse_not(parser);
	} else if (!advance(parser)) {
		node = parse_or(parser);
		if (node && parser->token != TOKEN_CLOSE)
			wrong(parser, parser->at, "and, or or a ) is missing here");
		advance(parser);
	}
	parser->depth--;
	return parser->err ? NULL : node;
}

/* One of @token's operands, or all of them beside each other under one node. */
static struct node *parse_chain(struct parser *parser, enum token token,
				struct node *(*parse)(struct parser *))
{
	struct node *node = parse(parser), *last = node, *chain;

	if (!node || parser->token != token)
		return node;
	chain = new_node(parser, token);
	if (!chain)
		return NULL;
	chain->first = node;
	while (parser->token == token) {
		if (advance(parser))
			return NULL;
		last->next = parse(parser);
		last = last->next;
		if (!last)
			return NULL;
	}
	return chain;
}

static struct node *parse_and(struct parser *parser)
{
	return parse_chain(parser, TOKEN_AND, parse_not);
}

static struct node *parse_or(struct parser *parser)
{
	return parse_chain(parser, TOKEN_OR, parse_and);
}

int query_add(struct query **query, const char *text)
{
	struct expression *more;
	struct parser parser = {.text = text};

	if (!*query)
		*query = calloc(1, sizeof(**query));
	parser.query = *query;
	if (!*query)
		return -ENOMEM;
	more = realloc((*query)->expressions, ((*query)->count + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	(*query)->expressions = more;
	more[(*query)->count] = (struct expression){.text = text};
	if (!advance(&parser))
		more[(*query)->count].root = parse_or(&parser);
	if (!parser.err && parser.token != TOKEN_END)
		wrong(&parser, parser.at, "and or or is missing here");
	if (parser.err == -EINVAL)
		mistake_tell(&parser.mistake);
	(*query)->count += !parser.err;
	return parser.err;
}

void query_free(struct query *query)
{
	if (!query)
		return;
	for (struct node *node = query->last, *before; node; node = before) {
		before = node->before;
		if (node->regex)
			regfree(node->regex);
		free(node->regex);
		free(node->left.string);
		free(node->right.string);
		free(node);
	}
	free(query->expressions);
	free(query);
}

/* --- For an object ----------------------------------------------------------- */

static const char *bind_value(const struct value_node *value, const char *text,
			      const struct shr_object_info *object, struct column *columns,
			      enum datum_kind *kind)
{
	*kind = value->datum.kind;
	if (value->token != TOKEN_NAME)
		return NULL;
	switch (column_find(&columns[value->name], text + value->at, value->length, object)) {
	case 0:
		*kind = column_type(&columns[value->name], object);
		return *kind == DATUM_ARRAY ? "an array: say which element, as in name[0]" : NULL;
	case -ERANGE:
		return "the array has no such element";
	default:
		return "no such field";
	}
}

/*
 * A column whose values have names beside a string, which is one of them or is matched
 * with them. NULL, or what is wrong at *@at.
 */
static const char *bind_name(const struct node *node, const struct shr_object_info *object,
			     struct column *columns, size_t *at)
{
	const struct value_node *name = node->left.token == TOKEN_NAME ? &node->left : &node->right;
	const struct value_node *string = name == &node->left ? &node->right : &node->left;
	struct column *column = name->token == TOKEN_NAME ? &columns[name->name] : NULL;
	const struct shr_field *field = column ? column_enum(column, object) : NULL;

	*at = node->at;
	if (!field || string->token != TOKEN_STRING)
		return node->regex ? "only text is matched" : "text beside a number";
	if (node->regex)
		return NULL;
	if (node->token != TOKEN_EQUAL && node->token != TOKEN_UNEQUAL)
		return "names have no order: compare with a number";
	for (uint32_t i = 0; i < field->name_count; i++) {
		if (strlen(field->names[i].name) != string->datum.size ||
		    memcmp(field->names[i].name, string->datum.text, string->datum.size))
			continue;
		column->named = field->names[i].value;
		return NULL;
	}
	*at = string->at;
	return "no value of the field has this name";
}

/* NULL, or what is wrong at *@at. */
static const char *bind_node(const struct node *node, const char *text,
			     const struct shr_object_info *object, struct column *columns,
			     size_t *at)
{
	enum datum_kind left, right;
	const char *sentence = NULL;

	if (node->token < TOKEN_EQUAL) {
		for (node = node->first; node && !sentence; node = node->next)
			sentence = bind_node(node, text, object, columns, at);
		return sentence;
	}
	*at = node->left.at;
	sentence = bind_value(&node->left, text, object, columns, &left);
	if (sentence)
		return sentence;
	*at = node->right.at;
	sentence = bind_value(&node->right, text, object, columns, &right);
	if (sentence)
		return sentence;
	return (left == DATUM_TEXT) != (right == DATUM_TEXT) ? bind_name(node, object, columns, at)
							     : NULL;
}

int query_bind(const struct query *query, const struct shr_object_info *object,
	       struct column **columns, struct mistake *mistake)
{
	struct column *own = calloc(query->names + 1, sizeof(*own));

	if (!own)
		return -ENOMEM;
	for (size_t i = 0; i < query->count; i++) {
		const struct expression *expression = &query->expressions[i];
		size_t at = 0;
		const char *sentence =
			bind_node(expression->root, expression->text, object, own, &at);

		if (!sentence)
			continue;
		if (!mistake->sentence || i > mistake->order ||
		    (i == mistake->order && at > mistake->at))
			*mistake = (struct mistake){'q', expression->text, i, at, sentence};
		free(own);
		return -EINVAL;
	}
	*columns = own;
	return 0;
}

/* --- Of a record ------------------------------------------------------------- */

static int order(int less, int more)
{
	return more - less;
}

static int compare_integers(const struct datum *a, const struct datum *b)
{
	int a_negative = a->kind == DATUM_SIGNED && a->i < 0;
	int b_negative = b->kind == DATUM_SIGNED && b->i < 0;
	uint64_t x = a->kind == DATUM_SIGNED ? (uint64_t)a->i : a->u;
	uint64_t y = b->kind == DATUM_SIGNED ? (uint64_t)b->i : b->u;

	if (a_negative != b_negative)
		return order(a_negative, b_negative);
	return order(x<y, x> y); /* of two negative ones, too */
}

/* Not through a double: not all integers are one. @number is no NaN. */
static int compare_to_double(const struct datum *integer, double number)
{
	struct datum whole = {.kind = number < 0 ? DATUM_SIGNED : DATUM_UNSIGNED};
	int result;

	if (number >= 0x1p64)
		return -1;
	if (number < -0x1p63)
		return 1;
	if (number < 0)
		whole.i = (int64_t)number;
	else
		whole.u = (uint64_t)number;
	result = compare_integers(integer, &whole);
	/* The same whole number: what is behind the point decides. */
	return result ? result : order(number > trunc(number), number < trunc(number));
}

static int is_real(const struct datum *datum)
{
	return datum->kind == DATUM_SINGLE || datum->kind == DATUM_DOUBLE;
}

/* -1, 0, 1, or UNKNOWN: one is no number (NaN), which is unequal to everything. */
static int compare_numbers(const struct datum *a, const struct datum *b)
{
	if (!is_real(a) && !is_real(b))
		return compare_integers(a, b);
	if ((is_real(a) && isnan(a->f)) || (is_real(b) && isnan(b->f)))
		return UNKNOWN;
	if (is_real(a) && is_real(b))
		return order(a->f<b->f, a->f> b->f);
	return is_real(b) ? compare_to_double(a, b->f) : -compare_to_double(b, a->f);
}

static int compare_texts(const struct datum *a, const struct datum *b)
{
	int result = memcmp(a->text, b->text, a->size < b->size ? a->size : b->size);

	return result ? order(result<0, result> 0) : order(a->size<b->size, a->size> b->size);
}

/* 0, 1 or -ENOMEM. Bytes behind a zero byte are matched, too, where the library can. */
static int matches(const regex_t *regex, const struct datum *datum)
{
	regmatch_t whole = {.rm_so = 0, .rm_eo = (regoff_t)datum->size};
	char *text = malloc(datum->size + 1); /* it must be terminated, and the record is not */
	int result;

	if (!text)
		return -ENOMEM;
	memcpy(text, datum->text, datum->size);
	text[datum->size] = 0;
#ifdef REG_STARTEND
	result = regexec(regex, text, 0, &whole, REG_STARTEND);
#else
	(void)whole;
	result = regexec(regex, text, 0, NULL, 0);
#endif
	free(text);
	return result == REG_ESPACE ? -ENOMEM : !result;
}

static struct datum value_of(const struct value_node *value, const struct column *columns,
			     const struct row *row)
{
	return value->token == TOKEN_NAME ? column_value(&columns[value->name], row) : value->datum;
}

/* Bytes in the longest name and in the longest number. */
#define NAMED_MAX (SHR_FIELD_NAME_MAX + 1)

/* The number @datum of @column as it is shown: its name, or its digits. */
static void as_text(struct datum *datum, const struct column *column, const struct row *row,
		    char digits[NAMED_MAX])
{
	const struct shr_field *field = column_enum(column, row->object);
	const struct value value = {.i = datum->i, .u = datum->u};
	const char *name = value_name(field, &value);

	if (!name) {
		snprintf(digits, NAMED_MAX, "%s%" PRIu64, datum->i < 0 ? "-" : "",
			 datum->i < 0 ? -(uint64_t)datum->i : (uint64_t)datum->i + datum->u);
		name = digits;
	}
	*datum = (struct datum){.kind = DATUM_TEXT, .text = name, .size = strlen(name)};
}

/* The number that is named beside @number in a comparison. */
static struct datum as_number(const struct column *column, const struct datum *number)
{
	return (struct datum){
		.kind = number->kind, .i = column->named, .u = (uint64_t)column->named};
}

/* 0.1 is no float: written beside one it is that which is shown so. */
static void as_shown(struct datum *literal, enum token token, const struct datum *beside)
{
	if (token == TOKEN_NUMBER && literal->kind == DATUM_DOUBLE && beside->kind == DATUM_SINGLE)
		literal->f = (double)(float)literal->f;
}

static int test_comparison(const struct node *node, const struct column *columns,
			   const struct row *row)
{
	struct datum left = value_of(&node->left, columns, row);
	struct datum right = value_of(&node->right, columns, row);
	char digits[NAMED_MAX];
	int result;

	if (left.kind == DATUM_NONE || right.kind == DATUM_NONE)
		return UNKNOWN;
	if (node->regex && left.kind != DATUM_TEXT)
		as_text(&left, &columns[node->left.name], row, digits);
	if (left.kind == DATUM_TEXT && right.kind != DATUM_TEXT)
		left = as_number(&columns[node->right.name], &right);
	else if (left.kind != DATUM_TEXT && right.kind == DATUM_TEXT)
		right = as_number(&columns[node->left.name], &left);
	if (node->regex) {
		result = matches(node->regex, &left);
		return result < 0 ? result : result == (node->token == TOKEN_MATCH);
	}
	as_shown(&left, node->left.token, &right);
	as_shown(&right, node->right.token, &left);
	result = left.kind == DATUM_TEXT ? compare_texts(&left, &right)
					 : compare_numbers(&left, &right);
	if (result == UNKNOWN)
		return node->token == TOKEN_UNEQUAL;
	switch (node->token) {
	case TOKEN_EQUAL:
		return result == 0;
	case TOKEN_UNEQUAL:
		return result != 0;
	case TOKEN_LESS:
		return result < 0;
	case TOKEN_LESS_EQUAL:
		return result <= 0;
	case TOKEN_MORE:
		return result > 0;
	default:
		return result >= 0;
	}
}

/* 0, 1, UNKNOWN or -ENOMEM. */
static int test(const struct node *node, const struct column *columns, const struct row *row)
{
	int decides = node->token == TOKEN_OR, unknown = 0, one;

	if (node->token >= TOKEN_EQUAL)
		return test_comparison(node, columns, row);
	if (node->token == TOKEN_NOT) {
		one = test(node->first, columns, row);
		return one == 0 || one == 1 ? !one : one;
	}
	for (node = node->first; node; node = node->next) {
		one = test(node, columns, row);
		if (one < 0 || one == decides)
			return one;
		unknown |= one == UNKNOWN;
	}
	return unknown ? UNKNOWN : !decides;
}

int query_test(const struct query *query, const struct column *columns, const struct row *row)
{
	for (size_t i = 0; i < query->count; i++) {
		int one = test(query->expressions[i].root, columns, row);

		if (one != 1)
			return one < 0 ? one : 0;
	}
	return 1;
}
