"""Acting and looking closer: what an agent would do on a screen, and the zoom tool."""
