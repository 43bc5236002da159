"""Which module and class has which methods of ``RegistryApi``: known without importing their wire types."""

# The class of a module, and its methods. A test compares them with the classes.
GROUPS = {
    "accounts": (
        "AccountCalls",
        "log_in refresh log_out me update_me list_sessions end_session change_password reset_password",
    ),
    "credentials": (
        "CredentialCalls",
        "start_pairing poll_pairing confirm_pairing revoke_device create_credential list_credentials "
        "rotate_credential revoke_credential",
    ),
    "teams": (
        "TeamCalls",
        "create_team current_team update_team delete_team transfer_team list_members change_role "
        "remove_member create_invitation list_invitations delete_invitation preview_invitation "
        "accept_invitation list_audit_events",
    ),
    "uploads": (
        "UploadCalls",
        "presign_upload presign_uploads start_multipart presign_parts list_parts complete_multipart abort_multipart",
    ),
    "models": (
        "ModelCalls",
        "create_model list_models count_facets get_model get_model_and_etag update_model delete_model "
        "restore_model list_model_files download_ticket",
    ),
    "model_batches": (
        "ModelBatchCalls",
        "create_models look_up_models get_model_hashes check_workflow download_tickets",
    ),
    "versions": (
        "VersionCalls",
        "list_versions get_version update_version set_preview remove_preview get_picture activate_version "
        "delete_version restore_version",
    ),
    "collections": (
        "CollectionCalls",
        "create_collection list_collections get_collection update_collection delete_collection "
        "add_collection_version list_collection_versions get_collection_version get_collection_changes "
        "list_subscriptions subscribe unsubscribe list_collections_of start_rollout list_rollouts get_rollout "
        "approve_rollout change_rollout",
    ),
    "imports": (
        "ImportCalls",
        "resolve_link start_import start_imports list_imports get_import cancel_import convert_model "
        "retry_import check_source start_source_checks read_source_checks list_source_tokens set_source_token "
        "delete_source_token",
    ),
    "trusted_files": (
        "TrustedFileCalls",
        "get_version_findings list_trusted_files get_trusted_file allow_file withdraw_trust",
    ),
    "webhooks": (
        "WebhookCalls",
        "create_webhook list_webhooks get_webhook update_webhook delete_webhook test_webhook "
        "rotate_webhook_secret list_webhook_deliveries redeliver_to_webhook",
    ),
    "agents": (
        "AgentCalls",
        "list_agents list_models_on list_agents_of list_unused_models preview_evictions update_agent "
        "assign_model unassign_model approve_removal sync_agent delete_agent",
    ),
    "agent_reports": (
        "AgentReportCalls",
        "send_heartbeat list_requestable_models request_models report_loaders get_manifest",
    ),
}
