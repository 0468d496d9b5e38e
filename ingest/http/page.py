"""The description as a page that a person can read, without script."""

from typing import Any

from jinja2 import Environment, StrictUndefined

from ingest.http.settings import POSTS_PATH

STYLE = """\
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color-scheme: light dark }
pre { padding: .75rem; overflow-x: auto; border: 1px solid #8884 }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; border-top: 1px solid #8884 }
"""

TEMPLATE = """\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{ info.title }}</title><link rel="stylesheet" href="/door.css"></head>
<body>
<h1>{{ info.title }}</h1>
<pre>curl {{ "" if open else "-H 'Authorization: Bearer TOKEN' " }}-H 'Content-Type: application/json' \\
  -d '{"id": "1", "text": "My router is dead for the third time, nobody answers."}' \\
  http://HOST:PORT/v1/posts</pre>
{% for part in paragraphs %}<p>{{ part }}</p>
{% endfor %}<p>{{ operation.requestBody.description }} For programs: <a href="/openapi.json">openapi.json</a>.</p>
<h2>Fields of a post</h2>
<table><tr><th>field</th><th>takes</th><th>meaning</th></tr>
{% for path, kind, about in fields %}<tr><td><code>{{ path }}</code></td><td>{{ kind }}</td><td>{{ about }}</td></tr>
{% endfor %}</table>
<h2>Answers</h2>
<table><tr><th>status</th><th>meaning</th></tr>
{% for status, answer in operation.responses.items() %}<tr><td>{{ status }}</td><td>{{ answer.description }}</td></tr>
{% endfor %}</table>
</body></html>
"""


def page(description: dict[str, Any]) -> str:
    """The page for this description."""
    operation = description["paths"][POSTS_PATH]["post"]
    paragraphs = [
        part.replace("**", "").replace("`", "") for part in description["info"]["description"].strip().split("\n\n")
    ]
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(TEMPLATE)
    return template.render(
        info=description["info"],
        open="security" not in operation,
        paragraphs=paragraphs,
        operation=operation,
        fields=list(_fields(description["components"]["schemas"], "Post", "")),
    )


def _fields(models: dict[str, Any], model: str, prefix: str) -> list[tuple[str, str, str]]:
    rows = []
    for name, schema in models[model]["properties"].items():
        about = schema["description"].replace("`", "")
        inner = schema.get("$ref", "").rpartition("/")[2]
        rows.append((prefix + name, "object" if inner else _kind(schema), about))
        if inner:
            rows += _fields(models, inner, f"{prefix}{name}.")
    return rows


def _kind(schema: dict[str, Any]) -> str:
    options = schema.get("anyOf", [schema])
    return " or ".join(", ".join(option["enum"]) if "enum" in option else option["type"] for option in options)
