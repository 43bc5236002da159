"""Downloads of models: the redirect, the presigned URL, and refusals."""

from datetime import UTC, datetime, timedelta

from tests.server.harness import ApiCaller, Harness, hash_of, make_model_file

CONTENT = make_model_file("ink", 5000)


def test_download_redirects_to_presigned_url_with_no_store_and_file_name(
    shared_registry: Harness, team: ApiCaller
) -> None:
    model_id = team.register(CONTENT)
    redirected = team.get(f"/models/{model_id}/download")
    assert redirected.status_code == 307
    assert redirected.headers["Cache-Control"] == "no-store"
    response = shared_registry.client.get(redirected.headers["Location"])
    assert response.content == CONTENT
    assert "ink.safetensors" in response.headers["Content-Disposition"]


def test_download_url_is_valid_for_15_minutes_and_serves_ranges(shared_registry: Harness, team: ApiCaller) -> None:
    ticket = team.get(f"/models/{team.register(CONTENT)}/download", redirect="false").json()
    life = datetime.fromisoformat(ticket["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=14) < life <= timedelta(minutes=15)
    part = shared_registry.client.get(ticket["download_url"], headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, CONTENT[100:200])


def test_download_url_with_invalid_authorization_header_serves_the_content(
    shared_registry: Harness, team: ApiCaller
) -> None:
    ticket = team.get(f"/models/{team.register(CONTENT)}/download", redirect="false").json()
    response = shared_registry.client.get(ticket["download_url"], headers={"Authorization": "Bearer sk-nobody"})
    assert (response.status_code, response.content) == (200, CONTENT)


def test_download_disabled_model_redirects_users_and_returns_404_to_agents(
    shared_registry: Harness, team: ApiCaller
) -> None:
    agent = shared_registry.create_key("agent", team)
    model_id = team.register(CONTENT)
    assert agent.get(f"/models/{model_id}/download").status_code == 307
    team.put(f"/models/{model_id}", model_status="disabled")
    refused = agent.get(f"/models/{model_id}/download")
    assert (refused.status_code, refused.json()["error_code"]) == (404, "model_not_found")
    assert team.get(f"/models/{model_id}/download").status_code == 307


def test_download_model_registered_from_stored_content_has_its_own_file_name(
    shared_registry: Harness, team: ApiCaller
) -> None:
    team.register(CONTENT, "loras/one.safetensors")
    storage_key = team.presign(CONTENT, "vae/two.safetensors", file_hash=hash_of(CONTENT)).json()["storage_key"]
    second = team.register(CONTENT, "vae/two.safetensors", storage_key=storage_key)
    response = shared_registry.client.get(team.get(f"/models/{second}/download").headers["Location"])
    assert response.content == CONTENT
    assert "two.safetensors" in response.headers["Content-Disposition"]


def test_download_two_models_uploaded_with_equal_content_serves_both(shared_registry: Harness, team: ApiCaller) -> None:
    first = team.register(CONTENT, "loras/one.safetensors")
    second = team.register(CONTENT, "loras/two.safetensors")
    for model_id in (first, second):
        assert (
            shared_registry.client.get(team.get(f"/models/{model_id}/download").headers["Location"]).content == CONTENT
        )


def test_download_with_invalid_redirect_value_returns_422(team: ApiCaller) -> None:
    refused = team.get(f"/models/{team.register(CONTENT)}/download", redirect="perhaps")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "redirect")
