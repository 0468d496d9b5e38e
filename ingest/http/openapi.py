"""The description of the door in OpenAPI 3.1, made of the models that read what comes in."""

from collections.abc import Iterator
from typing import Any

from pydantic.json_schema import models_json_schema

from ingest.decode import GivenPost
from ingest.http.answers import MAX_FAULTS
from ingest.http.body import JSON, JSON_LINES
from ingest.http.settings import POSTS_PATH, DoorSettings
from schemas.post import Author, Conversation, Engagement, Post
from schemas.record import MAX_RECORD_BYTES

Json = dict[str, Any]
REF = "#/components/schemas/{model}"

ABOUT = """\
Posts about a brand in, triaged complaints out as tickets. A request holds one post or several, and is answered once
Kafka has acknowledged all of them.

**One post, one id.** `id` is the network's own id of the post, the same from whichever source it comes. It is what
repeats are known by: the same post sent again makes no second ticket, so any request may be sent again as it is, and no
Idempotency-Key is needed. A post that changed is sent again as a whole with `"event": "edit"`, one that is gone with
`"event": "delete"`.

**All or nothing.** One fault refuses the whole request, and nothing of it is published. Every field that is wrong is
named by its JSON pointer, as RFC 9457 has it. A 503 may come after some posts were written already: send the request
again.

An id may be given as a whole number, which is taken as its digits. Fields that are not described are ignored.
"""

AT_THE_DOOR = {
    "revision": "The higher one replaces the lower. An edit or delete without one gets its time of receipt.",
    "source": "Who delivers it to plaint; `http` where it is empty.",
    "received_at": "Set by the door; what is sent here is not looked at further.",
}
"""What a field of a post means here, where that is more than the schema says."""

EXAMPLE = {
    "id": "mastodon.example/109501",
    "text": "My router is dead for the third time, nobody answers.",
    "network": "mastodon",
    "author": {"handle": "@ann@mastodon.example", "followers": 310},
    "created_at": "2026-05-04T12:00:00Z",
}

SECURITY: Json = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "One of door.token and the lines of door.token_file.",
    },
    "webhook": {
        "type": "apiKey",
        "in": "header",
        "name": "webhook-signature",
        "description": "Signed as Standard Webhooks 1.0.0 lays it out, with webhook-id and webhook-timestamp, by "
        "door.secret or a line of door.secret_file.",
    },
}


def description(settings: DoorSettings, version: str) -> Json:
    """The whole document for a door with these settings."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "plaint: the door for posts",
            "version": version,
            "description": ABOUT,
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "paths": {POSTS_PATH: {"post": _operation(settings)}},
        "components": {
            "schemas": {**_models(), "Accepted": _accepted(), "Problem": _problem()},
            "securitySchemes": {name: SECURITY[name] for name in _proofs(settings)},
        },
    }


def _proofs(settings: DoorSettings) -> list[str]:
    found = ["bearer"] if settings.token or settings.token_file else []
    return [*found, *(["webhook"] if settings.secret or settings.secret_file else [])]


def _operation(settings: DoorSettings) -> Json:
    post = {"$ref": REF.format(model="Post")}
    posts = {"type": "array", "items": post, "minItems": 1, "maxItems": settings.max_posts}
    operation: Json = {
        "operationId": "sendPosts",
        "summary": "Send one post or several.",
        "requestBody": {
            "required": True,
            "description": f"At most {settings.max_body_bytes} bytes and {settings.max_posts} posts, a post at most "
            f"{MAX_RECORD_BYTES} bytes.",
            "content": {
                JSON: {"schema": {"oneOf": [post, posts]}, "example": EXAMPLE},
                JSON_LINES: {
                    "schema": posts | {"description": "One post on each line."},
                    "example": '{"id":"1","text":"My router is dead."}\n{"id":"2","text":"Thanks, it works."}\n',
                },
            },
        },
        "responses": dict(_responses()),
    }
    if proofs := _proofs(settings):
        operation["security"] = [{name: []} for name in proofs]
    return operation


def _responses() -> Iterator[tuple[str, Json]]:
    accepted = {"$ref": REF.format(model="Accepted")}
    yield "202", {"description": "Kafka has all of them.", "content": {JSON: {"schema": accepted}}}
    yield (
        "400",
        _refusal(f"A field or the whole is wrong; `errors` names up to {MAX_FAULTS} faults. Nothing was taken."),
    )
    yield "401", _refusal("The sender has not proved who it is.", "WWW-Authenticate", "How to.")
    yield "403", _refusal("A web page of another site sent it.")
    yield "408", _refusal("The body did not come in time.")
    yield "413", _refusal("The body, or one post of it, is too large.")
    yield "415", _refusal("It is neither JSON nor JSON Lines, or compressed.", "Accept-Post", "What is taken.")
    yield "421", _refusal("The host in the request is none of this machine.")
    yield "429", _refusal("Too much is not yet acknowledged by Kafka. Nothing was taken.", "Retry-After", "In seconds.")
    late = (
        "Kafka does not acknowledge. Where the detail doesn't say that nothing was taken, what was sent may have been "
    )
    late += "written. Send it again."
    yield "503", _refusal(late, "Retry-After", "In seconds.")


def _refusal(about: str, header: str = "", meaning: str = "") -> Json:
    answer: Json = {
        "description": about,
        "content": {"application/problem+json": {"schema": {"$ref": REF.format(model="Problem")}}},
    }
    if header:
        answer["headers"] = {header: {"description": meaning, "schema": {"type": "string"}}}
    return answer


def _models() -> Json:
    """The post and what stands in it, each field with its meaning."""
    _, found = models_json_schema([(GivenPost, "validation")], ref_template=REF)
    models: Json = {schema["title"]: schema for schema in found["$defs"].values()}
    for kind in (Post, Author, Conversation, Engagement):
        model = models[kind.__name__]
        for name, field in model["properties"].items():
            field.pop("title", None)
            field["description"] = kind.model_fields[name].description
        _rename(model)
        model.pop("description", None)
    # Only a delete may have no text.
    models["Post"]["anyOf"] = [
        {"required": ["text"]},
        {"required": ["event"], "properties": {"event": {"const": "delete"}}},
    ]
    post = models["Post"]["properties"]
    post["text"].pop("default", None)
    for name, about in AT_THE_DOOR.items():
        post[name]["description"] = about
    return models


def _rename(schema: Any) -> None:
    """References by the titles of the models."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            schema["$ref"] = schema["$ref"].replace("/Given", "/")
        for value in schema.values():
            _rename(value)


def _accepted() -> Json:
    return {
        "type": "object",
        "required": ["accepted"],
        "properties": {"accepted": {"type": "integer", "minimum": 1, "description": "How many posts Kafka has."}},
    }


def _problem() -> Json:
    """RFC 9457, with the faults as its own example has them."""
    text = {"type": "string"}
    fault = {
        "type": "object",
        "required": ["pointer", "detail"],
        "properties": {
            "pointer": text | {"description": "JSON pointer in the body, `#/2/author/followers`."},
            "detail": text,
        },
    }
    return {
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": text,
            "title": text,
            "status": {"type": "integer"},
            "detail": text,
            "errors": {"type": "array", "items": fault, "minItems": 1, "maxItems": MAX_FAULTS},
        },
    }
