"""The rows of the permission matrix about webhooks, for admins; ``test_matrix`` says what the columns are."""

from tests.server.contract.matrix_row import Row

_ADMINS = "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1"

WEBHOOK_ROWS = [
    Row("GET /webhooks", 200, "1 3 3 y y  3 3  3 3 y  3  y 3  1 1 3 1"),
    Row("POST /webhooks", 201, "1 3 3 y y  3 3  3 3 y  3  y 3  1 1 3 1", body="webhook"),
    Row("GET /webhooks/{webhook_id}", 200, _ADMINS, on="webhook"),
    Row("PUT /webhooks/{webhook_id}", 200, _ADMINS, on="webhook", body="new team"),
    Row("POST /webhooks/{webhook_id}/test", 201, _ADMINS, on="webhook"),
    Row("POST /webhooks/{webhook_id}/rotate-secret", 200, _ADMINS, on="webhook"),
    Row("GET /webhooks/{webhook_id}/deliveries", 200, _ADMINS, on="webhook"),
    Row("POST /webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver", 200, _ADMINS, on="delivery"),
    Row("DELETE /webhooks/{webhook_id}", 204, _ADMINS, on="webhook"),
]
