"""The bounded codec: every column of every jet within its bound. Numbers and bytes only; knows nothing of files."""
