"""What the document of the API cannot say, told to the fuzzer."""

import os

import schemathesis

# A picture that the server under test can fetch.
PICTURE = os.environ["BABYSEA_PICTURE"]

# What a body may hold depends on the model in the path, which OpenAPI has no way to say. So one
# model is tried on each route.
MODELS = {
    "create_image_generation": "sandbox/inline",
    "create_video_generation": "sandbox/video",
    # Every parameter of an estimate matters to this one; those that do not are ignored.
    "get_estimate": "bytedance/seedance-1.5-pro",
}

# Where a valid request may ask for something slow, or for a fault: a fault that was ordered is
# no find. `tests/it` has stories of each.
TAME = {
    "generation_duration": 1,
    "generation_sandbox_latency_ms": 0,
    "generation_sandbox_outcome": "succeed",
    "generation_sandbox_fail_providers": [],
}


@schemathesis.hook
def before_load_schema(context, raw_schema):
    for methods in raw_schema["paths"].values():
        for operation in methods.values():
            model = MODELS.get(operation["operationId"])
            if model is not None:
                fix_model(raw_schema, operation, model)


def fix_model(document, operation, model):
    name = "Request." + model.replace("/", ".")
    for parameter in operation["parameters"]:
        if parameter["name"] == "model_identifier":
            parameter["schema"] = {"type": "string", "enum": [model]}
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]["application/json"]
        content["schema"] = {"$ref": f"#/components/schemas/{name}"}
    else:
        fix_estimate(operation, document["components"]["schemas"][name]["properties"])


def fix_estimate(operation, fields):
    for parameter in operation["parameters"]:
        if parameter["name"] == "duration":
            parameter["required"] = True
            parameter["schema"] = fields["generation_duration"]
        elif parameter["name"] == "resolution":
            known = [text for text in fields["generation_resolution"]["enum"] if text is not None]
            parameter["schema"] = {"type": "string", "enum": known}


@schemathesis.hook
def before_call(context, case, kwargs):
    if isinstance(case.body, dict) and is_valid(case):
        case.body = {name: tame(name, value) for name, value in case.body.items()}


def is_valid(case):
    return case.meta is None or case.meta.generation.mode.is_positive


def tame(name, value):
    if value is None:
        return None
    if name == "generation_input_file":
        return [PICTURE for _ in value]
    if name == "generation_input_file_last_content":
        return PICTURE
    # For JSON Schema 1.0 is an integer. The server wants whole numbers written as such, and no
    # schema can say that.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return TAME.get(name, value)
