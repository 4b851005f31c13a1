"""The client of OpenAI-compatible servers: requests, retries, traffic, and the answers that were kept."""
