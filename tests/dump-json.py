# SPDX-License-Identifier: MIT
"""Do documents of shmring-dump obey its JSON Schema?

dump-json.py SCHEMA N FILE...	the TAP lines from N on, one for each FILE: its name is a
				definition of the schema, "-" and what is in it; it ends
				with .json, or .jsonl. Those that end with .bad must not obey.

A key that the schema has not is an error here, and so are a number over 32 bits, NaN as a
token, and a key that is there twice.
"""
import copy
import json
import os
import sys

import jsonschema


def refuse(token):
    raise ValueError("%s is no JSON" % token)


def integer(digits):
    number = int(digits)
    if not -(1 << 31) <= number < 1 << 32:
        raise ValueError("%s is a number of more than 32 bits" % digits)
    return number


def once(pairs):
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise ValueError("a key is there twice: %s" % keys)
    return dict(pairs)


def parse(text):
    return json.loads(text, parse_constant=refuse, parse_int=integer, object_pairs_hook=once)


def strict(schema):
    """Nothing but what the schema names."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: strict(value) for key, value in schema.items()}
    if "properties" in result and result.get("type") == "object":
        result.setdefault("additionalProperties", False)
    return result


def check(schema, path):
    """None, or what is wrong with the file."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    name = os.path.basename(path)
    lines = ".jsonl" in name
    documents = [parse(line) for line in text.splitlines()] if lines else [parse(text)]
    one = copy.copy(schema)
    one.pop("anyOf")
    one["$ref"] = "#/definitions/" + name.split("-")[0]
    of_any = jsonschema.Draft7Validator({key: schema[key] for key in ("anyOf", "definitions")})
    validator = jsonschema.Draft7Validator({"$ref": one["$ref"], "definitions": schema["definitions"]})
    if not documents:
        return "there is nothing in it"
    for document in documents:
        of_any.validate(document)
        for part in document if isinstance(document, list) else [document]:
            validator.validate(part)
    return None


def main(path, number, files):
    with open(path, encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft7Validator.check_schema(schema)
    schema = strict(schema)
    for number, path in enumerate(files, number):
        name = os.path.basename(path)
        bad = name.endswith(".bad")
        try:
            error = check(schema, path)
        except (ValueError, jsonschema.ValidationError) as wrong:
            error = str(wrong)
        print("%sok %d - %s%s" % ("" if bool(error) == bad else "not ", number, name,
                                  " is refused" if bad else ""))
        if error and not bad:
            for line in error.splitlines()[:30]:
                print("# " + line)


main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
