"""The rows of the permission matrix about collections; ``test_matrix`` says what the columns are."""

from tests.server.contract.matrix_row import Row

COLLECTION_ROWS = [
    Row("GET /models/{model_id}/collections", 200, "1 y y y y  y y  y y y  3  4 3  1 1 3 1", on="model:owner"),
    Row("GET /collections", 200, "1 y y y y  y y  y y y  3  y 3  1 1 3 1"),
    Row("POST /collections", 201, "1 3 y y y  3 y  3 y y  3  y 3  1 1 3 1", body="collection"),
    Row("GET /collections/{collection_id}", 200, "1 y y y y  y y  y y y  3  4 3  1 1 3 1", on="collection:owner"),
    Row(
        "PUT /collections/{collection_id}",
        200,
        "1 3 y y y  3 y  3 y y  3  4 3  1 1 3 1",
        on="collection:member",
        body="version note",
    ),
    Row(
        "PUT /collections/{collection_id}",
        200,
        "1 3 3 y y  3 y  3 3 y  3  4 3  1 1 3 1",
        on="collection:owner",
        body="version note",
    ),
    # What an integration key created belongs to no user.
    Row(
        "PUT /collections/{collection_id}",
        200,
        "1 3 3 y y  3 y  3 3 y  3  4 3  1 1 3 1",
        on="collection:sk-write",
        body="version note",
    ),
    Row("DELETE /collections/{collection_id}", 204, "1 3 y y y  3 3  3 y y  3  4 3  1 1 3 1", on="collection:member"),
    Row("DELETE /collections/{collection_id}", 204, "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1", on="collection:owner"),
    Row(
        "GET /collections/{collection_id}/versions",
        200,
        "1 y y y y  y y  y y y  3  4 3  1 1 3 1",
        on="collection:owner",
    ),
    Row(
        "POST /collections/{collection_id}/versions",
        201,
        "1 3 y y y  3 y  3 y y  3  4 3  1 1 3 1",
        on="collection:member",
        body="collection version",
    ),
    Row(
        "POST /collections/{collection_id}/versions",
        201,
        "1 3 3 y y  3 y  3 3 y  3  4 3  1 1 3 1",
        on="collection:owner",
        body="collection version",
    ),
    Row(
        "GET /collections/{collection_id}/versions/{version}",
        200,
        "1 y y y y  y y  y y y  3  4 3  1 1 3 1",
        on="collection version:owner",
    ),
    Row(
        "GET /collections/{collection_id}/versions/{version}/changes",
        200,
        "1 y y y y  y y  y y y  3  4 3  1 1 3 1",
        on="collection version:owner",
    ),
    Row(
        "GET /collections/{collection_id}/subscriptions",
        200,
        "1 y y y y  y y  y y y  3  4 3  1 1 3 1",
        on="collection:owner",
    ),
    # A member may not subscribe machines to their own collection.
    Row(
        "POST /collections/{collection_id}/subscriptions",
        201,
        "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1",
        on="collection:member",
        body="subscription",
    ),
    Row(
        "DELETE /collections/{collection_id}/subscriptions/{subscription_id}",
        204,
        "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1",
        on="subscription:member",
    ),
    Row(
        "POST /collections/{collection_id}/rollouts",
        201,
        "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1",
        on="held collection:member",
        body="rollout",
    ),
    Row(
        "GET /collections/{collection_id}/rollouts",
        200,
        "1 y y y y  y y  y y y  3  4 3  1 1 3 1",
        on="collection:owner",
    ),
    Row(
        "GET /collections/{collection_id}/rollouts/{rollout_id}",
        200,
        "1 y y y y  y y  y y y  3  4 3  1 1 3 1",
        on="rollout:owner",
    ),
    # One to all machines needs no approval: repeated, it changes nothing.
    Row(
        "POST /collections/{collection_id}/rollouts/{rollout_id}/approve",
        200,
        "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1",
        on="rollout:member",
    ),
    Row(
        "POST /collections/{collection_id}/rollouts/{rollout_id}/stop",
        200,
        "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1",
        on="rollout:member",
    ),
    Row(
        "POST /collections/{collection_id}/rollouts/{rollout_id}/roll-back",
        200,
        "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1",
        on="rollout:member",
    ),
]
