"""Checks every document of an OCI layout by what others say of it, and prints how many of each kind there were.

documents.py LAYOUT SCHEMAS

Layout, indexes, manifests, descriptors and configs by the JSON schemas of the OCI image specification, which lie in
SCHEMAS; in-toto statements and SLSA provenance by the protocol buffers of in-toto, which know no unknown field; bills of
materials by the reader and the rules of the SPDX project.
"""

import collections
import json
import pathlib
import sys
import warnings

warnings.simplefilter("ignore", DeprecationWarning)

import jsonschema
from google.protobuf.json_format import ParseDict
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

OCI = "application/vnd.oci.image."
STATEMENT = "application/vnd.in-toto+json"

layout, schemas = (pathlib.Path(argument) for argument in sys.argv[1:])
counts = collections.Counter()


def without_ids(schema):
    """Their `id`s would be what `$ref`s are relative to, and name nothing that exists."""
    if isinstance(schema, dict):
        return {key: without_ids(value) for key, value in schema.items() if not (key == "id" and isinstance(value, str))}
    return [without_ids(value) for value in schema] if isinstance(schema, list) else schema


STORE = {f"http://oci/{path.name}": without_ids(json.loads(path.read_text())) for path in schemas.glob("*.json")}


def check(document, name):
    address = f"http://oci/{name}-schema.json"
    schema = STORE[address]
    resolver = jsonschema.RefResolver(address, schema, store=STORE)
    problems = list(jsonschema.Draft4Validator(schema, resolver=resolver).iter_errors(document))
    for problem in problems:
        print(f"{name}: {'/'.join(map(str, problem.absolute_path))}: {problem.message}", file=sys.stderr)
    counts[name] += 1
    return not problems


def blob(descriptor):
    return (layout / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes()


def check_index(index):
    good = check(index, "image-index")
    for descriptor in index["manifests"]:
        document = json.loads(blob(descriptor))
        is_index = descriptor["mediaType"].startswith(f"{OCI}index")
        good &= check_index(document) if is_index else check_manifest(document)
    return good


def check_manifest(manifest):
    good = check(manifest, "image-manifest")
    config = manifest["config"]
    if config["mediaType"].startswith(f"{OCI}config"):
        good &= check(json.loads(blob(config)), "config")
    for layer in manifest["layers"]:
        if layer["mediaType"] == STATEMENT:
            good &= check_statement(json.loads(blob(layer)))
    return good


def check_statement(statement):
    counts["statement"] += 1
    predicate = statement["predicate"]
    ParseDict(statement, statement_pb2.Statement())
    if statement["predicateType"] == "https://slsa.dev/provenance/v1":
        counts["provenance"] += 1
        ParseDict(as_slsa_writes(predicate), provenance_pb2.Provenance())
        return True
    counts["spdx"] += 1
    problems = validate_full_spdx_document(JsonLikeDictParser().parse(predicate))
    for problem in problems:
        print(f"spdx: {problem.context.spdx_id}: {problem.validation_message}", file=sys.stderr)
    return not problems


def as_slsa_writes(predicate):
    """Without what SLSA lets builders add (`buildkit_metadata`); and BuildKit, as all that is made of in-toto's Go types,
    writes `invocationID` where SLSA has `invocationId`."""
    details = dict(predicate["runDetails"])
    metadata = {key: value for key, value in details.get("metadata", {}).items() if "_" not in key}
    if "invocationID" in metadata:
        metadata["invocationId"] = metadata.pop("invocationID")
    return {**predicate, "runDetails": {**details, "metadata": metadata}}


good = check(json.loads((layout / "oci-layout").read_text()), "image-layout")
good &= check_index(json.loads((layout / "index.json").read_text()))
print(json.dumps(counts))
sys.exit(0 if good else 1)
