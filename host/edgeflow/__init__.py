"""edgeflow: deploy trained models to phones and boards, and measure them with numbers that can be trusted."""

__version__ = "0.1.0"  # the same in edgeflow_agent; a test holds them together
