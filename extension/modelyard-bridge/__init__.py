"""ComfyUI custom node package: the team's models from a modelyard registry, in ComfyUI's page.

It adds no nodes. It serves the page's scripts (``web/``) and the routes that they call (``modelyard_bridge/``).
"""

from server import PromptServer

from .modelyard_bridge.routes import add_routes

WEB_DIRECTORY = "./web"
NODE_CLASS_MAPPINGS: dict[str, type] = {}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS", "WEB_DIRECTORY"]

add_routes(PromptServer.instance.routes)
