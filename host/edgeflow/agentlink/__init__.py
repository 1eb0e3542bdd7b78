"""The host's end of the agent: provisioning it, talking to it, giving it jobs."""
