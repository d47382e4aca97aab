# SPDX-License-Identifier: Apache-2.0
"""formats.py cyclonedx|spdx|spdx-shapes FILE...: validates bills of materials with libraries of CycloneDX and SPDX.

cyclonedx    cyclonedx-python-lib's strict validation against the official JSON schema of 1.6
spdx         spdx-python-model, whose classes are generated from the official SHACL shapes, reads and writes the document again
spdx-shapes  the official JSON schema and the official SHACL shapes of 3.0.1; SPDX_MODEL is a folder with both and the context
"""

import io
import json
import os
import sys


def cyclonedx(path):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    with open(path) as f:
        error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(f.read())
    return str(error.data.message)[:300] if error else None


def spdx(path):
    from spdx_python_model import v3_0_1 as model

    objects = model.SHACLObjectSet()
    try:
        with open(path, "rb") as f:
            model.JSONLDDeserializer().read(f, objects)
        model.JSONLDSerializer().write(objects, io.BytesIO())
    except Exception as e:
        return f"{type(e).__name__}: {e}"[:300]
    ours = [m for m in objects.missing_ids if "/spdx/" in m and "/rdf/" not in m]
    return f"nothing has the name {ours[0]}" if ours else None


def spdx_shapes(path):
    import jsonschema
    import pyshacl
    import rdflib

    folder = os.environ["SPDX_MODEL"]

    def load(name):
        with open(os.path.join(folder, name)) as f:
            return json.load(f)

    with open(path) as f:
        doc = json.load(f)
    schema = load("schema-v3.0.1.json")
    errors = list(jsonschema.validators.validator_for(schema)(schema).iter_errors(doc))
    if errors:
        return f"JSON schema: {errors[0].json_path}: {errors[0].message}"[:300]
    doc["@context"] = load("spdx-context-v3.0.1.jsonld")["@context"]
    shapes = rdflib.Graph().parse(os.path.join(folder, "spdx-model-v3.0.1.jsonld"), format="json-ld")
    data = rdflib.Graph().parse(data=json.dumps(doc), format="json-ld")
    good, _, text = pyshacl.validate(data, shacl_graph=shapes, ont_graph=shapes)
    return None if good else f"SHACL: {text}"[:400]


def main():
    check = {"cyclonedx": cyclonedx, "spdx": spdx, "spdx-shapes": spdx_shapes}[sys.argv[1]]
    bad = 0
    for path in sys.argv[2:]:
        why = check(path)
        print(f"{path}: {why or 'valid'}", file=sys.stderr if why else sys.stdout)
        bad += why is not None
    sys.exit(1 if bad or len(sys.argv) < 3 else 0)


main()
