"""HTTP client, worker threads, and the process of the local server."""
