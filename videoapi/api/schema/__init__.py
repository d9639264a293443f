"""The OpenAPI schema: what `GET /schema` and `/docs` say of the routes.

To document a route, write its operation in `operations.py` (those about models in `model_operations.py`, OpenAI's in
`openai_operations.py`, and their bodies likewise), an `extend_schema` of drf-spectacular, and put it over the view's
method: `@operations.get_video`. Its request is a serializer, whose fields have a `help_text`; its answers are
serializers in `bodies.py`, which are for the schema alone. The errors that the route itself can answer are
`**errors(404, 410)` in its `responses`: those that any route can answer (a wrong key, a database that is away) come by
themselves, from the view's authentication and permissions, as does what a key is needed for. A header of the answer is
an `OpenApiParameter` with `response=[200]`; an id in the answer that another route takes is a link in `links.py`. What
the server sends of its own accord (a webhook) is an `OpenApiWebhook` in `webhooks.py`, named in
`SPECTACULAR_SETTINGS["WEBHOOKS"]`.

`tests/test_schema.py` fails for a route or a field without a description and for a warning of drf-spectacular,
`tests/test_schema_answers.py` for an answer of a real server that is not as the schema has it;
`tests/test_schemathesis.py` sends the requests that the schema allows and those that it does not.
"""
