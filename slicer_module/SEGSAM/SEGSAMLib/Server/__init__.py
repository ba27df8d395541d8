"""HTTP, worker threads and the local server's process."""
