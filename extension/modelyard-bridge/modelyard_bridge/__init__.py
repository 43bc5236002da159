"""The routes that the page calls, and the connection to the agent that answers them."""
