# SPDX-License-Identifier: Apache-2.0
"""Writes the name, city, street and company lists that the package Faker carries, one JSON file of all locales."""
import importlib
import json
import pkgutil
import sys

import faker.providers.address as address
import faker.providers.company as company
import faker.providers.person as person

WANTED = {
    "given": (person, ["first_names", "first_names_male", "first_names_female", "first_names_nonbinary", "first_names_unisex"]),
    "given_latin": (person, ["first_romanized_names"]),
    "family_latin": (person, ["last_romanized_names"]),
    "family": (person, ["last_names", "last_names_male", "last_names_female", "last_names_nonbinary", "last_names_unisex"]),
    "prefix": (person, ["prefixes", "prefixes_male", "prefixes_female", "prefixes_nonbinary"]),
    "city": (address, ["cities", "city_names", "city_name", "towns", "municipalities", "villages"]),
    "city_suffix": (address, ["city_suffixes"]),
    "country": (address, ["countries"]),
    "region": (address, ["states", "provinces", "regions", "departments", "cantons", "counties", "prefectures", "islands", "federal_states", "union_territories"]),
    "region_abbr": (address, ["states_abbr", "provinces_abbr", "state_abbr", "province_abbr"]),
    "street": (address, ["streets", "street_names", "street_titles", "addresses"]),
    "street_prefix": (address, ["street_prefixes", "street_prefixes_short", "street_prefixes_long"]),
    "street_suffix": (address, ["street_suffixes", "street_suffixes_short", "street_suffixes_long"]),
    "company_suffix": (company, ["company_suffixes"]),
    "company_prefix": (company, ["company_prefixes"]),
    "company": (company, ["companies", "company_names"]),
    "postcode": (address, ["postcode_formats"]),
}


def words(value):
    """Yields the texts in a list, a table or a list of tuples."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key in value:
            yield from words(key)
            if isinstance(value[key], (list, tuple)):
                yield from words(value[key])
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from words(part)


def main():
    out = {}
    for kind, (root, attributes) in WANTED.items():
        for module in sorted(m.name for m in pkgutil.iter_modules(root.__path__)):
            provider = importlib.import_module(f"{root.__name__}.{module}").Provider
            found = set()
            for attribute in attributes:
                found.update(w.strip() for w in words(provider.__dict__.get(attribute)) if w and w.strip())
            if found:
                out.setdefault(kind, {})[module] = sorted(found)
    json.dump(out, sys.stdout, ensure_ascii=False, sort_keys=True, indent=0)


main()
