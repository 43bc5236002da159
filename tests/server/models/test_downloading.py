"""Downloads: where they lead, what they answer, and what is refused."""

from datetime import UTC, datetime, timedelta

from tests.server.world import Someone, World, a_model_file, hash_of

CONTENT = a_model_file("ink", 5000)


def test_a_download_redirects_to_a_signed_address_that_no_cache_keeps(shared_world: World, team: Someone) -> None:
    model_id = team.register(CONTENT)
    redirected = team.get(f"/models/{model_id}/download")
    assert redirected.status_code == 307
    assert redirected.headers["Cache-Control"] == "no-store"
    sent = shared_world.client.get(redirected.headers["Location"])
    assert sent.content == CONTENT
    assert "ink.safetensors" in sent.headers["Content-Disposition"]


def test_the_signed_address_lives_a_quarter_of_an_hour_and_serves_ranges(shared_world: World, team: Someone) -> None:
    ticket = team.get(f"/models/{team.register(CONTENT)}/download", redirect="false").json()
    life = datetime.fromisoformat(ticket["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=14) < life <= timedelta(minutes=15)
    part = shared_world.client.get(ticket["download_url"], headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, CONTENT[100:200])


def test_the_signed_address_ignores_authorization(shared_world: World, team: Someone) -> None:
    ticket = team.get(f"/models/{team.register(CONTENT)}/download", redirect="false").json()
    sent = shared_world.client.get(ticket["download_url"], headers={"Authorization": "Bearer sk-nobody"})
    assert (sent.status_code, sent.content) == (200, CONTENT)


def test_a_disabled_model_downloads_for_people_and_not_for_agents(shared_world: World, team: Someone) -> None:
    agent = shared_world.key("agent", team)
    model_id = team.register(CONTENT)
    assert agent.get(f"/models/{model_id}/download").status_code == 307
    team.put(f"/models/{model_id}", model_status="disabled")
    refused = agent.get(f"/models/{model_id}/download")
    assert (refused.status_code, refused.json()["error_code"]) == (404, "model_not_found")
    assert team.get(f"/models/{model_id}/download").status_code == 307


def test_a_second_name_serves_the_bytes_that_are_there(shared_world: World, team: Someone) -> None:
    team.register(CONTENT, "loras/one.safetensors")
    handle = team.presign(CONTENT, "vae/two.safetensors", file_hash=hash_of(CONTENT)).json()["storage_key"]
    second = team.register(CONTENT, "vae/two.safetensors", storage_key=handle)
    sent = shared_world.client.get(team.get(f"/models/{second}/download").headers["Location"])
    assert sent.content == CONTENT
    assert "two.safetensors" in sent.headers["Content-Disposition"]


def test_bytes_that_are_being_sent_a_second_time_do_not_disturb_the_first(shared_world: World, team: Someone) -> None:
    first = team.register(CONTENT, "loras/one.safetensors")
    second = team.register(CONTENT, "loras/two.safetensors")
    for model_id in (first, second):
        assert shared_world.client.get(team.get(f"/models/{model_id}/download").headers["Location"]).content == CONTENT


def test_redirect_is_true_or_false(team: Someone) -> None:
    refused = team.get(f"/models/{team.register(CONTENT)}/download", redirect="perhaps")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "redirect")
