"""The paper's tables at a small scale: runs from a list, results in files, a report from both."""
